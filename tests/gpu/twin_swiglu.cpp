// κ-SwiGLU and its statistics against their reference.
#include <algorithm>
#include <limits>

#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

constexpr std::int64_t kEffectFields = sizeof(EffectSums) / 8;
constexpr std::int64_t kCountField = kEffectFields - 1;

constexpr float kNoLimit = std::numeric_limits<float>::infinity();

struct SwigluCase {
  std::int64_t gates, partials;
  bool kappa, scale, identity, dense, gates_out;
  std::int64_t gate_stride, top;
  float spread;  // of z; 0: every value equal, the hardest case for the largest
  bool factor = false, from_gate = false, scored = true;
  std::int64_t scale_gate_stride = -1;  // −1: as that of b
  bool per_layer = false;               // α is one value for all experts
  bool biases = false;                  // of z and up
  float limit = kNoLimit, up_offset = 0;
};
// A block has one row: what is done with so many gates is the same in many rows as in a few.
constexpr std::int64_t kManyGates = 1000;
constexpr SwigluCase kSwigluCases[] = {
    {128, 0, true, true, false, false, false, 1, 16, 3},
    {96, 3, true, true, false, false, true, 1, 16, 3},
    {1500, 0, true, false, false, false, false, 1, 16, 3},
    {130, 0, true, true, false, false, true, 1, 200, 3},
    {64, 0, false, false, true, false, false, 0, 16, 2},
    {33, 0, true, true, false, false, false, 0, 300, 2},
    // Every value equal: the bound is the value, and the list overflows where it is searched by
    // bits.
    {1024, 0, true, true, false, false, false, 1, 16, 0},
    {1024, 0, false, false, false, false, false, 0, 16, 0},
    {1030, 0, false, false, false, false, false, 0, 700, 0},
    {1032, 0, true, true, false, false, false, 1, 700, 3},
    {520, 0, true, true, false, false, false, 1, 32, 3},
    {24, 0, true, true, false, false, false, 1, 32, 3},
    {200, 0, true, false, false, true, false, 1, 16, 9},
    // A factor, beside each form of κ.
    {130, 0, true, true, false, false, true, 1, 16, 3, true},
    {64, 0, true, false, false, false, true, 1, 16, 3, true},
    {33, 0, false, false, false, false, true, 1, 16, 3, true},
    // κ from z with α per gate, per expert and per layer, with a score and without.
    {128, 0, true, true, false, false, true, 1, 16, 3, false, true, true},
    {31, 0, true, true, false, false, true, 1, 16, 3, false, true, false},
    {96, 3, true, true, false, false, true, 1, 16, 3, false, true, false, 0},
    {64, 0, true, true, false, false, true, 0, 16, 3, true, true, true, 0},
    {130, 0, true, true, false, false, true, 1, 16, 3, true, true, false, 0, true},
    {64, 0, false, true, false, false, true, 1, 16, 3, false, true, true, 0, true},
    {1500, 0, true, true, false, false, false, 1, 16, 0.2f, false, true, true},
    // The α = 1 of a κ router, and α alone.
    {64, 0, true, true, false, false, true, 1, 16, 3, false, false, true, 0, true},
    {33, 0, false, true, false, false, true, 1, 16, 3},
    // Biases, a limit and an offset, with the factor that such models have, and with κ; a limit
    // that every z is at, and many largest.
    {128, 0, false, false, false, false, true, 0, 16, 3, true, false, false, -1, false, true, 2, 1},
    {96, 3, false, false, false, false, false, 0, 16, 3, true, false, false, -1, false, true, 7, 1},
    {33, 0, false, false, false, false, true, 0, 16, 3, true, false, false, -1, false, true, 1.5f},
    {1032, 0, false, false, false, false, false, 0, 700, 3, true, false, false, -1, false, true, 2,
     1},
    {64, 0, false, false, false, true, false, 0, 16, 0, false, false, true, -1, false, false,
     0.75f},
    {130, 0, true, true, false, false, true, 1, 16, 3, false, true, true, -1, false, true, 2, 1},
    {40, 0, true, true, false, false, false, 1, 16, 3, false, false, true, -1, false, true},
    {64, 0, false, false, true, false, true, 0, 16, 2, false, false, true, -1, false, false, 1,
     0.5f},
};

// All that the κ-SwiGLU of a case reads and writes, on both sides.
template <typename T>
struct SwigluBuffers {
  const SwigluCase& of;
  const Routed routed;
  std::int64_t cells, rows, experts;
  Random random{11};
  Values<T> z, up, hidden;
  Values<float> z_parts, up_parts, score, bias, scale, factor, gate_bias, up_bias;
  Values<float> kappa_out, z_out, a_out, clamped;
  Values<std::int32_t> index, row_cell, all_rows;
  Values<float> stats, kappa_stats;
  Values<std::int64_t> kappa_hist, gate_pre_hist;
  Values<double> effect;

  SwigluBuffers(const SwigluCase& of_, std::int64_t tokens)
      : of(of_),
        routed(make_routing(tokens, of_.dense ? 1 : 2, of_.dense ? 1 : 5, of_.dense ? -1 : 20)),
        cells(tokens * routed.slots),
        rows(routed.rows()),
        experts(routed.experts),
        z(as_elements<T>(draw(rows * of.gates, of.spread))),
        up(as_elements<T>(random.normals(rows * of.gates))),
        hidden(std::size_t(rows * of.gates)),
        z_parts(random.normals(std::max<std::int64_t>(1, of.partials) * rows * of.gates)),
        up_parts(random.normals(std::max<std::int64_t>(1, of.partials) * rows * of.gates)),
        score(routed.score),
        bias(random.normals(experts * of.gates)),
        scale(random.normals(experts * of.gates)),
        factor(draw_factors()),
        gate_bias(random.normals(experts * of.gates, 0.5f)),
        up_bias(random.normals(experts * of.gates, 0.5f)),
        kappa_out(std::size_t(rows * of.gates)),
        z_out(std::size_t(rows * of.gates)),
        a_out(std::size_t(rows * of.gates)),
        clamped(std::size_t(cells - first_cell())),
        index(routed.expert_index),
        row_cell(routed.row_cell),
        all_rows(std::vector<std::int32_t>{std::int32_t(rows)}),
        stats(std::size_t(cells - first_cell()) * 7),
        kappa_stats(std::size_t(cells - first_cell()) * 5),
        kappa_hist(std::vector<std::int64_t>(std::size_t(experts * kKappaBins), 5)),
        gate_pre_hist(std::vector<std::int64_t>(std::size_t(experts * kGatePreBins), 6)),
        effect(std::vector<double>(std::size_t(rows * kEffectFields), 3.0)) {}

  std::int64_t first_cell() const { return cells / 3 / routed.slots * routed.slots; }
  std::vector<float> draw(std::int64_t count, float spread) {
    std::vector<float> values = random.normals(count, spread);
    if (spread == 0) { values.assign(std::size_t(count), 0.75f); }
    return values;
  }

  std::vector<float> draw_factors() {
    std::vector<float> values = random.normals(experts);
    for (float& value : values) { value = std::exp(value); }
    return values;
  }

  GroupedSwigluArgs args(bool device) {
    const auto at = [device](auto& values) {
      return device ? values.device() : values.host.data();
    };
    GroupedSwigluArgs result;
    result.gates = of.gates;
    if (!of.dense) {
      result.expert_index = at(index);
      result.row_cell = at(row_cell);
      result.all_rows = at(all_rows);
      if (of.scored) { result.score = at(score); }
    }
    result.score_constant = of.scored ? 0.8f : 0;
    result.last_row = of.dense ? rows : cells;  // all_rows says how many there are
    result.gate_pre = {at(z), element_of<T>(), 0, 0};
    result.up = {at(up), element_of<T>(), 0, 0};
    if (of.partials > 0) {
      result.gate_pre = {at(z_parts), Element::float32, of.partials, rows * of.gates};
      result.up = {at(up_parts), Element::float32, of.partials, rows * of.gates};
    }
    if (of.kappa) { result.kappa.bias = at(bias); }
    if (of.scale) { result.kappa.scale = at(scale); }
    if (of.factor) { result.kappa.factor = at(factor); }
    result.kappa.from_gate = of.from_gate;
    result.kappa.gate_stride = of.gate_stride;
    result.kappa.scale_gate_stride =
        of.scale_gate_stride < 0 ? of.gate_stride : of.scale_gate_stride;
    const auto expert_stride = [&](std::int64_t stride) { return stride ? of.gates : 1; };
    result.kappa.expert_stride = expert_stride(result.kappa.gate_stride);
    result.kappa.scale_expert_stride =
        of.per_layer ? 0 : expert_stride(result.kappa.scale_gate_stride);
    result.kappa.log_bound = 1.1f;
    result.identity_gate = of.identity;
    if (of.biases) {
      result.rules.gate_bias = at(gate_bias);
      result.rules.up_bias = at(up_bias);
    }
    result.rules.limit = of.limit;
    result.rules.up_offset = of.up_offset;
    if (result.rules.limited()) { result.clamped = at(clamped); }
    result.element = element_of<T>();
    result.hidden = at(hidden);
    result.first_cell = first_cell();
    result.top_gates = of.top;
    result.stats = reinterpret_cast<GateStats*>(at(stats));
    if (of.from_gate) { result.kappa_stats = reinterpret_cast<KappaStatistics*>(at(kappa_stats)); }
    result.kappa_hist = at(kappa_hist);
    result.gate_pre_hist = at(gate_pre_hist);
    result.row_effect = reinterpret_cast<EffectSums*>(at(effect));
    if (of.gates_out) {
      result.kappa_out = at(kappa_out);
      result.gate_pre_out = at(z_out);
      result.gate_act_out = at(a_out);
    }
    return result;
  }
};

// A value on the edge of a bin may fall into the next one; none is lost.
void compare_histograms(const char* what, const std::vector<std::int64_t>& ours,
                        const std::vector<std::int64_t>& reference, Check& check) {
  std::int64_t total = 0, moved = 0, difference = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    total += reference[i];
    moved += std::abs(ours[i] - reference[i]);
    difference += ours[i] - reference[i];
  }
  check.holds(what, difference == 0 && moved <= 2 + total / 1000);
}

template <typename T>
void compare_statistics(const SwigluBuffers<T>& buffers, Check& check) {
  const double unit = 1.01 / double(buffers.of.gates);  // a gate on the other side of a threshold
  const std::vector<float> stats = buffers.stats.fetch();
  for (std::size_t i = 0; i < stats.size(); ++i) {
    const std::size_t field = i % 7;
    const bool share = field == 1 || field >= 5;
    check.close_value("stats", i, double(stats[i]), double(buffers.stats.host[i]),
                      share ? unit : 1e-5, 1);
  }
  check.close("clamped", buffers.clamped.fetch(), buffers.clamped.host, 0);
  check.close("kappa_stats", buffers.kappa_stats.fetch(), buffers.kappa_stats.host, 2e-6);
  compare_histograms("kappa_hist", buffers.kappa_hist.fetch(), buffers.kappa_hist.host, check);
  compare_histograms("gate_pre_hist", buffers.gate_pre_hist.fetch(), buffers.gate_pre_hist.host,
                     check);
  const std::vector<double> effect = buffers.effect.fetch();
  const std::vector<double>& expected = buffers.effect.host;
  for (std::size_t i = 0; i < effect.size(); ++i) {
    const std::size_t field = i % std::size_t(kEffectFields), row = i - field;
    if (field == kCountField) {  // an integer
      check.holds("effect count", std::memcmp(&effect[i], &expected[i], 8) == 0);
      continue;
    }
    // The sum of signed values is measured by that of their magnitudes, and by the rounding of the
    // two values whose difference each is: near κ = 1 the difference is smaller than that.
    const double magnitudes = field < 4 ? expected[row + 1] : field < 8 ? expected[row + 5] : 0;
    const double rounding = 2 * double(std::numeric_limits<float>::epsilon()) / 2e-5;
    const bool positive = field == 3 || field == 7;
    check.close_value("effect", i, effect[i], expected[i], positive ? 1 : 2e-5,
                      positive ? 2 : magnitudes + 1e-3 + rounding * double(buffers.of.gates));
  }
}

template <typename T>
void compare_swiglu_case(const SwigluCase& of, std::int64_t tokens, Check& check) {
  SwigluBuffers<T> buffers(of, tokens);
  GroupedSwigluArgs host = buffers.args(false), device = buffers.args(true);
  grouped_swiglu_ref(host);
  // In two pieces, as when memory is short.
  GroupedSwigluArgs first = device, second = device;
  first.last_row = second.first_row = buffers.rows / 2;
  const std::int64_t skip = buffers.rows / 2 * of.gates;
  const auto move = [&](auto& pointer) {
    if (pointer) { pointer += skip; }
  };
  second.hidden = static_cast<T*>(second.hidden) + skip;
  const std::int64_t bytes = of.partials > 0 ? 4 : std::int64_t(sizeof(T));
  for (ProductView* view : {&second.gate_pre, &second.up}) {
    view->data = static_cast<const char*>(view->data) + skip * bytes;
  }
  move(second.kappa_out);
  move(second.gate_pre_out);
  move(second.gate_act_out);
  if (skip % 8 == 0) {  // a piece starts at whole packs
    require_ok(grouped_swiglu_cuda(first, nullptr), "grouped_swiglu");
    require_ok(grouped_swiglu_cuda(second, nullptr), "grouped_swiglu");
  } else {
    require_ok(grouped_swiglu_cuda(device, nullptr), "grouped_swiglu");
  }
  require_ok(cuda_wait_all(), "grouped_swiglu");
  const double tolerance = sizeof(T) == 2 ? 1e-2 : 2e-6;  // bfloat16: the last digit
  check.close("hidden", widened(buffers.hidden.fetch()), widened(buffers.hidden.host), tolerance);
  if (of.gates_out) {
    check.close("kappa", buffers.kappa_out.fetch(), buffers.kappa_out.host, 1e-6);
    check.close("gate_pre", buffers.z_out.fetch(), buffers.z_out.host, 1e-6);
    check.close("gate_act", buffers.a_out.fetch(), buffers.a_out.host, 2e-6);
  }
  compare_statistics(buffers, check);
  // Without statistics the same numbers.
  Values<T> again(std::size_t(buffers.rows * of.gates));
  device.stats = nullptr;
  device.hidden = again.device();
  require_ok(grouped_swiglu_cuda(device, nullptr), "grouped_swiglu");
  require_ok(cuda_wait_all(), "grouped_swiglu");
  check.close("hidden without statistics", widened(again.fetch()), widened(buffers.hidden.fetch()),
              0);
}

}  // namespace

void compare_grouped_swiglu(std::int64_t tokens, Check& check) {
  for (const SwigluCase& of : kSwigluCases) {
    if (of.gates > kManyGates && tokens > 64) { continue; }
    check.begin("grouped_swiglu, " + std::to_string(tokens) + " tokens, " +
                std::to_string(of.gates));
    compare_swiglu_case<float>(of, tokens, check);
    compare_swiglu_case<BFloat16>(of, tokens, check);
  }
}

}  // namespace kappascope::twin
