// κ of every kept (token, slot, gate) of a layer, recomputed instead of stored.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/stats/kappa.h"
#include "core/stats/mean.h"

namespace kappascope {

// u of the entries of one layer, and what makes κ of it.
class KappaValues {
 public:
  KappaValues(const TraceLayer& layer, const KappaFunction& kappa);

  // False: dropped, or spoilt by NaN or Inf weights.
  bool counts(std::int64_t entry) const {
    return layer_.kept(entry) && layer_.router_finite(entry / layer_.slots) &&
           !recorded_mean_.empty() && std::isfinite(recorded_mean_[entry]);
  }

  // visit(u, multiplicity) for every value of one entry. u grows with κ, or is κ itself.
  template <typename Visit>
  void each_of_entry(std::int64_t e, std::int64_t entry, Visit&& visit) const {
    if (kappa_.source == KappaFunction::Source::constant) {
      return visit(recorded_[entry], kappa_.gates);
    }
    each_at(e, score_[entry], 1, visit);
  }
  // The same of expert e at score s, that of `times` entries.
  template <typename Visit>
  void each_at(std::int64_t e, float s, std::int64_t times, Visit&& visit) const {
    const KappaView& view = kappa_.experts[e];
    const auto number = [&](std::int64_t i) {
      return direct_ ? static_cast<float>(kappa_at(view, i, s)) : u_at(view, i, s);
    };
    if (view.uniform()) { return visit(number(0), times * kappa_.gates); }
    for (std::int64_t i = 0; i < kappa_.gates; ++i) { visit(number(i), times); }
  }
  // u itself, of a view of one expert: of each gate unit it only grows, or only falls, with s.
  float u_at(const KappaView& view, std::int64_t i, float s) const {
    return sign_ * view.argument(i, s, 0);
  }
  // By one exponential: absolute error 1e-16, a third of the time of std::tanh.
  static double tanh_of(double u) { return 1 - 2 / (std::exp(2 * u) + 1); }
  double log_kappa(float u) const {
    if (direct_) { return std::log(static_cast<double>(u)); }
    return log_bound_ * tanh_of(u);
  }
  double kappa(float u) const { return direct_ ? u : std::exp(log_kappa(u)); }
  // Mean over the gate units of an entry.
  double mean_log_kappa_of_entry(std::int64_t e, std::int64_t entry) const {
    double sum = 0;
    each_of_entry(e, entry, [&](float u, std::int64_t multiplicity) {
      sum += log_kappa(u) * static_cast<double>(multiplicity);
    });
    return sum / static_cast<double>(kappa_.gates);
  }

 protected:
  const TraceLayer& layer_;
  const KappaFunction& kappa_;
  std::span<const float> score_;  // [T,K]
  bool direct_ = false;           // the values are κ
  double log_bound_ = 0;          // |ln U|
  float sign_ = 1;                // −1 where U < 1

 private:
  std::span<const float> recorded_, recorded_mean_;  // [T,K]
};

// The population of one layer, or of expert `expert` of it alone: the entries that count, by
// expert.
class KappaPopulation : public KappaValues {
 public:
  KappaPopulation(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert = -1);

  std::int64_t experts() const { return layer_.experts; }
  std::span<const std::int64_t> entries(std::int64_t e) const {  // t·K + k, ascending
    const auto first = static_cast<std::size_t>(begin_[e]);
    const auto last = static_cast<std::size_t>(begin_[e + 1]);
    return std::span(entries_).subspan(first, last - first);
  }
  std::int64_t count(std::int64_t e) const { return std::ssize(entries(e)) * kappa_.gates; }
  std::int64_t count() const { return std::ssize(entries_) * kappa_.gates; }

  template <typename Visit>
  void each(std::int64_t e, Visit&& visit) const {
    for (const std::int64_t entry : entries(e)) { each_of_entry(e, entry, visit); }
  }
  // Mean over the entries of expert e of their means of ln κ over the gate units.
  Mean mean_log_kappa(std::int64_t e) const;
  // The ranks[j]-th smallest values (0: smallest) of all experts, or of one.
  std::vector<float> order_statistics(const std::vector<std::int64_t>& ranks,
                                      std::int64_t expert = -1) const;

 private:
  bool selects_among_rows(std::int64_t expert) const;
  std::vector<float> scores_of(std::int64_t e) const;

  std::vector<std::int64_t> begin_, entries_;  // [E+1], by expert
};

}  // namespace kappascope
