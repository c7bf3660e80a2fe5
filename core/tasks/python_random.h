// The random numbers of Python's `random.Random(seed)`: which examples of a task come first, and
// which are shown before one, is drawn by them in the reference implementation.
#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace kappascope {

class PythonRandom {
 public:
  explicit PythonRandom(std::uint32_t seed);

  // A whole number from 0 to n − 1; 0 < n < 2³².
  std::uint64_t below(std::uint64_t n);

  // As random.shuffle.
  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i-- > 1;) { std::swap(values[i], values[below(i + 1)]); }
  }

  // As random.sample(range(n), count); count ≤ n.
  std::vector<std::int64_t> sample(std::int64_t n, std::int64_t count);

 private:
  std::mt19937 generator_;
};

}  // namespace kappascope
