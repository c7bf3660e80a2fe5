// Two maps of equal shape as one: what a run changes in a heat map from another run.
#pragma once

#include <optional>
#include <string>

#include "core/figure/figure.h"

namespace kappascope {

// The maps of `a` less those of `b`, cell by cell; of maps with a log scale a over b. Nothing where
// they have no map of numbers, or maps of other shapes. Panels without a map are left out; notes
// are those of both, and tables have the columns of `a`, what changes in the place of what is
// drawn. `run_a`, `run_b`: what the two are called.
std::optional<Figure> map_difference(const Figure& a, const Figure& b, const std::string& run_a,
                                     const std::string& run_b);

}  // namespace kappascope
