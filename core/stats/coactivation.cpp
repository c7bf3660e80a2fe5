// Pairs of experts chosen together, over the number that the experts' own loads lead to.
#include <algorithm>
#include <cmath>

#include "core/stats/router.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

// The x of x_i·x_j with Σ_{j≠i} x_i x_j = r_i. With S = Σ x every x_i solves x(S − x) = r_i: the
// smaller root for all experts, or the larger one for the expert of most pairs when it alone holds
// more than half of S. That leaves one equation in S.
class PairChance {
 public:
  explicit PairChance(const std::vector<std::int64_t>& pairs) : pairs_(pairs) {
    double all = 0;
    for (const std::int64_t r : pairs_) { all += static_cast<double>(r); }
    if (all == 0) { return; }
    const auto most = std::max_element(pairs_.begin(), pairs_.end());
    most_ = static_cast<std::size_t>(most - pairs_.begin());
    only_most_ = 2 * static_cast<double>(*most) >= all;
    if (only_most_) { return; }
    const double least = 2 * std::sqrt(static_cast<double>(*most));  // real roots need S ≥ 2√r
    larger_ = sum_of_smaller(least) < least;
    // Below the root excess() is positive with smaller roots only, negative with the larger one.
    double low = least, high = std::max(least, std::sqrt(2 * all));
    while (larger_ && excess(high) < 0) { high *= 2; }
    for (int step = 0; step < 200 && low < high; ++step) {
      const double middle = low + (high - low) / 2;
      if (middle == low || middle == high) { break; }
      ((excess(middle) > 0) != larger_ ? low : high) = middle;
    }
    total_ = high;
  }

  double expected(std::size_t i, std::size_t j) const {
    if (only_most_) {  // every pair holds this expert: r_j = its pairs with j
      if (i != most_ && j != most_) { return 0; }
      return static_cast<double>(pairs_[i == most_ ? j : i]);
    }
    return total_ > 0 ? root(i) * root(j) : 0;
  }

 private:
  double smaller(std::size_t i, double total) const {
    const double r = static_cast<double>(pairs_[i]);
    return 2 * r / (total + std::sqrt(std::max(0.0, total * total - 4 * r)));
  }
  double root(std::size_t i) const {
    return larger_ && i == most_ ? total_ - smaller(i, total_) : smaller(i, total_);
  }
  double sum_of_smaller(double total) const {
    double sum = 0;
    for (std::size_t i = 0; i < pairs_.size(); ++i) { sum += smaller(i, total); }
    return sum;
  }
  // Σ x − S of a trial S.
  double excess(double total) const {
    const double sum = sum_of_smaller(total);
    return larger_ ? sum - 2 * smaller(most_, total) : sum - total;
  }

  const std::vector<std::int64_t>& pairs_;
  std::size_t most_ = 0;
  bool only_most_ = false, larger_ = false;
  double total_ = 0;
};

// Experts that token t chose; empty where its router numbers are not finite.
void chosen_by(const TraceLayer& layer, std::int64_t t, std::vector<std::int64_t>& chosen) {
  chosen.clear();
  if (!layer.router_finite(t)) { return; }
  for (std::int64_t k = 0; k < layer.slots; ++k) {
    const std::int64_t e = layer.expert(t * layer.slots + k);
    if (e >= 0) { chosen.push_back(e); }
  }
}

// add(a, b, tokens) for every pair of experts of every token, each way and with itself.
template <typename Add>
void add_tokens(const TraceLayer& layer, Add&& add) {
  std::vector<std::int64_t> chosen;
  for (std::int64_t t = 0; t < layer.tokens; ++t) {
    chosen_by(layer, t, chosen);
    for (const std::int64_t a : chosen) {
      for (const std::int64_t b : chosen) { add(a, b, 1); }
    }
  }
}

// The same of what a corpus has counted.
template <typename Add>
void add_counted(const PairTotals& pairs, std::int64_t experts, Add&& add) {
  if (pairs.coactivation.empty()) { return; }
  for (std::int64_t a = 0; a < experts; ++a) {
    for (std::int64_t b = 0; b < experts; ++b) { add(a, b, pairs.coactivation[a * experts + b]); }
  }
}

}  // namespace

Coactivation coactivation(const TraceLayer& layer, const std::vector<std::int64_t>& shown) {
  const std::size_t n = shown.size();
  std::vector<std::int64_t> place(static_cast<std::size_t>(layer.experts), -1);
  for (std::size_t i = 0; i < n; ++i) { place[shown[i]] = static_cast<std::int64_t>(i); }
  Coactivation result{shown, std::vector<std::int64_t>(n * n, 0), std::vector<double>(n * n, kNaN),
                      std::vector<double>(n * n, kNaN)};
  std::vector<std::int64_t> pairs(place.size(), 0);
  const auto add = [&](std::int64_t a, std::int64_t b, std::int64_t tokens) {
    if (a != b) { pairs[a] += tokens; }
    if (place[a] >= 0 && place[b] >= 0) { result.count[place[a] * n + place[b]] += tokens; }
  };
  if (layer.trace.corpus) {
    add_counted(layer.trace.corpus->rows[layer.row].pairs, layer.experts, add);
  } else {
    add_tokens(layer, add);
  }
  const PairChance chance(pairs);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) { continue; }
      const double expected =
          chance.expected(static_cast<std::size_t>(shown[i]), static_cast<std::size_t>(shown[j]));
      result.expected[i * n + j] = expected;
      if (expected > 0) {
        result.ratio[i * n + j] = static_cast<double>(result.count[i * n + j]) / expected;
      }
    }
  }
  return result;
}

}  // namespace kappascope
