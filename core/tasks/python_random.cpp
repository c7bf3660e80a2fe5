#include "core/tasks/python_random.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <unordered_set>

namespace kappascope {
namespace {

constexpr std::uint32_t kWords = 624;  // of the generator's state

// The state that Python makes of a seed of one word: init_by_array of Matsumoto and Nishimura.
struct PythonSeed {
  using result_type = std::uint_least32_t;
  std::uint32_t key;

  template <typename Iterator>
  void generate(Iterator first, Iterator) const {
    std::uint32_t state[kWords];
    state[0] = 19650218;
    const auto mixed = [&](std::uint32_t i, std::uint32_t factor) {
      return state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * factor);
    };
    for (std::uint32_t i = 1; i < kWords; ++i) {
      state[i] = 1812433253U * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
    }
    std::uint32_t i = 1;
    const auto step = [&] {
      if (++i == kWords) {
        state[0] = state[kWords - 1];
        i = 1;
      }
    };
    for (std::uint32_t k = 0; k < kWords; ++k, step()) { state[i] = mixed(i, 1664525U) + key; }
    for (std::uint32_t k = 1; k < kWords; ++k, step()) { state[i] = mixed(i, 1566083941U) - i; }
    state[0] = 0x80000000U;
    std::copy(std::begin(state), std::end(state), first);
  }
};

std::mt19937 seeded(std::uint32_t seed) {
  PythonSeed sequence{seed};
  return std::mt19937(sequence);
}

}  // namespace

PythonRandom::PythonRandom(std::uint32_t seed) : generator_(seeded(seed)) {}

std::uint64_t PythonRandom::below(std::uint64_t n) {
  const int bits = std::bit_width(n);
  while (true) {
    const std::uint64_t value = static_cast<std::uint32_t>(generator_()) >> (32 - bits);
    if (value < n) { return value; }
  }
}

std::vector<std::int64_t> PythonRandom::sample(std::int64_t n, std::int64_t count) {
  std::vector<std::int64_t> drawn;
  std::int64_t least = 21;  // up to here a list of all is the smaller one
  if (count > 5) {
    std::int64_t power = 1;
    while (power < 3 * count) { power *= 4; }
    least += power;
  }
  if (n <= least) {
    std::vector<std::int64_t> pool(static_cast<std::size_t>(n));
    std::iota(pool.begin(), pool.end(), std::int64_t{0});
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(below(static_cast<std::uint64_t>(n - i)));
      drawn.push_back(pool[at]);
      pool[at] = pool[n - i - 1];
    }
    return drawn;
  }
  std::unordered_set<std::int64_t> taken;
  while (std::ssize(drawn) < count) {
    const auto value = static_cast<std::int64_t>(below(static_cast<std::uint64_t>(n)));
    if (taken.insert(value).second) { drawn.push_back(value); }
  }
  return drawn;
}

}  // namespace kappascope
