// The effect of a run A against a run B of the same text (SPEC §9): every difference is A − B. Pure
// functions of two traces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/nan.h"
#include "core/stats/mean.h"
#include "core/stats/summary.h"
#include "core/trace/trace.h"

namespace kappascope {

inline constexpr const char* kDifferenceSchema = "kappascope.difference/1";

// Why the tokens of two traces are not the same, as "…: they are of 12 and of 13 tokens"; "" where
// they are, so that they can be compared token by token.
std::string tokens_differ_because(const Trace& a, const Trace& b);

// Places of the text that both traces have predicted. Traces of the same tokens: every token of
// theirs. Of other tokenizers: the smallest stretches of the text, by character offsets, that begin
// and end at the border of a token in both.
struct Stretch {
  std::int64_t first_a = 0, last_a = 0;  // tokens of A, both of them
  std::int64_t first_b = 0, last_b = 0;
};
std::vector<Stretch> common_stretches(const Trace& a, const Trace& b);

struct LossDifference {
  std::vector<double> nll;      // [stretches] Σ nll of A − of B in nats; NaN where either has none
  double sum = kNaN;            // over the stretches that have one, nats
  double mean = kNaN;           // sum over the tokens of B there, nats a token
  std::int64_t tokens = 0;      // of B
  double bits_per_byte = kNaN;  // of what is text, over its bytes; NaN without bytes
  std::int64_t bytes = 0;
};
// Of results of a corpus: of their means, in nats only where one tokenizer made the tokens of both.
LossDifference loss_difference(const Trace& a, const Trace& b);

// Why layers and experts of one number are not the same ones in both runs: "they have 8 and 4
// layers";
// "" where they may be.
std::string models_differ_because(const Trace& a, const Trace& b);

// Rows of both traces that are of one layer and pass, in the order of A.
struct RowPair {
  std::int64_t a = 0, b = 0;
};
std::vector<RowPair> common_rows(const Trace& a, const Trace& b);

enum class Routed : std::int8_t {
  unknown = -1,   // NaN or Inf weights spoilt the router's numbers of either
  same = 0,       // the set of chosen experts is the same, in whatever order
  otherwise = 1,  //
  near_tie = 2    // otherwise, where B's choice was a near tie
};
// Of one layer and pass of two traces of the same tokens. Dropped assignments count as chosen.
struct RoutingDifference {
  std::int64_t layer = -1, pass = -1;
  std::vector<Routed> tokens;  // [T]
  std::int64_t compared = 0;   // tokens that are known
  std::int64_t otherwise = 0;  // near ties among them
  std::int64_t near_ties = 0;  // of these
  double share() const;        // otherwise / compared; NaN without any
};
RoutingDifference routing_difference(const Trace& a, const Trace& b, RowPair rows);

// Share of (token, slot) of the later trace whose expert the earlier one chose for that token, too
// (router saturation, Muennighoff et al. 2024); NaN where no token's choice is known.
double router_saturation(const Trace& earlier, const Trace& later, RowPair rows);

// Of one layer: A's statistic − B's; NaN where either has none.
struct StatisticDifference {
  std::string_view name;  // as layer_statistics() has it
  double a = kNaN, b = kNaN;
  double difference() const { return a - b; }
};
std::vector<StatisticDifference> statistic_differences(const LayerSummary& a,
                                                       const LayerSummary& b);

// Of one expert: A's number − B's, as in LayerSummary; the κ effect is the mean of d and of d/silu.
struct ExpertDifference {
  std::int64_t expert = -1;
  double load = kNaN, gate_mass = kNaN, saliency = kNaN, effect = kNaN, effect_relative = kNaN;
};

// One layer and pass that both runs have.
struct LayerDifference {
  RowPair rows;
  std::int64_t layer = -1, pass = -1;
  RoutingDifference routing;  // its `layer` is −1 where the runs have other tokens
  std::vector<StatisticDifference> statistics;
  // Those whose load changed most first; empty where the layers have other numbers of experts.
  std::vector<ExpertDifference> experts;
};

// All of the above, and how far A's predictions are from those that B's run kept for it.
struct RunDifference {
  LossDifference loss;
  double divergence = kNaN;  // mean KL(B ‖ A) in nats; NaN: not recorded against a run like B
  std::vector<LayerDifference> layers;
};
// KL from the run that a was made against, in nats: over the positions where it is a number and
// after which a token comes that counts.
struct Divergence {
  Mean mean;
  double most = 0;
};
Divergence divergence_of(const Trace& a);

RunDifference run_difference(const Trace& a, const Trace& b);

// All of the above as difference.json: names of both runs, losses, per layer what was routed
// otherwise and Δ of every statistic that both have, per expert too. Sorted keys; NaN is null.
Json difference_json(const Trace& a, const std::vector<LayerSummary>& layers_a, const Trace& b,
                     const std::vector<LayerSummary>& layers_b);

}  // namespace kappascope
