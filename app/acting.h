// Which of the words that were given act on which figures.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace kappascope {

class Acting {
 public:
  // Words that stand in a style file, for figures in general: that one does not act is no error.
  void in_file(const std::string& word) { in_file_.insert(word); }
  void given(const std::string& word) { in_file_.erase(word); }

  void drawn(const std::string& figure) { ++drawn_[figure]; }
  // `word` had nothing to act on in this figure, which was drawn.
  void idle(const std::string& word, const std::string& figure, const std::string& why);
  // The figure does not keep what its preset asks for.
  void not_kept(const std::string& demand, const std::string& figure);

  // What is to be said, a line for the words and one for each demand. A word that acted nowhere:
  // usage where `refuse` says so, else a line of its own.
  std::vector<std::string> lines(bool refuse) const;

 private:
  struct Idle {
    int times = 0;
    std::string why;  // the first time
  };
  std::map<std::string, int> drawn_;
  std::string nowhere(const std::string& word, const std::map<std::string, Idle>& figures) const;
  std::map<std::string, std::map<std::string, Idle>> idle_;  // by word and figure
  std::map<std::string, std::vector<std::string>> not_kept_;
  std::set<std::string> in_file_;
};

}  // namespace kappascope
