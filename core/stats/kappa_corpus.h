// κ of a corpus: from what its experts' κ adds up to, and from sketches of their scores.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/stats/kappa.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {

// The population of one layer of a corpus, of a function whose source is sketched: every score
// that is kept, as often as it stands for one.
class SketchedKappa : public KappaValues {
 public:
  SketchedKappa(const TraceLayer& layer, const KappaFunction& kappa);

  std::int64_t experts() const { return std::ssize(scores_); }
  std::int64_t count(std::int64_t e) const;
  std::int64_t count() const;

  template <typename Visit>
  void each(std::int64_t e, Visit&& visit) const {
    for (const auto& [score, times] : scores_[e]) { each_at(e, score, times, visit); }
  }

 private:
  std::vector<std::vector<std::pair<float, std::int64_t>>> scores_;  // [E]
};

// Mean of ln κ of a layer of a corpus, or of one expert; NaN without values.
double corpus_log_kappa(const TraceLayer& layer, std::int64_t expert = -1);
// Mean of κ of one expert.
double corpus_mean_kappa(const TraceLayer& layer, std::int64_t expert);
// Σ_e √n_e·κ̄_e / Σ_e √n_e
double corpus_sqrt_n_mean(const TraceLayer& layer);

}  // namespace kappascope
