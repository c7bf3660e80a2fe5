// The derivatives of κ-SwiGLU: the formulas against central differences in double, the reference
// against the formulas, and the kernels of every instruction set against the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/kappa_gradient.h"
#include "kernels/training_ops.h"
#include "tests/unit/kernels_fixture.h"

namespace kappascope {
namespace {

constexpr KappaArgument kForms[] = {KappaArgument::fixed, KappaArgument::constant_input,
                                    KappaArgument::scaled, KappaArgument::from_gate};

double central_difference(KappaGate<double> gate, double KappaGate<double>::* of) {
  const double middle = gate.*of, step = 1e-5 * std::max(1.0, std::fabs(middle));
  // Fourth order: what is left of the step is far below the tolerance.
  const auto at = [&](double distance) {
    gate.*of = middle + distance * step;
    return gate.hidden();
  };
  return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step);
}

TEST(KappaGradient, IsTheCentralDifferenceToAMillionth) {
  std::mt19937 generator(7);
  std::normal_distribution<double> normal_value;
  for (int draw = 0; draw < 4000; ++draw) {
    KappaGate<double> gate;
    gate.form = kForms[draw % 4];
    for (double KappaGate<double>::* of :
         {&KappaGate<double>::z, &KappaGate<double>::up, &KappaGate<double>::score,
          &KappaGate<double>::bias, &KappaGate<double>::scale}) {
      gate.*of = (draw % 3 == 0 ? 2.5 : 0.8) * normal_value(generator);
    }
    gate.log_bound = std::log(draw % 5 == 0 ? 0.5 : 1.5 + draw % 7);
    gate.factor = draw % 11 == 0 ? 1.7 : 1;
    const KappaGateGradient<double> found = kappa_gradient(gate, 1.0);
    const auto expect = [&](double value, double KappaGate<double>::* of, const char* name) {
      const double expected = central_difference(gate, of);
      EXPECT_NEAR(value, expected, 1e-6 * std::fabs(expected) + 1e-9)
          << name << " of draw " << draw;
    };
    expect(found.z, &KappaGate<double>::z, "dz");
    expect(found.up, &KappaGate<double>::up, "d up");
    if (gate.form == KappaArgument::fixed) { continue; }
    expect(found.score, &KappaGate<double>::score, "ds");
    expect(found.bias, &KappaGate<double>::bias, "db");
    if (gate.form == KappaArgument::constant_input) { continue; }
    expect(found.scale, &KappaGate<double>::scale, "dα");
  }
}

// A call of one expert with all it reads and writes.
struct Backward {
  std::int64_t rows, gates;
  std::vector<float> z, up, grad, score, bias, scale;
  float factor = 1.3f;
  std::vector<float> grad_z, grad_up, grad_score, grad_bias, grad_scale;
  KappaSwigluBackwardArgs args;

  Backward(std::int64_t rows_, std::int64_t gates_, KappaArgument form, std::int64_t stride)
      : rows(rows_), gates(gates_) {
    const std::size_t size = std::size_t(rows * gates);
    const std::size_t values = stride == 0 ? 1 : std::size_t(gates);
    z = normal(size, 1, 2), up = normal(size, 2), grad = normal(size, 3);
    score = normal(std::size_t(rows), 4), bias = normal(values, 5), scale = normal(values, 6);
    grad_z = grad_up = std::vector<float>(size);
    grad_score.resize(std::size_t(rows));
    grad_bias = grad_scale = std::vector<float>(values, 0.5f);  // added to
    args.rows = rows;
    args.gates = gates;
    args.gate_pre = z.data();
    args.up = up.data();
    args.score = score.data();
    args.grad_hidden = grad.data();
    args.kappa.log_bound = std::log(4.0f);
    args.kappa.factor = &factor;
    args.kappa.gate_stride = args.kappa.scale_gate_stride = stride;
    if (form != KappaArgument::fixed) { args.kappa.bias = bias.data(); }
    if (form == KappaArgument::scaled || form == KappaArgument::from_gate) {
      args.kappa.scale = scale.data();
    }
    args.kappa.from_gate = form == KappaArgument::from_gate;
  }

  void run(KappaSwigluBackward backward) {
    args.grad_gate_pre = grad_z.data();
    args.grad_up = grad_up.data();
    args.grad_score = grad_score.data();
    args.grad_bias = grad_bias.data();
    args.grad_scale = grad_scale.data();
    backward(args);
  }
};

void expect_all_within(const std::vector<float>& found, const std::vector<float>& expected,
                       double terms, const char* what) {
  // 2e-6 of a term around 1 for each rounded sum, and the approximate tanh, exp and σ.
  const float absolute = float(3e-6 * (1 + std::sqrt(terms)));
  for (std::size_t i = 0; i < found.size(); ++i) {
    expect_near(found[i], expected[i], absolute, 1e-5f, what);
  }
}

TEST(CpuKappaSwigluBackward, IsTheReferencesAtEverySizeFormAndStride) {
  for_each_kernels([](const CpuKernels& kernels) {
    for (const std::int64_t gates : kSizes) {
      for (const std::int64_t rows : {1, 7, 130}) {
        for (const KappaArgument form : kForms) {
          for (const std::int64_t stride : {0, 1}) {
            SCOPED_TRACE(::testing::Message() << rows << "x" << gates << ", form " << int(form)
                                              << ", stride " << stride);
            Backward expected(rows, gates, form, stride), found(rows, gates, form, stride);
            expected.run(kappa_swiglu_backward_ref);
            found.run(kappa_swiglu_backward_of(kernels));
            expect_all_within(found.grad_z, expected.grad_z, 4, "dz");
            expect_all_within(found.grad_up, expected.grad_up, 4, "d up");
            expect_all_within(found.grad_score, expected.grad_score, double(gates), "ds");
            const double terms = double(rows) * (stride == 0 ? double(gates) : 1);
            expect_all_within(found.grad_bias, expected.grad_bias, terms, "db");
            expect_all_within(found.grad_scale, expected.grad_scale, terms, "dα");
          }
        }
      }
    }
  });
}

// ln κ / ln U from the forward pass in place of what it would compute: the reference's derivatives.
TEST(CpuKappaSwigluBackward, TakesThePositionOfTheForwardPass) {
  for_each_kernels([](const CpuKernels& kernels) {
    for (const std::int64_t gates : kSizes) {
      for (const KappaArgument form :
           {KappaArgument::constant_input, KappaArgument::scaled, KappaArgument::from_gate}) {
        SCOPED_TRACE(::testing::Message() << gates << " gate units, form " << int(form));
        Backward expected(7, gates, form, 1), found(7, gates, form, 1);
        expected.args.kappa.factor = found.args.kappa.factor = nullptr;
        std::vector<float> hidden(found.z.size()), position(found.z.size());
        KappaSwigluArgs forward;
        forward.rows = found.rows;
        forward.gates = gates;
        forward.gate_pre = found.z.data();
        forward.up = found.up.data();
        forward.score = found.score.data();
        forward.kappa = found.args.kappa;
        forward.hidden = hidden.data();
        forward.position_out = position.data();
        kernels.kappa_swiglu(forward);
        found.args.position = position.data();
        expected.run(kappa_swiglu_backward_ref);
        found.run(kappa_swiglu_backward_of(kernels));
        expect_all_within(found.grad_z, expected.grad_z, 4, "dz");
        expect_all_within(found.grad_up, expected.grad_up, 4, "d up");
        expect_all_within(found.grad_score, expected.grad_score, double(gates), "ds");
        expect_all_within(found.grad_bias, expected.grad_bias, 7, "db");
        expect_all_within(found.grad_scale, expected.grad_scale, 7, "dα");
        // It is read: another one gives others.
        std::fill(position.begin(), position.end(), 0.5f);
        Backward other(7, gates, form, 1);
        other.args.kappa.factor = nullptr;
        other.args.position = position.data();
        other.run(kappa_swiglu_backward_of(kernels));
        EXPECT_NE(other.grad_z, found.grad_z);
      }
    }
  });
}

TEST(CpuKappaSwigluBackward, IsBilinearWithoutAGate) {
  for_each_kernels([](const CpuKernels& kernels) {
    Backward call(7, 33, KappaArgument::fixed, 1);
    call.args.identity_gate = true;
    call.run(kappa_swiglu_backward_of(kernels));
    for (std::size_t i = 0; i < call.z.size(); ++i) {
      EXPECT_EQ(call.grad_z[i], call.grad[i] * call.up[i]);
      EXPECT_EQ(call.grad_up[i], call.grad[i] * call.z[i]);
    }
  });
}

// The reference's own forward pass, moved a little: the same derivatives within float rounding.
TEST(KappaSwigluBackwardReference, FollowsTheForwardReference) {
  Backward call(3, 7, KappaArgument::scaled, 1);
  call.run(kappa_swiglu_backward_ref);
  const auto loss = [&] {
    std::vector<float> hidden(call.z.size());
    KappaSwigluArgs forward;
    forward.rows = call.rows;
    forward.gates = call.gates;
    forward.gate_pre = call.z.data();
    forward.up = call.up.data();
    forward.score = call.score.data();
    forward.kappa = call.args.kappa;
    forward.hidden = hidden.data();
    forward.first_recorded = call.rows;
    kappa_swiglu_ref(forward);
    double sum = 0;
    for (std::size_t i = 0; i < hidden.size(); ++i) { sum += double(hidden[i]) * call.grad[i]; }
    return sum;
  };
  const auto difference = [&](float& value) {
    const float middle = value, step = 1e-2f;
    value = middle + step;
    const double above = loss();
    value = middle - step;
    const double below = loss();
    value = middle;
    return (above - below) / (2 * step);
  };
  for (std::size_t i = 0; i < call.z.size(); ++i) {
    EXPECT_NEAR(call.grad_z[i], difference(call.z[i]), 3e-3);
  }
  for (std::size_t r = 0; r < call.score.size(); ++r) {
    EXPECT_NEAR(call.grad_score[r], difference(call.score[r]), 3e-3);
  }
  for (std::size_t i = 0; i < call.bias.size(); ++i) {
    EXPECT_NEAR(call.grad_bias[i] - 0.5f, difference(call.bias[i]), 3e-3);
    EXPECT_NEAR(call.grad_scale[i] - 0.5f, difference(call.scale[i]), 3e-3);
  }
}

}  // namespace
}  // namespace kappascope
