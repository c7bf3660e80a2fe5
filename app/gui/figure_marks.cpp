#include "app/gui/figure_marks.h"

#include <algorithm>
#include <cmath>

#include "app/gui/figure_keys.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

constexpr int kPaleAlpha = 56;  // of bands
constexpr std::size_t kFewDots = 4000;
constexpr int kDotAlpha = 215;

bool same(const AxisView& a, const AxisView& b) {
  return a.low == b.low && a.high == b.high && a.log == b.log && a.begin == b.begin &&
         a.end == b.end;
}

float stroke_width() {
  return std::max(1.0f, 0.1f * em());
}

class Marks {
 public:
  Marks(ImDrawList& list, const PlotPlace& place, const Theme& theme)
      : list_(list), place_(place), theme_(theme) {}

  void histogram(const Bins& bins) {
    const ImU32 colour =
        mark_colour(theme_, palette_colour(bins.colour), bins.colour < 0 ? 150 : 205);
    for (std::size_t i = 0; i < bins.counts.size(); ++i) {
      if (std::isfinite(bins.counts[i])) {
        area(x(bins.edges[i]), x(bins.edges[i + 1]), base(place_.y), y(bins.counts[i]), colour);
      }
    }
  }

  void stack(const StackedBars& stack) {
    for (std::size_t i = 0; i < stack.position.size(); ++i) {
      double sum = 0;
      for (std::size_t part = 0; part < stack.values.size(); ++part) {
        const double value = stack.values[part][i];
        if (!std::isfinite(value)) { continue; }
        area(x(stack.position[i] - stack.width / 2), x(stack.position[i] + stack.width / 2), y(sum),
             y(sum + value), mark_colour(theme_, palette_colour(stack.colours[part])));
        sum += value;
      }
    }
  }

  void bars(const Bars& bars) {
    const ImU32 colour = mark_colour(theme_, palette_colour(bars.colour));
    for (std::size_t i = 0; i < bars.position.size(); ++i) {
      if (!std::isfinite(bars.value[i])) { continue; }
      const double from = bars.position[i] - bars.width / 2, to = from + bars.width;
      if (bars.horizontal) {
        area(base(place_.x), x(bars.value[i]), y(from), y(to), colour);
      } else {
        area(x(from), x(to), base(place_.y), y(bars.value[i]), colour);
      }
    }
  }

  void violin(const Violin& violin) {
    const double most = violin.density.empty()
                            ? 0
                            : *std::max_element(violin.density.begin(), violin.density.end());
    const float middle = x(violin.position);
    if (middle < place_.box.left - place_.box.width() ||
        middle > place_.box.right + place_.box.width()) {
      return;
    }
    const ImU32 colour = mark_colour(theme_, palette_colour(violin.colour));
    if (most > 0 && std::isfinite(most)) { violin_body(violin, most, middle); }
    const auto cell = static_cast<float>(place_.x.position_pixels());
    const float width = std::min(stroke_width(), std::max(1.0f, 0.2f * cell));
    if (std::isfinite(violin.low) && std::isfinite(violin.high)) {
      list_.AddLine({middle, y(violin.low)}, {middle, y(violin.high)}, theme_.text, width);
    }
    if (std::isfinite(violin.quarter) && std::isfinite(violin.three_quarters)) {
      list_.AddLine({middle, y(violin.quarter)}, {middle, y(violin.three_quarters)}, colour,
                    std::min(0.45f * em(), 0.6f * cell));
    }
    if (std::isfinite(violin.middle)) {
      const ImVec2 at(middle, y(violin.middle));
      const float radius = std::min(0.26f * em(), 0.4f * cell);
      list_.AddCircleFilled(at, radius, theme_.paper);
      list_.AddCircleFilled(at, 0.7f * radius, theme_.text);
    }
  }

  void reference(const ReferenceLine& line) {
    const auto ends = line.vertical ? std::pair{ImVec2(x(line.value), place_.box.top),
                                                ImVec2(x(line.value), place_.box.bottom)}
                                    : std::pair{ImVec2(place_.box.left, y(line.value)),
                                                ImVec2(place_.box.right, y(line.value))};
    add_dashed(list_, {ends.first, ends.second}, theme_.quiet_text, 1, 1);
  }

  void band(const Line& line) {
    const auto [begin, end] = in_sight(line);
    const ImU32 colour = mark_colour(theme_, palette_colour(line.colour), kPaleAlpha);
    for (std::size_t i = begin; i + 1 < end && i + 1 < line.low.size(); ++i) {
      const ImVec2 corners[] = {{x(line.x[i]), y(line.low[i])},
                                {x(line.x[i + 1]), y(line.low[i + 1])},
                                {x(line.x[i + 1]), y(line.high[i + 1])},
                                {x(line.x[i]), y(line.high[i])}};
      const bool drawn = std::all_of(std::begin(corners), std::end(corners), [](ImVec2 c) {
        return std::isfinite(c.x) && std::isfinite(c.y);
      });
      if (!drawn) { continue; }
      quad(corners, colour);
    }
  }

  void line(const Line& line) {
    const bool faint = line.weight == Line::Weight::faint;
    const ImU32 colour = mark_colour(theme_, palette_colour(line.colour), faint ? 95 : 255);
    const float width = stroke_width() * (line.weight == Line::Weight::normal ? 1.15f : 0.75f);
    const auto [begin, end] = in_sight(line);
    run_.clear();
    for (std::size_t i = begin; i < end; ++i) {
      const ImVec2 at(x(line.x[i]), y(line.y[i]));
      if (std::isfinite(at.x) && std::isfinite(at.y)) {
        add_to_run(at);
        if (line.marker) { list_.AddCircleFilled(at, 0.09f * em() + width, colour); }
        continue;
      }
      end_run(colour, width, line.dash);
    }
    end_run(colour, width, line.dash);
  }

  void dots(const DotCloud& cloud) {
    const bool few = cloud.dots.size() < kFewDots;
    const float radius = few ? 0.17f * em() : 1;
    for (const DotCloud::Dot& dot : cloud.dots) {
      if (few) {
        list_.AddCircleFilled(dot.at, radius, dot.colour, 8);
      } else {
        list_.AddRectFilled({dot.at.x - radius, dot.at.y - radius},
                            {dot.at.x + radius, dot.at.y + radius}, dot.colour);
      }
    }
    for (const ImVec2& at : cloud.chosen) {
      list_.AddCircleFilled(at, 0.2f * em(), theme_.chosen);
      list_.AddCircle(at, 0.32f * em(), theme_.text, 0, 1);
    }
  }

 private:
  float x(double value) const { return pixel(place_.x, value); }
  float y(double value) const { return pixel(place_.y, value); }
  static float pixel(const AxisView& view, double value) {
    return std::isfinite(view.share(value)) ? view.pixel(value) : kNaN;
  }
  // Where bars start: zero, or the end of the axis nearest to it.
  static float base(const AxisView& view) {
    return view.pixel(view.log ? view.low : std::clamp(0.0, view.low, view.high));
  }

  void area(float x0, float x1, float y0, float y1, ImU32 colour) {
    if (!(std::isfinite(x0) && std::isfinite(x1) && std::isfinite(y0) && std::isfinite(y1))) {
      return;
    }
    // Bars thinner than a pixel would vanish between two.
    const float left = std::min(x0, x1), right = std::max({x0, x1, left + 1});
    if (right < place_.box.left || left > place_.box.right) { return; }
    list_.AddRectFilled({left, std::min(y0, y1)}, {right, std::max(y0, y1)}, colour);
  }

  // Without smoothed edges, so that no seam shows where areas meet.
  void quad(const ImVec2 (&corners)[4], ImU32 colour) {
    list_.PrimReserve(6, 4);
    list_.PrimQuadUV(corners[0], corners[1], corners[2], corners[3], white(), white(), white(),
                     white(), colour);
  }
  static ImVec2 white() { return ImGui::GetFontTexUvWhitePixel(); }

  void violin_body(const Violin& violin, double most, float middle) {
    const double half = 0.42 * place_.x.position_pixels();
    const ImU32 fill = mark_colour(theme_, palette_colour(violin.colour), 90);
    std::vector<ImVec2> left, right;
    for (std::size_t i = 0; i < violin.value.size(); ++i) {
      const auto width = static_cast<float>(half * violin.density[i] / most);
      const float at = y(violin.value[i]);
      if (!std::isfinite(at)) { continue; }
      left.push_back({middle - width, at});
      right.push_back({middle + width, at});
    }
    for (std::size_t i = 0; i + 1 < left.size(); ++i) {
      quad({left[i], left[i + 1], right[i + 1], right[i]}, fill);
    }
    left.insert(left.end(), right.rbegin(), right.rend());
    if (left.size() > 2) {
      list_.AddPolyline(left.data(), static_cast<int>(left.size()),
                        mark_colour(theme_, palette_colour(violin.colour)), 1.0f,
                        ImDrawFlags_Closed);
    }
  }

  // Samples in sight and one more at each end.
  std::pair<std::size_t, std::size_t> in_sight(const Line& line) const {
    const auto first = std::lower_bound(line.x.begin(), line.x.end(), place_.x.low);
    const auto last = std::upper_bound(line.x.begin(), line.x.end(), place_.x.high);
    const auto begin = first - line.x.begin(), end = last - line.x.begin();
    return {static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, begin - 1)),
            std::min(line.x.size(), static_cast<std::size_t>(end + 1))};
  }

  // Within a column of pixels only first, lowest, highest and last matter.
  void add_to_run(ImVec2 at) {
    const std::size_t n = run_.size();
    const auto column = [](ImVec2 p) { return std::floor(p.x); };
    if (n >= 4 && column(run_[n - 4]) == column(at) && column(run_[n - 1]) == column(at)) {
      run_[n - 1] = at;
      run_[n - 3].y = std::min(run_[n - 3].y, at.y);
      run_[n - 2].y = std::max(run_[n - 2].y, at.y);
      return;
    }
    run_.push_back(at);
  }

  void end_run(ImU32 colour, float width, int dash) {
    if (run_.size() == 1) {
      list_.AddCircleFilled(run_[0], width, colour);  // between gaps
    }
    if (run_.size() > 1) { add_dashed(list_, run_, colour, width, dash); }
    run_.clear();
  }

  ImDrawList& list_;
  const PlotPlace& place_;
  const Theme& theme_;
  std::vector<ImVec2> run_;
};

bool is_chosen(const Subject& point, const Subject& selection) {
  return selection.token >= 0 && point.token == selection.token &&
         (point.row < 0 || selection.row < 0 || point.row == selection.row);
}

// AxisView::pixel with the ends' logarithms taken once: for very many values. NaN for no place.
class FastAxis {
 public:
  explicit FastAxis(const AxisView& view)
      : log_(view.log), low_(place(view.low)), begin_(view.begin) {
    scale_ = (view.end - begin_) / (place(view.high) - low_);
  }
  float pixel(double value) const {
    return static_cast<float>(begin_ + (place(value) - low_) * scale_);
  }

 private:
  double place(double value) const { return log_ ? std::log(value) : value; }
  bool log_;
  double low_, begin_, scale_;
};

// Later dots cover earlier ones: of many only the last in each square of two pixels is drawn.
void gather(DotCloud& cloud, const PlotPlace& place, const ColourMap* colours,
            const Subject& selection, const Theme& theme) {
  const ScreenBox& box = place.box;
  cloud.dots.clear();
  cloud.chosen.clear();
  std::size_t count = 0;
  for (const Points& points : place.panel->points) { count += points.x.size(); }
  const bool many = count >= kFewDots;
  const auto columns = static_cast<std::size_t>(box.width() / 2 + 1);
  std::vector<bool> taken(many ? columns * static_cast<std::size_t>(box.height() / 2 + 1) : 0);
  const FastAxis x(place.x), y(place.y);
  const std::vector<Colour> palette = colours ? colours->palette() : std::vector<Colour>();
  for (auto points = place.panel->points.rbegin(); points != place.panel->points.rend(); ++points) {
    const bool coloured = colours && !points->value.empty();
    const ImU32 plain = mark_colour(theme, palette_colour(points->colour), kDotAlpha);
    for (std::size_t i = points->x.size(); i-- > 0;) {
      const ImVec2 at(x.pixel(points->x[i]), y.pixel(points->y[i]));
      if (!box.contains(at) || (coloured && !std::isfinite(points->value[i]))) { continue; }
      if (i < points->subjects.size() && is_chosen(points->subjects[i], selection)) {
        cloud.chosen.push_back(at);
      }
      if (many) {
        const auto column = static_cast<std::size_t>((at.x - box.left) / 2);
        const auto row = static_cast<std::size_t>((at.y - box.top) / 2);
        std::vector<bool>::reference cell = taken[row * columns + column];
        if (cell) { continue; }
        cell = true;
      }
      const ImU32 colour =
          coloured ? colour32(palette[colours->index(points->value[i])], kDotAlpha) : plain;
      cloud.dots.push_back({at, colour});
    }
  }
  std::reverse(cloud.dots.begin(), cloud.dots.end());
}

void update_cloud(DotCloud& cloud, const PlotPlace& place, const ColourMap* colours,
                  const Subject& selection, const Theme& theme) {
  const bool kept = same(cloud.x, place.x) && same(cloud.y, place.y) && cloud.dark == theme.dark &&
                    cloud.selection == selection;
  if (kept) { return; }
  cloud.box = place.box;
  cloud.x = place.x;
  cloud.y = place.y;
  cloud.dark = theme.dark;
  cloud.selection = selection;
  gather(cloud, place, colours, selection, theme);
}

}  // namespace

void draw_marks(ImDrawList& list, const PlotPlace& place, const ColourMap* colours,
                const Subject& selection, const Theme& theme, DotCloud& cloud) {
  const Panel& panel = *place.panel;
  Marks marks(list, place, theme);
  for (const Bins& bins : panel.bins) { marks.histogram(bins); }
  for (const StackedBars& stack : panel.stacks) { marks.stack(stack); }
  for (const Bars& bars : panel.bars) { marks.bars(bars); }
  for (const Violin& violin : panel.violins) { marks.violin(violin); }
  if (!panel.points.empty()) {
    update_cloud(cloud, place, colours, selection, theme);
    marks.dots(cloud);
  }
  for (const ReferenceLine& line : panel.references) { marks.reference(line); }
  for (const Line& line : panel.lines) { marks.band(line); }
  for (const bool faint : {true, false}) {
    for (const Line& line : panel.lines) {
      if ((line.weight == Line::Weight::faint) == faint) { marks.line(line); }
    }
  }
}

float reference_room(const Panel& panel) {
  float room = 0;
  for (const ReferenceLine& line : panel.references) {
    if (line.vertical || line.label.empty()) { continue; }
    room = std::max(room, text_width(plain_text(line.label), figure_font().tick) + 0.4f * em());
  }
  return room;
}

void draw_reference_labels(ImDrawList& list, const PlotPlace& place, const Theme& theme) {
  const float size = figure_font().tick;
  std::vector<std::pair<float, std::string>> labels;  // by height
  for (const ReferenceLine& line : place.panel->references) {
    const AxisView& view = line.vertical ? place.x : place.y;
    const double share = view.share(line.value);
    if (line.label.empty() || !(share >= 0 && share <= 1)) { continue; }
    const std::string text = plain_text(line.label);
    const float at = view.pixel(line.value);
    if (line.vertical) {
      add_text(list, {at - text_width(text, size) / 2, place.box.top - 1.1f * size}, size,
               theme.quiet_text, text);
    } else {
      labels.emplace_back(at - size / 2, text);
    }
  }
  std::sort(labels.begin(), labels.end());
  float free = place.box.top - size;
  for (const auto& [top, text] : labels) {
    const float y = std::max(top, free);
    add_text(list, {place.box.right + 0.3f * em(), y}, size, theme.quiet_text, text);
    free = y + size;
  }
}

}  // namespace kappascope::gui
