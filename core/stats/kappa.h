// Statistics of κ = factor·U^tanh(α·s + b) over kept (token, slot, gate), recomputed from s and the
// α, b, U and factor in force one expert at a time (SPEC §5). Without factors κ is monotone in
// u = α·s + b, so quantiles are selected among u, exactly; u is float32 as in the forward pass,
// everything after it double. With factors they are selected among float32 κ.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/stats/layer.h"
#include "core/stats/mean.h"
#include "core/trace/kappa_in_force.h"

namespace kappascope {

// κ of one layer as a function of expert, gate and score.
struct KappaFunction {
  enum class Source : std::uint8_t {
    parameters,  // from s, α, b, U and the factor
    constant,    // one κ for all gates of an entry (κ off, layer without κ, fixed κ): as recorded;
                 // of a corpus: one κ for all entries of an expert
    gate_pre,    // κ follows from the gates' own z: only what was recorded of it
    sketched,    // of a corpus: as parameters, from the scores that its sketches keep
    unknown      // κ differs between gates and model.npz is not there
  };
  Source source = Source::unknown;
  std::vector<KappaView> experts;  // [E] when source is parameters, gate_pre or sketched
  std::int64_t gates = 0;          // I
  double multiplier = 1;           // m: what α and b of the views are times
  bool factors = false;            // some expert's κ is multiplied
  std::shared_ptr<const KappaInForce> in_force = nullptr;  // what the views point into

  bool exact() const { return source == Source::parameters || source == Source::constant; }
  bool by_gate() const { return exact() || source == Source::sketched; }  // κ is known of each
};
KappaFunction kappa_function(const TraceLayer& layer);

// κ of gate unit i of one expert at score s (and pre-activation z), in double.
double kappa_at(const KappaView& view, std::int64_t i, double s, double z = 0);

// The number to which an intervention set κ of every gate unit of expert `expert`, or of all
// experts of the layer: neither α, b nor U acts there. Nothing where κ follows from any of them.
std::optional<double> kappa_set_by_run(const TraceLayer& layer, std::int64_t expert = -1);

// The smallest and the largest κ that the experts of a layer, or one of them, can have: 1/U and U
// times their factors, or the number to which the run set it. NaN where that holds for all of them,
// where the layer has no learned κ and where κ is off: then nothing bounds κ.
struct KappaBounds {
  double lower = kNaN, upper = kNaN;
  double factor = kNaN;  // the bounds are factor/U and factor·U; NaN: they are not of one factor

  bool any() const { return lower < upper; }
};
KappaBounds kappa_bounds(const TraceLayer& layer, std::int64_t expert = -1);

// κ over kept (token, slot, gate) of one layer, or of one expert of it. Where κ does not follow
// from s and known parameters, median, band and mean of ln κ are read off kappa_hist (error below
// 2 ln U / 64 in ln κ) and `exact` is false. Of a corpus the mean of ln κ is exact all the same,
// and the ranks of quantiles of many scores may be off by `rank_error`, a share of the values.
struct KappaBand {
  Band band;
  double log_mean = kNaN;  // mean of ln κ
  bool exact = true;       // the band
  double rank_error = 0;   // of its quantiles
  bool log_exact = true;   // log_mean
};
KappaBand kappa_band(const TraceLayer& layer, const KappaFunction& kappa, std::int64_t expert = -1);

// The same with the tails; what would be read off bins is NaN.
struct KappaSummary {
  Band band;
  Band read_off;  // as kappa_band() has it where the quantiles would not be exact
  double log_mean = kNaN;
  double top5_mean = kNaN;     // mean over experts of the mean of their ⌈5 %⌉ largest κ
  double bottom5_mean = kNaN;  // and smallest
  double sqrt_n_mean = kNaN;   // Σ_e √n_e·κ̄_e / Σ_e √n_e
};
KappaSummary kappa_summary(const TraceLayer& layer, const KappaFunction& kappa);

// Mean over gates of ln κ of every kept entry [T,K]; NaN elsewhere. Where κ
// does not follow from s and known parameters, ln of the recorded mean κ, which is never smaller:
// then `exact` is false.
struct SlotLogKappa {
  std::vector<double> value;
  bool exact = true;
};
SlotLogKappa slot_log_kappa(const TraceLayer& layer, const KappaFunction& kappa);

}  // namespace kappascope
