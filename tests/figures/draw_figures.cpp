// Draws every figure of the catalogue for looking at and for the checks beside this file:
//   draw_figures FOLDER WIDTH_MM svg,pdf,png,csv TRACE [TRACE…]
#include <filesystem>
#include <iostream>
#include <sstream>

#include "core/error.h"
#include "core/figure/catalogue.h"
#include "core/figure/render.h"

using namespace kappascope;

namespace {

std::vector<FigureFormat> formats_of(const std::string& words) {
  std::vector<FigureFormat> formats;
  std::istringstream in(words);
  for (std::string word; std::getline(in, word, ',');) {
    const auto format = figure_format(word);
    require(format.has_value(), ExitCode::usage, {}, "'", word, "' is no figure format");
    formats.push_back(*format);
  }
  return formats;
}

void draw(int count, char** words) {
  require(count >= 5, ExitCode::usage, {}, "draw_figures FOLDER WIDTH_MM FORMAT,… TRACE…");
  const std::filesystem::path folder = words[1];
  FigureStyle style;
  style.width_mm = std::stod(words[2]);
  style.dpi = 200;
  std::vector<Trace> traces;
  for (int i = 4; i < count; ++i) traces.push_back(open_trace(words[i]));
  std::vector<const Trace*> pointers;
  for (const Trace& trace : traces) pointers.push_back(&trace);
  std::filesystem::create_directories(folder);
  TextMeter meter;
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::size_t shown = entry.several ? pointers.size() : 1;
    const Figure figure = entry.make(Traces(pointers).first(shown), {});
    write_figure(figure, style, formats_of(words[3]), folder, &meter);
  }
}

}  // namespace

int main(int count, char** words) try {
  draw(count, words);
  return 0;
} catch (const Error& error) {
  std::cerr << "draw_figures: " << error.what() << "\n";
  return static_cast<int>(error.code());
}
