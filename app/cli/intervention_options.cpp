#include "app/cli/intervention_options.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/error.h"

namespace kappascope {
namespace {

constexpr const char* kGroup = "Interventions";

// Of the words of --against; "off" is kappa=off, "none" no word.
std::vector<Intervention> parse_against(const std::vector<std::string>& given) {
  std::vector<Intervention> list;
  for (const std::string& words : given) {
    std::istringstream in(words);
    for (std::string word; in >> word;) {
      if (word == "none") { continue; }
      list.push_back(parse_intervention(word == "off" ? "kappa=off" : word));
    }
  }
  return in_order(std::move(list));
}

}  // namespace

void InterventionOptions::add_to(CLI::App& app, const std::string& against_help) {
  add_to(app);
  app.add_option("--against", against_, against_help)
      ->type_name("WORDS")
      ->expected(1)
      ->take_all()
      ->group(kGroup);
}

void InterventionOptions::add_to(CLI::App& app) {
  for (const EditKind& kind : edit_kinds()) {
    const char* on = kind.edit == Edit::kappa ? "; on, without a scope: as the model has it" : "";
    const std::string word = kind.edit == Edit::temperature ? temperature_word : kind.name;
    app.add_option("--" + word, edits_[kind.name], std::string(kind.help) + on)
        ->type_name(std::string(kind.value) + (kind.layers ? "[@LAYERS" : "") +
                    (kind.experts ? "[:EXPERTS]" : "") + (kind.layers ? "]" : ""))
        ->expected(1)
        ->take_all()
        ->group(kGroup);
  }
  app.add_flag("--no-capacity", no_capacity_, "--capacity off")->group(kGroup);
}

void InterventionOptions::parse() {
  for (const auto& [name, values] : edits_) {
    for (const std::string& value : values) {
      if (name == "kappa" && value == "on") {  // as the model has it, whatever was said before
        std::erase_if(list, [](const Intervention& edit) { return edit.edit == Edit::kappa; });
        continue;
      }
      list.push_back(parse_intervention(name, value));
    }
  }
  require(!no_capacity_ || edits_["capacity"].empty(), ExitCode::usage, {},
          "--no-capacity is --capacity off: give one of the two");
  if (no_capacity_) { list.push_back({.edit = Edit::capacity}); }
  list = in_order(std::move(list));
  if (!against_.empty()) { against = parse_against(against_); }
}

void InterventionOptions::check_runs_differ() const {
  require(!against || *against != list, ExitCode::usage, {}, "--against: both runs are of ",
          list.empty() ? "the model as it is" : "the same interventions",
          "; give other words, or none for the model as it is");
}

bool InterventionOptions::names(std::initializer_list<Edit> kinds) const {
  const auto any = [&](const std::vector<Intervention>& edits) {
    return std::any_of(edits.begin(), edits.end(), [&](const Intervention& one) {
      return std::find(kinds.begin(), kinds.end(), one.edit) != kinds.end();
    });
  };
  return any(list) || (against && any(*against));
}

}  // namespace kappascope
