// The MoE layer of a few tokens in four launches, whose time is that of reading the weights of the
// experts that are hit: few_route, few_product for gate and up, few_product for down with κ-SwiGLU
// on the way in, few_combine. Conventions as in device_ops.h.
//
// The rows of an expert are cut into *tiles* of at most kTileRows, expert after expert, each in the
// order of its queue. The *place* of a row is tile·kTileRows + its number in the tile.
#pragma once

#include <cstdint>

#include "kernels/device_ops.h"

namespace kappascope {

inline constexpr std::int64_t kMostFewCells = 1024;  // T·K

// Where the rows are. few_route writes it, the others read it.
struct FewPlaces {
  std::int32_t* tiles = nullptr;        // [1] how many there are, at most T·K
  std::int32_t* tile_expert = nullptr;  // [tiles]
  std::int32_t* tile_rows = nullptr;    // [tiles] 1 to kTileRows
  std::int32_t* place_cell = nullptr;   // [tiles,kTileRows] −1 where there is no row
  std::int32_t* cell_place = nullptr;   // [T,K] −1 where dropped
};

// At most so many tiles have the rows of `cells` cells: one more than whole ones for every expert.
constexpr std::int64_t most_few_tiles(std::int64_t cells, std::int64_t experts) {
  return (cells + (kTileRows - 1) * (experts < cells ? experts : cells)) / kTileRows;
}

// Whether the selection score of an expert follows from the logits of others, too.
constexpr bool needs_all_scores(const RouterRule& rule) {
  return rule.groups > 1 || (rule.by_score && rule.score == ExpertScore::softmax);
}

// logits = x·routerᵀ + bias, then route_ref and group_ref: expert, weight, kept and score of the
// cells, and their places.
struct FewRouteArgs {
  // numbers, queue_position and assigned are not written; the rule must not need all scores.
  RouteArgs route;
  std::int64_t width = 0;
  const float* x = nullptr;            // [T,H]; nullptr: route.routing.logits are there already
  const float* router = nullptr;       // [E,H]
  const float* router_bias = nullptr;  // [E] added to the logits; nullptr: none
  float* logits = nullptr;             // [T,E] with x: route.routing.logits
  FewPlaces places;
  std::int32_t* arrived = nullptr;  // [1] 0 before the first call, and again after each
};
void few_route_ref(const FewRouteArgs& args);
int few_route_cuda(const FewRouteArgs& args, CudaStream stream);

// Elements of `in` in one unit of a product: 128 bytes of columns aside, what a block reads at
// once.
inline constexpr std::int64_t kFewUnit = 128;
inline constexpr std::int64_t kFewLanes = 16;  // threads over the columns of a strip

// How y = x·W[e] of the tiles is cut and where its sums are. W has `strips` of `columns`, each of
// `units` units; the units of all tiles, matrices and strips form one sequence, and each block
// takes an equal share of it. A strip's part that one block sums is a *segment*,
// [kTileRows,columns]; the segment of block b and strip s (counted over tiles and matrices) is
// number b + s.
struct FewSums {
  float* data = nullptr;
  std::int32_t matrices = 1, strips = 1, units = 1, columns = 1;
  std::int32_t blocks = 1;

  KAPPASCOPE_HOST_DEVICE std::int32_t all_units(std::int32_t tiles) const {
    return tiles * matrices * strips * units;
  }
  // Units that a block takes of the line.
  KAPPASCOPE_HOST_DEVICE std::int32_t share(std::int32_t tiles) const {
    return (all_units(tiles) + blocks - 1) / blocks;
  }
  KAPPASCOPE_HOST_DEVICE std::int32_t strip(std::int32_t tile, std::int32_t matrix,
                                            std::int32_t column) const {
    return (tile * matrices + matrix) * strips + column / columns;
  }
  KAPPASCOPE_HOST_DEVICE float* segment(std::int32_t block, std::int32_t strip_number) const {
    return data + std::int64_t(block + strip_number) * (kTileRows * columns);
  }
  // Blocks that sum a strip: [first, last].
  KAPPASCOPE_HOST_DEVICE std::int32_t first_block(std::int32_t strip_number,
                                                  std::int32_t share) const {
    return strip_number * units / share;
  }
  KAPPASCOPE_HOST_DEVICE std::int32_t last_block(std::int32_t strip_number,
                                                 std::int32_t share) const {
    return (strip_number * units + units - 1) / share;
  }
  // Floats of `data` for at most so many tiles.
  std::int64_t floats(std::int64_t tiles) const {
    return (tiles * matrices * strips + blocks) * kTileRows * columns;
  }
};

// y at a place and column: the sums of its blocks, added in their order.
KAPPASCOPE_HOST_DEVICE inline float few_value(const FewSums& y, std::int32_t share,
                                              std::int32_t place, std::int32_t matrix,
                                              std::int32_t column) {
  const std::int32_t strip = y.strip(place / kTileRows, matrix, column);
  const std::int32_t first = y.first_block(strip, share), last = y.last_block(strip, share);
  const std::int32_t size = kTileRows * y.columns;
  const float* at = y.segment(first, strip) + place % kTileRows * y.columns + column % y.columns;
  constexpr std::int32_t kAtOnce = 8;  // on their way together: the time is that of the latency
  float sum = at[0];
  for (std::int32_t block = first + 1; block <= last; block += kAtOnce) {
    float more[kAtOnce];
    for (std::int32_t n = 0; n < kAtOnce; ++n) {
      more[n] = block + n <= last ? at[std::int64_t(block + n - first) * size] : 0.0f;
    }
    for (std::int32_t n = 0; n < kAtOnce; ++n) {
      if (block + n <= last) { sum += more[n]; }
    }
  }
  return sum;
}

// y = x·W[e] over the places. x is that of the tokens, in the type of W; or κ-SwiGLU of the product
// before, rounded to that type, as grouped_swiglu has it.
struct FewProductArgs {
  FewPlaces places;
  std::int64_t slots = 0, in = 0, out = 0;
  Element element = Element::float32;
  const void* weight[2] = {nullptr, nullptr};  // [E,in,out], as many as y.matrices
  FewSums y;                                   // few_sums
  const float* x = nullptr;                    // [T,in]; nullptr: κ-SwiGLU
  FewSums gate_up;                             // z and up; columns of both: `in`
  const float* score = nullptr;                // [T,K] s; nullptr: score_constant
  float score_constant = 1;
  KappaView kappa;  // of the layer
  bool identity_gate = false;
  GateRules rules;       // of the layer
  bool overlap = false;  // starts while the launch before it ends (compute capability 9.0)
};
void few_product_ref(const FewProductArgs& args);
int few_product_cuda(const FewProductArgs& args, CudaStream stream);
// Once for each device, before the first few_product_cuda: lets its kernels have the shared memory
// that they take.
int few_product_prepare();
// How a product of these sizes is cut for a GPU of that many multiprocessors; no data.
FewSums few_sums(std::int64_t matrices, std::int64_t in, std::int64_t out, Element element,
                 int multiprocessors);

// output[t] = Σ_k weight[t,k]·(y[place of t,k] + bias) over the kept cells, in the order of the
// slots.
struct FewCombineArgs {
  std::int64_t tokens = 0, slots = 0, width = 0;
  FewPlaces places;
  FewSums y;
  const float* weight = nullptr;         // [T,K]
  float* output = nullptr;               // [T,H]
  bool overlap = false;                  // as above
  const float* bias = nullptr;           // [E,H] of the expert; nullptr: 0
  const std::int32_t* expert = nullptr;  // [T,K] with bias
};
void few_combine_ref(const FewCombineArgs& args);
int few_combine_cuda(const FewCombineArgs& args, CudaStream stream);

}  // namespace kappascope
