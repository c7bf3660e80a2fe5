#include "app/cli/fail_if.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "app/cli/command_line.h"
#include "core/error.h"

namespace kappascope {
namespace {

constexpr const char* kSigns = "<>=!";
constexpr const char* kBlanks = " \t";
constexpr std::size_t kMostPlaces = 8;  // named for one threshold; of more their number is said

Threshold parsed(const std::string& text) {
  Threshold threshold;
  threshold.text = text;
  const std::size_t begin = text.find_first_of(kSigns);
  const std::size_t end = begin == text.npos ? begin : text.find_first_not_of(kSigns, begin);
  const std::string number(end == text.npos ? ""
                                            : trimmed(std::string_view(text).substr(end), kBlanks));
  char* rest = nullptr;
  threshold.value = std::strtod(number.c_str(), &rest);
  if (begin != text.npos) { threshold.sign = text.substr(begin, end - begin); }
  threshold.name = trimmed(std::string_view(text).substr(0, begin), kBlanks);
  const char* signs[] = {">", ">=", "<", "<=", "==", "!="};
  const bool sign =
      std::find(std::begin(signs), std::end(signs), threshold.sign) != std::end(signs);
  require(sign && !number.empty() && *rest == '\0' && std::isfinite(threshold.value),
          ExitCode::usage, {},
          "--fail-if: expected a name, one of > >= < <= == != and a number, as in "
          "load_cv>2; found '",
          text, "'");
  return threshold;
}

}  // namespace

bool Threshold::passed_by(double number) const {
  if (std::isnan(number)) { return false; }
  if (sign == ">") { return number > value; }
  if (sign == ">=") { return number >= value; }
  if (sign == "<") { return number < value; }
  if (sign == "<=") { return number <= value; }
  return sign == "==" ? number == value : number != value;
}

void Thresholds::add_to(CLI::App& app, const std::string& names) {
  app.add_option("--fail-if", words_, "exit with 1 where a number passes a threshold: " + names)
      ->option_text("EXPR")
      ->expected(1)
      ->take_all();
}

void Thresholds::parse(const std::vector<std::string>& known) {
  for (const std::string& words : words_) {
    for (std::size_t first = 0; first <= words.size();) {
      const std::size_t end = std::min(words.find(',', first), words.size());
      const std::string_view word = std::string_view(words).substr(first, end - first);
      list_.push_back(parsed(std::string(trimmed(word, kBlanks))));
      first = end + 1;
    }
  }
  for (const Threshold& threshold : list_) {
    const bool found = std::find(known.begin(), known.end(), threshold.name) != known.end();
    require(found, ExitCode::usage, {}, "--fail-if: expected one of ",
            CLI::detail::join(known, ", "), "; found '", threshold.name, "'");
  }
}

void Thresholds::check(std::string_view name, double number, const std::string& where) {
  for (const Threshold& threshold : list_) {
    if (threshold.name != name || !threshold.passed_by(number)) { continue; }
    char text[64];
    std::snprintf(text, sizeof text, " (%.6g)", number);
    passed_.push_back({&threshold, where + text});
  }
}

std::string Thresholds::failures() const {
  std::string line;
  for (const Threshold& threshold : list_) {
    std::string places;
    std::size_t count = 0;
    for (const Passed& passed : passed_) {
      if (passed.threshold != &threshold) { continue; }
      if (++count <= kMostPlaces) { places += (count == 1 ? "" : ", ") + passed.where; }
    }
    if (count == 0) { continue; }
    if (count > kMostPlaces) { places += join_words(" and ", count - kMostPlaces, " more"); }
    line += (line.empty() ? "" : "; ") + threshold.text + ": " + places;
  }
  return line;
}

}  // namespace kappascope
