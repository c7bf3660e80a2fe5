// Router–expert alignment of one MoE layer gate unit by gate unit, from the weights alone.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model/model.h"

namespace kappascope {

struct UnitAlignment : Alignment {
  // [E] mean of the ⌈5 %⌉ largest and smallest cosines of w_g[e] with the columns of gate_proj[e];
  // NaN where no column has a norm.
  std::vector<float> top5, bottom5;
};
UnitAlignment unit_alignment(const Model& model, std::int64_t layer);

}  // namespace kappascope
