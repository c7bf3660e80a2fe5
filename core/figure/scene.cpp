#include "core/figure/scene.h"

#include <algorithm>

namespace kappascope {

Box Painter::text_bounds(const std::string& text, Point at, const TextLook& look) {
  const TextExtent extent = meter_.extent(text, look.size, look.bold);
  const double shift = look.anchor == Anchor::start    ? 0
                       : look.anchor == Anchor::middle ? extent.advance / 2
                                                       : extent.advance;
  const double along = extent.ink.x - shift;
  if (!look.upright) {
    return {at.x + along, at.y + extent.ink.y, extent.ink.width, extent.ink.height};
  }
  // (u along the text, v down) lies at (x + v, y − u)
  return {at.x + extent.ink.y, at.y - along - extent.ink.width, extent.ink.height,
          extent.ink.width};
}

Box Painter::text(const std::string& text, Point at, const TextLook& look) {
  const Box bounds = text_bounds(text, at, look);
  if (!text.empty()) add(SceneText{text, at, look, bounds});
  return bounds;
}

void Painter::line(Point from, Point to, Colour colour, double width, int dash) {
  ScenePath path;
  path.points = {from, to};
  path.stroke = colour;
  path.width = width;
  path.dash = dash;
  add(std::move(path));
}

void Painter::frame(const Box& box, Colour colour, double width) {
  ScenePath path;
  path.points = {
      {box.x, box.y}, {box.right(), box.y}, {box.right(), box.bottom()}, {box.x, box.bottom()}};
  path.closed = true;
  path.stroke = colour;
  path.width = width;
  add(std::move(path));
}

int Painter::clip(const Box& box) {
  scene_.clips.push_back(box);
  return static_cast<int>(scene_.clips.size()) - 1;
}

bool Painter::is_free(const Box& box) const {
  return std::none_of(scene_.items.begin(), scene_.items.end(), [&](const SceneItem& item) {
    const auto* text = std::get_if<SceneText>(&item);
    return text && text->bounds.overlaps(box);
  });
}

}  // namespace kappascope
