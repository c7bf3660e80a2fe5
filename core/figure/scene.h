// A laid-out figure: what is where, in points (1/72 inch) from the top left corner. SVG is its
// plain serialisation; tests measure it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/figure/colour.h"
#include "core/figure/text.h"

namespace kappascope {

struct Point {
  double x = 0, y = 0;
};

enum class Anchor : std::uint8_t { start, middle, end };

struct TextLook {
  double size = 7;
  Anchor anchor = Anchor::start;
  bool bold = false;
  bool upright = false;  // turned by −90°, read from below
  Colour colour = kInk;
};

struct SceneText {
  std::string text;  // plain_text already
  Point at;          // of the anchor, on the baseline
  TextLook look;
  Box bounds;  // of the ink
};

struct SceneRect {
  Box box;
  Colour fill;
};

struct ScenePath {
  std::vector<Point> points;  // NaN lifts the pen
  bool closed = false;
  std::optional<Colour> fill, stroke;
  double width = 0.5;
  int dash = 0;  // as Line::dash
  double opacity = 1;
  int clip = -1;  // index into Scene::clips; −1: none
};

struct SceneDots {
  std::vector<Point> points;
  std::vector<Colour> colours;  // one each, or one for all
  double radius = 1, opacity = 1;
  int clip = -1;
};

struct SceneImage {  // drawn without smoothing
  Box box;
  std::string png;
  int clip = -1;
};

// Items between an opening and its closing one belong together.
struct SceneGroup {
  bool opens = false;
  std::string id;     // "panel-1-legend", unlike any other of the scene
  std::string kind;   // "legend"
  std::string label;  // plain text: what the curve is called; may be ""
};

using SceneItem = std::variant<SceneRect, ScenePath, SceneDots, SceneImage, SceneText, SceneGroup>;

struct Scene {
  double width = 0, height = 0;  // points
  double width_mm = 0, height_mm = 0;
  std::string title, description;
  std::vector<std::pair<std::string, std::string>> provenance;
  std::vector<Box> clips;
  std::vector<SceneItem> items;  // from behind to the front
};

// Puts things into a scene, measuring every text on the way.
class Painter {
 public:
  Painter(Scene& scene, TextMeter& meter) : scene_(scene), meter_(meter) {}

  Box text_bounds(const std::string& text, Point at, const TextLook& look);
  Box text(const std::string& text, Point at, const TextLook& look);  // its bounds
  void line(Point from, Point to, Colour colour, double width, int dash = 0);
  void frame(const Box& box, Colour colour, double width);
  int clip(const Box& box);  // index for ScenePath::clip
  // Starts a group inside the ones that are open: `kind` and, where there are several, `number`
  // name it. Closed with nothing in it, it is left out.
  void open(const std::string& kind, std::size_t number = 0, const std::string& label = "");
  void close();
  void add(SceneItem item) { scene_.items.push_back(std::move(item)); }
  TextMeter& meter() { return meter_; }
  bool is_free(const Box& box) const;  // no text there yet
  // How much ink of dots and strokes with that clip is in the box, in points of length.
  std::size_t covered(const Box& box, int clip) const;

 private:
  Scene& scene_;
  TextMeter& meter_;
  std::vector<std::string> groups_;  // ids of the open ones
};

}  // namespace kappascope
