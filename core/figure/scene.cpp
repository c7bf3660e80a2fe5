#include "core/figure/scene.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/nan.h"

namespace kappascope {
namespace {

// Greys up to this chroma are ink or paper, which trade places in the dark.
constexpr double kNoChroma = 0.03;
constexpr double kLeastLightness = 0.68;  // of colours on dark paper

}  // namespace

Colour Paper::seen(Colour colour) const {
  if (colour == kInk) { return ink; }
  if (colour == kQuietInk || (dark && colour == palette_colour(-1))) { return quiet; }
  if (!dark) { return colour; }
  Oklab lab = to_oklab(colour);
  const bool grey = std::abs(lab.a) + std::abs(lab.b) < kNoChroma;
  lab.lightness = grey ? 1.02 - 0.9 * lab.lightness : std::max(lab.lightness, kLeastLightness);
  return from_oklab(lab);
}

Colour Paper::faded(Colour colour, double lightness, double chroma) const {
  const Oklab lab = to_oklab(dark ? seen(colour) : colour);
  const double background = dark ? to_oklab(paper).lightness : 1;
  return from_oklab(
      {background - (background - lab.lightness) * lightness, lab.a * chroma, lab.b * chroma});
}

double AxisSpan::share(double value) const {
  if (log) { return value > 0 ? std::log(value / low) / std::log(high / low) : kNaN; }
  return (value / 2 - low / 2) / (high / 2 - low / 2);
}

double AxisSpan::value(double share) const {
  return log ? low * std::pow(high / low, share) : low + share * (high - low);
}

std::span<const double> dash_pattern(int dash) {
  static constexpr std::array<double, 2> kDashed{3.2, 1.6}, kDotted{0.9, 1.4};
  static constexpr std::array<double, 4> kDashDotted{4, 1.4, 0.9, 1.4};
  switch (dash > 0 ? dash % 4 : 0) {
    case 1:
      return kDashed;
    case 2:
      return kDotted;
    case 3:
      return kDashDotted;
    default:
      return {};
  }
}

namespace {

void settle(Colour& colour, const Paper& paper) {
  colour = paper.seen(colour);
}

void put_on(SceneRect& rect, const Paper& paper) {
  settle(rect.fill, paper);
}
void put_on(ScenePath& path, const Paper& paper) {
  if (path.fill) { settle(*path.fill, paper); }
  if (path.stroke) { path.stroke = *path.stroke == kInk ? paper.axis : paper.seen(*path.stroke); }
}
void put_on(SceneDots& dots, const Paper& paper) {
  for (Colour& colour : dots.colours) { settle(colour, paper); }
}
void put_on(SceneText& text, const Paper& paper) {
  settle(text.look.colour, paper);
}
template <typename Colourless>
void put_on(Colourless&, const Paper&) {}

}  // namespace

void Painter::add(SceneItem item) {
  std::visit([this](auto& one) { put_on(one, *paper_); }, item);
  add_as_is(std::move(item));
}

Box Painter::text_bounds(const std::string& text, Point at, const TextLook& look) {
  const TextExtent extent = meter_.extent(text, look.size, look.bold);
  const double shift = look.anchor == Anchor::start    ? 0
                       : look.anchor == Anchor::middle ? extent.advance / 2
                                                       : extent.advance;
  const double along = extent.ink.x - shift;
  if (!look.upright) {
    return {at.x + along, at.y + extent.ink.y, extent.ink.width, extent.ink.height};
  }
  // (u along the text, v down) is at (x + v, y − u)
  return {at.x + extent.ink.y, at.y - along - extent.ink.width, extent.ink.height,
          extent.ink.width};
}

Box Painter::text(const std::string& text, Point at, const TextLook& look) {
  const Box bounds = text_bounds(text, at, look);
  if (!text.empty()) { add(SceneText{text, at, look, bounds}); }
  return bounds;
}

void Painter::open(const std::string& kind, std::size_t number, const std::string& label) {
  if (outlet_.screen()) { return; }
  std::string id = groups_.empty() ? kind : groups_.back() + "-" + kind;
  if (number > 0) { id += "-" + std::to_string(number); }
  groups_.push_back(id);
  add(SceneGroup{true, id, kind, plain_text(label)});
}

void Painter::close() {
  if (outlet_.screen()) { return; }
  groups_.pop_back();
  const auto* last = std::get_if<SceneGroup>(&scene_.items.back());
  if (last && last->opens) {
    scene_.items.pop_back();
  } else {
    add(SceneGroup{});
  }
}

void Painter::line(Point from, Point to, Colour colour, double width, int dash) {
  ScenePath path;
  path.points = {from, to};
  path.stroke = colour;
  path.width = width;
  path.dash = dash;
  add(std::move(path));
}

ScenePath frame_of(const Box& box) {
  ScenePath path;
  path.points = {
      {box.x, box.y}, {box.right(), box.y}, {box.right(), box.bottom()}, {box.x, box.bottom()}};
  path.closed = true;
  return path;
}

void Painter::frame(const Box& box, Colour colour, double width) {
  ScenePath path = frame_of(box);
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

namespace {

bool holds(const Box& box, Point at) {
  return at.x >= box.x && at.x <= box.right() && at.y >= box.y && at.y <= box.bottom();
}

std::size_t covered_by(const Box& box, const ScenePath& path) {
  std::size_t result = 0;
  for (std::size_t i = 1; i < path.points.size(); ++i) {
    const Point a = path.points[i - 1], b = path.points[i];
    const double length = std::hypot(b.x - a.x, b.y - a.y);
    if (!(length < 1e5)) {
      continue;  // pen lifted
    }
    const int steps = static_cast<int>(length) + 1;
    for (int k = 0; k < steps; ++k) {
      const double t = (k + 0.5) / steps;
      result += holds(box, {a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)});
    }
  }
  return result;
}

}  // namespace

std::size_t Painter::covered(const Box& box, int clip) const {
  std::size_t result = 0;
  for (const SceneItem& item : scene_.items) {
    if (const auto* path = std::get_if<ScenePath>(&item); path && path->clip == clip) {
      result += covered_by(box, *path);
    }
    if (const auto* dots = std::get_if<SceneDots>(&item); dots && dots->clip == clip) {
      for (const Point& at : dots->points) { result += 2 * holds(box, at); }
    }
  }
  return result;
}

}  // namespace kappascope
