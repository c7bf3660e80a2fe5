// The operations of an MoE layer on a GPU: each works on the rows of all experts in one call and
// reads how many an expert has from memory, so that nothing waits for the host.
//
// Every op has an args struct, a reference twin `NAME_ref(args)` on host memory, and
// `NAME_cuda(args, stream)` on device memory, which returns 0 or a CUDA error code
// (cuda_error_text) of the launch; what fails later is reported by the next wait. No Torch, no CUDA
// header. NAME is the name of the two files, NAME_ref.cpp and NAME.cu.
//
// A *cell* is a (token, slot) pair, t·K + k. The kept cells are the *rows*: expert after expert,
// each in the order of its queue. A *piece* is a range of rows, [first_row, last_row), whose
// matrices are in memory at once: these pointers start at first_row. Counts are int32: T·K < 2^31.
#pragma once

#include <cstdint>

#include "kernels/element.h"
#include "kernels/gate_rules.h"
#include "kernels/kernels.h"

struct CUstream_st;

namespace kappascope {

using CudaStream = CUstream_st*;

// RouteArgs with queue_position and assigned. `memory`: route_memory(args) int32 of scratch.
std::int64_t route_memory(const RouteArgs& args);
int route_cuda(const RouteArgs& args, std::int32_t* memory, CudaStream stream);

// SoftRouteArgs with queue_position and assigned, at most kMostSoftExperts experts; `memory` as
// above.
inline constexpr std::int64_t kMostSoftExperts = 512;
int soft_route_cuda(const SoftRouteArgs& args, std::int32_t* memory, CudaStream stream);

// Rows of one expert that few_rows takes at once.
inline constexpr int kTileRows = 4;

// Where each kept cell's row is, and the tiles of at most kTileRows rows of one expert.
struct GroupArgs {
  std::int64_t tokens = 0, slots = 0, experts = 0;
  std::int64_t capacity = 0;                     // as in RouteArgs
  const std::int32_t* assigned = nullptr;        // [E]
  const std::int32_t* expert_index = nullptr;    // [T,K]
  const std::int32_t* queue_position = nullptr;  // [T,K]
  const std::uint8_t* expert_kept = nullptr;     // [T,K]

  std::int32_t* row_start = nullptr;    // [E+1] rows of expert e: [row_start[e], row_start[e+1])
  std::int32_t* cell_row = nullptr;     // [T,K] −1 where dropped
  std::int32_t* row_cell = nullptr;     // [T,K] the cell of each row; −1 past the last row
  std::int32_t* tile_expert = nullptr;  // [T,K] −1 past the last tile; nullptr: no tiles asked for
  std::int32_t* tile_row = nullptr;     // [T,K] its first row
  std::int32_t* tile_rows = nullptr;    // [T,K] 1 to kTileRows
};
void group_ref(const GroupArgs& args);
int group_cuda(const GroupArgs& args, CudaStream stream);

// rows[r] = x[token of r], in the type of the products.
struct DispatchArgs {
  std::int64_t tokens = 0, slots = 0, width = 0;  // T, K, H
  const float* x = nullptr;                       // [T,H]
  const std::int32_t* cell_row = nullptr;         // [T,K]
  std::int64_t first_row = 0, last_row = 0;
  Element element = Element::float32;
  void* rows = nullptr;  // [piece,H]
};
void dispatch_ref(const DispatchArgs& args);
int dispatch_cuda(const DispatchArgs& args, CudaStream stream);

// A product's result, [piece,N] of `element`; or, with partials > 0, that many float32 matrices of
// `partial_stride` elements each, to be added in their order.
struct ProductView {
  const void* data = nullptr;
  Element element = Element::float32;
  std::int64_t partials = 0, partial_stride = 0;
};
KAPPASCOPE_HOST_DEVICE inline float product_value(const ProductView& view, std::int64_t at) {
  if (view.partials == 0) {
    return view.element == Element::float32 ? static_cast<const float*>(view.data)[at]
                                            : widen(static_cast<const BFloat16*>(view.data)[at]);
  }
  float sum = 0;
  for (std::int64_t part = 0; part < view.partials; ++part) {
    sum += static_cast<const float*>(view.data)[part * view.partial_stride + at];
  }
  return sum;
}

// a = z·σ(κz), hidden = a ∘ up over the rows of all experts, z and up as the rules leave them, and
// the statistics of each row: kappa_swiglu_ref expert by expert.
struct GroupedSwigluArgs {
  std::int64_t gates = 0;
  const std::int32_t* expert_index = nullptr;  // [T,K]; nullptr: expert 0, a dense layer
  const std::int32_t* row_cell = nullptr;      // [all rows]; nullptr: row = cell
  std::int64_t first_row = 0, last_row = 0;    // last_row: or less, as all_rows says
  const std::int32_t* all_rows = nullptr;      // [1] rows of all pieces; nullptr: no less
  ProductView gate_pre;                        // [piece,I] z
  ProductView up;                              // [piece,I]
  const float* score = nullptr;                // [T,K] s; nullptr: score_constant
  float score_constant = 1;                    // with from_gate and no score: 0
  KappaView kappa;                             // of the layer
  bool identity_gate = false;
  GateRules rules;                     // of the layer
  Element element = Element::float32;  // of hidden
  void* hidden = nullptr;              // [piece,I]; may be the memory of `up` when of one type

  // Statistics of the cells from first_cell on; earlier ones only run (context of a window). What
  // belongs to dropped cells stays as it is: the caller fills it with NaN.
  std::int64_t first_cell = 0;
  float active_threshold = 0.1f;
  std::int64_t top_gates = 16;
  GateStats* stats = nullptr;              // [T·K − first_cell]; nullptr: none
  KappaStatistics* kappa_stats = nullptr;  // likewise; with stats
  std::int64_t* kappa_hist = nullptr;      // [E,kKappaBins] added to; with stats
  std::int64_t* gate_pre_hist = nullptr;   // [E,kGatePreBins] added to; with stats
  EffectSums* row_effect = nullptr;        // [all rows] of each row, 0 in context rows; with stats
  float* clamped = nullptr;       // as stats: share of z at the limit; with stats and rules
  float* kappa_out = nullptr;     // [piece,I] κ, when asked for; then these two as well
  float* gate_pre_out = nullptr;  // [piece,I] z, after the rules
  float* gate_act_out = nullptr;  // [piece,I] a
};
void grouped_swiglu_ref(const GroupedSwigluArgs& args);
int grouped_swiglu_cuda(const GroupedSwigluArgs& args, CudaStream stream);
// The most gate units that one block's memory holds; more: cudaErrorInvalidValue where quantiles of
// κ are recorded, or the share of more than 32 gates.
inline constexpr std::int64_t kMostRecordedGates = 16384;

// effect[e] = Σ row_effect over the rows of expert e.
struct EffectArgs {
  std::int64_t experts = 0;
  const std::int32_t* row_start = nullptr;  // [E+1]
  const EffectSums* row_effect = nullptr;   // [rows]
  EffectSums* effect = nullptr;             // [E]
};
void sum_effects_ref(const EffectArgs& args);
int sum_effects_cuda(const EffectArgs& args, CudaStream stream);

// output[t] = Σ_k weight[t,k]·(y[row of t,k] + bias) over the kept cells, in the order of the
// slots.
struct CombineArgs {
  std::int64_t tokens = 0, slots = 0, width = 0;
  ProductView y;                           // [all rows,H]
  const std::int32_t* cell_row = nullptr;  // [T,K]
  const float* weight = nullptr;           // [T,K]
  float* output = nullptr;                 // [T,H]
  float* output_norm = nullptr;            // [T,K] ‖y + bias‖₂, NaN where dropped; nullptr: none
  const float* bias = nullptr;             // [E,H] of the expert; nullptr: 0
  const std::int32_t* expert_index = nullptr;  // [T,K] with bias
};
void combine_ref(const CombineArgs& args);
int combine_cuda(const CombineArgs& args, CudaStream stream);

// y = x·W[e] for a few rows of each expert: reads each weight of an expert that is hit once, and no
// other. The sum over `in` is cut into `partials` float32 parts, so that the whole chip reads.
struct FewRowsArgs {
  std::int64_t rows = 0;  // T·K: rows and tiles are at most so many
  std::int64_t in = 0, out = 0;
  std::int64_t matrices = 1;  // 1 or 2 products with the same x
  Element element = Element::float32;
  const void* x = nullptr;                     // [rows,in]
  const void* weight[2] = {nullptr, nullptr};  // [E,in,out]
  const std::int32_t *tile_expert = nullptr, *tile_row = nullptr,
                     *tile_rows = nullptr;  // GroupArgs
  std::int64_t partials = 1;
  float* y[2] = {nullptr, nullptr};  // [partials,rows,out]
};
// Elements of `in` that one part sums: whole units, the last part may have fewer or none.
inline constexpr std::int64_t kShareUnit = 256;
KAPPASCOPE_HOST_DEVICE inline std::int64_t few_rows_share(const FewRowsArgs& args) {
  const std::int64_t units = (args.in + kShareUnit - 1) / kShareUnit;
  return (units + args.partials - 1) / args.partials * kShareUnit;
}
void few_rows_ref(const FewRowsArgs& args);
int few_rows_cuda(const FewRowsArgs& args, CudaStream stream);
// How many parts fill a GPU of that many multiprocessors.
std::int64_t few_rows_partials(const FewRowsArgs& args, int multiprocessors);

// NextTokenArgs of kernels.h.
int next_token_cuda(const NextTokenArgs& args, CudaStream stream);

}  // namespace kappascope
