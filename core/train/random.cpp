#include "core/train/random.h"

#include <cmath>
#include <cstdlib>
#include <numbers>
#include <string>
#include <utility>

#include "core/checkpoint/tensor.h"
#include "core/error.h"

namespace kappascope {

Random::Random(std::int64_t seed, std::string_view name)
    : generator_(std::strtoull(sha256_hex(join_words(seed, " ", name)).substr(0, 16).c_str(),
                               nullptr, 16)) {}

double Random::uniform() {
  return double(generator_() >> 11) * 0x1p-53;
}

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

void Random::shuffle(std::vector<std::int64_t>& values) {
  for (std::size_t left = values.size(); left > 1; --left) {
    const auto other = std::size_t(uniform() * double(left));
    std::swap(values[left - 1], values[other]);
  }
}

}  // namespace kappascope
