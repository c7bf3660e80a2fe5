// κ-SwiGLU over the rows of all experts with its gate statistics, on the GPU (SPEC §1.5, §5).
//
//   κ = exp(ln U · tanh(α·s + b)),  a = z·σ(κz),  hidden = a ∘ up
//
// A block a cell. Without statistics it reads z and up and writes hidden, no more. With them it
// sums over its gates, keeps |a| in shared memory for the largest of them, and counts the
// histograms in shared memory before it adds them to its expert's.
#include "kernels/gate_math.h"
#include "kernels/largest_sum.h"

namespace kappascope {
namespace {

constexpr int kPack = 4;  // gate units that a thread takes at once

// What a block knows of its row.
struct RowView {
  std::int64_t cell, at;  // `at`: first element of the row in the piece
  std::int64_t expert;
  float score;
  const float *bias, *scale;  // of the expert; nullptr as in KappaView
};

// z or up of `Width` gates from `at` on, partial products added.
template <typename T, int Width>
__device__ void load_product(const ProductView& view, std::int64_t at, float (&to)[Width]) {
  if (view.partials == 0) { return load_pack<Width>(static_cast<const T*>(view.data) + at, to); }
  for (int w = 0; w < Width; ++w) { to[w] = 0; }
  for (std::int64_t part = 0; part < view.partials; ++part) {
    float one[Width];
    load_pack<Width>(static_cast<const float*>(view.data) + part * view.partial_stride + at, one);
    for (int w = 0; w < Width; ++w) { to[w] += one[w]; }
  }
}

// tanh(α·s + b) of the gates i to i + Width; 0 without κ.
template <int Width>
__device__ void load_tanh(const KappaView& view, const RowView& row, std::int64_t i,
                          float (&tanh_u)[Width]) {
  float bias[Width] = {}, scale[Width] = {};
  if (view.bias && view.gate_stride == 1) {
    load_pack<Width>(row.bias + i, bias);
    if (row.scale) { load_pack<Width>(row.scale + i, scale); }
  }
  for (int w = 0; w < Width; ++w) {
    if (view.bias && view.gate_stride != 1) {
      bias[w] = row.bias[(i + w) * view.gate_stride];
      if (row.scale) { scale[w] = row.scale[(i + w) * view.gate_stride]; }
    }
    const float u = row.scale ? scale[w] * row.score + bias[w] : row.score * bias[w];
    tanh_u[w] = view.bias ? fast_tanh(u) : 0;
  }
}

struct RecordMemory {
  int kappa_hist[kKappaBins], gate_pre_hist[kGatePreBins];
  float scratch[kWarps * kGateSums];
  double total[kGateSums];
  LargestSumMemory largest;
};

// The row's gate units: writes hidden and, when asked for, κ, z and a; with Record adds to the sums
// and histograms and keeps |a|.
template <typename T, int Width, bool Record>
__device__ void run_gates(const GroupedSwigluArgs& args, const RowView& row, float* magnitude,
                          float (&sums)[kGateSums], RecordMemory* memory) {
  for (std::int64_t i = std::int64_t(threadIdx.x) * Width; i < args.gates; i += kThreads * Width) {
    float z[Width], up[Width], tanh_u[Width], kappa[Width], a[Width], hidden[Width];
    load_product<T>(args.gate_pre, row.at + i, z);
    load_product<T>(args.up, row.at + i, up);
    load_tanh(args.kappa, row, i, tanh_u);
    for (int w = 0; w < Width; ++w) {
      kappa[w] = args.kappa.bias ? fast_exp(args.kappa.log_bound * tanh_u[w]) : 1;
      a[w] = args.identity_gate ? z[w] : z[w] * fast_sigmoid(kappa[w] * z[w]);
      hidden[w] = a[w] * up[w];
    }
    if (args.element == Element::float32) {
      store_pack<Width>(hidden, static_cast<float*>(args.hidden) + row.at + i);
    } else {
      store_pack<Width>(hidden, static_cast<BFloat16*>(args.hidden) + row.at + i);
    }
    if (args.kappa_out) {
      store_pack<Width>(kappa, args.kappa_out + row.at + i);
      store_pack<Width>(z, args.gate_pre_out + row.at + i);
      store_pack<Width>(a, args.gate_act_out + row.at + i);
    }
    if constexpr (Record) {
      for (int w = 0; w < Width; ++w) {
        magnitude[i + w] = fabsf(a[w]);
        add_gate(sums, z[w], kappa[w], a[w], args.active_threshold);
        if (!args.identity_gate) { add_gate_effect(sums, z[w], a[w]); }
        if (tanh_u[w] == tanh_u[w]) { atomicAdd(&memory->kappa_hist[kappa_bin(tanh_u[w])], 1); }
        if (z[w] == z[w]) { atomicAdd(&memory->gate_pre_hist[gate_pre_bin(z[w])], 1); }
      }
    }
  }
}

__device__ void clear_histograms(RecordMemory& memory) {
  for (int bin = int(threadIdx.x); bin < kGatePreBins; bin += kThreads) {
    if (bin < kKappaBins) { memory.kappa_hist[bin] = 0; }
    memory.gate_pre_hist[bin] = 0;
  }
  __syncthreads();
}

__device__ void add_count(std::int64_t* to, int count) {
  if (count) { atomicAdd(reinterpret_cast<unsigned long long*>(to), (unsigned long long)count); }
}

__device__ void write_record(const GroupedSwigluArgs& args, const RowView& row,
                             const float* magnitude, const float (&sums)[kGateSums],
                             std::int64_t row_number, RecordMemory& memory) {
  block_sums<kGateSums>(sums, memory.scratch, memory.total);
  const std::int64_t top = args.top_gates < args.gates ? args.top_gates : args.gates;
  const double top_sum = largest_sum(magnitude, int(args.gates), int(top), memory.largest);
  if (threadIdx.x == 0) {
    args.stats[row.cell - args.first_cell] =
        gate_stats_of(memory.total, top_sum, double(args.gates), args.identity_gate);
    if (args.row_effect) { args.row_effect[row_number] = effect_of(memory.total); }
  }
  for (int bin = int(threadIdx.x); bin < kGatePreBins; bin += kThreads) {
    if (args.kappa_hist && bin < kKappaBins) {
      add_count(args.kappa_hist + row.expert * kKappaBins + bin, memory.kappa_hist[bin]);
    }
    if (args.gate_pre_hist) {
      add_count(args.gate_pre_hist + row.expert * kGatePreBins + bin, memory.gate_pre_hist[bin]);
    }
  }
}

// T: type of gate_pre and up where they are whole.
template <typename T, int Width, bool Record>
__global__ void swiglu_kernel(GroupedSwigluArgs args) {
  const std::int64_t cell = blockIdx.x;
  const std::int64_t row_number = args.cell_row ? args.cell_row[cell] : cell;
  const bool told = Record && cell >= args.first_cell;
  if (row_number < 0 && told && threadIdx.x == 0) {
    args.stats[cell - args.first_cell] = {NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  }
  if (row_number < args.first_row || row_number >= args.last_row) { return; }
  const std::int64_t e = args.expert_index ? args.expert_index[cell] : 0;
  RowView row{cell, (row_number - args.first_row) * args.gates, e, 0, nullptr, nullptr};
  row.score = args.score ? args.score[cell] : args.score_constant;
  if (args.kappa.bias) { row.bias = args.kappa.bias + e * args.kappa.expert_stride; }
  if (args.kappa.scale) { row.scale = args.kappa.scale + e * args.kappa.expert_stride; }
  float sums[kGateSums] = {};
  if constexpr (Record) {
    KAPPASCOPE_DYNAMIC_SHARED(float, magnitude);  // [I] |a|
    __shared__ RecordMemory memory;
    if (told) {  // the same for the whole block
      clear_histograms(memory);
      run_gates<T, Width, true>(args, row, magnitude, sums, &memory);
      write_record(args, row, magnitude, sums, row_number, memory);
      return;
    }
    if (args.row_effect && threadIdx.x == 0) { args.row_effect[row_number] = EffectSums{}; }
  }
  run_gates<T, Width, false>(args, row, nullptr, sums, nullptr);
}

using Kernel = void (*)(GroupedSwigluArgs);

template <typename T>
Kernel pick_kernel(bool packs, bool record) {
  if (packs) { return record ? swiglu_kernel<T, kPack, true> : swiglu_kernel<T, kPack, false>; }
  return record ? swiglu_kernel<T, 1, true> : swiglu_kernel<T, 1, false>;
}

// A thread an expert; one order, so that the same rows give the same bits.
__global__ void effect_kernel(EffectArgs args) {
  const std::int64_t e = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (e >= args.experts) { return; }
  const int lane = int(threadIdx.x) % kWarp;
  EffectSums total;
  for (std::int32_t row = args.row_start[e] + lane; row < args.row_start[e + 1]; row += kWarp) {
    add_effects(total, args.row_effect[row]);
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    EffectSums other;
    other.sum = __shfl_xor_sync(kAllLanes, total.sum, offset);
    other.sum_abs = __shfl_xor_sync(kAllLanes, total.sum_abs, offset);
    other.sum_square = __shfl_xor_sync(kAllLanes, total.sum_square, offset);
    other.positive = __shfl_xor_sync(kAllLanes, total.positive, offset);
    other.rel_sum = __shfl_xor_sync(kAllLanes, total.rel_sum, offset);
    other.rel_sum_abs = __shfl_xor_sync(kAllLanes, total.rel_sum_abs, offset);
    other.rel_sum_square = __shfl_xor_sync(kAllLanes, total.rel_sum_square, offset);
    other.rel_positive = __shfl_xor_sync(kAllLanes, total.rel_positive, offset);
    other.count = __shfl_xor_sync(kAllLanes, (long long)total.count, offset);
    add_effects(total, other);
  }
  if (lane == 0) { args.effect[e] = total; }
}

}  // namespace

int grouped_swiglu_cuda(const GroupedSwigluArgs& args, CudaStream stream) {
  const bool record = args.stats != nullptr;
  if (record && args.gates > kMostRecordedGates) { return int(cudaErrorInvalidValue); }
  const bool packs = args.gates % kPack == 0;
  const Kernel kernel = args.gate_pre.element == Element::float32 || args.gate_pre.partials > 0
                            ? pick_kernel<float>(packs, record)
                            : pick_kernel<BFloat16>(packs, record);
  const std::size_t shared = record ? std::size_t(args.gates) * sizeof(float) : 0;
  if (record) {
    const int most = int(kMostRecordedGates * sizeof(float));
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
    if (error != cudaSuccess) { return int(error); }
  }
  return launch(kernel, blocks_for(args.tokens * args.slots, 1), shared, stream, args);
}

int sum_effects_cuda(const EffectArgs& args, CudaStream stream) {
  return launch(effect_kernel, blocks_for(args.experts, kWarps), 0, stream, args);
}

}  // namespace kappascope
