// "What it means": sections of docs/metrics.md in a window, as text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kappascope::gui {

struct Gui;

// A stretch of words in one face.
struct HelpWords {
  enum class Face { plain, bold, emphasised, code };
  std::string text;
  Face face = Face::plain;
};

// A heading, a paragraph or an item of a list, without its marks.
struct HelpBlock {
  enum class Kind { heading, paragraph, item };
  Kind kind = Kind::paragraph;
  std::vector<HelpWords> words;
};

// Reads the part of Markdown that docs/metrics.md uses: headings, paragraphs, items after "- ",
// **bold**, *emphasised*, `code`. A lone mark (2 * 3) is text.
std::vector<HelpBlock> help_blocks(std::string_view markdown);

void draw_help(Gui& gui);  // while gui.help names a metric

}  // namespace kappascope::gui
