// What the legend says of empty cells: why there is no number, and that it is not known where
// weights that are not finite, or a trace that lacks something, left one out.
#pragma once

#include <cstdint>
#include <string>

#include "core/stats/maps.h"
#include "core/trace/trace.h"

namespace kappascope {

// Of a map [M,T] over kept slots, or its one row of recorded layer `only`: "dropped".
std::string empty_slot_cells(const Trace& trace, const LayerMap& map, std::int64_t only = -1);
// Of a map [M,T] of router margins, or its one row: "all experts chosen".
std::string empty_margin_cells(const Trace& trace, const LayerMap& map, std::int64_t only = -1);
// Of a map [M,E] over kept tokens: "no kept token".
std::string empty_expert_cells(const Trace& trace, const LayerMap& map);
// Of a map [M,E] of loads: "no such expert".
std::string empty_load_cells(const Trace& trace, const LayerMap& map);

}  // namespace kappascope
