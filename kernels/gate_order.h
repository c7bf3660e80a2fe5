// The statistics of a row of gate units that need all of it at once: quantiles of κ, and Σ of more
// largest |a| than a warp keeps. For grouped_swiglu.cu only.
//
// One block per row, which computes κ and |a| once more into shared memory.
#pragma once

#include "kernels/block_quantile.h"
#include "kernels/gate_row.h"
#include "kernels/warp_largest.h"

namespace kappascope {

inline bool needs_order(const GroupedSwigluArgs& args) {
  return args.stats && (args.kappa_stats || args.top_gates > kMostWarpLargest);
}

struct OrderMemory {
  float scratch[kWarps];
  double total[1];
  LargestSumMemory largest;
  float extremes[2 * kWarps];
};

// Puts κ, or |a|, of each gate unit into `values`; their sum, the same for every thread.
template <typename T, KappaCase Case, bool Kappa>
__device__ double fill_values(const GroupedSwigluArgs& args, const GateRow& row, float* values,
                              OrderMemory& memory) {
  float sum[1] = {};
  for (std::int64_t i = threadIdx.x; i < args.gates; i += kThreads) {
    float z_of[1];
    widen_chunk<1, T>(fetch_product<1, T>(args.gate_pre, row.at + i), z_of);
    if constexpr (Case == KappaCase::ruled) {
      float up[1] = {};
      apply_rules_of<1>(args, row, i, z_of, up);
    }
    const float z = z_of[0];
    const KappaLoads<1, Case> loads(args.kappa, row, i);
    const float kappa = gate_kappa<Case>(args.kappa, row, loads.bias[0], loads.scale[0], z).kappa;
    const float a = args.identity_gate ? z : z * fast_sigmoid(kappa * z);
    values[i] = Kappa ? kappa : fabsf(a);
    sum[0] += values[i];
  }
  block_sums<1>(sum, memory.scratch, memory.total);
  return memory.total[0];
}

template <typename T, KappaCase Case>
__device__ void write_kappa_stats(const GroupedSwigluArgs& args, const GateRow& row, float* kappa,
                                  OrderMemory& memory) {
  const double total = fill_values<T, Case, true>(args, row, kappa, memory);
  KappaStatistics stats{NAN, NAN, NAN, NAN, NAN};
  if (total == total) {
    const int n = int(args.gates);
    stats.mean = float(total / double(n));
    block_extremes(kappa, n, -INFINITY, stats.minimum, stats.maximum, memory.extremes);
    stats.p05 = block_quantile(kappa, n, 0.05, memory.largest, memory.extremes);
    stats.p95 = block_quantile(kappa, n, 0.95, memory.largest, memory.extremes);
  }
  if (threadIdx.x == 0) { args.kappa_stats[row.cell - args.first_cell] = stats; }
}

template <typename T, KappaCase Case>
__device__ void write_top_share(const GroupedSwigluArgs& args, const GateRow& row, float* magnitude,
                                OrderMemory& memory) {
  const double total = fill_values<T, Case, false>(args, row, magnitude, memory);
  if (total != total) { return; }  // every statistic of the row is NaN
  const std::int64_t top = args.top_gates < args.gates ? args.top_gates : args.gates;
  const double sum = largest_sum(magnitude, int(args.gates), int(top), memory.largest);
  if (threadIdx.x == 0) {
    args.stats[row.cell - args.first_cell].top_share = float(sum / (total > 1e-8 ? total : 1e-8));
  }
}

template <typename T, KappaCase Case>
__global__ void order_kernel(GroupedSwigluArgs args) {
  KAPPASCOPE_DYNAMIC_SHARED(float, values);  // [I]
  KAPPASCOPE_SHARED(OrderMemory, memory);
  const std::int64_t number = args.first_row + std::int64_t(blockIdx.x);
  if (number >= last_row_of(args)) { return; }
  const GateRow row = gate_row(args, number);
  if (row.cell < args.first_cell) { return; }
  if (args.top_gates > kMostWarpLargest) { write_top_share<T, Case>(args, row, values, memory); }
  __syncthreads();
  if (args.kappa_stats) { write_kappa_stats<T, Case>(args, row, values, memory); }
}

template <typename T>
int launch_order(const GroupedSwigluArgs& args, CudaStream stream) {
  if (args.gates > kMostRecordedGates) { return int(cudaErrorInvalidValue); }
  const int most = int(kMostRecordedGates * sizeof(float));
  const auto kernel =
      args.rules.any() ? order_kernel<T, KappaCase::ruled> : order_kernel<T, KappaCase::any>;
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
  if (error != cudaSuccess) { return reported(error); }
  return launch(kernel, blocks_for(args.last_row - args.first_row, 1),
                std::size_t(args.gates) * sizeof(float), stream, args);
}

}  // namespace kappascope
