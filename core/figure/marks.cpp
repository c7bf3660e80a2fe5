#include "core/figure/marks.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/figure/png.h"

namespace kappascope {
namespace {

constexpr double kDotRadius = 1.0;
constexpr double kPicturePixels = 600 / 72.0;  // pixels a point in pictures of point clouds
constexpr double kPale = 0.22;                 // opacity of bands and violins

class Marks {
 public:
  Marks(Painter& painter, const PlacedPanel& placed, const ColourMap* colours, double font)
      : painter_(painter),
        placed_(placed),
        plot_(placed.plot),
        colours_(colours),
        font_(font),
        clip_(painter.clip(placed.plot)) {}

  void draw() {
    const Panel& panel = *placed_.panel;
    group("histogram", panel.bins, [this](const Bins& h) { histogram(h); });
    group("stacks", panel.stacks, [this](const StackedBars& s) { stack(s); });
    group("bars", panel.bars, [this](const Bars& b) { bars(b); });
    group("distributions", panel.violins, [this](const Violin& v) { violin(v); });
    group("points", panel.points, [this](const Points& p) { points(p); });
    group("references", panel.references, [this](const ReferenceLine& r) { reference(r); });
    group("bands", panel.lines, [this](const Line& l) { band(l); });
    curves();
    group("labels", panel.references, [this](const ReferenceLine& r) { reference_label(r); });
  }

 private:
  template <typename Mark, typename Draw>
  void group(const char* kind, const std::vector<Mark>& marks, const Draw& draw) {
    painter_.open(kind);
    for (const Mark& mark : marks) { draw(mark); }
    painter_.close();
  }

  // Pale ones behind the others, each a group of its own.
  void curves() {
    painter_.open("curves");
    for (const bool faint : {true, false}) {
      for (std::size_t i = 0; i < placed_.panel->lines.size(); ++i) {
        const Line& l = placed_.panel->lines[i];
        if ((l.weight == Line::Weight::faint) != faint) { continue; }
        painter_.open("curve", i + 1, l.name);
        line(l);
        painter_.close();
      }
    }
    painter_.close();
  }

  // Far outside values stop a plot's size away from it, so that coordinates stay small.
  double place(double share) const { return std::clamp(share, -1.0, 2.0); }
  double x(double value) const { return plot_.x + place(placed_.x.share(value)) * plot_.width; }
  double y(double value) const {
    return plot_.bottom() - place(placed_.y.share(value)) * plot_.height;
  }
  // Where bars start: zero, or the end of the axis nearest to it.
  double base(const AxisPlan& axis) const {
    return axis.log ? axis.low : std::clamp(0.0, axis.low, axis.high);
  }

  ScenePath area(std::vector<Point> points, int colour, double opacity) const {
    ScenePath path;
    path.points = std::move(points);
    path.closed = true;
    path.fill = palette_colour(colour);
    path.opacity = opacity;
    path.clip = clip_;
    return path;
  }

  void box(double x0, double x1, double y0, double y1, int colour) {
    painter_.add(area({{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}, colour, 1));
  }

  void histogram(const Bins& h) {
    std::vector<Point> points;
    const double zero = y(base(placed_.y));
    for (std::size_t i = 0; i < h.counts.size(); ++i) {
      const double top = std::isfinite(h.counts[i]) ? y(h.counts[i]) : zero;
      points.insert(points.end(), {{x(h.edges[i]), zero},
                                   {x(h.edges[i]), top},
                                   {x(h.edges[i + 1]), top},
                                   {x(h.edges[i + 1]), zero}});
    }
    if (!points.empty()) {
      painter_.add(area(std::move(points), h.colour, h.colour < 0 ? 0.6 : 0.8));
    }
  }

  void stack(const StackedBars& s) {
    for (std::size_t i = 0; i < s.position.size(); ++i) {
      double sum = 0;
      for (std::size_t part = 0; part < s.values.size(); ++part) {
        const double value = s.values[part][i];
        if (!std::isfinite(value)) { continue; }
        box(x(s.position[i] - s.width / 2), x(s.position[i] + s.width / 2), y(sum), y(sum + value),
            s.colours[part]);
        sum += value;
      }
    }
  }

  void bars(const Bars& b) {
    for (std::size_t i = 0; i < b.position.size(); ++i) {
      if (!std::isfinite(b.value[i])) { continue; }
      const double from = b.position[i] - b.width / 2, to = b.position[i] + b.width / 2;
      if (b.horizontal) {
        box(x(base(placed_.x)), x(b.value[i]), y(from), y(to), b.colour);
      } else {
        box(x(from), x(to), y(base(placed_.y)), y(b.value[i]), b.colour);
      }
    }
  }

  void violin(const Violin& v) {
    const double most =
        v.density.empty() ? 0 : *std::max_element(v.density.begin(), v.density.end());
    const double middle = x(v.position);
    if (most > 0 && std::isfinite(most)) {
      const double half = 0.42 * plot_.width / (placed_.x.high - placed_.x.low);
      std::vector<Point> points;
      for (std::size_t i = 0; i < v.value.size(); ++i) {
        points.push_back({middle + half * v.density[i] / most, y(v.value[i])});
      }
      for (std::size_t i = v.value.size(); i-- > 0;) {
        points.push_back({middle - half * v.density[i] / most, y(v.value[i])});
      }
      ScenePath outline = area(std::move(points), v.colour, 1);
      const Colour colour = palette_colour(v.colour);
      const Oklab lab = to_oklab(colour);
      outline.fill =
          from_oklab({1 - (1 - lab.lightness) * kPale * 1.6, lab.a * 0.35, lab.b * 0.35});
      outline.stroke = colour;
      outline.width = 0.4;
      painter_.add(std::move(outline));
    }
    if (std::isfinite(v.low) && std::isfinite(v.high)) {
      stroke({{middle, y(v.low)}, {middle, y(v.high)}}, kInk, 0.8, 0);
    }
    if (std::isfinite(v.quarter) && std::isfinite(v.three_quarters)) {
      stroke({{middle, y(v.quarter)}, {middle, y(v.three_quarters)}}, palette_colour(v.colour), 3,
             0);
    }
    if (std::isfinite(v.middle)) {
      painter_.add(SceneDots{{{middle, y(v.middle)}}, {{255, 255, 255}}, 1.5, 1, clip_});
      painter_.add(SceneDots{{{middle, y(v.middle)}}, {kInk}, 1.1, 1, clip_});
    }
  }

  void stroke(std::vector<Point> points, Colour colour, double width, int dash) {
    ScenePath path;
    path.points = std::move(points);
    path.stroke = colour;
    path.width = width;
    path.dash = dash;
    path.clip = clip_;
    painter_.add(std::move(path));
  }

  void points(const Points& p) {
    const bool coloured = colours_ && !p.value.empty();
    std::vector<Point> places;
    std::vector<Colour> colours;
    std::vector<std::uint8_t> indices;  // of the colours in the palette of a picture
    if (!coloured) { colours.push_back(palette_colour(p.colour)); }
    for (std::size_t i = 0; i < p.x.size(); ++i) {
      const Point at{x(p.x[i]), y(p.y[i])};
      if (!std::isfinite(at.x) || !std::isfinite(at.y)) { continue; }
      if (coloured && !std::isfinite(p.value[i])) { continue; }
      places.push_back(at);
      indices.push_back(coloured ? colours_->index(p.value[i]) : 1);
      if (coloured) { colours.push_back(colours_->colour(p.value[i])); }
    }
    if (places.size() > kMostVectorPoints) {
      std::vector<Colour> palette =
          coloured ? colours_->palette() : std::vector<Colour>(2, colours[0]);
      palette[0] = {255, 255, 255};
      return picture(places, indices, palette);
    }
    const double opacity = places.size() > 2000 ? 0.5 : 0.75;
    painter_.add(SceneDots{std::move(places), std::move(colours), kDotRadius, opacity, clip_});
  }

  // Discs stamped into an indexed picture at 600 dpi: later points cover earlier ones.
  void picture(const std::vector<Point>& places, const std::vector<std::uint8_t>& indices,
               const std::vector<Colour>& palette) {
    const auto width = static_cast<std::int64_t>(std::ceil(plot_.width * kPicturePixels));
    const auto height = static_cast<std::int64_t>(std::ceil(plot_.height * kPicturePixels));
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width * height), 0);
    const double scale_x = static_cast<double>(width) / plot_.width;
    const double scale_y = static_cast<double>(height) / plot_.height;
    const auto radius = static_cast<std::int64_t>(0.6 * kPicturePixels);
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto cx = static_cast<std::int64_t>((places[i].x - plot_.x) * scale_x);
      const auto cy = static_cast<std::int64_t>((places[i].y - plot_.y) * scale_y);
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
    painter_.add(SceneImage{plot_, palette_png(width, height, palette, row, SIZE_MAX), clip_});
  }

  void reference(const ReferenceLine& r) {
    const double at = r.vertical ? x(r.value) : y(r.value);
    const Point from = r.vertical ? Point{at, plot_.y} : Point{plot_.x, at};
    const Point to = r.vertical ? Point{at, plot_.bottom()} : Point{plot_.right(), at};
    stroke({from, to}, kQuietInk, 0.5, 1);
  }

  // Beside the plot, where no data are, a line up or down where another label is; of a vertical
  // line inside, where nothing else is.
  void reference_label(const ReferenceLine& r) {
    if (r.label.empty()) { return; }
    const double size = tick_size(font_), at = r.vertical ? x(r.value) : y(r.value);
    if (!std::isfinite(at)) { return; }
    const std::string label = reference_text(r, font_, painter_.meter());
    std::vector<std::pair<Point, Anchor>> places;
    for (const double lines : {0.0, -1.0, 1.0}) {
      const double middle = std::clamp(at + lines * size, plot_.y, plot_.bottom());
      if (!r.vertical) {
        places.push_back({{plot_.right() + kReferenceGap, middle + 0.365 * size}, Anchor::start});
      }
    }
    if (r.vertical) {
      places = {{{at + kReferenceGap, plot_.y + size}, Anchor::start},
                {{at - kReferenceGap, plot_.y + size}, Anchor::end}};
    }
    for (const auto& [point, anchor] : places) {
      const TextLook look{size, anchor, false, false, kQuietInk};
      const Box bounds = painter_.text_bounds(label, point, look);
      if (!painter_.is_free(bounds) || painter_.covered(bounds, clip_) > 0) { continue; }
      painter_.text(label, point, look);
      return;
    }
  }

  void band(const Line& l) {
    // Runs of finite bounds, each an area of its own.
    for (std::size_t start = 0; start < l.low.size();) {
      std::size_t end = start;
      while (end < l.low.size() && std::isfinite(x(l.x[end])) && std::isfinite(y(l.low[end])) &&
             std::isfinite(y(l.high[end]))) {
        ++end;
      }
      std::vector<Point> points;
      for (std::size_t i = start; i < end; ++i) { points.push_back({x(l.x[i]), y(l.high[i])}); }
      for (std::size_t i = end; i-- > start;) { points.push_back({x(l.x[i]), y(l.low[i])}); }
      if (end - start > 1) {
        painter_.add(area(std::move(points), l.colour, kPale));
      } else if (end - start == 1) {
        stroke(std::move(points), palette_colour(l.colour), 0.6, 0);
      }
      start = std::max(end, start + 1);
    }
  }

  void line(const Line& l) {
    std::vector<Point> points, dots;
    bool alone = true;  // a point between gaps would be invisible as a line
    for (std::size_t i = 0; i < l.x.size(); ++i) {
      const Point at{x(l.x[i]), y(l.y[i])};
      const bool drawn = std::isfinite(at.x) && std::isfinite(at.y);
      points.push_back(drawn ? at : Point{kNaN, kNaN});
      const bool next = i + 1 < l.x.size() && std::isfinite(y(l.y[i + 1]));
      if (drawn && (l.marker || (alone && !next))) { dots.push_back(at); }
      alone = !drawn;
    }
    Colour colour = palette_colour(l.colour);
    const bool faint = l.weight == Line::Weight::faint;
    if (faint) {
      const Oklab lab = to_oklab(colour);
      colour = from_oklab({1 - (1 - lab.lightness) * 0.4, lab.a * 0.45, lab.b * 0.45});
    }
    const double width = faint ? 0.5 : l.weight == Line::Weight::thin ? 0.6 : 1.1;
    stroke(std::move(points), colour, width, l.dash);
    if (!dots.empty()) {
      painter_.add(SceneDots{std::move(dots), {colour}, 0.3 + width, 1, clip_});
    }
  }

  Painter& painter_;
  const PlacedPanel& placed_;
  const Box plot_;
  const ColourMap* colours_;
  double font_;
  int clip_;
};

bool any_finite(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

std::string reference_text(const ReferenceLine& line, double font, TextMeter& meter) {
  return meter.elide(plain_text(line.label), 6 * font, tick_size(font));
}

void draw_marks(Painter& painter, const PlacedPanel& placed, const ColourMap* colours,
                double font) {
  Marks(painter, placed, colours, font).draw();
}

void require_consistent(const Panel& panel) {
  bool good = true;
  const auto same = [&](std::size_t a, std::size_t b) { good = good && a == b; };
  for (const HeatMap& m : panel.heat_map) {
    same(m.cells.size(), static_cast<std::size_t>(m.rows * m.columns));
    good = good && (m.experts.empty() || m.experts.size() == m.cells.size());
    for (const std::uint32_t at : m.outlined) { good = good && at < m.cells.size(); }
  }
  for (const Line& l : panel.lines) {
    same(l.x.size(), l.y.size());
    same(l.low.size(), l.high.size());
    good = good && (l.low.empty() || l.low.size() == l.x.size());
  }
  for (const Points& p : panel.points) {
    same(p.x.size(), p.y.size());
    good = good && (p.value.empty() || p.value.size() == p.x.size());
    good = good && (p.subjects.empty() || p.subjects.size() == p.x.size());
  }
  for (const Bars& b : panel.bars) { same(b.position.size(), b.value.size()); }
  for (const StackedBars& s : panel.stacks) {
    same(s.names.size(), s.values.size());
    same(s.colours.size(), s.values.size());
    for (const auto& part : s.values) { same(part.size(), s.position.size()); }
  }
  for (const Violin& v : panel.violins) {
    good = good && (v.density.empty() || v.density.size() == v.value.size());
  }
  for (const Bins& b : panel.bins) {
    good = good && (b.counts.empty() || b.edges.size() == b.counts.size() + 1);
  }
  require(good, ExitCode::internal, {}, "panel '", panel.title,
          "': parts of a mark differ in size");
}

bool is_empty(const Panel& panel) {
  const auto shows = [](const auto& marks, const auto& test) {
    return std::any_of(marks.begin(), marks.end(), test);
  };
  const auto stacked = [](const StackedBars& s) {
    return std::any_of(s.values.begin(), s.values.end(), any_finite);
  };
  const auto cells = [](const HeatMap& m) {
    return std::any_of(m.cells.begin(), m.cells.end(), [](float v) { return std::isfinite(v); });
  };
  return !shows(panel.heat_map, cells) && !shows(panel.stacks, stacked) &&
         !shows(panel.lines, [](const Line& l) { return any_finite(l.y); }) &&
         !shows(panel.points, [](const Points& p) { return any_finite(p.y); }) &&
         !shows(panel.bars, [](const Bars& b) { return any_finite(b.value); }) &&
         !shows(panel.violins,
                [](const Violin& v) { return any_finite(v.value) || std::isfinite(v.middle); }) &&
         !shows(panel.bins, [](const Bins& h) { return any_finite(h.counts); });
}

}  // namespace kappascope
