// κ-SwiGLU over the rows of all experts with its gate statistics, on the GPU (SPEC §1.5, §5).
//
//   κ = factor · exp(ln U · tanh u),  a = z·σ(κz),  hidden = a ∘ up;  z and up after GateRules
//
// The warps of a block take neighbouring rows, which are mostly of one expert: its α and b are then
// read once for all of them. Without statistics the kernel reads z and up and writes hidden, no
// more, and several warps may share a row. With them a warp has a row to itself, sums over its
// gates, keeps the largest |a|, and counts its histograms in shared memory; the block adds those up
// to its experts' at the end.
//
// What needs a whole row at once, quantiles of κ and many largest |a|, is a kernel of its own
// (gate_order.h).
#include "kernels/gate_order.h"
#include "kernels/gate_row.h"
#include "kernels/warp_largest.h"

namespace kappascope {
namespace {

// Of κ, then of z, each with one more for NaN.
constexpr int kFirstGatePreBin = kKappaBins + 1, kBins = kFirstGatePreBin + kGatePreBins + 1;

// What the warps of a block count.
struct RecordMemory {
  int histogram[kWarps][kBins];
  float largest[kWarps][kWarpListed];
  std::int32_t expert[kWarps];  // −1: the warp recorded nothing
};

template <typename T, int Width>
struct Units {
  Chunk<Width, T> z, up;
  __device__ void fetch(const GroupedSwigluArgs& args, std::int64_t at) {
    z = fetch_product<Width, T>(args.gate_pre, at);
    up = fetch_product<Width, T>(args.up, at);
  }
};

template <typename T, int Width>
__device__ void store_hidden(const GroupedSwigluArgs& args, std::int64_t at,
                             const float (&hidden)[Width]) {
  if (std::is_same_v<T, float> && args.element == Element::float32) {
    store_values<Width>(hidden, static_cast<float*>(args.hidden) + at);
  } else {
    store_values<Width>(hidden, static_cast<BFloat16*>(args.hidden) + at);
  }
}

// Of the part of a row that a lane takes.
struct LaneTotals : GateTotals<float, int> {
  int at_limit = 0;
};

// The warp's part of a row, packs `first`, first + step, … of the lanes: writes hidden and, when
// asked for, κ, z and a; with Record adds to the totals, the histogram and the largest.
template <typename T, int Width, KappaCase Case, bool Record>
__device__ void run_gates(const GroupedSwigluArgs& args, const GateRow& row, int first, int step,
                          LaneTotals& totals, WarpLargest* largest, int* histogram) {
  Units<T, Width> next;  // a pack ahead; with Record there are no registers for it
  if (!Record && first < args.gates) { next.fetch(args, row.at + first); }
  const int packs = int((args.gates + step - 1) / step);  // as many for every lane
  for (int pack = 0, i = first; pack < packs; ++pack, i += step) {
    const bool valid = i < args.gates;
    float magnitude[Width] = {};
    if (valid) {
      if (Record) { next.fetch(args, row.at + i); }
      const Units<T, Width> units = next;
      const KappaLoads<Width, Case> loads(args.kappa, row, i);
      if (!Record && i + step < args.gates) { next.fetch(args, row.at + i + step); }
      float z_of[Width], up[Width], hidden[Width];
      widen_chunk<Width, T>(units.z, z_of);
      widen_chunk<Width, T>(units.up, up);
      if constexpr (Case == KappaCase::ruled) {
        totals.at_limit += apply_rules_of<Width>(args, row, i, z_of, up);
      }
#pragma unroll
      for (int w = 0; w < Width; ++w) {
        const float z = z_of[w];
        const GateKappa k = gate_kappa<Case>(args.kappa, row, loads.bias[w], loads.scale[w], z);
        const float sigmoid = fast_sigmoid(k.kappa * z);
        const bool identity = kAnyKappa<Case> && args.identity_gate;
        const float a = identity ? z : z * sigmoid;
        hidden[w] = a * up[w];
        if (kAnyKappa<Case> && args.kappa_out) {
          args.kappa_out[row.at + i + w] = k.kappa;
          args.gate_pre_out[row.at + i + w] = z;
          args.gate_act_out[row.at + i + w] = a;
        }
        if constexpr (Record) {
          magnitude[w] = fabsf(a);
          add_gate(totals, z, k.kappa, a, args.active_threshold);
          if (!identity) { add_gate_effect(totals, z, sigmoid, a, k.u, k.tanh_u); }
          if (Case != KappaCase::fixed) { atomicAdd(&histogram[kappa_bin(k.position)], 1); }
          atomicAdd(&histogram[kFirstGatePreBin + gate_pre_bin(z)], 1);
        }
      }
      store_hidden<T>(args, row.at + i, hidden);
    }
    if constexpr (Record) { largest->offer(magnitude, valid); }
  }
}

// Σ over the lanes, always in the same order.
__device__ GateTotals<double, int> warp_totals(const GateTotals<float, int>& mine) {
  GateTotals<double, int> total;
  for (int n = 0; n < kGateSums; ++n) { total.sum[n] = double(warp_sum(mine.sum[n])); }
  for (int n = 0; n < kGateCounts; ++n) { total.count[n] = warp_sum(mine.count[n]); }
  return total;
}

__device__ void add_count(std::int64_t* to, int count) {
  if (count) { atomicAdd(reinterpret_cast<unsigned long long*>(to), (unsigned long long)count); }
}

__device__ void add_bin(const GroupedSwigluArgs& args, std::int32_t expert, int bin, int count) {
  if (expert < 0) { return; }
  const int gate_pre = bin - kFirstGatePreBin;
  if (bin < kKappaBins) {
    if (args.kappa_hist) { add_count(args.kappa_hist + expert * kKappaBins + bin, count); }
  } else if (gate_pre >= 0 && gate_pre < kGatePreBins && args.gate_pre_hist) {
    add_count(args.gate_pre_hist + expert * kGatePreBins + gate_pre, count);
  }
}

// Adds the warps' histograms to those of their experts; neighbours are mostly of one.
__device__ void add_histograms(const GroupedSwigluArgs& args, const RecordMemory& memory) {
  for (int bin = int(threadIdx.x); bin < kBins; bin += kThreads) {
    std::int32_t expert = memory.expert[0];
    int count = 0;
    for (int warp = 0; warp < kWarps; ++warp) {
      if (memory.expert[warp] != expert) {
        add_bin(args, expert, bin, count);
        expert = memory.expert[warp];
        count = 0;
      }
      count += memory.histogram[warp][bin];
    }
    add_bin(args, expert, bin, count);
  }
}

// A row of which everything is recorded, by one warp.
template <typename T, int Width, KappaCase Case>
__device__ void record_row(const GroupedSwigluArgs& args, const GateRow& row, std::int64_t number,
                           RecordMemory& memory) {
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  const int most = kMostWarpLargest;
  const int top = int(args.top_gates < args.gates ? args.top_gates : args.gates);
  WarpLargest largest(memory.largest[warp], top < most ? top : most);
  LaneTotals mine;
  if (lane == 0) { memory.expert[warp] = std::int32_t(row.expert); }
  run_gates<T, Width, Case, true>(args, row, lane * Width, kWarp * Width, mine, &largest,
                                  memory.histogram[warp]);
  const GateTotals<double, int> total = warp_totals(mine);
  const double top_sum = largest.sum();
  const int at_limit = Case == KappaCase::ruled ? warp_sum(mine.at_limit) : 0;
  if (lane != 0) { return; }
  if (Case == KappaCase::fixed) { memory.histogram[warp][kappa_bin(0)] = int(args.gates); }
  const std::int64_t cell = cell_of(args, number);  // read again: the loop has no register for it
  args.stats[cell - args.first_cell] =
      gate_stats_of(total, top_sum, double(args.gates), args.identity_gate);
  if (Case == KappaCase::ruled && args.clamped) {
    args.clamped[cell - args.first_cell] = float(double(at_limit) / double(args.gates));
  }
  if (args.row_effect) { args.row_effect[number] = effect_of(total); }
}

// Blocks that a multiprocessor is meant to hold: as many as the registers allow.
template <typename T, int Width, KappaCase Case, bool Record>
constexpr int blocks_at_once() {
  const bool lean = Width == 1 || (sizeof(T) == 2 && !kAnyKappa<Case>);
  return Record ? (lean ? 3 : 2) : (lean ? 4 : 3);
}

// T: type of gate_pre and up where they are whole. `sharing_`: warps that share a row; 1 with
// Record.
template <typename T, int Width, KappaCase Case, bool Record>
__global__ void __launch_bounds__(kThreads, (blocks_at_once<T, Width, Case, Record>()))
    swiglu_kernel(GroupedSwigluArgs args, int sharing_) {
  const int sharing = Record ? 1 : sharing_;
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  const std::int64_t number =
      args.first_row + std::int64_t(blockIdx.x) * (kWarps / sharing) + warp / sharing;
  const bool has_row = number < last_row_of(args);
  LaneTotals nothing;
  if constexpr (Record) {
    KAPPASCOPE_SHARED(RecordMemory, memory);
    for (int bin = lane; bin < kBins; bin += kWarp) { memory.histogram[warp][bin] = 0; }
    if (lane == 0) { memory.expert[warp] = -1; }
    __syncwarp();
    if (has_row) {
      const GateRow row = gate_row(args, number);
      if (row.cell >= args.first_cell) {
        record_row<T, Width, Case>(args, row, number, memory);
      } else {
        run_gates<T, Width, Case, false>(args, row, lane * Width, kWarp * Width, nothing, nullptr,
                                         nullptr);
        if (args.row_effect && lane == 0) { args.row_effect[number] = EffectSums{}; }
      }
    }
    __syncthreads();
    add_histograms(args, memory);
  } else if (has_row) {
    const GateRow row = gate_row(args, number);
    const int first = (warp % sharing * kWarp + lane) * Width;
    run_gates<T, Width, Case, false>(args, row, first, sharing * kWarp * Width, nothing, nullptr,
                                     nullptr);
  }
}

using Kernel = void (*)(GroupedSwigluArgs, int);

template <typename T, bool Record>
Kernel pick_kernel(const GroupedSwigluArgs& args) {
  const KappaCase of = kappa_case(args);
  if (args.gates % kGatePack<T> != 0) {
    return of == KappaCase::ruled ? swiglu_kernel<T, 1, KappaCase::ruled, Record>
                                  : swiglu_kernel<T, 1, KappaCase::any, Record>;
  }
  switch (of) {
    case KappaCase::fixed:
      return swiglu_kernel<T, kGatePack<T>, KappaCase::fixed, Record>;
    case KappaCase::per_gate:
      return swiglu_kernel<T, kGatePack<T>, KappaCase::per_gate, Record>;
    case KappaCase::ruled:
      return swiglu_kernel<T, kGatePack<T>, KappaCase::ruled, Record>;
    case KappaCase::any:
      break;
  }
  return swiglu_kernel<T, kGatePack<T>, KappaCase::any, Record>;
}
template <typename T>
Kernel pick_kernel(const GroupedSwigluArgs& args) {
  return args.stats ? pick_kernel<T, true>(args) : pick_kernel<T, false>(args);
}

// Warps that share a row, so that few rows keep the whole GPU busy.
int sharing_of(const GroupedSwigluArgs& args, std::int64_t rows) {
  constexpr std::int64_t kManyRows = 4096;
  return args.stats || rows >= kManyRows ? 1 : kWarps;
}

}  // namespace

int grouped_swiglu_cuda(const GroupedSwigluArgs& args, CudaStream stream) {
  const std::int64_t rows = args.last_row - args.first_row;
  const bool narrow = args.gate_pre.element == Element::bfloat16 && args.gate_pre.partials == 0;
  const Kernel kernel = narrow ? pick_kernel<BFloat16>(args) : pick_kernel<float>(args);
  const int sharing = sharing_of(args, rows);
  const int error = launch(kernel, blocks_for(rows, kWarps / sharing), 0, stream, args, sharing);
  if (error || !needs_order(args)) { return error; }
  return narrow ? launch_order<BFloat16>(args, stream) : launch_order<float>(args, stream);
}

}  // namespace kappascope
