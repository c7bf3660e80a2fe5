// Numbers over the steps of a training run: means of blocks of steps, and what layers are together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/train/log_reader.h"

namespace kappascope {

// Values at ascending steps. NaN: none.
struct Course {
  std::vector<std::int64_t> step;  // [n]
  std::vector<double> value;       // [n]
  std::vector<double> low, high;   // [n] what the value is a mean of, lowest and highest; or empty
  std::int64_t block = 1;          // so many consecutive values are one; the last may be of fewer
};

// Means of blocks of as many consecutive values as leave at most `most` points, each at the last
// step of its block, over the values that are finite; of blocks of one the values themselves,
// without `low` and `high`.
Course block_means(std::span<const std::int64_t> step, std::span<const double> value,
                   std::size_t most);

// Of the experts of a layer at each step of it: entropy of the load over ln E, and the largest and
// the smallest load over the even one, 1/E. NaN where the log has no load.
struct LoadCourse {
  std::vector<double> entropy, largest, smallest;  // [n]
};
LoadCourse load_course(const LoggedLayer& layer);

// One value for each of several layers at the steps that any of them has: their mean, and the
// lowest and the highest layer. `layers`: step and value of each, of the same length.
struct LayerValues {
  std::span<const std::int64_t> step;
  std::span<const double> value;
};
Course over_layers(std::span<const LayerValues> layers);

}  // namespace kappascope
