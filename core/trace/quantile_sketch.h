// Quantiles of a stream of numbers in little memory, exact while there are few, that merge.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace kappascope {

// Buffers of sorted samples, each level of twice the weight of the one below (Manku, Rajagopalan
// and Lindsay 1998; Karnin, Lang and Liberty 2016). A full buffer keeps every other of its values,
// the odd and the even ones by turns, and passes them up. Nothing is random: the same values in the
// same order give the same sketch. The lowest level holds `kAll` values, those above `kAbove`.
template <std::int64_t kAll, std::int64_t kAbove>
class Sketch {
 public:
  static constexpr std::int64_t kExact = kAll;  // values that are all kept
  static constexpr std::int64_t kLevel = kAbove;

  void add(float value);  // finite
  void add(const Sketch& other);

  std::int64_t count() const { return count_; }
  // The greatest difference between the rank of a value that quantiles() gives and the rank asked
  // for, as a share of count(): a bound, not an estimate. 0: the quantiles are exact.
  double rank_error() const;
  // [q] each from 0 to 1; while exact, linear between neighbours as NumPy has it. NaN without
  // values.
  std::vector<double> quantiles(std::span<const double> q) const;
  // The values of the sketch, ascending, each with its weight; the weights add up to count().
  std::vector<std::pair<float, std::int64_t>> weighted() const;

  template <typename Archive>
  void exchange(Archive& archive) {
    archive(levels_);
    archive(odd_);
    archive(count_);
    archive(error_);
  }
  // What exchange() has read may be of this class: no level above 2^62, counts that agree.
  bool consistent() const;

 private:
  void make_room(std::size_t level);
  void halve(std::size_t level);

  std::vector<std::vector<float>> levels_;  // values of weight 2^level
  std::vector<std::uint8_t> odd_;           // of each level: the next halving keeps the odd ones
  std::int64_t count_ = 0;
  std::int64_t error_ = 0;  // ranks by which a value may be wrong
};

using QuantileSketch = Sketch<16384, 2048>;
using ScoreSketch = Sketch<2048, 1024>;  // one for each expert

}  // namespace kappascope
