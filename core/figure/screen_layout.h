// From a figure to the scene of a part of a window, which it fills.
#pragma once

#include <vector>

#include "core/figure/prepared.h"
#include "core/figure/scene.h"

namespace kappascope {

// Titles, captions and notes of the figure are left to the window. `sights`: of each panel;
// `outlet` that of a window. The scene is `width` points wide, and higher than `height` where the
// panels need that.
Scene lay_out_screen(const PreparedFigure& figure, const std::vector<PanelSight>& sights,
                     double width, double height, const Outlet& outlet, TextMeter& meter);

}  // namespace kappascope
