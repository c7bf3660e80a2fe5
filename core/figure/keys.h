// What explains colours and strokes: the legend above a plot, the colour bar below it.
#pragma once

#include <string>
#include <vector>

#include "core/figure/cells.h"
#include "core/figure/figure.h"
#include "core/figure/scene.h"
#include "core/figure/ticks.h"

namespace kappascope {

// One entry of a legend.
struct Key {
  enum class Sign : std::uint8_t { line, dots, area, hatched, framed };
  Sign sign = Sign::line;
  Colour colour;
  int dash = 0;
  std::string name;
  bool of_cells = false;  // the colour means a value
  bool operator==(const Key&) const = default;
};

// Entries of all marks of `panels` that have a name, each name once. `colours`: of the panel with
// cells or coloured points, may be null.
std::vector<Key> keys_of(const std::vector<const Panel*>& panels, const ColourMap* colours);

// Legend entries in rows of at most `width` points.
struct LegendPlan {
  struct Entry {
    Key key;
    std::vector<std::string> lines;  // of its name
    double x = 0;
    int row = 0;
  };
  std::vector<Entry> entries;
  int rows = 0;
  double height(double font) const { return rows * 1.35 * font; }
};

// Names that are wider than that are cut, or wrapped where `most_lines` allows it.
LegendPlan plan_legend(const std::vector<Key>& keys, double width, double font, TextMeter& meter,
                       std::size_t most_lines);
void draw_legend(Painter& painter, const LegendPlan& plan, Point top_left, double font);

// A slim bar with ticks, its label, and what its ends mean.
struct BarPlan {
  double width = 0;  // of the bar
  std::vector<Tick> ticks;
  std::vector<double> minor;       // of a logarithmic bar
  std::vector<std::string> label;  // lines
  std::string low_note, high_note;
  bool notes_apart = false;  // on a line of their own
  double shift = 0;          // of the label, from the middle of the bar
  double height(double font) const;
};

// What a bar and its words may take, in points.
struct BarRoom {
  double width = 0;              // of the bar, which takes at most 200 of them
  double before = 0, after = 0;  // that the label may extend beyond that
  std::size_t most_lines = 3;    // of the label; more: notes are whole or left out
  bool notes = true;
};
BarPlan plan_bar(const ColourScale& scale, const ColourMap& colours, const BarRoom& room,
                 double font, TextMeter& meter);
void draw_bar(Painter& painter, const BarPlan& plan, const ColourMap& colours, Point top_middle,
              double font);

}  // namespace kappascope
