#include "core/figure/shared_ends.h"

#include <algorithm>

#include "core/figure/axis.h"
#include "core/figure/cells.h"
#include "core/figure/prepared.h"
#include "core/figure/restyle.h"

namespace kappascope {
namespace {

std::string key_of(const std::string& what, const std::string& name, const std::string& unit,
                   bool log) {
  return what + (log ? " log:" : ":") + name + '\x01' + unit;
}

std::string key_of(const FigureAxis& axis) {
  if (axis.scale == Scale::category || axis.name.empty()) { return ""; }
  return key_of("axis", axis.name, axis.unit, axis.scale == Scale::log);
}

std::string key_of(const ColourScale& scale) {
  const char* what = scale.kind == ColourKind::diverging ? "diverging bar" : "bar";
  return key_of(what, scale.label, scale.unit, scale.log);
}

}  // namespace

void SharedEnds::add(const std::string& key, double low, double high) {
  if (key.empty() || !(low <= high)) { return; }
  const auto [entry, first] = ends_.try_emplace(key, Ends{low, high});
  entry->second.low = std::min(entry->second.low, low);
  entry->second.high = std::max(entry->second.high, high);
  ++entry->second.seen;
}

void SharedEnds::see(Figure& figure) {
  for (const Panel& panel : figure.panels) {
    if (is_empty(panel)) { continue; }
    AxisPlan x, y;
    set_range(x, panel, true);
    set_range(y, panel, false);
    // An axis that a panel shares with the one before is that one's.
    if (!panel.below) { add(key_of(panel.x), x.low, x.high); }
    if (!panel.beside) { add(key_of(panel.y), y.low, y.high); }
  }
  for (const auto& [scale, values] : colour_bars(figure)) {
    const ColourMap own(*scale, *values);
    add(key_of(*scale), own.low(), own.high());
  }
}

void SharedEnds::apply(Figure& figure) const {
  const auto take = [&](const std::string& key, double& low, double& high) {
    const auto found = ends_.find(key);
    if (found == ends_.end()) { return; }
    low = found->second.low;
    high = found->second.high;
  };
  for (Panel& panel : figure.panels) {
    if (is_empty(panel)) { continue; }
    for (FigureAxis* axis : {&panel.x, &panel.y}) { take(key_of(*axis), axis->low, axis->high); }
  }
  for (const auto& [scale, values] : colour_bars(figure)) {
    take(key_of(*scale), scale->low, scale->high);
  }
}

bool SharedEnds::any() const {
  return std::any_of(ends_.begin(), ends_.end(),
                     [](const auto& entry) { return entry.second.seen > 1; });
}

}  // namespace kappascope
