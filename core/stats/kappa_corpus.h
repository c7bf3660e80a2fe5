// κ of a corpus: from what its experts' κ adds up to, and from sketches of their scores.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/stats/kappa_population.h"
#include "core/stats/select.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {

// κ over the gate units of one layer of a corpus, or of expert `expert` of it alone. Where the
// source is sketched it follows from the scores of the sketches, with their weights; where it is
// constant it is one number for each expert, with the expert's count of kept slots as its weight;
// else there is none.
class CorpusKappa : public KappaValues {
 public:
  CorpusKappa(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert = -1);

  std::int64_t experts() const { return std::ssize(values_); }
  std::int64_t count(std::int64_t e) const;
  std::int64_t count() const;

  template <typename Visit>
  void each(std::int64_t e, Visit&& visit) const {
    for (const auto& [value, times] : values_[e]) {
      if (kappa_.source == KappaFunction::Source::constant) {
        visit(value, times * kappa_.gates);
      } else {
        each_at(e, value, times, visit);
      }
    }
  }
  // As KappaPopulation has it.
  std::vector<float> order_statistics(const std::vector<std::int64_t>& ranks,
                                      std::int64_t expert = -1) const;

 private:
  // [E] scores, or κ where it is constant
  std::vector<std::vector<std::pair<float, std::int64_t>>> values_;
};

// Mean of ln κ of a layer of a corpus, or of one expert; NaN without values. Where nothing was
// added up, from the numbers of constant κ.
double corpus_log_kappa(const TraceLayer& layer, const KappaFunction& kappa,
                        std::int64_t expert = -1);
// Ranks by which quantiles of κ of a layer, or of one expert, may be off, as a share of the values.
double corpus_rank_error(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert);
// Mean of κ of one expert.
double corpus_mean_kappa(const TraceLayer& layer, std::int64_t expert);
// Σ_e √n_e·κ̄_e / Σ_e √n_e
double corpus_sqrt_n_mean(const TraceLayer& layer);

}  // namespace kappascope
