// The operations that are this project's own: routing, κ-SwiGLU with its statistics, combine, and
// what is read off the output logits. Plain pointers, no Torch, nothing of core.
//
// Every op has an args struct and a reference twin `NAME_ref(args)`, which is the judge of faster
// ones. Shapes: T tokens, E experts, K slots, H hidden width, I gate units, V vocabulary.
#pragma once

#include <cstdint>

namespace kappascope {

// κ parameters of one layer: α and b of expert e, gate unit i lie at e·expert_stride +
// i·gate_stride. bias == nullptr: κ = 1. scale == nullptr: κ does not depend on a score, u = s·b.
struct KappaView {
  const float* bias = nullptr;   // b
  const float* scale = nullptr;  // α
  std::int64_t expert_stride = 0;
  std::int64_t gate_stride = 0;
  float log_bound = 0;  // ln U
};

enum class RouteScore : std::uint8_t {
  router_probs,  // s = 2·weight
  raw_logit,     // s = 0.3·logit                                   (top_logits, exponent 0)
  scaled_logit,  // s = 6·logit / score_norm[e]                      (top_logits, exponent > 0)
  constant,      // s = score_constant
  none           // the model has no κ: s is NaN
};

// Top-k routing with capacity (SPEC §1.5).
struct RouteArgs {
  std::int64_t tokens = 0, experts = 0, slots = 0;
  const float* logits = nullptr;          // [T,E] raw router logits
  const float* selection_bias = nullptr;  // [E] added for selection only; nullptr: none
  std::int64_t capacity = 0;              // C assignments an expert; < 0: nothing is dropped
  RouteScore score = RouteScore::none;
  const float* score_norm = nullptr;  // [E] √H · m_e^p · mean m^(1−p)
  float score_constant = 1;

  std::int32_t* expert_index = nullptr;  // [T,K] best first; equal scores: lower expert first
  float* expert_weight = nullptr;        // [T,K] softmax over the chosen logits; 0 where dropped
  std::uint8_t* expert_kept = nullptr;   // [T,K]
  float* kappa_input = nullptr;          // [T,K] s; NaN where dropped or none
  // SPEC §5, [T] each; nullptr, all five: not wanted (not in the reference)
  float* top1_prob = nullptr;
  float* selected_mass = nullptr;
  float* margin = nullptr;   // NaN when K = E
  float* top_gap = nullptr;  // NaN when E = 1
  float* entropy = nullptr;
  // For the ops of device_ops.h, when asked for.
  std::int32_t* queue_position = nullptr;  // [T,K] place in its expert's queue
  std::int32_t* assigned = nullptr;        // [E] assignments, kept and dropped
};
void route_ref(const RouteArgs& args);
// Its second half, the same for every twin: fills expert_kept and kappa_input and sets the weights
// of what is dropped to 0, from expert_index and expert_weight.
void route_capacity(const RouteArgs& args);

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
  std::int64_t count = 0;  // scalars
};

// κ of one expert's gate units at one score: what the trace keeps of it (SPEC §4).
struct KappaStatistics {
  float mean, minimum, maximum, p05, p95;  // quantiles interpolate linearly
};
struct KappaStatisticsArgs {
  std::int64_t gates = 0;
  KappaView kappa;  // of this expert; bias nullptr: κ = 1
  float score = 0;
  KappaStatistics* result = nullptr;  // all NaN when a κ is NaN
};
void kappa_statistics_ref(const KappaStatisticsArgs& args);

// a = z·σ(κz), h = a ∘ up, and the statistics of the rows [first_recorded, rows).
// One call is one expert's kept rows; rows before first_recorded only run (context of a window).
struct KappaSwigluArgs {
  std::int64_t rows = 0, gates = 0;
  const float* gate_pre = nullptr;  // [rows,I] z
  const float* up = nullptr;        // [rows,I]
  const float* score = nullptr;     // [rows] s; nullptr: the layer has no score (dense, κ = 1)
  KappaView kappa;                  // bias and scale already moved to this expert (stride unused)
  bool identity_gate = false;       // bilinear experts: a = z
  float* hidden = nullptr;          // [rows,I] a ∘ up; may be the same memory as `up`

  std::int64_t first_recorded = 0;
  float active_threshold = 0.1f;
  std::int64_t top_gates = 16;
  GateStats* stats = nullptr;              // [rows]; nullptr: none asked for
  KappaStatistics* kappa_stats = nullptr;  // [rows]
  std::int64_t* kappa_hist = nullptr;      // [kKappaBins] added to
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
  const float* weight = nullptr;            // [in,out], rows of weight_stride floats
  std::int64_t weight_stride = 0;
  float* y = nullptr;  // [rows,out], rows of y_stride floats
  std::int64_t y_stride = 0;
};
void row_product_ref(const RowProductArgs& args);

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
