#include "app/cli/report_glossary.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <variant>

#include "app/metrics.h"

namespace kappascope {
namespace {

constexpr std::string_view kUnitWords = "Unit and range:";
constexpr std::size_t kLongestUnit = 40;  // bytes of a unit that is part of a column's head

std::string text_of_block(const HelpBlock& block) {
  std::string text;
  for (const HelpWords& part : block.words) { text += part.text; }
  return text;
}

// "kappa.mean" is defined with "kappa".
std::string_view definition_of(const std::string& name) {
  const std::string_view own = metric_definition(name);
  return own.empty() ? metric_definition(name.substr(0, name.find('.'))) : own;
}

std::string without_blanks(std::string_view text) {
  while (text.starts_with(' ')) { text.remove_prefix(1); }
  while (text.ends_with(' ')) { text.remove_suffix(1); }
  return std::string(text);
}

std::vector<std::string> parts_of(std::string_view text, std::string_view gap) {
  std::vector<std::string> parts;
  for (std::size_t end; !text.empty();
       text.remove_prefix(std::min(end + gap.size(), text.size()))) {
    end = std::min(text.find(gap), text.size());
    parts.push_back(without_blanks(text.substr(0, end)));
  }
  return parts;
}

// A clause about values that are there or not, and not about the unit: "absent without a capacity".
bool is_exception(std::string_view clause) {
  for (const std::string_view start :
       {"absent", "NaN", "null", "empty", "0 ", "−1", "below", "1:"}) {
    if (clause.starts_with(start)) { return true; }
  }
  return false;
}

// What the clauses of "Unit and range" say of `name`, one of `names`: the clause that begins with
// it ("z_from, z_to: as z"), else the only one, of a section of one name the first, of several its
// own where each name has one. None that is certain: "".
std::string clause_of(const std::string& name, const std::vector<std::string>& names,
                      const std::string& text) {
  std::vector<std::string> general;
  for (const std::string& clause : parts_of(text, ";")) {
    const std::string head = clause.substr(0, clause.find(": "));
    const std::vector<std::string> about = parts_of(head, ", ");
    const auto is_about = [&](const std::string& one) {
      return std::find(about.begin(), about.end(), one) != about.end();
    };
    if (head.size() < clause.size() && is_about(name)) {
      return without_blanks(clause.substr(head.size() + 1));
    }
    const bool of_another =
        head.size() < clause.size() && std::any_of(names.begin(), names.end(), is_about);
    if (!of_another && !is_exception(clause)) { general.push_back(clause); }
  }
  if (general.empty()) { return ""; }
  if (general.size() == 1 || names.size() == 1) { return general[0]; }
  const auto at =
      static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  return general.size() == names.size() && at < names.size() ? general[at] : "";
}

// The unit of a column: "share, 0…1". "1, 0…1" has no unit but a range. What is too long for a
// column's head is left to the glossary.
std::string unit_of(const std::string& name, std::string_view definition) {
  if (name.ends_with("positive_share")) { return "share, 0…1"; }  // defined with effects
  std::vector<std::string> names;
  for (const HelpBlock& block : help_blocks(definition)) {
    std::string text = text_of_block(block);
    if (block.kind == HelpBlock::Kind::heading) { names = parts_of(text, ", "); }
    if (block.kind != HelpBlock::Kind::item || !text.starts_with(kUnitWords)) { continue; }
    text = clause_of(name, names, text.substr(kUnitWords.size()));
    text = text.substr(0, text.find(". "));
    if (text.starts_with("1, ")) { text = text.substr(3); }
    return text == "text" || text == "1" || text.size() > kLongestUnit ? "" : text;
  }
  return "";
}

std::string first_sentence(const std::string& text) {
  const std::size_t end = text.find(". ");
  return end == std::string::npos ? text : text.substr(0, end + 1);
}

GlossaryEntry entry_of(std::string_view definition) {
  GlossaryEntry entry;
  for (const HelpBlock& block : help_blocks(definition)) {
    if (block.kind == HelpBlock::Kind::heading) {
      entry.names = parts_of(text_of_block(block), ", ");
      continue;
    }
    if (entry.brief.empty()) { entry.brief = first_sentence(text_of_block(block)); }
    GlossaryBlock own{.item = block.kind == HelpBlock::Kind::item, .words = {}};
    for (const HelpWords& words : block.words) {
      own.words.push_back({words.text, static_cast<GlossaryWords::Face>(words.face)});
    }
    entry.blocks.push_back(std::move(own));
  }
  return entry;
}

class Glossary {
 public:
  // Columns of numbers have units; those that the table has already are kept.
  void see(ReportTable& table) {
    table.units.resize(table.table.columns.size());
    for (std::size_t i = 0; i < table.units.size(); ++i) {
      const Column& column = table.table.columns[i];
      const bool text = std::holds_alternative<std::vector<std::string>>(column.values);
      if (!text && table.units[i].empty()) { table.units[i] = unit(column.name); }
      see(column.name);
    }
  }
  void see(const std::string& name) {
    const std::string_view definition = definition_of(name);
    if (!definition.empty()) { used_.insert(definition); }
  }

  std::vector<GlossaryEntry> entries() const {
    std::vector<GlossaryEntry> entries;
    for (const std::string_view definition : used_) { entries.push_back(entry_of(definition)); }
    return entries;
  }

 private:
  const std::string& unit(const std::string& name) {
    const auto [found, is_new] = units_.try_emplace(name);
    if (is_new) { found->second = unit_of(name, definition_of(name)); }
    return found->second;
  }

  // All of one text: where a section begins is its place in the document.
  struct ByPlace {
    bool operator()(std::string_view a, std::string_view b) const { return a.data() < b.data(); }
  };
  std::set<std::string_view, ByPlace> used_;
  std::map<std::string, std::string> units_;
};

}  // namespace

void add_glossary(ReportDocument& document) {
  Glossary glossary;
  for (ReportPart& part : document.parts) {
    for (const ReportNumber& number : part.numbers) { glossary.see(number.metric); }
    for (ReportTable& table : part.tables) { glossary.see(table); }
    for (ReportFigure& figure : part.figures) {
      glossary.see(figure.metric);
      for (ReportTable& table : figure.tables) { glossary.see(table); }
    }
  }
  document.glossary = glossary.entries();
}

}  // namespace kappascope
