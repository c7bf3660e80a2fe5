// κ as kappa_hist counted it while the model ran: 64 equal bins of ln κ / ln U over [−1,1].
#pragma once

#include <cstdint>
#include <vector>

#include "core/stats/kappa.h"
#include "core/stats/layer.h"

namespace kappascope {

// U of the layer, from model.npz, else from the trace's meta; NaN where the layer has no κ or κ is
// off.
double kappa_bound(const TraceLayer& layer);

// Counts are exact; the place of a value within its bin is not known. Where a run multiplied κ,
// which kappa_hist can only count within [1/U, U], the bins are wider and counted anew, unless κ is
// not known gate by gate. Empty where there is no bound, or it is 1.
struct KappaDensity {
  double bound = kNaN;               // U, or what κ cannot exceed with its factors
  std::vector<double> edges;         // [65] κ, ascending
  std::vector<std::int64_t> counts;  // [64] kept (token, gate), of one expert or all
  std::vector<double> density;       // [64] share per unit of ln κ; integrates to 1
};
KappaDensity kappa_density(const TraceLayer& layer, const KappaFunction& kappa,
                           std::int64_t expert = -1);

// Mean of ln κ (values at the middle of their bins) and quantiles (even within a bin), as κ; the
// mean of κ is left NaN.
KappaBand histogram_band(const KappaDensity& density);

}  // namespace kappascope
