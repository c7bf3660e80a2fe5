#include "app/acting.h"

#include <algorithm>

#include "core/error.h"

namespace kappascope {
namespace {

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 5;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMost; ++i) {
    text += (i ? ", " : "") + names[i];
  }
  return names.size() <= kMost ? text : text + join_words(" and ", names.size() - kMost, " more");
}

}  // namespace

void Acting::idle(const std::string& word, const std::string& figure, const std::string& why) {
  Idle& idle = idle_[word];
  if (idle.figures.empty()) { idle.why = why; }
  ++idle.figures[figure];
}

void Acting::not_kept(const std::string& demand, const std::string& figure) {
  std::vector<std::string>& figures = not_kept_[demand];
  if (std::find(figures.begin(), figures.end(), figure) == figures.end()) {
    figures.push_back(figure);
  }
}

std::vector<std::string> Acting::lines() const {
  std::vector<std::string> lines;
  std::string said;
  for (const auto& [word, idle] : idle_) {
    std::vector<std::string> figures;
    for (const auto& [figure, times] : idle.figures) {
      if (times >= drawn_.at(figure)) { figures.push_back(figure); }
    }
    const bool nowhere = figures.size() == drawn_.size();
    require(!nowhere || in_file_.count(word.substr(0, word.find(' '))) > 0, ExitCode::usage, {},
            word, drawn_.size() == 1 ? " cannot act on " : " can act on none of ", listed(figures),
            ": ", idle.why);
    if (figures.empty()) { continue; }
    said += (said.empty() ? "" : "; ") + word + " does not act on " + listed(figures);
  }
  if (!said.empty()) { lines.push_back(said); }
  for (const auto& [demand, figures] : not_kept_) {
    lines.push_back("not kept: " + demand + ": " + listed(figures));
  }
  return lines;
}

}  // namespace kappascope
