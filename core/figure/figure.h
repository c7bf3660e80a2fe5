// One description of a picture, from which the window, SVG, PDF, PNG and CSV are made.
//
// A Figure is plain data: nothing here draws, measures or computes. Texts are UTF-8 and may be
// hostile: each outlet neutralises what could change its structure. NaN means "no value" anywhere.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/nan.h"

namespace kappascope {

enum class Scale : std::uint8_t { linear, log, category };

// What a position on an axis means, so that a place in a picture leads to a part of the trace.
// A recorded layer is meant by its row of the arrays [M,…], not by its number in the model.
enum class AxisSubject : std::uint8_t { none, token, recorded_layer, expert };

struct FigureAxis {
  std::string name = {};        // "Token position"
  std::string unit = {};        // "nats"; "" when it has none (counts, shares, κ)
  Scale scale = Scale::linear;  // log: base 10
  double low = kNaN;            // ends of the axis; NaN: taken from the marks, with round ends
  double high = kNaN;           // a category axis runs from −½ to n − ½ whatever this says
  // Label of position 0, 1, … n−1: of a category axis; elsewhere not drawn, but read out with the
  // position.
  std::vector<std::string> names = {};
  // What is drawn when not every name fits: false: every 2nd, 5th, … name; true: the positions
  // themselves as numbers (`first_number` + position), because single names would mislead.
  bool number_when_crowded = false;
  std::int64_t first_number = 0;
  bool integer = false;  // linear axis of whole numbers: no ticks between them
  AxisSubject subject = AxisSubject::none;
  std::vector<std::int64_t> subjects = {};  // number of the subject at each position; empty: itself
};

enum class ColourKind : std::uint8_t { sequential, diverging, categorical };

// How values become colours, and how the colour bar explains it.
struct ColourScale {
  ColourKind kind = ColourKind::sequential;
  std::string label, unit;  // of the colour bar
  double low = kNaN;        // ends; NaN: those of the data, on both sides alike when diverging
  double high = kNaN;
  double centre = 0;                // diverging: the value that is neither (1 for κ)
  double most = kNaN;               // diverging: values cannot be larger; the bar ends there
  double palest = 0;                // sequential: place of the low end among the colours, 0 … 1
  bool integer = false;             // whole numbers: no ticks between them
  bool log = false;                 // even steps of ln value; a value ≤ 0 is `under`
  std::string low_note, high_note;  // what the ends mean: "softer gate", "sharper gate"
  bool arrows = true;               // beside these
  std::string no_value = {};        // what a NaN cell means: "dropped"
  std::string under = {};           // log: what a cell ≤ 0 means: "no token"
  // Categorical: value i has colour i of the palette; more than its kPaletteSize colours: of the
  // bar, from the first name to the last.
  std::vector<std::string> names = {};
  std::string rest = {};  // categorical: what a negative value means: "other experts"

  bool has_bar() const;  // else the legend names every colour
};

// rows × columns cells of unit size, cell (0, 0) centred at the origin of two category axes.
struct HeatMap {
  std::int64_t rows = 0, columns = 0;
  std::vector<float> cells = {};  // [rows,columns]; NaN: no value
  ColourScale colours;
  std::vector<std::uint32_t> outlined = {};  // cells drawn with a frame: row · columns + column
  std::string outline_name = {};             // what the frame means: "chosen"
  // [rows,columns] or empty: written into cells that have room, with their values behind them.
  std::vector<std::string> texts = {};
  bool number_cells = false;  // categorical: write the category's name into large cells
  std::vector<std::int16_t> experts =
      {};  // [rows,columns] that cells are about; −1: none; or empty
};

// Colours are numbers of the categorical palette; −1 is grey.
struct Line {
  std::string name = {};          // in the legend; "" leaves it out
  std::vector<double> x, y;       // x ascending
  std::vector<double> low, high;  // band around the line; empty: none
  int colour = 0;
  int dash = 0;         // 0 solid, 1 dashed, 2 dotted, 3 dash-dotted
  bool marker = false;  // a dot at each point
  enum class Weight : std::uint8_t { normal, thin, faint };
  Weight weight = Weight::normal;  // thin: one of many; faint: pale, behind the others
  bool of_band = false;            // an end of another line's band
  std::vector<std::int32_t> layers =
      {};  // of the model, at each point, where the axis is of something else; or empty
};

// A part of a trace: what a place in a picture stands for, and what is selected. −1: none. (32
// bits: a figure may have one for each of millions of points.)
struct Subject {
  std::int32_t row = -1;  // of the trace: a recorded layer in one pass
  std::int32_t token = -1, slot = -1, expert = -1;
  bool any() const { return row >= 0 || token >= 0 || slot >= 0 || expert >= 0; }
  bool operator==(const Subject&) const = default;
};

struct Points {
  std::string name = {};
  std::vector<double> x, y;
  std::vector<float> value = {};  // coloured by `colours`; empty: by `colour`
  ColourScale colours;
  int colour = 0;
  std::vector<Subject> subjects = {};  // [n] or empty
};

struct Bars {
  std::string name = {};
  std::vector<double> position, value;
  double width = 0.8;       // in units of the position
  bool horizontal = false;  // positions run along y
  int colour = 0;
};

// Shares laid on each other at each position.
struct StackedBars {
  std::vector<std::string> names = {};           // of the parts, from the bottom
  std::vector<double> position = {};             // [n]
  std::vector<std::vector<double>> values = {};  // [parts][n]
  double width = 0.8;
  std::vector<int> colours = {};  // [parts]
};

struct Violin {
  double position = 0;
  std::vector<double> value, density;             // outline: density ≥ 0 at value, any unit
  double low = kNaN, middle = kNaN, high = kNaN;  // 5 %, 50 %, 95 %
  double quarter = kNaN, three_quarters = kNaN;   // 25 %, 75 %: a thick bar
  int colour = 0;
};

struct Bins {
  std::string name = {};
  std::vector<double> edges = {};   // [n+1]
  std::vector<double> counts = {};  // [n]
  int colour = -1;
};

struct ReferenceLine {
  double value = 0;
  bool vertical = false;
  std::string label = {};
};

// One pair of axes. Marks are drawn in the order of the members below; one heat map at most.
struct Panel {
  std::string title = {};
  FigureAxis x, y;
  std::vector<HeatMap> heat_map = {};
  std::vector<Bins> bins = {};
  std::vector<StackedBars> stacks = {};
  std::vector<Bars> bars = {};
  std::vector<Violin> violins = {};
  std::vector<ReferenceLine> references = {};
  std::vector<Points> points = {};
  std::vector<Line> lines = {};
  std::string empty = {};  // instead of marks: why there are none ("every assignment was dropped")

  bool beside = false;   // to the right of the panel before, whose y axis it shares
  bool below = false;    // under the panel before, whose x axis it shares
  double share = 1;      // of the width (beside) or height (below) of that panel
  bool square = false;   // as high as wide
  double height_mm = 0;  // of the axes; 0: by kind and number of rows
};

// A column of the numbers behind a figure: row r holds values[(r / repeat) mod size], so that
// indices of long tables are stored once.
struct Column {
  std::string name;  // unit and meaning: docs/figures.md
  std::variant<std::vector<double>, std::vector<float>, std::vector<std::int64_t>,
               std::vector<std::string>>
      values;
  std::int64_t repeat = 1;
};

struct Table {
  std::int64_t rows = 0;
  std::vector<Column> columns = {};
  std::string run =
      {};  // where a figure has several: whose numbers these are, as in the file's name
};

struct Figure {
  std::string id = {};        // "kappa-tokens"
  std::string name = {};      // of its files: "router-probability-layer3"; "": the id
  std::string run = {};       // behind that, where several runs have such a figure each
  std::string title = {};     // "Sharpness κ of each token"
  std::string sample = {};    // where picture and table have a part: "200,000 of 1,500,000 points"
  std::string subtitle = {};  // model, step, settings in force
  std::vector<Panel> panels = {};       // side by side where each has room, else below each other
  std::vector<std::string> notes = {};  // small print: "approximate: …"
  std::vector<Table> tables = {};       // usually one; further ones become NAME-2.csv, …
  // The one row of the trace and the one expert that everything here is about; −1: several.
  std::int64_t row = -1, expert = -1;
  bool part_of_layers = false;  // some recorded layers alone
  // Kept inside SVG, PDF and PNG, not shown: model, text, hashes, version. Key, value; names and
  // hashes, never a path.
  std::vector<std::pair<std::string, std::string>> provenance = {};
};

enum class FigureTheme : std::uint8_t { print, grey, dark };

struct AxisEnds {
  double low = kNaN, high = kNaN;  // NaN: as the figure has it
  bool operator==(const AxisEnds&) const = default;
};

// How a figure becomes a picture. style.h has the names of all that a person can set.
struct FigureStyle {
  double width_mm = 178;  // 85 is a single column, 178 a double one
  double height_mm = 0;   // 0: as the contents need, at most most_height_mm
  double font_pt = 7;     // of axis names; ticks 1 pt less, titles 1 pt more
  bool panel_letters = false;
  bool metadata = true;  // title, description and provenance inside the files
  double dpi = 300;      // of a PNG

  std::string preset = {};    // whose demands are checked: "nature"; "": none
  double most_height_mm = 0;  // 0: 170 at 85 mm of width and less, then up to a page's 247
  bool bare = false;          // no title, caption and notes in the picture: they are its caption
  bool words = false;         // "kappa" instead of "κ"
  bool bands = true;          // around lines
  bool transparent = false;   // no background
  bool same_scale = false;    // of all figures that are written together
  FigureTheme theme = FigureTheme::print;
  std::string font = {};                 // a family that is installed; "": kUsualFont
  std::string title = {};                // "": the figure's
  std::vector<std::string> labels = {};  // "NAME=TEXT" of legend entries
  std::vector<std::string> x_labels = {}, y_labels = {};  // of each differing axis, in order
  AxisEnds values = {};                                   // of colour bars
  std::vector<AxisEnds> x_ends = {}, y_ends = {};         // as the labels
  bool operator==(const FigureStyle&) const = default;
};

}  // namespace kappascope
