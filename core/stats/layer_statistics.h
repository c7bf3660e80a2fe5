// Every number that a layer's summary gives as one value, by the name it has in summary.json.
#pragma once

#include <span>
#include <string_view>

#include "core/stats/summary.h"

namespace kappascope {

struct LayerStatistic {
  std::string_view name;                    // "load_cv"; inside an object "kappa.mean"
  double (*of)(const LayerSummary& layer);  // NaN where the layer has none
  bool of_weights = false;                  // the same for every text
};
std::span<const LayerStatistic> layer_statistics();  // sorted by name

}  // namespace kappascope
