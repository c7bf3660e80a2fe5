// Draws a laid-out figure into the window, and measures texts for its layout.
#pragma once

#include <imgui.h>

#include <memory>
#include <vector>

#include "app/gui/cell_tiles.h"
#include "app/gui/theme.h"
#include "core/figure/scene.h"

namespace kappascope::gui {

// Pixels of a point of figures: the names of their axes are as large as other text of the window.
float point_pixels();

// What figures are drawn on in the window.
Paper paper_of(const Theme& theme);

// With the font in force, a point being `scale` pixels.
class ScreenTextMeter final : public TextMeter {
 public:
  explicit ScreenTextMeter(float scale) : scale_(scale) {}
  TextExtent extent(const std::string& text, double size, bool bold) override;

 private:
  float scale_;
};

// Where the upper left corner of a scene is, in pixels, and how large its points are.
struct ScenePlace {
  ImVec2 corner;
  float scale = 1;

  float x(double at) const { return corner.x + static_cast<float>(at * scale); }
  float y(double at) const { return corner.y + static_cast<float>(at * scale); }
  ImVec2 at(Point point) const { return {x(point.x), y(point.y)}; }
  ScreenBox box(const Box& box) const {
    return {x(box.x), y(box.y), x(box.right()), y(box.bottom())};
  }
};

// Items from `begin` up to `end`. `tiles`: of the cells of each panel.
void draw_scene(ImDrawList& list, const Scene& scene, std::size_t begin, std::size_t end,
                const ScenePlace& place, const std::vector<std::unique_ptr<CellTiles>>& tiles);

}  // namespace kappascope::gui
