#include "core/figure/rename_runs.h"

namespace kappascope {
namespace {

bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || (c & 0x80) != 0;
}

// The longest of the names that is a word of its own at `place`; −1: none.
std::ptrdiff_t name_at(const std::string& text, std::size_t place,
                       const std::vector<std::string>& names) {
  std::ptrdiff_t best = -1;
  if (place > 0 && letter(text[place - 1])) { return best; }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    const std::size_t end = place + name.size();
    const bool here = !name.empty() && text.compare(place, name.size(), name) == 0 &&
                      (end == text.size() || !letter(text[end]));
    const bool longer = best < 0 || name.size() > names[static_cast<std::size_t>(best)].size();
    if (here && longer) { best = static_cast<std::ptrdiff_t>(i); }
  }
  return best;
}

void rename(std::string& text, const std::vector<std::string>& names,
            const std::vector<std::string>& labels) {
  std::string renamed;
  for (std::size_t place = 0; place < text.size();) {
    const std::ptrdiff_t found = name_at(text, place, names);
    if (found < 0) {
      renamed += text[place++];
      continue;
    }
    renamed += labels[static_cast<std::size_t>(found)];
    place += names[static_cast<std::size_t>(found)].size();
  }
  text = std::move(renamed);
}

}  // namespace

void rename_runs(Figure& figure, const std::vector<std::string>& names,
                 const std::vector<std::string>& labels) {
  rename(figure.subtitle, names, labels);
  for (std::string& note : figure.notes) { rename(note, names, labels); }
  for (Panel& panel : figure.panels) {
    for (Line& line : panel.lines) { rename(line.name, names, labels); }
  }
  for (Table& table : figure.tables) {
    for (Column& column : table.columns) {
      auto* texts = std::get_if<std::vector<std::string>>(&column.values);
      if (column.name != "run" || texts == nullptr) { continue; }
      for (std::string& text : *texts) { rename(text, names, labels); }
    }
  }
}

}  // namespace kappascope
