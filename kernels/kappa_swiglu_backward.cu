// The derivatives of κ-SwiGLU over the rows of one expert, on the GPU; the formulas are those of
// kappa_gradient.h.
//
// A block takes a tile of kRowsOfBlock rows by kWarp packs of gate units, each warp some of its
// rows: α and b are loaded once for them. Within a tile sums are float; a second kernel adds those
// of the tiles in double. Every sum has one order, so that the same input gives the same bits.
#include "kernels/kappa_gradient.h"

#include "kernels/gate_row.h"
#include "kernels/training_ops.h"

namespace kappascope {
namespace {

constexpr int kRowsOfWarp = 4, kRowsOfBlock = kWarps * kRowsOfWarp;

struct FastMath {
  KAPPASCOPE_HOST_DEVICE static float exp(float x) { return fast_exp2(kLog2E * x); }
  KAPPASCOPE_HOST_DEVICE static float reciprocal(float x) { return fast_reciprocal(x); }
};

// The sums of the tiles.
struct Parts {
  std::int64_t row_tiles = 0, gate_tiles = 0;
  float* score = nullptr;  // [gate_tiles,rows]; nullptr: all are 0
  // [row_tiles,I], or where one value serves all gate units [row_tiles,gate_tiles,Width];
  // nullptr: none is wanted.
  float *bias = nullptr, *scale = nullptr;
};

// What is read of a pack of gate units of one row.
template <int Width>
struct RowPart {
  Chunk<Width, float> z, up, grad;
  float score;
  __device__ void fetch(const KappaSwigluBackwardArgs& args, std::int64_t row, std::int64_t at) {
    z = load_chunk<Width>(args.gate_pre + at);
    up = load_chunk<Width>(args.up + at);
    grad = load_chunk<Width>(args.grad_hidden + at);
    score = args.score ? args.score[row] : 0;
  }
};

// What a thread reads once for its gate units, and sums over its rows for each of them.
template <int Width>
struct GateColumns {
  float bias[Width] = {}, scale[Width] = {};
  float grad_bias[Width] = {}, grad_scale[Width] = {};
};

// Writes the derivatives by z and up of a pack; returns the pack's part of that by the score.
template <int Width, KappaArgument Form, bool Identity>
__device__ float pack_backward(const KappaSwigluBackwardArgs& args, const RowPart<Width>& part,
                               float factor, std::int64_t at, GateColumns<Width>& columns) {
  float z[Width], up[Width], grad[Width], grad_z[Width], grad_up[Width], score = 0;
  widen_chunk<Width, float>(part.z, z);
  widen_chunk<Width, float>(part.up, up);
  widen_chunk<Width, float>(part.grad, grad);
#pragma unroll
  for (int w = 0; w < Width; ++w) {
    KappaGateGradient<float> result;
    if constexpr (Identity) {
      result.z = grad[w] * up[w];
      result.up = grad[w] * z[w];
    } else {
      const KappaGate<float> gate{
          Form,  z[w], up[w], part.score, columns.bias[w], columns.scale[w], args.kappa.log_bound,
          factor};
      result = kappa_gradient<FastMath>(gate, grad[w]);
    }
    grad_z[w] = result.z;
    grad_up[w] = result.up;
    columns.grad_bias[w] += result.bias;
    columns.grad_scale[w] += result.scale;
    score += result.score;
  }
  store_values<Width>(grad_z, args.grad_gate_pre + at);
  store_values<Width>(grad_up, args.grad_up + at);
  return score;
}

template <int Width>
struct TileSums {
  float value[2][kWarps][kWarp * Width];  // of b, then of α
};

// Adds what the warps of a block have summed.
template <int Width>
__device__ void sum_tile(const KappaSwigluBackwardArgs& args, const Parts& parts,
                         const GateColumns<Width>& columns) {
  KAPPASCOPE_SHARED(TileSums<Width>, sums);
  constexpr int kUnits = kWarp * Width;
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
#pragma unroll
  for (int w = 0; w < Width; ++w) {
    sums.value[0][warp][lane * Width + w] = columns.grad_bias[w];
    sums.value[1][warp][lane * Width + w] = columns.grad_scale[w];
  }
  __syncthreads();
  for (int i = int(threadIdx.x); i < 2 * kUnits; i += kThreads) {  // alike for a whole warp
    const int which = i / kUnits, unit = i % kUnits;
    float* const to = which == 0 ? parts.bias : parts.scale;
    if (!to) { continue; }
    float sum = 0;
    for (int of = 0; of < kWarps; ++of) { sum += sums.value[which][of][unit]; }
    if ((which == 0 ? args.kappa.gate_stride : args.kappa.scale_gate_stride) != 0) {
      const std::int64_t gate = std::int64_t(blockIdx.y) * kUnits + unit;
      if (gate < args.gates) { to[blockIdx.x * args.gates + gate] = sum; }
    } else {
      sum = warp_sum(sum);
      const std::int64_t tile = blockIdx.x * parts.gate_tiles + blockIdx.y;
      if (lane == 0) { to[tile * Width + unit / kWarp] = sum; }
    }
  }
}

template <int Width, KappaArgument Form, bool Identity>
__global__ void __launch_bounds__(kThreads, 3)
    gradient_kernel(KappaSwigluBackwardArgs args, Parts parts) {
  constexpr bool kLearned = Form != KappaArgument::fixed;
  const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  const std::int64_t gate = (std::int64_t(blockIdx.y) * kWarp + lane) * Width;
  const std::int64_t first = std::int64_t(blockIdx.x) * kRowsOfBlock + warp * kRowsOfWarp;
  const std::int64_t last = first + kRowsOfWarp < args.rows ? first + kRowsOfWarp : args.rows;
  const bool valid = gate < args.gates;
  RowPart<Width> next{};  // a row ahead
  if (valid && first < last) { next.fetch(args, first, first * args.gates + gate); }
  GateColumns<Width> columns;
  if (kLearned && valid) {
    load_parameter<Width, false>(args.kappa.bias, args.kappa.gate_stride, gate, columns.bias);
    load_parameter<Width, false>(args.kappa.scale, args.kappa.scale_gate_stride, gate,
                                 columns.scale);
  }
  const float factor = args.kappa.factor_value();
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t at = row * args.gates + gate;
    float score = 0;
    if (valid) {
      const RowPart<Width> part = next;
      if (row + 1 < last) { next.fetch(args, row + 1, at + args.gates); }
      score = pack_backward<Width, Form, Identity>(args, part, factor, at, columns);
    }
    if (kLearned && parts.score) {
      score = warp_sum(score);
      if (lane == 0) { parts.score[blockIdx.y * args.rows + row] = score; }
    }
  }
  if constexpr (kLearned) { sum_tile<Width>(args, parts, columns); }
}

struct WarpSums {
  double of[kWarps];
};

// Block row 0: b, 1: α, 2: s. One thread per result, or one block for the one that there is.
template <int Width>
__global__ void sum_kernel(KappaSwigluBackwardArgs args, Parts parts) {
  const std::int64_t at = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  double sum = 0;
  if (blockIdx.y == 2) {
    if (!args.grad_score || at >= args.rows) { return; }
    for (std::int64_t tile = 0; parts.score && tile < parts.gate_tiles; ++tile) {
      sum += double(parts.score[tile * args.rows + at]);
    }
    args.grad_score[at] = float(sum);
    return;
  }
  const bool of_bias = blockIdx.y == 0;
  const float* const from = of_bias ? parts.bias : parts.scale;
  float* const to = of_bias ? args.grad_bias : args.grad_scale;
  const std::int64_t stride = of_bias ? args.kappa.gate_stride : args.kappa.scale_gate_stride;
  if (!from) { return; }
  if (stride != 0) {
    if (at >= args.gates) { return; }
    for (std::int64_t tile = 0; tile < parts.row_tiles; ++tile) {
      sum += double(from[tile * args.gates + at]);
    }
    to[at * stride] += float(sum);
    return;
  }
  if (blockIdx.x != 0) { return; }
  KAPPASCOPE_SHARED(WarpSums, sums);
  const std::int64_t count = parts.row_tiles * parts.gate_tiles * Width;
  for (std::int64_t i = at; i < count; i += kThreads) { sum += double(from[i]); }
  sum = warp_sum(sum);
  if (threadIdx.x % kWarp == 0) { sums.of[threadIdx.x / kWarp] = sum; }
  __syncthreads();
  if (threadIdx.x != 0) { return; }
  double total = 0;
  for (int warp = 0; warp < kWarps; ++warp) { total += sums.of[warp]; }
  *to += float(total);
}

using Kernel = void (*)(KappaSwigluBackwardArgs, Parts);

template <int Width>
Kernel pick_kernel(const KappaSwigluBackwardArgs& args) {
  if (args.identity_gate) { return gradient_kernel<Width, KappaArgument::fixed, true>; }
  switch (argument_of(args.kappa)) {
    case KappaArgument::constant_input:
      return gradient_kernel<Width, KappaArgument::constant_input, false>;
    case KappaArgument::scaled:
      return gradient_kernel<Width, KappaArgument::scaled, false>;
    case KappaArgument::from_gate:
      return gradient_kernel<Width, KappaArgument::from_gate, false>;
    case KappaArgument::fixed:
      break;
  }
  return gradient_kernel<Width, KappaArgument::fixed, false>;
}

// Whether rows are whole packs where packs may be.
bool packed(const KappaSwigluBackwardArgs& args) {
  const auto aligned = [](const float* from) {
    return reinterpret_cast<std::uintptr_t>(from) % 16 == 0;
  };
  return args.gates % kGatePack<float> == 0 && aligned(args.gate_pre) && aligned(args.up) &&
         aligned(args.grad_hidden) && aligned(args.grad_gate_pre) && aligned(args.grad_up);
}

std::int64_t tiles_of(std::int64_t count, std::int64_t of_tile) {
  return (count + of_tile - 1) / of_tile;
}

template <int Width>
int launch_backward(const KappaSwigluBackwardArgs& args, float* memory, CudaStream stream) {
  Parts parts;
  parts.row_tiles = tiles_of(args.rows, kRowsOfBlock);
  parts.gate_tiles = tiles_of(args.gates, kWarp * Width);
  const bool learned = !args.identity_gate && !args.kappa.fixed();
  if (learned) {
    if (args.grad_score) { parts.score = memory; }
    float* const columns = memory + tiles_of(args.gates, kWarp) * args.rows;
    if (args.kappa.bias && args.grad_bias) { parts.bias = columns; }
    if (args.kappa.scale && args.grad_scale) {
      parts.scale = columns + parts.row_tiles * args.gates;
    }
  }
  const int error =
      launch(pick_kernel<Width>(args), dim3(unsigned(parts.row_tiles), unsigned(parts.gate_tiles)),
             0, stream, args, parts);
  if (error || !(args.grad_score || parts.bias || parts.scale)) { return error; }
  const std::int64_t most = args.rows > args.gates ? args.rows : args.gates;
  return launch(sum_kernel<Width>, dim3(unsigned(tiles_of(most, kThreads)), 3), 0, stream, args,
                parts);
}

}  // namespace

std::int64_t kappa_swiglu_backward_memory(const KappaSwigluBackwardArgs& args) {
  return tiles_of(args.gates, kWarp) * args.rows +
         2 * tiles_of(args.rows, kRowsOfBlock) * args.gates;
}

int kappa_swiglu_backward_cuda(const KappaSwigluBackwardArgs& args, float* memory,
                               CudaStream stream) {
  if (args.rows == 0 || args.gates == 0) { return 0; }
  return packed(args) ? launch_backward<kGatePack<float>>(args, memory, stream)
                      : launch_backward<1>(args, memory, stream);
}

}  // namespace kappascope
