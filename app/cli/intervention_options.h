// The words of the verbs that change a model while it runs: interventions and --against.
#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/engine/interventions.h"

namespace kappascope {

struct InterventionOptions {
  std::vector<Intervention> list;  // in order of application
  // Those of the run that this one is compared with; absent: with none.
  std::optional<std::vector<Intervention>> against;

  // What --temperature of soft routing is called where that word is taken.
  std::string temperature_word = "temperature";

  // Each may be given several times; what is of one kind applies as given.
  void add_to(CLI::App& app, const std::string& against_help);
  void add_to(CLI::App& app);  // without --against
  // Fills both lists. Errors: usage.
  void parse();
  // The same words on both sides: usage.
  void check_runs_differ() const;
  // Whether one of either list is of these kinds.
  bool names(std::initializer_list<Edit> kinds) const;

 private:
  // Words of --kappa-mul and the like as they were given, by kind.
  std::map<std::string, std::vector<std::string>> edits_;
  bool no_capacity_ = false;
  std::vector<std::string> against_;
};

}  // namespace kappascope
