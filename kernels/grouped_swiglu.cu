// κ-SwiGLU over the rows of all experts with its gate statistics, on the GPU (SPEC §1.5, §5).
//
//   κ = factor · exp(ln U · tanh u),  a = z·σ(κz),  hidden = a ∘ up
//
// One block per cell. Without statistics it reads z and up and writes hidden, no more. With them it
// sums over its gates, keeps |a| in shared memory for the largest of them, and counts the
// histograms in shared memory before it adds them to its expert's; κ takes the place of |a| when
// its quantiles are wanted.
#include "kernels/block_quantile.h"
#include "kernels/gate_math.h"
#include "kernels/largest_sum.h"

namespace kappascope {
namespace {

constexpr int kPack = 4;  // gate units that a thread takes at once

// The row of a block.
struct RowView {
  std::int64_t cell, at;  // `at`: first element of the row in the piece
  std::int64_t expert;
  float score;
  // Of the expert; what else κ is made of stays in the arguments, which take no registers.
  const float *bias, *scale, *factor;
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

// b or α of the gates i to i + Width; 0 where there is none.
template <int Width>
__device__ void load_parameter(const float* from, std::int64_t stride, std::int64_t i,
                               float (&to)[Width]) {
  if (from && stride == 1) { return load_pack<Width>(from + i, to); }
  for (int w = 0; w < Width; ++w) { to[w] = from ? from[(i + w) * stride] : 0; }
}

// Whether κ is what training knows: then the kernels have no code for a factor, for κ from z, nor
// for statistics of κ, which take registers even where they do nothing.
bool is_plain(const GroupedSwigluArgs& args) {
  return !args.kappa.from_gate && !args.kappa.factor && !args.kappa_stats;
}

// κ of the gates i to i + Width, its u (0 where κ is fixed), and ln κ / ln U.
template <int Width>
struct Kappas {
  float u[Width], kappa[Width], position[Width];
};
template <int Width, bool Full>
__device__ void load_kappa(const KappaView& view, const RowView& row, std::int64_t i,
                           const float (&z)[Width], Kappas<Width>& to) {
  const bool fixed = view.fixed();
  float bias[Width], scale[Width];
  load_parameter<Width>(row.bias, view.gate_stride, i, bias);
  load_parameter<Width>(row.scale, view.scale_gate_stride, i, scale);
  for (int w = 0; w < Width; ++w) {
    to.u[w] = view.scale ? scale[w] * row.score + bias[w] : row.score * bias[w];
    if (Full && view.from_gate) { to.u[w] = scale[w] * z[w] + (bias[w] + row.score); }
    if (fixed) { to.u[w] = 0; }
    const float tanh_u = fixed ? 0 : fast_tanh(to.u[w]);
    to.kappa[w] = fixed ? 1 : fast_exp(view.log_bound * tanh_u);
    to.position[w] = tanh_u;
    if (Full && view.factor) {
      to.kappa[w] *= *row.factor;
      to.position[w] = kappa_position(view.log_bound, *row.factor, tanh_u);
    }
  }
}

struct RecordMemory {
  int kappa_hist[kKappaBins], gate_pre_hist[kGatePreBins];
  float scratch[kWarps * kGateSums];
  double total[kGateSums];
  LargestSumMemory largest;
  float extremes[2 * kWarps];
};

// The row's gate units: writes hidden and, when asked for, κ, z and a; with Record adds to the sums
// and histograms and keeps |a|.
template <typename T, int Width, bool Record, bool Full>
__device__ void run_gates(const GroupedSwigluArgs& args, const RowView& row, float* magnitude,
                          float (&sums)[kGateSums], RecordMemory* memory) {
  for (std::int64_t i = std::int64_t(threadIdx.x) * Width; i < args.gates; i += kThreads * Width) {
    float z[Width], up[Width], a[Width], hidden[Width];
    Kappas<Width> k;
    load_product<T>(args.gate_pre, row.at + i, z);
    load_product<T>(args.up, row.at + i, up);
    load_kappa<Width, Full>(args.kappa, row, i, z, k);
    for (int w = 0; w < Width; ++w) {
      a[w] = args.identity_gate ? z[w] : z[w] * fast_sigmoid(k.kappa[w] * z[w]);
      hidden[w] = a[w] * up[w];
    }
    if (args.element == Element::float32) {
      store_pack<Width>(hidden, static_cast<float*>(args.hidden) + row.at + i);
    } else {
      store_pack<Width>(hidden, static_cast<BFloat16*>(args.hidden) + row.at + i);
    }
    if (args.kappa_out) {
      store_pack<Width>(k.kappa, args.kappa_out + row.at + i);
      store_pack<Width>(z, args.gate_pre_out + row.at + i);
      store_pack<Width>(a, args.gate_act_out + row.at + i);
    }
    if constexpr (Record) {
      for (int w = 0; w < Width; ++w) {
        magnitude[i + w] = fabsf(a[w]);
        const float position = k.position[w];
        add_gate(sums, z[w], k.kappa[w], a[w], args.active_threshold);
        if (!args.identity_gate) { add_gate_effect(sums, z[w], a[w], k.u[w]); }
        if (position == position) { atomicAdd(&memory->kappa_hist[kappa_bin(position)], 1); }
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

// The row's κ once more, in place of |a|, and what is recorded of it.
template <typename T, int Width>
__device__ void write_kappa_stats(const GroupedSwigluArgs& args, const RowView& row, float* kappa,
                                  RecordMemory& memory) {
  float sum[1] = {};
  for (std::int64_t i = std::int64_t(threadIdx.x) * Width; i < args.gates; i += kThreads * Width) {
    float z[Width];
    Kappas<Width> k;
    load_product<T>(args.gate_pre, row.at + i, z);
    load_kappa<Width, true>(args.kappa, row, i, z, k);
    for (int w = 0; w < Width; ++w) {
      kappa[i + w] = k.kappa[w];
      sum[0] += k.kappa[w];
    }
  }
  block_sums<1>(sum, memory.scratch, memory.total);
  KappaStatistics stats{NAN, NAN, NAN, NAN, NAN};
  const double total = memory.total[0];  // the same for the whole block
  if (total == total) {
    const int n = int(args.gates);
    stats.mean = float(total / double(n));
    block_extremes(kappa, n, -INFINITY, stats.minimum, stats.maximum, memory.extremes);
    stats.p05 = block_quantile(kappa, n, 0.05, memory.largest, memory.extremes);
    stats.p95 = block_quantile(kappa, n, 0.95, memory.largest, memory.extremes);
  }
  if (threadIdx.x == 0) { args.kappa_stats[row.cell - args.first_cell] = stats; }
}

// T: type of gate_pre and up where they are whole. Recording is bound by its arithmetic: three
// blocks per multiprocessor are worth the few bytes that spill. 0: the compiler decides.
template <typename T, int Width, bool Record, bool Full>
__global__ void __launch_bounds__(kThreads, Record ? 3 : 0) swiglu_kernel(GroupedSwigluArgs args) {
  const std::int64_t cell = blockIdx.x;
  const std::int64_t row_number = args.cell_row ? args.cell_row[cell] : cell;
  const bool recorded = Record && cell >= args.first_cell;
  if (row_number < 0 && recorded && threadIdx.x == 0) {
    args.stats[cell - args.first_cell] = {NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (Full && args.kappa_stats) {
      args.kappa_stats[cell - args.first_cell] = {NAN, NAN, NAN, NAN, NAN};
    }
  }
  if (row_number < args.first_row || row_number >= args.last_row) { return; }
  const std::int64_t e = args.expert_index ? args.expert_index[cell] : 0;
  const float score = args.score ? args.score[cell] : args.score_constant;
  const KappaView kappa = args.kappa.at_expert(e);
  const RowView row{
      cell,        (row_number - args.first_row) * args.gates, e, score, kappa.bias, kappa.scale,
      kappa.factor};
  float sums[kGateSums] = {};
  if constexpr (Record) {
    KAPPASCOPE_DYNAMIC_SHARED(float, magnitude);  // [I] |a|
    __shared__ RecordMemory memory;
    if (recorded) {  // the same for the whole block
      clear_histograms(memory);
      run_gates<T, Width, true, Full>(args, row, magnitude, sums, &memory);
      write_record(args, row, magnitude, sums, row_number, memory);
      if constexpr (Full) {
        if (args.kappa_stats) { write_kappa_stats<T, Width>(args, row, magnitude, memory); }
      }
      return;
    }
    if (args.row_effect && threadIdx.x == 0) { args.row_effect[row_number] = EffectSums{}; }
  }
  run_gates<T, Width, false, Full>(args, row, nullptr, sums, nullptr);
}

using Kernel = void (*)(GroupedSwigluArgs);

template <typename T, bool Full>
Kernel pick_kernel(bool packs, bool record) {
  if (packs) {
    return record ? swiglu_kernel<T, kPack, true, Full> : swiglu_kernel<T, kPack, false, Full>;
  }
  return record ? swiglu_kernel<T, 1, true, Full> : swiglu_kernel<T, 1, false, Full>;
}
template <typename T>
Kernel pick_kernel(const GroupedSwigluArgs& args, bool record) {
  const bool packs = args.gates % kPack == 0;
  return is_plain(args) ? pick_kernel<T, false>(packs, record)
                        : pick_kernel<T, true>(packs, record);
}

}  // namespace

int grouped_swiglu_cuda(const GroupedSwigluArgs& args, CudaStream stream) {
  const bool record = args.stats != nullptr;
  if (record && args.gates > kMostRecordedGates) { return int(cudaErrorInvalidValue); }
  const Kernel kernel = args.gate_pre.element == Element::float32 || args.gate_pre.partials > 0
                            ? pick_kernel<float>(args, record)
                            : pick_kernel<BFloat16>(args, record);
  const std::size_t shared = record ? std::size_t(args.gates) * sizeof(float) : 0;
  if (record) {
    const int most = int(kMostRecordedGates * sizeof(float));
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
    if (error != cudaSuccess) { return int(error); }
  }
  return launch(kernel, blocks_for(args.tokens * args.slots, 1), shared, stream, args);
}

}  // namespace kappascope
