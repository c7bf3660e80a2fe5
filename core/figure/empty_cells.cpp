#include "core/figure/empty_cells.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/stats/layer.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

constexpr const char* kUnknown = "not known";

// `reason`, or that beside kUnknown, or kUnknown alone: explain(row)(column) tells whether it is
// the reason of an empty cell, and is asked for rows that have one.
template <typename Explain>
std::string why_empty(const LayerMap& map, const char* reason, Explain&& explain) {
  bool explained = false, unknown = false;
  for (std::int64_t row = 0; row < map.rows; ++row) {
    const float* const cells = map.values.data() + row * map.columns;
    if (std::none_of(cells, cells + map.columns, [](float v) { return std::isnan(v); })) {
      continue;
    }
    const auto is_reason = explain(row);
    for (std::int64_t column = 0; column < map.columns; ++column) {
      if (std::isnan(cells[column])) { (is_reason(column) ? explained : unknown) = true; }
    }
  }
  if (!unknown) { return reason; }
  return explained ? std::string(reason) + ", or " + kUnknown : kUnknown;
}

// Kept assignments of each expert.
std::vector<std::int64_t> kept_assignments(const TraceLayer& layer) {
  if (layer.trace.corpus) { return layer.trace.corpus->rows[layer.row].choices.kept; }
  std::vector<std::int64_t> kept(std::size_t(layer.experts));
  for (std::int64_t entry = 0; entry < layer.tokens * layer.slots; ++entry) {
    if (layer.kept(entry)) { ++kept[layer.expert(entry)]; }
  }
  return kept;
}

}  // namespace

std::string empty_slot_cells(const Trace& trace, const LayerMap& map, std::int64_t only) {
  return why_empty(map, "dropped", [&](std::int64_t row) {
    return [layer = TraceLayer(trace, only < 0 ? row : only, LayerTokens::all)](std::int64_t t) {
      bool kept = false;
      for (std::int64_t k = 0; k < layer.slots; ++k) { kept |= layer.kept(t * layer.slots + k); }
      return !kept;
    };
  });
}

std::string empty_margin_cells(const Trace& trace, const LayerMap& map, std::int64_t only) {
  return why_empty(map, "all experts chosen", [&](std::int64_t row) {
    return [layer = TraceLayer(trace, only < 0 ? row : only, LayerTokens::all)](std::int64_t t) {
      std::int64_t chosen = 0;
      for (std::int64_t k = 0; k < layer.slots; ++k) {
        chosen += layer.expert(t * layer.slots + k) >= 0 ? 1 : 0;
      }
      return chosen == layer.experts;
    };
  });
}

std::string empty_expert_cells(const Trace& trace, const LayerMap& map) {
  return why_empty(map, "no kept token", [&](std::int64_t row) {
    // Of a corpus choices that are not known are in no count.
    const bool all_known = !trace.corpus || trace.corpus->rows[row].choices.spoilt_tokens == 0;
    return [all_known, kept = kept_assignments(TraceLayer(trace, row))](std::int64_t e) {
      return e >= std::ssize(kept) || (kept[e] == 0 && all_known);
    };
  });
}

std::string empty_load_cells(const Trace& trace, const LayerMap& map) {
  return why_empty(map, "no such expert", [&](std::int64_t row) {
    return [experts = TraceLayer(trace, row).experts](std::int64_t e) { return e >= experts; };
  });
}

}  // namespace kappascope
