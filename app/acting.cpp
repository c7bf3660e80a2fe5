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
  Idle& idle = idle_[word][figure];
  if (idle.times == 0) { idle.why = why; }
  ++idle.times;
}

void Acting::not_kept(const std::string& demand, const std::string& figure) {
  std::vector<std::string>& figures = not_kept_[demand];
  if (std::find(figures.begin(), figures.end(), figure) == figures.end()) {
    figures.push_back(figure);
  }
}

// Of a word that acts on no figure, with each reason and the figures that it holds for.
std::string Acting::nowhere(const std::string& word,
                            const std::map<std::string, Idle>& figures) const {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const auto& [figure, idle] : figures) { by_reason[idle.why].push_back(figure); }
  std::string text = word;
  if (figures.size() == 1) {
    text += " cannot act on ";
  } else {
    text += by_reason.size() == 1 ? " can act on none of " : " can act on none: ";
  }
  bool first = true;
  for (const auto& [why, names] : by_reason) {
    text += join_words(first ? "" : "; ", listed(names), ": ", why);
    first = false;
  }
  return text;
}

std::vector<std::string> Acting::lines(bool refuse) const {
  std::vector<std::string> lines;
  std::string said;
  for (const auto& [word, idle] : idle_) {
    std::vector<std::string> figures;
    for (const auto& [figure, one] : idle) {
      if (one.times >= drawn_.at(figure)) { figures.push_back(figure); }
    }
    if (figures.size() == drawn_.size() && in_file_.count(word.substr(0, word.find(' '))) == 0) {
      require(!refuse, ExitCode::usage, {}, nowhere(word, idle));
      lines.push_back(nowhere(word, idle));
    } else if (!figures.empty()) {
      said += (said.empty() ? "" : "; ") + word + " does not act on " + listed(figures);
    }
  }
  if (!said.empty()) { lines.push_back(said); }
  for (const auto& [demand, figures] : not_kept_) {
    lines.push_back("not kept: " + demand + ": " + listed(figures));
  }
  return lines;
}

}  // namespace kappascope
