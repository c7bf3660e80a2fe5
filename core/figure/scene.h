// A laid-out figure: what is where, in points (1/72 inch; of a window: see Outlet) from the top
// left corner. SVG is its plain serialisation, a window draws it; tests measure it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
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

// What figures are drawn on: its own colours of what else is kInk or kQuietInk.
struct Paper {
  bool dark = false;
  Colour paper{255, 255, 255};
  Colour ink = kInk, quiet = kQuietInk;
  Colour axis = kInk, grid{225, 225, 225};  // strokes of axes and frames; lines behind marks

  // A colour that was chosen for white paper: on dark paper it keeps its hue and gains contrast.
  Colour seen(Colour colour) const;
  // Nearer to the paper: shares of its distance in lightness and of its chroma.
  Colour faded(Colour colour, double lightness, double chroma) const;
};

// Where a scene goes, which decides how fine it is.
struct Outlet {
  double finest = 0;  // cells a point; 0: as many as there are (vector outlets)
  // For all pictures of cells together: base64 makes them a third longer, and a file stays ≤ 5 MB.
  std::size_t most_picture_bytes = 3600000;
  // Of a window: the size of a pixel in points. Then nothing that is out of sight or finer than
  // pixels is in the scene, cells are SceneCells, and no text is cut. 0: of a file.
  double pixel = 0;
  Paper paper = {};

  bool screen() const { return pixel > 0; }
  std::size_t most_lines(std::size_t of_file) const { return screen() ? SIZE_MAX : of_file; }
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

// How an area can be filled piece by piece: as it is; between its first and second half, of which
// one runs back along the other; four corners at a time.
enum class Filling : std::uint8_t { convex, strip, quads };

struct ScenePath {
  std::vector<Point> points;  // NaN lifts the pen
  bool closed = false;
  std::optional<Colour> fill, stroke;
  Filling filling = Filling::convex;
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

struct SceneCells {  // of a window: the map of a panel, of which the clip shows a part
  Box first;         // its lower left cell
  std::size_t panel = 0;
  int clip = -1;
};

// Items between an opening and its closing one belong together.
struct SceneGroup {
  bool opens = false;
  std::string id;     // "panel-1-legend", unlike any other of the scene
  std::string kind;   // "legend"
  std::string label;  // plain text: what the curve is called; may be ""
};

// The part of an axis that is in sight, from one end of the plot to the other.
struct AxisSpan {
  double low = 0, high = 1;
  bool log = false;

  double share(double value) const;  // 0 at low … 1 at high; NaN where the axis has no place
  double value(double share) const;
  bool operator==(const AxisSpan&) const = default;
};

using SceneItem =
    std::variant<SceneRect, ScenePath, SceneDots, SceneImage, SceneCells, SceneText, SceneGroup>;

// Where the axes of a panel are: for who points at its marks.
struct ScenePanel {
  Box plot;
  AxisSpan x, y;               // from left to right, from below to the top
  Box x_labels, y_labels;      // of no size where the axis has no labels
  bool empty = false;          // words instead of marks
  std::size_t first_mark = 0;  // of the scene's items; those before it are under the marks
};

struct Scene {
  double width = 0, height = 0;  // points
  double width_mm = 0, height_mm = 0;
  std::string title, description;
  std::vector<std::pair<std::string, std::string>> provenance;
  std::string font;                  // family; "": the usual one
  std::vector<std::string> caption;  // title, settings, notes: what a bare picture leaves out
  std::vector<Box> clips;
  std::vector<SceneItem> items;    // from behind to the front
  std::vector<ScenePanel> panels;  // as in the figure
};

// Lengths in points of dashes and the gaps between them, in turn; empty: an unbroken line.
std::span<const double> dash_pattern(int dash);

ScenePath frame_of(const Box& box);  // without a stroke yet

// Puts things into a scene, measuring every text on the way.
class Painter {
 public:
  Painter(Scene& scene, TextMeter& meter, const Outlet& outlet)
      : scene_(scene), meter_(meter), outlet_(outlet), paper_(&outlet.paper) {}

  Box text_bounds(const std::string& text, Point at, const TextLook& look);
  Box text(const std::string& text, Point at, const TextLook& look);  // its bounds
  void line(Point from, Point to, Colour colour, double width, int dash = 0);
  void frame(const Box& box, Colour colour, double width);
  int clip(const Box& box);  // index for ScenePath::clip
  int last_clip() const { return static_cast<int>(scene_.clips.size()) - 1; }
  // Starts a group inside the ones that are open: `kind` and, where there are several, `number`
  // name it. Closed with nothing in it, it is left out.
  void open(const std::string& kind, std::size_t number = 0, const std::string& label = "");
  void close();
  void add(SceneItem item);  // in the colours of the paper
  // In its own colours: what means a value, and what is drawn on that.
  void add_as_is(SceneItem item) { scene_.items.push_back(std::move(item)); }
  void add_panel(ScenePanel panel) { scene_.panels.push_back(std::move(panel)); }
  std::size_t panels() const { return scene_.panels.size(); }
  std::size_t items() const { return scene_.items.size(); }
  TextMeter& meter() { return meter_; }
  const Outlet& outlet() const { return outlet_; }
  const Paper& paper() const { return *paper_; }
  void use(const Paper& paper) { paper_ = &paper; }  // from now on; it is kept
  bool is_free(const Box& box) const;                // no text there yet
  // How much ink of dots and strokes with that clip is in the box, in points of length.
  std::size_t covered(const Box& box, int clip) const;

 private:
  Scene& scene_;
  TextMeter& meter_;
  const Outlet& outlet_;
  const Paper* paper_;
  std::vector<std::string> groups_;  // ids of the open ones
};

}  // namespace kappascope
