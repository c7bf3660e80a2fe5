#include "core/figure/screen_layout.h"

#include <algorithm>

#include "core/figure/group.h"

namespace kappascope {
namespace {

constexpr std::size_t kMostColumnsInSight = 3;
constexpr double kBetween = 9;      // points between groups
constexpr double kLeastWidth = 80;  // points of a group that can be read
constexpr double kFont = 7;         // as in files
constexpr double kTolerance = 2;    // points that a group may be higher than its part

double least_height(const PanelGroupPlan& group) {
  double height = 65 + (group.scale ? 22 : 0);
  for (const Panel* panel : group.panels) { height += panel->below ? 25 : 0; }
  return height;
}

// Groups in rows and columns of equal sizes.
struct Grid {
  std::size_t columns = 1, rows = 1;
  double least = 0;  // height of a group

  Grid(const PreparedFigure& figure, std::size_t across)
      : columns(across), rows((figure.groups.size() + across - 1) / across) {
    for (const PanelGroupPlan& group : figure.groups) {
      least = std::max(least, least_height(group));
    }
  }
  static double part(double whole, std::size_t parts) {
    const auto n = static_cast<double>(parts);
    return (whole - (n - 1) * kBetween) / n;
  }
  // How much of a comfortable size the groups have; below 1 some cannot be read.
  double comfort(double width, double height) const {
    return std::min(part(width, columns) / kLeastWidth, part(height, rows) / least);
  }
};

Grid grid_for(const PreparedFigure& figure, double width, double height) {
  Grid best(figure, 1);
  for (std::size_t more = 2; more <= std::min(figure.groups.size(), kMostColumnsInSight); ++more) {
    const Grid grid(figure, more);
    if (grid.comfort(width, height) > best.comfort(width, height)) { best = grid; }
  }
  return best;
}

}  // namespace

Scene lay_out_screen(const PreparedFigure& figure, const std::vector<PanelSight>& sights,
                     double width, double height, const Outlet& outlet, TextMeter& meter) {
  Scene scene;
  scene.width = width;
  Painter painter(scene, meter, outlet);
  const LegendPlan legend =
      plan_legend(shared_keys(figure.groups), width, kFont, meter, outlet.most_lines(1));
  const double top = legend.rows > 0 ? legend.height(kFont) + kBetween / 2 : 0;
  draw_legend(painter, legend, {0, 0}, kFont);
  const Grid grid = grid_for(figure, width, height - top);
  const double high = std::max(grid.least, Grid::part(height - top, grid.rows));
  const std::size_t count = figure.groups.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = i / grid.columns, column = i % grid.columns;
    // The groups of a last row that is not full share its width.
    const double share = Grid::part(width, std::min(grid.columns, count - row * grid.columns));
    const Point corner{static_cast<double>(column) * (share + kBetween),
                       top + static_cast<double>(row) * (high + kBetween)};
    PanelGroup group(figure.groups[i], &sights[painter.panels()], kFont, meter, outlet);
    group.fit(share, high);
    group.draw(painter, corner, "", 0);
    const double needed = group.height() > high + kTolerance ? group.height() : high;
    scene.height = std::max(scene.height, corner.y + needed);
  }
  return scene;
}

}  // namespace kappascope
