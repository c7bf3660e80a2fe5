// Which token follows, from the logits of a position.
#pragma once

#include <cstdint>
#include <random>
#include <span>

namespace kappascope {

// p = softmax(logits / temperature); of the `most` likeliest tokens, the fewest likeliest whose p
// add up to `mass`; then one of these by their p. Equal logits: the lower id is likelier.
struct SamplingRule {
  double temperature = 0;  // ≥ 0; 0: the likeliest token, whatever the rest says
  std::int64_t most = 0;   // ≥ 0; 0: all tokens
  double mass = 1;         // 0 < mass ≤ 1
  std::uint64_t seed = 0;  // the same seed and logits: the same tokens, on every machine
  bool operator==(const SamplingRule&) const = default;
};

class Sampler {
 public:
  explicit Sampler(const SamplingRule& rule) : rule_(rule), random_(rule.seed) {}

  // NaN is never taken; −1 where all logits are NaN, or none is finite.
  std::int32_t next(std::span<const float> logits);

 private:
  double uniform() { return double(random_() >> 11) * 0x1p-53; }  // [0,1)

  SamplingRule rule_;
  std::mt19937_64 random_;
};

}  // namespace kappascope
