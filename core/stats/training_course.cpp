#include "core/stats/training_course.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/nan.h"
#include "core/stats/mean.h"

namespace kappascope {
namespace {

// Mean, lowest and highest of finite values.
struct Extent {
  Mean mean;
  double low = kNaN, high = kNaN;

  void add(double value) {
    if (!std::isfinite(value)) { return; }
    mean.add(value);
    low = std::isnan(low) ? value : std::min(low, value);
    high = std::isnan(high) ? value : std::max(high, value);
  }
};

void add_point(Course& course, std::int64_t step, const Extent& extent) {
  course.step.push_back(step);
  course.value.push_back(extent.mean.value());
  course.low.push_back(extent.low);
  course.high.push_back(extent.high);
}

}  // namespace

Course block_means(std::span<const std::int64_t> step, std::span<const double> value,
                   std::size_t most) {
  Course course;
  const std::size_t count = step.size(),
                    block = std::max<std::size_t>(1, (count + most - 1) / most);
  course.block = std::int64_t(block);
  if (block == 1) {
    course.step.assign(step.begin(), step.end());
    course.value.assign(value.begin(), value.end());
    return course;
  }
  for (std::size_t first = 0; first < count; first += block) {
    const std::size_t end = std::min(count, first + block);
    Extent extent;
    for (std::size_t i = first; i < end; ++i) { extent.add(value[i]); }
    add_point(course, step[end - 1], extent);
  }
  return course;
}

LoadCourse load_course(const LoggedLayer& layer) {
  LoadCourse course;
  const auto experts = std::size_t(layer.experts);
  for (std::size_t at = 0; at < layer.step.size(); ++at) {
    double entropy = experts > 0 ? 0 : kNaN, largest = entropy, smallest = kNaN;
    for (std::size_t e = 0; e < experts; ++e) {
      const double load = layer.load[at * experts + e];
      if (!(load >= 0)) {  // not known: nothing of the layer is
        entropy = largest = smallest = kNaN;
        break;
      }
      if (load > 0) { entropy -= load * std::log(load); }
      largest = std::max(largest, load);
      smallest = std::isnan(smallest) ? load : std::min(smallest, load);
    }
    const auto count = static_cast<double>(experts);
    course.entropy.push_back(experts > 1 ? entropy / std::log(count) : entropy);
    course.largest.push_back(largest * count);
    course.smallest.push_back(smallest * count);
  }
  return course;
}

Course over_layers(std::span<const LayerValues> layers) {
  std::map<std::int64_t, Extent> at;
  for (const LayerValues& layer : layers) {
    for (std::size_t i = 0; i < layer.step.size(); ++i) { at[layer.step[i]].add(layer.value[i]); }
  }
  Course course;
  for (const auto& [step, extent] : at) { add_point(course, step, extent); }
  return course;
}

}  // namespace kappascope
