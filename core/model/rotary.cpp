// Frequencies of rotary positions and what long contexts do to them, in double.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/model/architecture.h"

namespace kappascope {
namespace {

std::vector<double> powers(double base, std::int64_t width) {
  std::vector<double> frequency;
  for (std::int64_t i = 0; i < width; i += 2) {
    frequency.push_back(std::pow(base, -double(i) / double(width)));
  }
  return frequency;
}

// The base that spreads `tokens` over the angles of a context of spec.context.
double grown_base(const RotarySpec& spec, std::int64_t tokens) {
  const double longest = std::max(double(tokens), spec.context), n = double(spec.width);
  return spec.base *
         std::pow(spec.factor * longest / spec.context - (spec.factor - 1), n / (n - 2));
}

// Waves longer than context/low are slowed by the factor, those shorter than context/high are not.
double llama3(const RotarySpec& spec, double frequency) {
  const double turns = spec.context * frequency / (2 * std::numbers::pi);  // over the context
  if (turns < spec.low_frequency) { return frequency / spec.factor; }
  if (turns > spec.high_frequency) { return frequency; }
  const double smooth = (turns - spec.low_frequency) / (spec.high_frequency - spec.low_frequency);
  return (1 - smooth) * frequency / spec.factor + smooth * frequency;
}

// Pairs before `low` keep their frequency, those after `high` are slowed by the factor.
void yarn(const RotarySpec& spec, std::vector<double>& frequency) {
  const double n = double(spec.width);
  const auto pair_of = [&](double turns) {
    return n * std::log(spec.context / (turns * 2 * std::numbers::pi)) / (2 * std::log(spec.base));
  };
  double low = pair_of(spec.beta_fast), high = pair_of(spec.beta_slow);
  if (spec.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, n - 1);
  if (low == high) { high += 0.001; }
  for (std::size_t i = 0; i < frequency.size(); ++i) {
    const double slowed = std::clamp((double(i) - low) / (high - low), 0.0, 1.0);
    frequency[i] *= slowed / spec.factor + (1 - slowed);
  }
}

}  // namespace

std::vector<double> rotary_frequencies(const RotarySpec& spec, std::int64_t tokens) {
  switch (spec.scaling) {
    case RotaryScaling::none:
      return powers(spec.base, spec.width);
    case RotaryScaling::linear: {
      std::vector<double> frequency = powers(spec.base, spec.width);
      for (double& value : frequency) { value /= spec.factor; }
      return frequency;
    }
    case RotaryScaling::dynamic:
      return powers(grown_base(spec, tokens), spec.width);
    case RotaryScaling::llama3: {
      std::vector<double> frequency = powers(spec.base, spec.width);
      for (double& value : frequency) { value = llama3(spec, value); }
      return frequency;
    }
    case RotaryScaling::yarn: {
      std::vector<double> frequency = powers(spec.base, spec.width);
      yarn(spec, frequency);
      return frequency;
    }
    case RotaryScaling::longrope: {
      std::vector<double> frequency = powers(spec.base, spec.width);
      const bool longer = double(tokens) > spec.context;
      const std::vector<double>& factors = longer ? spec.long_factor : spec.short_factor;
      for (std::size_t i = 0; i < frequency.size(); ++i) { frequency[i] /= factors[i]; }
      return frequency;
    }
  }
  fail(ExitCode::internal, {}, "a rotary scaling of no kind");
}

double rotary_amplitude(const RotarySpec& spec, std::int64_t tokens) {
  const bool longer = spec.scaling == RotaryScaling::longrope && double(tokens) > spec.context;
  return longer ? spec.long_amplitude : spec.amplitude;
}

}  // namespace kappascope
