// Random numbers of a seed and a name: the same on every machine, and those of one name do not
// depend on how many others are drawn.
#pragma once

#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

namespace kappascope {

class Random {
 public:
  Random(std::int64_t seed, std::string_view name);
  double uniform();  // [0,1)
  double normal();   // of mean 0 and deviation 1
  void shuffle(std::vector<std::int64_t>& values);

 private:
  std::mt19937_64 generator_;
};

}  // namespace kappascope
