// The operations that are this project's own: routing, products of few rows, κ-SwiGLU with its
// statistics, and what is read off the output logits; device_ops.h has those of a GPU alone. Plain
// pointers, no Torch, nothing of core.
//
// Every op has an args struct and a reference twin `NAME_ref(args)`, which is the judge of faster
// ones. Shapes: T tokens, E experts, K slots, H hidden width, I gate units, V vocabulary.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>

#include "kernels/kappa_math.h"
#include "kernels/router_rule.h"

namespace kappascope {

// κ of a layer, or of one expert (at_expert). With s the layer's score and z the gate's own
// pre-activation, the argument u of gate unit i of expert e is
//
//   u = α·s + b          with scale
//   u = s·b              without scale: the input of κ is constant
//   u = α·z + b + s      from_gate; without a score s = 0
//
// and κ = factor · exp(ln U · tanh u). Neither b nor α: κ = factor, whatever the score.
struct KappaView {
  const float* bias = nullptr;    // b[e·expert_stride + i·gate_stride]; nullptr: 0
  const float* scale = nullptr;   // α[e·scale_expert_stride + i·scale_gate_stride]; nullptr: none
  const float* factor = nullptr;  // [E] an intervention; nullptr: 1
  std::int64_t expert_stride = 0, gate_stride = 0;              // 0: one value for all
  std::int64_t scale_expert_stride = 0, scale_gate_stride = 0;  // α may be coarser than b
  float log_bound = 0;                                          // ln U
  bool from_gate = false;                                       // needs scale

  KAPPASCOPE_INLINED bool fixed() const { return !bias && !scale; }
  // One κ for all gate units.
  KAPPASCOPE_INLINED bool uniform() const {
    return gate_stride == 0 && scale_gate_stride == 0 && !from_gate;
  }
  // Of a view of one expert.
  KAPPASCOPE_INLINED float factor_value() const { return factor ? *factor : 1; }
  KAPPASCOPE_INLINED KappaView at_expert(std::int64_t e) const {
    KappaView view = *this;
    if (bias) { view.bias += e * expert_stride; }
    if (scale) { view.scale += e * scale_expert_stride; }
    if (factor) { view.factor += e; }
    return view;
  }
  // u of gate unit i, of a view of one expert that is not fixed.
  KAPPASCOPE_INLINED float argument(std::int64_t i, float score, float z) const {
    const float b = bias ? bias[i * gate_stride] : 0;
    if (!scale) { return score * b; }
    const float a = scale[i * scale_gate_stride];
    return from_gate ? a * z + (b + score) : a * score + b;
  }
  // ln κ / ln U of κ = factor · U^tanh_u, within [−1,1]: what kappa_hist counts.
  KAPPASCOPE_INLINED float position(float tanh_u) const {
    return factor ? kappa_position(log_bound, *factor, tanh_u) : tanh_u;
  }
};

enum class RouteScore : std::uint8_t {
  router_probs,  // s = score_factor·weight
  raw_logit,     // s = score_factor·logit                   (top_logits, exponent 0)
  scaled_logit,  // s = score_factor·logit / score_norm[e]   (top_logits, exponent > 0)
  constant,      // s = score_constant
  given,         // s = given_score[t,e]                     (κ router)
  none           // the model has no score: s is NaN
};

// The experts that tokens were given to. A *cell* is one assignment; the cells of token t are
// [row_start[t], row_start[t+1]), best first.
struct Assignments {
  const std::int64_t* row_start = nullptr;  // [T+1]; nullptr: row_start[t] = t·K
  std::int32_t* expert = nullptr;           // [cells] equal scores: lower expert first
  float* weight = nullptr;                  // [cells] as RouteArgs says; 0 if dropped
  std::uint8_t* kept = nullptr;             // [cells]
  float* score = nullptr;                   // [cells] s; NaN where dropped or none
};

// What the router's numbers say of each token (SPEC §5), [T] each; nullptr, all five: not wanted
// (the reference always writes them).
struct RouterNumbers {
  float* top1_prob = nullptr;
  float* selected_mass = nullptr;
  float* margin = nullptr;   // NaN when no other expert could be chosen; < 0 where one was given
  float* top_gap = nullptr;  // NaN when E = 1
  float* entropy = nullptr;
};

// A routing, in memory of somebody else. Whoever receives one from a probe only reads it.
struct RoutingView {
  std::int64_t tokens = 0, experts = 0, slots = 0;  // T, E, K
  const float* logits = nullptr;                    // [T,E] raw router logits
  Assignments cells;
  RouterNumbers numbers;
  float* soft_weight = nullptr;  // [T,E] p before the threshold; soft routing, when asked for

  KAPPASCOPE_INLINED std::int64_t first_cell(std::int64_t token) const {
    return cells.row_start ? cells.row_start[token] : token * slots;
  }
  // Cells of the tokens before `token`, which from(token) leaves out.
  KAPPASCOPE_INLINED std::int64_t cells_before(std::int64_t token) const {
    return first_cell(token) - first_cell(0);
  }
  // The tokens [token, T) alone.
  RoutingView from(std::int64_t token) const {
    const auto move = [](auto*& pointer, std::int64_t by) {
      if (pointer) { pointer += by; }
    };
    RoutingView rest = *this;
    rest.tokens -= token;
    move(rest.logits, token * experts);
    move(rest.soft_weight, token * experts);
    if (cells.row_start) {
      rest.cells.row_start += token;
    } else {
      move(rest.cells.expert, token * slots);
      move(rest.cells.weight, token * slots);
      move(rest.cells.kept, token * slots);
      move(rest.cells.score, token * slots);
    }
    for (float** values : {&rest.numbers.top1_prob, &rest.numbers.selected_mass,
                           &rest.numbers.margin, &rest.numbers.top_gap, &rest.numbers.entropy}) {
      move(*values, token);
    }
    return rest;
  }
};

// Top-k routing with capacity (SPEC §1.5, SPEC-families §1).
struct RouteArgs {
  RoutingView routing;                    // sizes and logits are read, the rest is written
  const float* selection_bias = nullptr;  // [E] added for selection only, −∞: never; nullptr: none
  // [T,K] an expert that takes the slot whatever its score, no other slot of the token having it;
  // −1: the best one left takes it. nullptr: none is given.
  const std::int32_t* given_expert = nullptr;
  RouterRule rule;
  std::int64_t capacity = 0;  // C assignments an expert; < 0: nothing is dropped
  RouteScore score = RouteScore::none;
  float score_factor = std::numeric_limits<float>::quiet_NaN();  // as RouteScore says
  const float* score_norm = nullptr;                             // [E] √H · m_e^p · mean m^(1−p)
  const float* given_score = nullptr;                            // [T,E]
  float score_constant = 1;
  // For the ops of device_ops.h, when asked for.
  std::int32_t* queue_position = nullptr;  // [T,K] place in its expert's queue
  std::int32_t* assigned = nullptr;        // [E] assignments, kept and dropped
  // cells.kept says already which run (soft routing): the others are in no queue, their position is
  // 0, and `capacity` is not read.
  bool kept_is_given = false;
};
void route_ref(const RouteArgs& args);
// c [T,E] of every expert, −∞ where it is not to be chosen; of `args` the logits, the bias and the
// rule are read.
void put_selection_scores(const RouteArgs& args, float* scores);
// Its second half, the same for every twin: fills kept and score and sets the weights of what is
// dropped to 0, from expert and weight.
void route_capacity(const RouteArgs& args);

// Soft routing (SPEC §3, SPEC-layouts §3a): pᵢ = F(rᵢ/T − x*) with Σ p = k.
struct SoftRule {
  double budget = 1;       // k, 0 < k < E
  double temperature = 1;  // T
  double threshold = 0;    // τ: p > τ runs
  double relative = -1;    // t ≥ 0: p ≥ t·k/E runs instead, and always the best one; < 0: τ
  std::int64_t most = 0;   // c: only the c largest p run, and their equals; 0: no cap
};
// The threshold before it is clamped to the cap and to the best p.
KAPPASCOPE_INLINED double soft_threshold(const SoftRule& rule, std::int64_t experts) {
  return rule.relative >= 0 ? rule.relative * rule.budget / double(experts) : rule.threshold;
}
// The cells of a token are all of its experts, K = E: by falling p, equal p: lower expert first.
// Those that do not run have kept = 0, weight 0 and no score. `margin` is the distance of the
// nearest p from the threshold. A logit that is not finite makes all p NaN; NaN runs.
struct SoftRouteArgs {
  RouteArgs route;  // its capacity, selection_bias and given_expert are not read
  SoftRule rule;
};
void soft_route_ref(const SoftRouteArgs& args);
// Tokens [first, last) of it.
void soft_route_ref(const SoftRouteArgs& args, std::int64_t first, std::int64_t last);

// Gate statistics of one (token, expert) row (SPEC §5).
struct GateStats {
  float mean_abs, active_fraction, top_share, entropy, kz_rms, linear_fraction, saturated_fraction;
};

inline constexpr int kKappaBins = 64;    // ln κ / ln U over [−1,1]
inline constexpr int kGatePreBins = 66;  // underflow, 64 over [−8,8], overflow

// Running sums of the κ effect of one expert: d = z·σ(κz) − z·σ(z), r = d / silu(z) (SPEC §5).
struct EffectSums {
  double sum = 0, sum_abs = 0, sum_square = 0, positive = 0;
  double rel_sum = 0, rel_sum_abs = 0, rel_sum_square = 0, rel_positive = 0;
  double slope_square = 0;  // Σ u², u the argument of tanh; 0 where κ is fixed
  double tanh_sum = 0;      // Σ tanh u = Σ ln(κ / factor) / ln U; 0 where κ is fixed
  std::int64_t count = 0;   // scalars
};
KAPPASCOPE_INLINED void add_effects(EffectSums& to, const EffectSums& from) {
  to.sum += from.sum;
  to.sum_abs += from.sum_abs;
  to.sum_square += from.sum_square;
  to.positive += from.positive;
  to.rel_sum += from.rel_sum;
  to.rel_sum_abs += from.rel_sum_abs;
  to.rel_sum_square += from.rel_sum_square;
  to.rel_positive += from.rel_positive;
  to.slope_square += from.slope_square;
  to.tanh_sum += from.tanh_sum;
  to.count += from.count;
}

// κ of one expert's gate units at one score: what the trace keeps of it (SPEC §4).
struct KappaStatistics {
  float mean, minimum, maximum, p05, p95;  // quantiles interpolate linearly
};
struct KappaStatisticsArgs {
  std::int64_t gates = 0;
  KappaView kappa;  // of this expert
  float score = 0;
  const float* gate_pre = nullptr;    // [I] z, with from_gate
  KappaStatistics* result = nullptr;  // all NaN when a κ is NaN
};
void kappa_statistics_ref(const KappaStatisticsArgs& args);

// a = z·σ(κz), h = a ∘ up, and the statistics of the rows [first_recorded, rows).
// One call is one expert's kept rows; rows before first_recorded only run (context of a window).
struct KappaSwigluArgs {
  std::int64_t rows = 0, gates = 0;
  const float* gate_pre = nullptr;  // [rows,I] z
  const float* up = nullptr;        // [rows,I]
  const float* score = nullptr;     // [rows] s; nullptr: none (κ fixed, or from_gate with s = 0)
  KappaView kappa;                  // of this expert
  bool identity_gate = false;       // bilinear experts: a = z
  float* hidden = nullptr;          // [rows,I] a ∘ up; may be the same memory as `up`
  float* position_out = nullptr;    // [rows,I] ln κ / ln U, when asked for

  std::int64_t first_recorded = 0;
  float active_threshold = 0.1f;
  std::int64_t top_gates = 16;
  GateStats* stats = nullptr;              // [rows]; nullptr: none asked for
  KappaStatistics* kappa_stats = nullptr;  // [rows]
  std::int64_t* kappa_hist = nullptr;      // [kKappaBins] of the κ that acted, added to
  std::int64_t* gate_pre_hist = nullptr;   // [kGatePreBins] added to
  EffectSums* effect = nullptr;            // added to
  float* kappa_out = nullptr;              // [rows,I] κ, when asked for
  float* gate_pre_out = nullptr;           // [rows,I] z, when asked for
  float* gate_act_out = nullptr;           // [rows,I] a, when asked for
  // Row r of stats, kappa_stats and the three above is written at out_row[r]; nullptr: at r.
  const std::int64_t* out_row = nullptr;
};
void kappa_swiglu_ref(const KappaSwigluArgs& args);

// y[r,:] = x[row r,:] · W for few rows; W is read once for up to 64 of them.
struct RowProductArgs {
  std::int64_t rows = 0, in = 0, out = 0;
  const float* x = nullptr;  // rows of x_stride floats
  std::int64_t x_stride = 0;
  const std::int64_t* row_index = nullptr;  // [rows] which rows of x; nullptr: the first ones
  const float* weight = nullptr;            // [in,out], rows of weight_stride numbers
  std::int64_t weight_stride = 0;
  float* y = nullptr;  // [rows,out], rows of y_stride floats
  std::int64_t y_stride = 0;
  const std::uint16_t* weight_bits = nullptr;  // in place of `weight`: the same in bfloat16
};
void row_product_ref(const RowProductArgs& args);

// ‖x‖₂, summed in float64.
float norm_ref(const float* x, std::int64_t size);

// What is read off a block of output logits (SPEC §4).
inline constexpr int kTopTokens = 5;
struct NextTokenArgs {
  std::int64_t rows = 0, vocab = 0;
  const float* logits = nullptr;         // [rows,V]
  const std::int32_t* target = nullptr;  // [rows] the token that follows; −1: none
  float* nll = nullptr;                  // [rows] −ln p(target); NaN without a target
  std::int32_t* target_rank = nullptr;   // [rows] logits above the target's (ties: lower id first)
  std::int32_t* top_id = nullptr;        // [rows,kTopTokens]; −1 past V
  float* top_logprob = nullptr;          // [rows,kTopTokens]; NaN past V
};
void next_token_ref(const NextTokenArgs& args);

// The twins for the vector units of the CPU, compiled once per instruction set from kernels/cpu/.
// Results of different sets differ by rounding; those of one do not depend on who calls them when.
struct CpuKernels {
  const char* name;  // "avx512", "avx2", "generic"
  // Of route_ref without capacity (see route_capacity), tokens [first, last).
  void (*route_tokens)(const RouteArgs& args, std::int64_t first, std::int64_t last);
  void (*row_product)(const RowProductArgs& args);
  void (*kappa_swiglu)(const KappaSwigluArgs& args);
  void (*kappa_statistics)(const KappaStatisticsArgs& args);
  // The bfloat16 matrix [count,in], rows of `stride`, as float32 [in,count].
  void (*widen_turned)(const std::uint16_t* from, std::int64_t stride, std::int64_t in,
                       std::int64_t count, float* to);
  float (*norm)(const float* x, std::int64_t size);  // ‖x‖₂, summed in float64
  // How many of the values [size], each `width` bytes (2 or 4), at any address, have every bit of
  // `exponent`, as NaN and Inf have.
  std::int64_t (*count_saturated)(const void* values, std::int64_t size, std::int64_t width,
                                  std::uint32_t exponent);
  void (*next_token)(const NextTokenArgs& args);
  // y[i] = f(x[i]): at most 2 ulp or 1e-6 wrong wherever the result is a normal number.
  using Function = void (*)(const float* x, float* y, std::int64_t size);
  Function exp, tanh, sigmoid, log;
};

// Those this machine can run, widest vectors first; a nullptr ends the list.
const CpuKernels* const* usable_cpu_kernels();
inline const CpuKernels& cpu_kernels() {
  return *usable_cpu_kernels()[0];
}

}  // namespace kappascope
