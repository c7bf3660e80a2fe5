// From a figure to a scene: measures every text, then places everything.
#pragma once

#include "core/figure/figure.h"
#include "core/figure/scene.h"

namespace kappascope {

// Throws usage for a width under 40 or over 2,000 mm, a font under 3 or over 40 points, or a height
// that leaves no room for the axes.
// `meter` remembers texts from figure to figure; nullptr: one for this figure alone.
Scene lay_out(const Figure& figure, const FigureStyle& style, const Outlet& outlet,
              TextMeter* meter = nullptr);

inline constexpr double kPointsPerMm = 72 / 25.4;

}  // namespace kappascope
