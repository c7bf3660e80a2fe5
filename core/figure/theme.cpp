#include "core/figure/theme.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "core/figure/png.h"

namespace kappascope {
namespace {

class Recoloured {
 public:
  explicit Recoloured(std::function<Colour(Colour)> other) : other_(std::move(other)) {}

  void operator()(SceneRect& rect) const { change(rect.fill); }
  void operator()(SceneText& text) const { change(text.look.colour); }
  void operator()(SceneImage& image) const { recolour(image.png, other_); }
  template <typename Item>
  void operator()(Item&) const {}  // has no colour
  void operator()(SceneDots& dots) const {
    for (Colour& colour : dots.colours) { change(colour); }
  }
  void operator()(ScenePath& path) const {
    if (path.fill) { change(*path.fill); }
    if (path.stroke) { change(*path.stroke); }
  }

 private:
  void change(Colour& colour) const { colour = other_(colour); }
  std::function<Colour(Colour)> other_;
};

// The outline of a pale area that another one may cover, as a path of its own.
ScenePath outline_of(const ScenePath& area) {
  ScenePath outline = area;
  outline.stroke = area.fill;
  outline.fill.reset();
  outline.opacity = 1;
  outline.width = 0.4;
  return outline;
}

}  // namespace

void apply_theme(Scene& scene, FigureTheme theme) {
  if (theme == FigureTheme::print) { return; }
  const Recoloured recoloured(theme == FigureTheme::dark ? on_dark : in_grey);
  for (SceneItem& item : scene.items) { std::visit(recoloured, item); }
}

void make_opaque(Scene& scene) {
  std::vector<SceneItem> items;
  std::vector<ScenePath> outlines;
  for (SceneItem& item : scene.items) {
    auto* path = std::get_if<ScenePath>(&item);
    const bool pale = path && path->fill && path->opacity < 1;
    if (!pale) {  // the areas are drawn one after the other
      std::move(outlines.begin(), outlines.end(), std::back_inserter(items));
      outlines.clear();
    }
    if (auto* dots = std::get_if<SceneDots>(&item)) { dots->opacity = 1; }
    if (pale) {
      outlines.push_back(outline_of(*path));
      path->fill = on_white(*path->fill, path->opacity);
      path->opacity = 1;
    }
    items.push_back(std::move(item));
  }
  scene.items = std::move(items);
}

}  // namespace kappascope
