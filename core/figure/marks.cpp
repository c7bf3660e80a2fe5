#include "core/figure/marks.h"

#include <algorithm>
#include <cmath>

#include "core/figure/points.h"

namespace kappascope {
namespace {

constexpr double kPale = 0.22;                  // opacity of bands and violins
constexpr std::size_t kMostLinePoints = 20000;  // of a file: of more, what 600 dpi can show
constexpr double kFileColumn = 72 / 600.0;      // pt

class Marks {
 public:
  Marks(Painter& painter, const PlacedPanel& placed, const ColourMap* colours, double font)
      : painter_(painter),
        placed_(placed),
        plot_(placed.plot),
        colours_(colours),
        font_(font),
        clip_(painter.clip(placed.plot)),
        screen_(painter.outlet().screen()),
        pixel_(painter.outlet().pixel) {}

  void draw() {
    const Panel& panel = *placed_.panel;
    group("histogram", panel.bins, [this](const Bins& h) { histogram(h); });
    group("stacks", panel.stacks, [this](const StackedBars& s) { stack(s); });
    group("bars", panel.bars, [this](const Bars& b) { bars(b); });
    group("distributions", panel.violins, [this](const Violin& v) { violin(v); });
    group("points", panel.points, [this](const Points& p) {
      draw_points(painter_, p, {plot_, placed_.x, placed_.y, clip_}, colours_);
    });
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
    // Bars thinner than a pixel would vanish between two.
    if (std::abs(x1 - x0) < pixel_) { x1 = x0 + pixel_; }
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
    if (points.empty()) { return; }
    ScenePath bins = area(std::move(points), h.colour, h.colour < 0 ? 0.6 : 0.8);
    bins.filling = Filling::quads;
    painter_.add(std::move(bins));
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
    const double middle = x(v.position);
    if (screen_ && (middle < plot_.x - plot_.width || middle > plot_.right() + plot_.width)) {
      return;
    }
    const double cell = plot_.width / (placed_.x.high - placed_.x.low);
    violin_body(v, middle, 0.42 * cell);
    if (std::isfinite(v.low) && std::isfinite(v.high)) {
      stroke({{middle, y(v.low)}, {middle, y(v.high)}}, kInk, 0.8, 0);
    }
    if (std::isfinite(v.quarter) && std::isfinite(v.three_quarters)) {
      stroke({{middle, y(v.quarter)}, {middle, y(v.three_quarters)}}, palette_colour(v.colour),
             std::min(3.0, 0.6 * cell), 0);
    }
    if (std::isfinite(v.middle)) {
      const double size = std::min(1.0, 0.27 * cell);
      const auto dot = [&](Colour colour, double radius) {
        painter_.add(SceneDots{{{middle, y(v.middle)}}, {colour}, radius * size, 1, clip_});
      };
      dot({255, 255, 255}, 1.5);
      dot(kInk, 1.1);
    }
  }

  void violin_body(const Violin& v, double middle, double half) {
    const double most =
        v.density.empty() ? 0 : *std::max_element(v.density.begin(), v.density.end());
    if (!(most > 0) || !std::isfinite(most)) { return; }
    std::vector<Point> points;
    for (std::size_t i = 0; i < v.value.size(); ++i) {
      points.push_back({middle + half * v.density[i] / most, y(v.value[i])});
    }
    for (std::size_t i = v.value.size(); i-- > 0;) {
      points.push_back({middle - half * v.density[i] / most, y(v.value[i])});
    }
    ScenePath outline = area(std::move(points), v.colour, 1);
    const Paper& paper = painter_.paper();
    const Colour colour = palette_colour(v.colour);
    outline.fill = paper.faded(colour, kPale * 1.6, 0.35);
    outline.stroke = paper.seen(colour);
    outline.filling = Filling::strip;
    outline.width = 0.4;
    painter_.add_as_is(std::move(outline));
  }

  void stroke(std::vector<Point> points, Colour colour, double width, int dash) {
    painter_.add(stroked(std::move(points), colour, width, dash));
  }

  ScenePath stroked(std::vector<Point> points, Colour colour, double width, int dash) const {
    ScenePath path;
    path.points = std::move(points);
    path.stroke = colour;
    path.width = width;
    path.dash = dash;
    path.clip = clip_;
    return path;
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
    if (screen_ && !(at >= (r.vertical ? plot_.x : plot_.y) &&
                     at <= (r.vertical ? plot_.right() : plot_.bottom()))) {
      return;
    }
    const std::string label = reference_text(r, font_, painter_.meter(), screen_);
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
      const Paper& inside = painter_.paper();
      if (!r.vertical) { painter_.use(painter_.outlet().paper); }
      painter_.text(label, point, look);
      painter_.use(inside);
      return;
    }
  }

  // Samples of a line from the last one before the plot to the first one behind it; of a file all.
  std::pair<std::size_t, std::size_t> in_sight(const Line& l) const {
    if (!screen_) { return {0, l.x.size()}; }
    const auto first = std::lower_bound(l.x.begin(), l.x.end(), placed_.x.low) - l.x.begin();
    const auto last = std::upper_bound(l.x.begin(), l.x.end(), placed_.x.high) - l.x.begin();
    return {static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, first - 1)),
            std::min(l.x.size(), static_cast<std::size_t>(last + 1))};
  }

  void band(const Line& l) {
    if (l.low.empty()) { return; }
    const auto [begin, stop] = in_sight(l);
    // Runs of finite bounds, each an area of its own.
    for (std::size_t start = begin; start < stop;) {
      std::size_t end = start;
      while (end < stop && std::isfinite(x(l.x[end])) && std::isfinite(y(l.low[end])) &&
             std::isfinite(y(l.high[end]))) {
        ++end;
      }
      std::vector<Point> points;
      for (std::size_t i = start; i < end; ++i) { points.push_back({x(l.x[i]), y(l.high[i])}); }
      for (std::size_t i = end; i-- > start;) { points.push_back({x(l.x[i]), y(l.low[i])}); }
      if (end - start > 1) {
        ScenePath between = area(std::move(points), l.colour, kPale);
        between.filling = Filling::strip;
        painter_.add(std::move(between));
      } else if (end - start == 1) {
        stroke(std::move(points), palette_colour(l.colour), 0.6, 0);
      }
      start = std::max(end, start + 1);
    }
  }

  void line(const Line& l) {
    std::vector<Point> points, dots;
    bool alone = true;  // a point between gaps would be invisible as a line
    const auto [begin, end] = in_sight(l);
    // In a file a line of few points keeps all of them.
    const bool merging = screen_ || end - begin > kMostLinePoints;
    const double width_of_column = screen_ ? pixel_ : kFileColumn;
    for (std::size_t i = begin; i < end; ++i) {
      const Point at{x(l.x[i]), y(l.y[i])};
      const bool drawn = std::isfinite(at.x) && std::isfinite(at.y);
      if (!merging || !merged(points, at, drawn, width_of_column)) {
        points.push_back(drawn ? at : Point{kNaN, kNaN});
      }
      const bool next = i + 1 < end && std::isfinite(y(l.y[i + 1]));
      if (drawn && (l.marker || (alone && !next))) { dots.push_back(at); }
      alone = !drawn;
    }
    const Paper& paper = painter_.paper();
    Colour colour = paper.seen(palette_colour(l.colour));
    const bool faint = l.weight == Line::Weight::faint;
    if (faint) { colour = paper.faded(palette_colour(l.colour), 0.4, 0.45); }
    const double width = faint ? 0.5 : l.weight == Line::Weight::thin ? 0.6 : 1.1;
    ScenePath path = stroked(std::move(points), colour, width, l.dash);
    painter_.add_as_is(std::move(path));
    if (!dots.empty()) {
      painter_.add_as_is(SceneDots{std::move(dots), {colour}, 0.3 + width, 1, clip_});
    }
  }

  // Within a column of pixels only the first, lowest, highest and last point matter: takes `at`
  // into the last four where they are in its column.
  static bool merged(std::vector<Point>& points, Point at, bool drawn, double pixel) {
    const std::size_t n = points.size();
    if (!drawn || n < 4) { return false; }
    const auto column = [pixel](Point p) { return std::floor(p.x / pixel); };
    for (std::size_t i = n - 4; i < n; ++i) {
      if (!(column(points[i]) == column(at))) { return false; }
    }
    const auto [low, high] = std::minmax({points[n - 3].y, points[n - 2].y, points[n - 1].y, at.y});
    points[n - 3].y = low;
    points[n - 2].y = high;
    points[n - 1] = at;
    return true;
  }

  Painter& painter_;
  const PlacedPanel& placed_;
  const Box plot_;
  const ColourMap* colours_;
  double font_;
  int clip_;
  bool screen_;
  double pixel_;
};

}  // namespace

std::string reference_text(const ReferenceLine& line, double font, TextMeter& meter, bool whole) {
  const std::string text = plain_text(line.label);
  return whole ? text : meter.elide(text, 8 * font, tick_size(font));
}

void draw_marks(Painter& painter, const PlacedPanel& placed, const ColourMap* colours,
                double font) {
  Marks(painter, placed, colours, font).draw();
}

}  // namespace kappascope
