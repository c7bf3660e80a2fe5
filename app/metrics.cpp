#include "app/metrics.h"

#include <algorithm>

#include "app/metrics_text.h"
#include "core/error.h"

namespace kappascope {
namespace {

using Face = HelpWords::Face;
using Kind = HelpBlock::Kind;

constexpr std::string_view kHeading = "\n## ";

// The names of the heading whose line break is at `at`: "a" or "a, b".
std::vector<std::string_view> names_at(std::size_t at) {
  const std::size_t begin = at + kHeading.size();
  std::string_view line = kMetricsText.substr(begin, kMetricsText.find('\n', begin) - begin);
  std::vector<std::string_view> names;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(", "), line.size());
    names.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 2, line.size()));
  }
  return names;
}

struct Mark {
  std::string_view sign;
  Face face;
};

constexpr Mark kMarks[] = {{"**", Face::bold}, {"`", Face::code}, {"*", Face::emphasised}};

void add_words(HelpBlock& block, std::string_view text, Face face) {
  if (text.empty()) { return; }
  if (!block.words.empty() && block.words.back().face == face) {
    block.words.back().text += text;
  } else {
    block.words.push_back({std::string(text), face});
  }
}

// A pair of marks encloses words, and no space follows the first or precedes the second.
void read_words(HelpBlock& block, std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Mark* found = nullptr;
    std::size_t end = 0;
    for (const Mark& mark : kMarks) {
      if (found || !text.substr(at).starts_with(mark.sign)) { continue; }
      const std::size_t begin = at + mark.sign.size();
      end = text.find(mark.sign, begin + 1);
      if (end == std::string_view::npos || text[begin] == ' ' || text[end - 1] == ' ') { continue; }
      found = &mark;
      add_words(block, text.substr(begin, end - begin), mark.face);
      at = end + mark.sign.size();
    }
    if (!found) { add_words(block, text.substr(at++, 1), Face::plain); }
  }
}

}  // namespace

std::vector<std::string_view> metric_names() {
  std::vector<std::string_view> names;
  for (std::size_t at = kMetricsText.find(kHeading); at != std::string_view::npos;
       at = kMetricsText.find(kHeading, at + 1)) {
    for (const std::string_view name : names_at(at)) { names.push_back(name); }
  }
  return names;
}

std::string_view metric_definition(std::string_view name) {
  for (std::size_t at = kMetricsText.find(kHeading); at != std::string_view::npos;
       at = kMetricsText.find(kHeading, at + 1)) {
    const std::vector<std::string_view> names = names_at(at);
    if (std::find(names.begin(), names.end(), name) == names.end()) { continue; }
    const std::size_t begin = at + 1;
    const std::size_t end =
        std::min(kMetricsText.find("\n## ", begin), kMetricsText.find("\n# ", begin));
    return kMetricsText.substr(begin, end == std::string_view::npos ? end : end - begin);
  }
  return "";
}

std::vector<HelpBlock> help_blocks(std::string_view markdown) {
  std::vector<HelpBlock> blocks;
  std::vector<std::string> texts;  // of each block, its lines joined
  bool open = false;               // the next line goes on with the last block
  while (!markdown.empty()) {
    const std::size_t end = std::min(markdown.find('\n'), markdown.size());
    std::string_view line = markdown.substr(0, end);
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
    while (line.starts_with(' ')) { line.remove_prefix(1); }
    while (line.ends_with(' ')) { line.remove_suffix(1); }
    const bool heading = line.starts_with('#'), item = line.starts_with("- ");
    if (line.empty()) {
      open = false;
    } else if (open && !heading && !item) {
      texts.back() += " " + std::string(line);
    } else {
      while (heading && line.starts_with('#')) { line.remove_prefix(1); }
      line.remove_prefix(item ? 2 : std::min(line.find_first_not_of(' '), line.size()));
      blocks.push_back({heading ? Kind::heading : item ? Kind::item : Kind::paragraph, {}});
      texts.emplace_back(line);
      open = !heading;
    }
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) { read_words(blocks[i], texts[i]); }
  return blocks;
}

}  // namespace kappascope
