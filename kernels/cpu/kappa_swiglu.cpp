// κ-SwiGLU over the rows of one expert with its gate statistics (SPEC §1.5, §5), a vector at a
// time.
//
//   κ = factor · exp(ln U · tanh u),  a = z·σ(κz),  hidden = a ∘ up
//
// A row is taken in blocks that fit the first cache: activation, then what is recorded of it. Sums
// are float within a block and double over blocks.
#include <cmath>

#include "kernels/cpu/kappa_row.h"
#include "kernels/cpu/scratch.h"

namespace kappascope::KAPPASCOPE_ISA {
namespace {

// One call: its scratch, and the sums over its recorded rows.
struct Call {
  const KappaSwigluArgs& args;
  const KappaForm form;
  const KappaView view;  // with_bias
  KappaRow kappa;
  bool described = false;  // kappa.counts and kappa.statistics are those of this row
  float* act;              // [kBlock] a
  float* magnitude;        // [I padded] |a|
  float* highest;          // [I padded] maxima of groups of |a|
  BinCounter<kGatePreBins> gate_pre = {};
  std::int64_t gate_pre_nan = 0;
  // κ effect
  DVec d = {}, abs_d = {}, square_d = {}, rel = {}, abs_rel = {}, square_rel = {}, slope = {},
       tanh_u = {};
  IVec positive = {}, rel_positive = {}, skipped = {};  // minus the counts
};

// Part [first, first + size) of a row.
struct Block {
  std::int64_t first, size;
  const float *z, *up, *kappa;
  float* hidden;

  KAPPASCOPE_INLINE Vec take(const float* from, std::int64_t i, std::int64_t size) {
    return size - i < kVector ? load_part(from + i, size - i) : load(from + i);
  }
  Vec z_at(std::int64_t i) const { return take(z, i, size); }
  IVec lanes(std::int64_t i) const { return size - i < kVector ? first_lanes(size - i) : ~IVec{}; }
};

// hidden = a ∘ up, and a itself into `act` unless nullptr.
template <bool kIdentity>
void activate(const Block& block, float* act) {
  for (std::int64_t i = 0; i < block.size; i += kVector) {
    const Vec z = block.z_at(i);
    const Vec a = kIdentity ? z : z * sigmoid(load(block.kappa + i) * z);
    const Vec hidden = a * Block::take(block.up, i, block.size);
    if (act) { store(act + i, a); }
    if (block.size - i < kVector) {
      store_part(block.hidden + i, hidden, block.size - i);
    } else {
      store(block.hidden + i, hidden);
    }
  }
}

// Sums over the gate units of a row.
struct RowSums {
  DVec magnitude = {}, x_log_x = {}, square = {};
  IVec active = {}, linear = {}, saturated = {};  // minus the counts
  std::int64_t groups = 0;                        // maxima in Call::highest
};

void add_gates(Call& call, const Block& block, RowSums& sums) {
  const Vec threshold = splat(call.args.active_threshold);
  Vec magnitude_sum = {}, x_log_x = {}, square = {}, highest = {};
  IVec active = {}, linear = {}, saturated = {};
  for (std::int64_t i = 0; i < block.size; i += kVector) {
    const IVec lanes = block.lanes(i);
    const Vec magnitude = from_bits(bits_of(load(call.act + i)) & lanes & 0x7fffffff);
    const Vec sharpness = absolute(load(block.kappa + i) * block.z_at(i));
    store(call.magnitude + block.first + i, magnitude);
    highest = magnitude > highest ? magnitude : highest;
    magnitude_sum += magnitude;
    x_log_x += magnitude * log(magnitude);
    square += from_bits(bits_of(sharpness * sharpness) & lanes);
    active += magnitude > threshold;
    linear += (sharpness < splat(kLinearKz)) & lanes;
    saturated += (sharpness > splat(kSaturatedKz)) & lanes;
  }
  store(call.highest + sums.groups, highest);
  sums.groups += kVector;
  sums.magnitude += widen(magnitude_sum);
  sums.x_log_x += widen(x_log_x);
  sums.square += widen(square);
  sums.active += active;
  sums.linear += linear;
  sums.saturated += saturated;
}

// d = a − silu(z); r = d / silu(z), the denominator pushed away from 0 to ±1e-6 (≥ 0: to +); u and
// tanh u.
template <KappaForm kForm>
void add_effect(Call& call, const Block& block, const KappaSource& source) {
  Vec d_sum = {}, abs_d = {}, square_d = {}, rel_sum = {}, abs_rel = {}, square_rel = {};
  Vec slope = {}, tanh_u = {};
  const bool moved = source.view.factor != nullptr;  // positions are those of the factor, too
  for (std::int64_t i = 0; i < block.size; i += kVector) {
    const Vec z = block.z_at(i);
    const Vec silu = z * sigmoid(z), difference = load(call.act + i) - silu;
    const IVec lanes = block.lanes(i), valid = (difference == difference) & lanes;
    const Vec pushed = silu >= splat(0) ? splat(1e-6f) : splat(-1e-6f);
    const Vec ratio = difference / (absolute(silu) < splat(1e-6f) ? pushed : silu);
    const Vec d = from_bits(bits_of(difference) & valid), rel = from_bits(bits_of(ratio) & valid);
    d_sum += d;
    abs_d += absolute(d);
    square_d += d * d;
    rel_sum += rel;
    abs_rel += absolute(rel);
    square_rel += rel * rel;
    call.positive += d > splat(0);
    call.rel_positive += rel > splat(0);
    call.skipped += ~valid & lanes;
    if constexpr (kForm != KappaForm::fixed) {
      const Vec u = argument_at<kForm>(source, block.first + i, call.args.gates);
      slope += from_bits(bits_of(u * u) & valid);
      const Vec t = moved ? tanh(u) : load(call.kappa.position + block.first + i);
      tanh_u += from_bits(bits_of(t) & valid);
    }
  }
  call.d += widen(d_sum);
  call.abs_d += widen(abs_d);
  call.square_d += widen(square_d);
  call.rel += widen(rel_sum);
  call.abs_rel += widen(abs_rel);
  call.square_rel += widen(square_rel);
  call.slope += widen(slope);
  call.tanh_u += widen(tanh_u);
}

void add_effect(Call& call, const Block& block, const KappaSource& source) {
  switch (call.form) {
    case KappaForm::fixed:
      return add_effect<KappaForm::fixed>(call, block, source);
    case KappaForm::constant_input:
      return add_effect<KappaForm::constant_input>(call, block, source);
    case KappaForm::scaled:
      return add_effect<KappaForm::scaled>(call, block, source);
    case KappaForm::from_gate:
      return add_effect<KappaForm::from_gate>(call, block, source);
  }
}

// z in 64 bins of [−8,8], with under- and overflow; NaN is counted as overflow and subtracted
// later.
void count_gate_pre(Call& call, const Block& block) {
  IVec not_numbers = {};
  for (std::int64_t i = 0; i < block.size; i += kVector) {
    const Vec z = block.z_at(i);
    IVec bin = __builtin_convertvector(z * 4.0f + 32.0f, IVec) + 1;
    const IVec low = splat_int(1), high = splat_int(kGatePreBins - 2);
    bin = bin > low ? bin : low;
    bin = bin < high ? bin : high;
    bin &= z >= splat(-8);
    bin = z <= splat(8) ? bin : (z < splat(-8) ? bin : splat_int(kGatePreBins - 1));
    not_numbers += (z != z) & block.lanes(i);
    store(call.gate_pre.met + i, bin);
  }
  call.gate_pre.add(block.size);
  call.gate_pre_nan += count_set(not_numbers);
}

// Sum of the `top` largest magnitudes. The top-th largest of the groups' maxima bounds the top-th
// largest of all from below; what reaches it is little.
double top_sum(const Call& call, std::int64_t groups, std::int64_t top) {
  float bound = 0;
  if (groups >= top) {
    select_kth(call.highest, groups, groups - top);
    bound = call.highest[groups - top];
  }
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < call.args.gates; i += kVector) {
    const Vec values = load(call.magnitude + i);
    std::uint32_t bits = lane_bits(values >= splat(bound));
    for (; bits != 0; bits &= bits - 1) {
      call.magnitude[found++] = call.magnitude[i + __builtin_ctz(bits)];
    }
  }
  select_kth(call.magnitude, found, found - top);
  double result = 0;
  for (std::int64_t i = found - top; i < found; ++i) { result += call.magnitude[i]; }
  return result;
}

GateStats describe_gates(const Call& call, const RowSums& sums) {
  const KappaSwigluArgs& args = call.args;
  const double all = sum(sums.magnitude), n = static_cast<double>(args.gates);
  if (all != all) { return {NAN, NAN, NAN, NAN, NAN, NAN, NAN}; }
  const double safe = all > 1e-8 ? all : 1e-8;
  const std::int64_t top = args.top_gates < args.gates ? args.top_gates : args.gates;
  const auto share = [n](IVec counts) {
    return static_cast<float>(static_cast<double>(count_set(counts)) / n);
  };
  GateStats stats{};
  stats.mean_abs = static_cast<float>(all / n);
  stats.active_fraction = share(sums.active);
  stats.top_share = static_cast<float>(top_sum(call, sums.groups, top) / safe);
  stats.entropy = static_cast<float>(std::log(safe) - sum(sums.x_log_x) / safe);
  // A bilinear expert has no sigmoid: nothing is sharp, linear or saturated about it.
  stats.kz_rms = args.identity_gate ? NAN : static_cast<float>(std::sqrt(sum(sums.square) / n));
  stats.linear_fraction = args.identity_gate ? NAN : share(sums.linear);
  stats.saturated_fraction = args.identity_gate ? NAN : share(sums.saturated);
  return stats;
}

KappaSource source_of(const Call& call, std::int64_t r) {
  const KappaSwigluArgs& args = call.args;
  return {call.view, args.score ? args.score[r] : 0, args.gate_pre + r * args.gates};
}

// κ of row r. With a constant input it depends on s alone: the same score, the same κ.
void set_kappa(Call& call, std::int64_t r) {
  const KappaSwigluArgs& args = call.args;
  const bool known =
      r > 0 && (call.form == KappaForm::fixed ||
                (call.form == KappaForm::constant_input && args.score[r] == args.score[r - 1]));
  if (known) { return; }
  fill_kappa(call.form, source_of(call, r), call.kappa);
  call.described = false;
}

void keep_position(const Call& call, std::int64_t r) {
  const std::int64_t gates = call.args.gates;
  if (!call.args.position_out) { return; }
  std::memcpy(call.args.position_out + r * gates, call.kappa.position,
              static_cast<std::size_t>(gates) * sizeof(float));
}

void record_kappa(Call& call, std::int64_t to) {
  const KappaSwigluArgs& args = call.args;
  if (args.kappa_out) {
    std::memcpy(args.kappa_out + to * args.gates, call.kappa.kappa,
                static_cast<std::size_t>(args.gates) * sizeof(float));
  }
  if (!args.kappa_hist && !args.kappa_stats) { return; }
  if (!call.described) {
    describe_kappa(call.kappa, args.kappa.log_bound, args.kappa_stats != nullptr);
  }
  call.described = true;
  if (args.kappa_stats) { args.kappa_stats[to] = call.kappa.statistics; }
  for (int i = 0; args.kappa_hist && i < kKappaBins; ++i) {
    args.kappa_hist[i] += call.kappa.counts[i];
  }
}

void run_row(Call& call, std::int64_t r, std::int64_t to, bool recorded) {
  const KappaSwigluArgs& args = call.args;
  RowSums sums;
  for (std::int64_t first = 0; first < args.gates; first += kBlock) {
    const std::int64_t at = r * args.gates + first, left = args.gates - first;
    const Block block{first,        left < kBlock ? left : kBlock, args.gate_pre + at,
                      args.up + at, call.kappa.kappa + first,      args.hidden + at};
    float* act = recorded ? call.act : nullptr;
    args.identity_gate ? activate<true>(block, act) : activate<false>(block, act);
    if (!recorded) { continue; }
    const auto bytes = static_cast<std::size_t>(block.size) * sizeof(float);
    const std::int64_t out = to * args.gates + first;
    if (args.gate_pre_out) { std::memcpy(args.gate_pre_out + out, block.z, bytes); }
    if (args.gate_act_out) { std::memcpy(args.gate_act_out + out, act, bytes); }
    if (args.stats) { add_gates(call, block, sums); }
    if (args.effect && !args.identity_gate) { add_effect(call, block, source_of(call, r)); }
    if (args.gate_pre_hist) { count_gate_pre(call, block); }
  }
  if (recorded && args.stats) { args.stats[to] = describe_gates(call, sums); }
}

void add_effect_sums(const Call& call, std::int64_t rows) {
  const EffectSums sums{.sum = sum(call.d),
                        .sum_abs = sum(call.abs_d),
                        .sum_square = sum(call.square_d),
                        .positive = static_cast<double>(count_set(call.positive)),
                        .rel_sum = sum(call.rel),
                        .rel_sum_abs = sum(call.abs_rel),
                        .rel_sum_square = sum(call.square_rel),
                        .rel_positive = static_cast<double>(count_set(call.rel_positive)),
                        .slope_square = sum(call.slope),
                        .tanh_sum = sum(call.tanh_u),
                        .count = rows * call.args.gates - count_set(call.skipped)};
  add_effects(*call.args.effect, sums);
}

}  // namespace

void kappa_swiglu(const KappaSwigluArgs& args) {
  const std::int64_t padded = (args.gates + kVector - 1) / kVector * kVector;
  const Scratch scratch(5 * padded + kBlock);
  float* const act = scratch.data + 5 * padded;
  Call call{
      args,
      form_of(args.kappa),
      with_bias(args.kappa),
      {args.gates, scratch.data, scratch.data + padded, scratch.data + 2 * padded, {}, {}, {}},
      false,
      act,
      scratch.data + 3 * padded,
      scratch.data + 4 * padded};
  const bool wanted = args.stats || args.kappa_stats || args.kappa_hist || args.gate_pre_hist ||
                      args.effect || args.kappa_out || args.gate_pre_out || args.gate_act_out;
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const bool recorded = wanted && r >= args.first_recorded;
    const std::int64_t to = args.out_row ? args.out_row[r] : r;
    set_kappa(call, r);
    keep_position(call, r);
    run_row(call, r, to, recorded);
    if (recorded) { record_kappa(call, to); }
  }
  if (args.gate_pre_hist) {
    call.gate_pre.move_to(args.gate_pre_hist, kGatePreBins);
    args.gate_pre_hist[kGatePreBins - 1] -= call.gate_pre_nan;
  }
  const std::int64_t before = args.first_recorded < args.rows ? args.first_recorded : args.rows;
  if (args.effect && !args.identity_gate) { add_effect_sums(call, args.rows - before); }
}

}  // namespace kappascope::KAPPASCOPE_ISA
