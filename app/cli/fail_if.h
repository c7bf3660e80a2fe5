// --fail-if: thresholds on numbers, which end a command with exit code 1 when one is passed.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

// "load_cv>2": a name, one of > >= < <= == !=, a number.
struct Threshold {
  std::string text, name, sign;
  double value = 0;

  bool passed_by(double number) const;  // never by NaN
};

class Thresholds {
 public:
  // `names`: what they may name, as help says it.
  void add_to(CLI::App& app, const std::string& names);

  // Not of that form, or a name that is not among `known`: usage.
  void parse(const std::vector<std::string>& known);

  // A number and where it is of: "layer 5".
  void check(std::string_view name, double number, const std::string& where);

  // What passed a threshold, as a line: "load_cv>2: layer 5 (2.31), layer 6 (2.1)"; "" nothing did.
  std::string failures() const;

 private:
  struct Passed {
    const Threshold* threshold;
    std::string where;  // with the number
  };

  std::vector<std::string> words_;
  std::vector<Threshold> list_;
  std::vector<Passed> passed_;
};

}  // namespace kappascope
