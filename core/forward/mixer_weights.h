// The weights of what mixes the tokens of a layer, attention and what stands in its place, and of
// its norms.
#pragma once

#include <functional>

#include "core/forward/weights.h"

namespace kappascope {

// The weights of one layer by their role; undefined where it has none.
struct LayerReader {
  std::function<at::Tensor(Role)> matrix;   // as it is multiplied
  std::function<at::Tensor(Role)> float32;  // float32 always
  std::function<RowTable(Role)> table;
};

// Of a norm, what x is multiplied by.
at::Tensor norm_weight(const LayerReader& read, const NormSpec& spec, Role role);

// Norms, attention, convolution and delta rule of a layer.
void read_mixer(const LayerReader& read, const LayerSpec& spec, LayerWeights& weights);

}  // namespace kappascope
