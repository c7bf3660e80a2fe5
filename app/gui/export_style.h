// The look of exported figures: what the dialog and style files set.
#pragma once

#include <map>
#include <string>

#include "core/figure/style.h"

namespace kappascope::gui {

// What was typed into the dialog's fields, a line for each time that a setting is given; of toggles
// "true". Width, height, sizes and metadata have widgets of their own, which set the style itself.
struct TypedStyle {
  std::map<std::string, std::string> text;  // by the setting's name
  std::string file;                         // a style file, as typed
  std::string problem;                      // why what was typed is not taken
  std::string said;                         // what became of the file
};

// Draws the fields; changes `style` where what was typed can be read.
void draw_style(TypedStyle& typed, FigureStyle& style);

// From and to a file. What went wrong is in `problem`; then `style` is as it was.
void read_style_file(TypedStyle& typed, FigureStyle& style);
void write_style_file(TypedStyle& typed, const FigureStyle& style);

// The options that make the style on a command line, each with a blank in front; `png`: the
// resolution too.
std::string style_options(const FigureStyle& style, bool png);

}  // namespace kappascope::gui
