// Where the tokens go: loads, drops, unused experts, experts run, co-activation (SPEC §5).
#pragma once

#include <cstdint>
#include <vector>

#include "core/stats/layer.h"
#include "core/stats/mean.h"
#include "core/trace/totals.h"

namespace kappascope {

// Which experts the tokens of a layer chose: of a corpus as it was added up, else of the trace's.
ChoiceTotals choice_totals(const TraceLayer& layer);

// Loads of one layer's experts over the tokens with finite router numbers.
struct ExpertLoads {
  std::vector<std::int64_t> assigned;  // [E] assignments, kept and dropped
  std::vector<double> load;            // [E] share of all assignments; NaN when there is none
  std::vector<double> gate_mass;       // [E] Σ combine weight / tokens
  double entropy = kNaN;               // −Σ load ln load / ln E; 0 when E = 1
  double cv = kNaN;                    // population standard deviation / mean
  double effective = kNaN;             // exp of the entropy in nats: experts, 1 … E
  double max_vio = kNaN;               // E · largest load − 1
  std::int64_t unused = 0;             // experts without an assignment
  double unused_by_chance = kNaN;      // E·Π_t (1 − k_t/E), k_t assignments of token t
  std::int64_t tokens = 0;             // tokens counted
};
ExpertLoads expert_loads(const ChoiceTotals& choices);
ExpertLoads expert_loads(const TraceLayer& layer);

// E·(1 − K/E)^T: experts expected without a token when every token picks K of E evenly.
double unused_by_chance(std::int64_t experts, std::int64_t slots, std::int64_t tokens);

struct DropRates {
  std::vector<double> by_slot;  // [K] dropped / assigned; NaN where nothing was assigned
  double all = kNaN;
  double no_expert = kNaN;  // share of the tokens that no expert ran for
};
DropRates drop_rates(const ChoiceTotals& choices);
DropRates drop_rates(const TraceLayer& layer);

// Up to `count` experts by falling number of assignments (equal: lower expert first).
std::vector<std::int64_t> most_loaded_experts(const ExpertLoads& loads, std::int64_t count);

// Experts that ran per token (kept slots): mean and 5–95 % over tokens.
Band experts_run(const ChoiceTotals& choices);
Band experts_run(const TraceLayer& layer);

// [E,T] p = q / Σ q over the layer's E experts, q = exp(logit), or σ(logit) where the router scores
// so.
std::vector<float> router_probability(const TraceLayer& layer);

// How often two experts are chosen by the same token (kept or dropped), over chance. Chance knows
// each expert's own number of pairs r_i and nothing else (quasi-independence, Goodman 1968): the
// expected number is x_i·x_j with Σ_{j≠i} x_i x_j = r_i for every expert. Unlike n_i·n_j/T this
// allows for a token never choosing an expert twice: even routing gives 1, not (K−1)E / (K(E−1)).
struct Coactivation {
  std::vector<std::int64_t> experts;    // shown, n of them
  std::vector<std::int64_t> count;      // [n,n] tokens that chose both; diagonal: tokens of i
  std::vector<double> expected, ratio;  // [n,n] NaN on the diagonal, and ratio where expected = 0
};
Coactivation coactivation(const TraceLayer& layer, const std::vector<std::int64_t>& shown);

}  // namespace kappascope
