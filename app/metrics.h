// What each number means: docs/metrics.md as it was when this was built.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

// Every array, column and key, in the document's order. A heading may name several.
std::vector<std::string_view> metric_names();

// The section of a metric, from its heading to the next; "" for an unknown name.
std::string_view metric_definition(std::string_view name);

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

}  // namespace kappascope
