#include "core/trace/effect_bins.h"

#include "core/trace/totals.h"

namespace kappascope {

void EffectBins::make() {
  count.resize(std::size_t(kBins));
  sum.resize(std::size_t(kBins));
  sum_square.resize(std::size_t(kBins));
}

void EffectBins::add(const EffectBins& other) {
  add_counts(count, other.count);
  add_sums(sum, other.sum);
  add_sums(sum_square, other.sum_square);
}

bool EffectBins::consistent() const {
  return (count.empty() || std::int64_t(count.size()) == kBins) && sum.size() == count.size() &&
         sum_square.size() == count.size();
}

}  // namespace kappascope
