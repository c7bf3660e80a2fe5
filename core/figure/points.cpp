#include "core/figure/points.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "core/figure/png.h"

namespace kappascope {
namespace {

constexpr double kDotRadius = 1.0;
constexpr std::size_t kMostVectorPoints = 20000;  // of a file: more are a picture
constexpr double kPicturePixels = 600 / 72.0;     // pixels a point in pictures of point clouds
constexpr std::size_t kFewDots = 4000;  // of a window: more are drawn as squares of pixels
constexpr double kDotOpacity = 0.84;    // of a window

// AxisSpan::share along an axis on the page, with the logarithms of its ends taken once: for very
// many values. NaN for no place.
class FastAxis {
 public:
  FastAxis(const AxisSpan& axis, double begin, double length)
      : log_(axis.log), low_(part(axis.low)), begin_(begin) {
    scale_ = length / (part(axis.high) - low_);
  }
  double place(double value) const { return begin_ + (part(value) - low_) * scale_; }

 private:
  double part(double value) const { return log_ ? std::log(value) : value; }
  bool log_;
  double low_, begin_, scale_;
};

// Discs stamped into an indexed picture at 600 dpi: later points cover earlier ones.
SceneImage picture(const std::vector<Point>& places, const std::vector<std::uint8_t>& indices,
                   const std::vector<Colour>& palette, const CloudPlace& place) {
  const Box& plot = place.plot;
  const auto width = static_cast<std::int64_t>(std::ceil(plot.width * kPicturePixels));
  const auto height = static_cast<std::int64_t>(std::ceil(plot.height * kPicturePixels));
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width * height), 0);
  const double scale_x = static_cast<double>(width) / plot.width;
  const double scale_y = static_cast<double>(height) / plot.height;
  const auto radius = static_cast<std::int64_t>(0.6 * kPicturePixels);
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto cx = static_cast<std::int64_t>((places[i].x - plot.x) * scale_x);
    const auto cy = static_cast<std::int64_t>((places[i].y - plot.y) * scale_y);
    for (std::int64_t v = -radius; v <= radius; ++v) {
      for (std::int64_t u = -radius; u <= radius; ++u) {
        const std::int64_t px = cx + u, py = cy + v;
        if (u * u + v * v > radius * radius || px < 0 || py < 0 || px >= width || py >= height) {
          continue;
        }
        pixels[py * width + px] = indices[i];
      }
    }
  }
  const auto row = [&](std::int64_t at, std::span<std::uint8_t> line) {
    std::copy_n(pixels.begin() + at * width, width, line.begin());
  };
  return {plot, palette_png(width, height, palette, row, SIZE_MAX, true), place.clip};
}

// Later dots cover earlier ones: of many only the last in each square of two pixels is drawn.
SceneDots seen_points(const Points& p, const CloudPlace& place, const ColourMap* colours,
                      double pixel) {
  const Box& plot = place.plot;
  const bool many = p.x.size() >= kFewDots;
  const double square = 2 * pixel;
  const auto columns = static_cast<std::size_t>(plot.width / square) + 1;
  std::vector<bool> taken(many ? columns * (static_cast<std::size_t>(plot.height / square) + 1)
                               : 0);
  const std::vector<Colour> palette = colours ? colours->palette() : std::vector<Colour>();
  SceneDots dots{{}, {}, many ? pixel : kDotRadius, kDotOpacity, place.clip};
  const FastAxis x(place.x, plot.x, plot.width), y(place.y, plot.bottom(), -plot.height);
  for (std::size_t i = p.x.size(); i-- > 0;) {
    const Point at{x.place(p.x[i]), y.place(p.y[i])};
    if (!plot.holds({at.x, at.y, 0, 0}) || (colours && !std::isfinite(p.value[i]))) { continue; }
    if (many) {
      const auto column = static_cast<std::size_t>((at.x - plot.x) / square);
      const auto row = static_cast<std::size_t>((at.y - plot.y) / square);
      std::vector<bool>::reference cell = taken[row * columns + column];
      if (cell) { continue; }
      cell = true;
    }
    dots.points.push_back(at);
    if (colours) { dots.colours.push_back(palette[colours->index(p.value[i])]); }
  }
  std::reverse(dots.points.begin(), dots.points.end());
  std::reverse(dots.colours.begin(), dots.colours.end());
  if (!colours) { dots.colours.push_back(palette_colour(p.colour)); }
  return dots;
}

// Colours of values are as they are.
void add_dots(Painter& painter, SceneDots dots, bool of_values) {
  if (of_values) {
    painter.add_as_is(std::move(dots));
  } else {
    painter.add(std::move(dots));
  }
}

}  // namespace

void draw_points(Painter& painter, const Points& p, const CloudPlace& place,
                 const ColourMap* colours) {
  const bool coloured = colours && !p.value.empty();
  if (painter.outlet().screen()) {
    const double pixel = painter.outlet().pixel;
    return add_dots(painter, seen_points(p, place, coloured ? colours : nullptr, pixel), coloured);
  }
  const Box& plot = place.plot;
  // Far outside values stop a plot's size away from it, so that coordinates stay small.
  const auto cut = [](double share) { return std::clamp(share, -1.0, 2.0); };
  std::vector<Point> places;
  std::vector<Colour> dots;
  std::vector<std::uint8_t> indices;  // of the colours in the palette of a picture
  if (!coloured) { dots.push_back(palette_colour(p.colour)); }
  for (std::size_t i = 0; i < p.x.size(); ++i) {
    const Point at{plot.x + cut(place.x.share(p.x[i])) * plot.width,
                   plot.bottom() - cut(place.y.share(p.y[i])) * plot.height};
    if (!std::isfinite(at.x) || !std::isfinite(at.y)) { continue; }
    if (coloured && !std::isfinite(p.value[i])) { continue; }
    places.push_back(at);
    indices.push_back(coloured ? colours->index(p.value[i]) : 1);
    if (coloured) { dots.push_back(colours->colour(p.value[i])); }
  }
  if (places.size() > kMostVectorPoints) {
    std::vector<Colour> palette = coloured ? colours->palette() : std::vector<Colour>(2, dots[0]);
    palette[0] = {255, 255, 255};
    return painter.add(picture(places, indices, palette, place));
  }
  const double opacity = places.size() > 2000 ? 0.5 : 0.75;
  add_dots(painter, {std::move(places), std::move(dots), kDotRadius, opacity, place.clip},
           coloured);
}

}  // namespace kappascope
