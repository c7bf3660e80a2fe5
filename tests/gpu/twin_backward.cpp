// The derivatives of κ-SwiGLU against their reference.
#include <limits>

#include "kernels/kappa_gradient.h"
#include "kernels/training_ops.h"
#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

struct BackwardCase {
  std::int64_t gates;
  KappaArgument form;
  std::int64_t gate_stride, scale_gate_stride;  // 0: one value for all gate units
  float spread = 2;                             // of z, and of u
  bool factor = false, identity = false, scored = true, wants_score = true;
  bool in_place = false;   // the derivative by z is written over that by the hidden units
  std::int64_t shift = 0;  // floats between whole packs and the first value
  bool hostile = false;    // some values are NaN
};
const BackwardCase kBackwardCases[] = {
    {128, KappaArgument::scaled, 1, 1},
    {132, KappaArgument::scaled, 1, 1, 2, false, false, true, true, true},
    {36, KappaArgument::constant_input, 1, 1},
    {33, KappaArgument::constant_input, 1, 1, 3},
    {260, KappaArgument::from_gate, 1, 1},
    {31, KappaArgument::from_gate, 1, 1, 2, true, false, false, false},
    // α or b of an expert or a layer.
    {1500, KappaArgument::scaled, 0, 0},
    {130, KappaArgument::scaled, 1, 0},
    {64, KappaArgument::scaled, 0, 1, 2, true},
    {96, KappaArgument::constant_input, 0, 0},
    {7, KappaArgument::from_gate, 0, 0},
    {140, KappaArgument::from_gate, 1, 0, 2, false, false, true, false},
    {128, KappaArgument::fixed, 1, 1},
    {65, KappaArgument::fixed, 1, 1, 2, true},
    {64, KappaArgument::fixed, 1, 1, 2, false, true},
    {1, KappaArgument::scaled, 1, 1},
    // Every value equal; |u| far out, where the slope of tanh is nothing; z as well.
    {128, KappaArgument::scaled, 1, 1, 0},
    {128, KappaArgument::scaled, 1, 1, 40},
    {64, KappaArgument::from_gate, 1, 0, 1e6f},
    // Rows that are whole packs and do not begin with one.
    {64, KappaArgument::scaled, 1, 1, 2, false, false, true, true, false, 1},
    {128, KappaArgument::scaled, 1, 1, 2, false, false, true, true, false, 0, true},
    {40, KappaArgument::from_gate, 0, 1, 2, false, false, true, true, false, 0, true},
};

std::vector<float> drawn(Random& random, const BackwardCase& of, std::int64_t count, float spread) {
  std::vector<float> values = random.normals(count, spread);
  for (float& value : values) {
    if (spread == 0) { value = 0.75f; }
    if (of.hostile && random.bits() % 300 == 0) { value = std::numeric_limits<float>::quiet_NaN(); }
  }
  return values;
}

// All that a case reads and writes, on both sides.
struct BackwardBuffers {
  const BackwardCase& of;
  std::int64_t rows;
  Random random;
  Values<float> z, up, grad, score, bias, scale, factor;
  Values<float> grad_z, grad_up, grad_score, grad_bias, grad_scale;

  BackwardBuffers(const BackwardCase& of_, std::int64_t rows_)
      : of(of_),
        rows(rows_),
        random(std::uint64_t(3 + rows * 1000 + of_.gates)),
        z(drawn(random, of, size(), of.spread)),
        up(drawn(random, of, size(), 1)),
        grad(drawn(random, of, size(), 1)),
        score(drawn(random, of, rows, of.spread)),
        bias(random.normals(values(of.gate_stride))),
        scale(random.normals(values(of.scale_gate_stride))),
        factor(std::vector<float>{1.3f}),
        grad_z(std::size_t(size())),
        grad_up(std::size_t(size())),
        grad_score(std::size_t(rows)),
        grad_bias(std::vector<float>(bias.host.size(), 0.5f)),  // added to
        grad_scale(std::vector<float>(scale.host.size(), -0.5f)) {}

  std::int64_t size() const { return rows * of.gates + of.shift; }
  std::int64_t values(std::int64_t stride) const { return stride == 0 ? 1 : of.gates; }

  KappaSwigluBackwardArgs args(bool device) {
    const auto at = [device](auto& values) {
      return device ? values.device() : values.host.data();
    };
    KappaSwigluBackwardArgs result;
    result.rows = rows;
    result.gates = of.gates;
    result.gate_pre = at(z) + of.shift;
    result.up = at(up) + of.shift;
    result.grad_hidden = at(grad) + of.shift;
    if (of.scored) { result.score = at(score); }
    if (of.form != KappaArgument::fixed) { result.kappa.bias = at(bias); }
    if (of.form == KappaArgument::scaled || of.form == KappaArgument::from_gate) {
      result.kappa.scale = at(scale);
    }
    result.kappa.from_gate = of.form == KappaArgument::from_gate;
    result.kappa.gate_stride = of.gate_stride;
    result.kappa.scale_gate_stride = of.scale_gate_stride;
    result.kappa.log_bound = 1.1f;
    if (of.factor) { result.kappa.factor = at(factor); }
    result.identity_gate = of.identity;
    result.grad_gate_pre = (of.in_place ? at(grad) : at(grad_z)) + of.shift;
    result.grad_up = at(grad_up) + of.shift;
    if (of.wants_score) { result.grad_score = at(grad_score); }
    result.grad_bias = at(grad_bias);
    result.grad_scale = at(grad_scale);
    return result;
  }
};

// Σ |terms| of each result, which its rounding is measured by.
struct Magnitudes {
  std::vector<double> z, up, score, bias, scale;
};

Magnitudes magnitudes_of(const BackwardBuffers& buffers) {
  const std::int64_t rows = buffers.rows, gates = buffers.of.gates;
  const KappaSwigluBackwardArgs args = const_cast<BackwardBuffers&>(buffers).args(false);
  Magnitudes sums;
  sums.z.resize(std::size_t(rows * gates));
  sums.up = sums.z;
  sums.score.resize(std::size_t(rows));
  sums.bias.resize(buffers.bias.host.size());
  sums.scale.resize(buffers.scale.host.size());
  KappaGate<double> gate;
  gate.form = argument_of(args.kappa);
  gate.log_bound = double(args.kappa.log_bound);
  gate.factor = double(args.kappa.factor_value());
  for (std::int64_t r = 0; r < rows; ++r) {
    gate.score = args.score ? double(args.score[r]) : 0;
    for (std::int64_t i = 0; i < gates; ++i) {
      const std::int64_t at = r * gates + i, b = i * args.kappa.gate_stride,
                         a = i * args.kappa.scale_gate_stride;
      gate.z = double(args.gate_pre[at]);
      gate.up = double(args.up[at]);
      if (args.kappa.bias) { gate.bias = double(args.kappa.bias[b]); }
      if (args.kappa.scale) { gate.scale = double(args.kappa.scale[a]); }
      const double grad = double(args.grad_hidden[at]);
      // e^−|x| and e^−2|u| are wrong by some units in the last place of x and u.
      const KappaGateGradient<double> terms = kappa_gradient(gate, grad);
      const double lost = 1 + std::fabs(gate.kappa() * gate.z) + 2 * std::fabs(gate.argument());
      const double act = std::fabs(grad * gate.up);
      sums.z[at] = act + lost * std::fabs(terms.z) + lost * std::fabs(terms.bias * gate.scale);
      sums.up[at] = std::fabs(grad * gate.z);
      sums.score[r] += lost * std::fabs(terms.score);
      sums.bias[b] += lost * std::fabs(terms.bias);
      sums.scale[a] += lost * std::fabs(terms.scale);
    }
  }
  return sums;
}

void compare_sums(const char* what, const std::vector<float>& ours,
                  const std::vector<float>& reference, const std::vector<double>& magnitudes,
                  Check& check) {
  for (std::size_t i = 0; i < magnitudes.size(); ++i) {
    const double scale = std::isnan(magnitudes[i]) ? 0 : magnitudes[i];
    check.close_value(what, i, double(ours[i]), double(reference[i]), 5e-7, 1e-2 + scale);
  }
}

std::vector<float> without_shift(std::vector<float> values, const BackwardCase& of) {
  values.erase(values.begin(), values.begin() + of.shift);
  return values;
}

void compare_backward_case(const BackwardCase& of, std::int64_t rows, Check& check) {
  BackwardBuffers buffers(of, rows);
  const Magnitudes magnitudes = magnitudes_of(buffers);
  const KappaSwigluBackwardArgs device = buffers.args(true);
  Values<float> memory(std::size_t(kappa_swiglu_backward_memory(device)));
  kappa_swiglu_backward_ref(buffers.args(false));
  require_ok(kappa_swiglu_backward_cuda(device, memory.device(), nullptr), "backward");
  require_ok(cuda_wait_all(), "backward");
  memory.fetch();
  const Values<float>& grad_z = of.in_place ? buffers.grad : buffers.grad_z;
  compare_sums("dz", without_shift(grad_z.fetch(), of), without_shift(grad_z.host, of),
               magnitudes.z, check);
  compare_sums("dup", without_shift(buffers.grad_up.fetch(), of),
               without_shift(buffers.grad_up.host, of), magnitudes.up, check);
  if (of.wants_score) {
    compare_sums("ds", buffers.grad_score.fetch(), buffers.grad_score.host, magnitudes.score,
                 check);
  }
  compare_sums("db", buffers.grad_bias.fetch(), buffers.grad_bias.host, magnitudes.bias, check);
  compare_sums("dα", buffers.grad_scale.fetch(), buffers.grad_scale.host, magnitudes.scale, check);
}

}  // namespace

void compare_kappa_swiglu_backward(std::int64_t tokens, Check& check) {
  for (const BackwardCase& of : kBackwardCases) {
    check.begin("kappa_swiglu_backward, " + std::to_string(tokens) + " rows, " +
                std::to_string(of.gates));
    compare_backward_case(of, tokens, check);
  }
  const BackwardCase& first = kBackwardCases[0];
  check.begin("kappa_swiglu_backward, no rows");
  compare_backward_case(first, 0, check);
}

}  // namespace kappascope::twin
