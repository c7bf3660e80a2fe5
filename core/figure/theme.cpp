#include "core/figure/theme.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
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

int clip_of(const SceneItem& item) {
  if (const auto* path = std::get_if<ScenePath>(&item)) { return path->clip; }
  if (const auto* dots = std::get_if<SceneDots>(&item)) { return dots->clip; }
  return -1;
}

}  // namespace

void apply_theme(Scene& scene, FigureTheme theme) {
  if (theme == FigureTheme::print) { return; }
  const Recoloured recoloured(theme == FigureTheme::dark ? on_dark : in_grey);
  for (SceneItem& item : scene.items) { std::visit(recoloured, item); }
}

void make_opaque(Scene& scene) {
  std::map<int, std::vector<SceneItem>> behind;  // by clip: areas, then their outlines
  std::map<int, std::vector<SceneItem>> outlines;
  std::vector<SceneItem> items;
  for (SceneItem& item : scene.items) {
    if (auto* dots = std::get_if<SceneDots>(&item)) { dots->opacity = 1; }
    auto* path = std::get_if<ScenePath>(&item);
    if (path && path->fill && path->opacity < 1) {
      outlines[path->clip].push_back(outline_of(*path));
      path->fill = on_white(*path->fill, path->opacity);
      path->opacity = 1;
      behind[path->clip].push_back(std::move(item));
    } else {
      items.push_back(std::move(item));
    }
  }
  scene.items.clear();
  for (SceneItem& item : items) {
    const int clip = clip_of(item);
    for (auto* areas : {&behind, &outlines}) {
      std::vector<SceneItem>& first = (*areas)[clip];  // nothing with this clip was drawn before
      if (clip < 0) { continue; }
      std::move(first.begin(), first.end(), std::back_inserter(scene.items));
      first.clear();
    }
    scene.items.push_back(std::move(item));
  }
  for (auto* areas : {&behind, &outlines}) {  // of a plot without anything else
    for (auto& [clip, left] : *areas) {
      std::move(left.begin(), left.end(), std::back_inserter(scene.items));
    }
  }
}

}  // namespace kappascope
