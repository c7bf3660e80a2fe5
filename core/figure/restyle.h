// What a style changes in a figure itself, before it is laid out: names, ends, bands, words.
#pragma once

#include <string>
#include <vector>

#include "core/figure/figure.h"

namespace kappascope {

// A setting that has nothing to act on in a figure.
struct NotActing {
  std::string setting;  // "--vmin"
  std::string why;      // "it has no colour bar"
};

// Changes the figure as the style asks. Returns the settings that cannot act on it.
std::vector<NotActing> restyle(Figure& figure, const FigureStyle& style);

// Bands around more than four lines of a panel become lines at their ends. Notes that say what a
// band is begin with "Band: ".
void bands_to_lines(Figure& figure);

struct Coloured {
  ColourScale* scale;
  const std::vector<float>* values;
};
// Every scale of the panel, of the figure, that becomes a bar, with what it colours.
void add_colour_bars(std::vector<Coloured>& bars, Panel& panel);
std::vector<Coloured> colour_bars(Figure& figure);

}  // namespace kappascope
