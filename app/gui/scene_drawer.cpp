#include "app/gui/scene_drawer.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "core/error.h"

namespace kappascope::gui {
namespace {

constexpr float kPointsOfEm = 7.2f;
constexpr double kAscent = 0.76, kDepth = 0.22;  // of the size of a text, about its baseline
constexpr float kSquareDot = 1.1f;               // pixels of the radius of a dot drawn as a square

// Text has whole sizes, which Dear ImGui has glyphs of.
float text_pixels(double size, float scale) {
  return std::max(1.0f, std::round(static_cast<float>(size) * scale));
}

float width_of(const std::string& text, float pixels) {
  return ImGui::GetFont()
      ->CalcTextSizeA(pixels, FLT_MAX, 0, text.data(), text.data() + text.size())
      .x;
}

Colour colour_of(ImU32 colour) {
  const auto part = [colour](int shift) { return static_cast<std::uint8_t>(colour >> shift); };
  return {part(IM_COL32_R_SHIFT), part(IM_COL32_G_SHIFT), part(IM_COL32_B_SHIFT)};
}

bool is_level(Point a, Point b) {
  return a.x == b.x || a.y == b.y;
}

bool is_rectangle(const std::vector<Point>& points) {
  return points.size() == 4 && is_level(points[0], points[1]) && is_level(points[1], points[2]) &&
         is_level(points[2], points[3]) && is_level(points[3], points[0]);
}

class Drawer {
 public:
  Drawer(ImDrawList& list, const Scene& scene, const ScenePlace& place,
         const std::vector<std::unique_ptr<CellTiles>>& tiles)
      : list_(list), scene_(scene), place_(place), tiles_(tiles) {}

  void draw(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      std::visit(
          [this](const auto& one) {
            if constexpr (requires { one.clip; }) {
              clip(one.clip);
            } else {
              clip(-1);
            }
            put(one);
          },
          scene_.items[i]);
    }
    clip(-1);
  }

 private:
  void clip(int index) {
    if (index == clip_) { return; }
    if (clip_ >= 0) { list_.PopClipRect(); }
    clip_ = index;
    if (index < 0) { return; }
    const ScreenBox box = place_.box(scene_.clips[index]);
    list_.PushClipRect({box.left, box.top}, {box.right, box.bottom}, true);
  }

  static ImU32 colour(Colour colour, double opacity = 1) {
    return colour32(colour, static_cast<int>(std::lround(255 * opacity)));
  }

  // Between whole pixels, as frames are; something of each is seen.
  void put(const SceneRect& rect) {
    const ImVec2 low = snapped({rect.box.x, rect.box.y});
    const ImVec2 high = snapped({rect.box.right(), rect.box.bottom()});
    list_.AddRectFilled(low, {std::max(high.x, low.x + 1), std::max(high.y, low.y + 1)},
                        colour(rect.fill));
  }

  void put(const ScenePath& path) {
    if (path.fill) { fill(path, colour(*path.fill, path.opacity)); }
    if (!path.stroke) { return; }
    const ImU32 ink = colour(*path.stroke, path.opacity);
    const float width = std::max(1.0f, static_cast<float>(path.width) * place_.scale);
    if (path.closed && is_rectangle(path.points)) {
      return list_.AddRect(snapped(path.points[0]), snapped(path.points[2]), ink, 0,
                           std::round(width));
    }
    if (path.points.size() == 2 && dash_pattern(path.dash).empty() &&
        is_level(path.points[0], path.points[1])) {
      return level(path.points[0], path.points[1], ink, std::round(width));
    }
    run_.clear();
    for (const Point& point : path.points) {
      if (std::isfinite(point.x) && std::isfinite(point.y)) {
        run_.push_back(place_.at(point));
      } else {
        stroke(path, ink, width);
      }
    }
    stroke(path, ink, width);
  }

  ImVec2 snapped(Point point) const {
    return {std::round(place_.x(point.x)), std::round(place_.y(point.y))};
  }

  // Across or upright, between pixels.
  void level(Point a, Point b, ImU32 ink, float width) {
    ImVec2 low(place_.x(std::min(a.x, b.x)), place_.y(std::min(a.y, b.y)));
    ImVec2 high(place_.x(std::max(a.x, b.x)), place_.y(std::max(a.y, b.y)));
    const auto thicken = [width](float& from, float& to) {
      from = std::round(from - width / 2);
      to = from + width;
    };
    if (a.y == b.y) {
      thicken(low.y, high.y);
    } else {
      thicken(low.x, high.x);
    }
    list_.AddRectFilled(low, high, ink);
  }

  void fill(const ScenePath& path, ImU32 ink) {
    const std::vector<Point>& points = path.points;
    const std::size_t n = points.size();
    if (path.filling == Filling::quads) {
      for (std::size_t i = 0; i + 3 < n; i += 4) {
        quad(points[i], points[i + 1], points[i + 2], points[i + 3], ink);
      }
    } else if (path.filling == Filling::strip) {
      for (std::size_t i = 0; i + 1 < n / 2; ++i) {
        quad(points[i], points[i + 1], points[n - 2 - i], points[n - 1 - i], ink);
      }
    } else if (is_rectangle(points)) {
      const auto [left, right] = std::minmax(points[0].x, points[2].x);
      const auto [top, bottom] = std::minmax(points[0].y, points[2].y);
      list_.AddRectFilled(place_.at({left, top}), place_.at({right, bottom}), ink);
    } else {
      run_.clear();
      for (const Point& point : points) { run_.push_back(place_.at(point)); }
      list_.AddConvexPolyFilled(run_.data(), static_cast<int>(run_.size()), ink);
    }
  }

  // Without smoothed edges, so that no seam shows where areas meet.
  void quad(Point a, Point b, Point c, Point d, ImU32 ink) {
    for (const Point& point : {a, b, c, d}) {
      if (!std::isfinite(point.x) || !std::isfinite(point.y)) { return; }
    }
    const ImVec2 white = ImGui::GetFontTexUvWhitePixel();
    list_.PrimReserve(6, 4);
    list_.PrimQuadUV(place_.at(a), place_.at(b), place_.at(c), place_.at(d), white, white, white,
                     white, ink);
  }

  // What was gathered in run_.
  void stroke(const ScenePath& path, ImU32 ink, float width) {
    const std::span<const double> pattern = dash_pattern(path.dash);
    if (run_.size() > 1 && pattern.empty()) {
      list_.AddPolyline(run_.data(), static_cast<int>(run_.size()), ink, width,
                        path.closed ? ImDrawFlags_Closed : ImDrawFlags_None);
    } else if (run_.size() > 1) {
      dashed(pattern, ink, width);
    }
    run_.clear();
  }

  void dashed(std::span<const double> pattern, ImU32 ink, float width) {
    std::size_t part = 0;
    float left = static_cast<float>(pattern[0]) * place_.scale;  // of this part
    for (std::size_t i = 1; i < run_.size(); ++i) {
      const ImVec2 a = run_[i - 1], b = run_[i];
      const float length = std::hypot(b.x - a.x, b.y - a.y);
      for (float done = 0; done < length;) {
        const float step = std::min(left, length - done);
        const auto along = [&](float at) {
          return ImVec2(a.x + (b.x - a.x) * at / length, a.y + (b.y - a.y) * at / length);
        };
        if (part % 2 == 0) { list_.AddLine(along(done), along(done + step), ink, width); }
        done += step;
        left -= step;
        if (left > 1e-3f) { continue; }
        part = (part + 1) % pattern.size();
        left = static_cast<float>(pattern[part]) * place_.scale;
      }
    }
  }

  void put(const SceneDots& dots) {
    const float radius = static_cast<float>(dots.radius) * place_.scale;
    for (std::size_t i = 0; i < dots.points.size(); ++i) {
      const ImVec2 at = place_.at(dots.points[i]);
      const ImU32 ink = colour(dots.colours[dots.colours.size() > 1 ? i : 0], dots.opacity);
      if (radius > kSquareDot) {
        list_.AddCircleFilled(at, radius, ink, radius < 4 ? 8 : 0);
      } else {
        list_.AddRectFilled({at.x - radius, at.y - radius}, {at.x + radius, at.y + radius}, ink);
      }
    }
  }

  void put(const SceneImage&) {
    fail(ExitCode::internal, {}, "a picture of a file is in a scene for the window");
  }

  void put(const SceneCells& cells) {
    const ScreenBox first = place_.box(cells.first);
    const CellPlace where{first.left, first.bottom, cells.first.width * place_.scale,
                          cells.first.height * place_.scale};
    tiles_[cells.panel]->draw(list_, where, place_.box(scene_.clips[cells.clip]));
  }

  void put(const SceneText& text) {
    ImFont* font = ImGui::GetFont();
    const float size = text_pixels(text.look.size, place_.scale);
    const float width = width_of(text.text, size);
    const float before = text.look.anchor == Anchor::start    ? 0
                         : text.look.anchor == Anchor::middle ? width / 2
                                                              : width;
    const float ascent = font->GetFontBaked(size)->Ascent;
    const char* begin = text.text.data();
    const char* end = begin + text.text.size();
    const ImU32 ink = colour(text.look.colour);
    ImVec2 at = place_.at(text.at);
    if (!text.look.upright) {
      at = {std::round(at.x - before), std::round(at.y - ascent)};
      return list_.AddText(font, size, at, ink, begin, end);
    }
    // Written where nothing of it is cut, then turned by moving its corners.
    at = {std::round(at.x - ascent), std::round(at.y + before)};
    const ImVec2 corner = list_.GetClipRectMin();
    const ImVec2 start(std::round(corner.x), std::round(corner.y));
    const int first = list_.VtxBuffer.Size;
    list_.AddText(font, size, start, ink, begin, end);
    for (int i = first; i < list_.VtxBuffer.Size; ++i) {
      ImVec2& vertex = list_.VtxBuffer[i].pos;
      vertex = ImVec2(at.x + (vertex.y - start.y), at.y - (vertex.x - start.x));
    }
  }

  void put(const SceneGroup&) {}

  ImDrawList& list_;
  const Scene& scene_;
  const ScenePlace& place_;
  const std::vector<std::unique_ptr<CellTiles>>& tiles_;
  int clip_ = -1;
  std::vector<ImVec2> run_;
};

}  // namespace

float point_pixels() {
  return em() / kPointsOfEm;
}

Paper paper_of(const Theme& theme) {
  const Colour quiet = colour_of(theme.quiet_text), paper = colour_of(theme.paper);
  const Colour line = colour_of(theme.line);
  const auto between = [](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>((int{a} + int{b}) / 2);
  };
  return {theme.dark,
          paper,
          colour_of(theme.text),
          quiet,
          quiet,
          {between(paper.red, line.red), between(paper.green, line.green),
           between(paper.blue, line.blue)}};
}

TextExtent ScreenTextMeter::extent(const std::string& text, double size, bool) {
  const float pixels = text_pixels(size, scale_);
  const double width = width_of(text, pixels) / scale_, height = pixels / scale_;
  return {{0, -kAscent * height, width, (kAscent + kDepth) * height}, width};
}

void draw_scene(ImDrawList& list, const Scene& scene, std::size_t begin, std::size_t end,
                const ScenePlace& place, const std::vector<std::unique_ptr<CellTiles>>& tiles) {
  Drawer(list, scene, place, tiles).draw(begin, end);
}

}  // namespace kappascope::gui
