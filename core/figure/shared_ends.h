// One scale for several figures.
#pragma once

#include <map>
#include <string>

#include "core/figure/figure.h"

namespace kappascope {

// The ends of axes and colour bars of all figures that are seen: those of the same name, unit and
// kind get the same.
class SharedEnds {
 public:
  void see(Figure& figure);  // changes nothing
  void apply(Figure& figure) const;
  bool any() const;  // two axes or two colour bars share their ends

 private:
  struct Ends {
    double low, high;
    int seen = 0;
  };
  void add(const std::string& key, double low, double high);
  std::map<std::string, Ends> ends_;
};

}  // namespace kappascope
