// Everything that a trace holds about one expert of one layer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/stats/gates.h"
#include "core/stats/kappa.h"
#include "core/stats/mean.h"
#include "core/trace/trace.h"

namespace kappascope {

// An assignment to the expert; κ and sharpness are NaN where it was dropped.
struct ServedEntry {
  std::int64_t token = -1, slot = -1;
  bool kept = false;
  double weight = kNaN, score = kNaN;          // combine weight, s
  double output_norm = kNaN;                   // of the expert's output, before the weight
  double kappa_mean = kNaN, sharpness = kNaN;  // over gate units; rms of κz
};

// Of a corpus: a token, as shown to people, and how often it was assigned to the expert.
struct FrequentToken {
  std::int32_t id = -1;
  std::string text;
  std::int64_t count = 0;
};

// Of a corpus: a place where the expert was chosen, as shown to people.
struct ChosenPlace {
  std::uint64_t document = 0;       // document_key()
  std::int64_t position = -1;       // of the chosen token in its document, from 0
  std::string before, word, after;  // the chosen token, and those around it that are kept
};

struct ExpertCard {
  std::int64_t row = -1, layer = -1, pass = -1, expert = -1, experts = 0;  // experts: of the layer
  // Tokens with finite router numbers, as in expert_loads.
  std::int64_t assigned = 0, kept = 0, dropped = 0;
  double load = kNaN, load_over_even = kNaN;      // share of the assignments, and over 1/E
  std::int64_t load_rank = -1;                    // 1: the most loaded; equal: the lower expert
  double gate_mass = kNaN;                        // Σ combine weight / tokens
  double utility = kNaN;                          // kept / capacity; NaN without a capacity
  double mean_logit = kNaN;                       // over the tokens that chose it
  double saliency = kNaN, contribution = kNaN;    // see ExpertImportance
  double slope_square = kNaN;                     // mean u²
  KappaBand kappa;                                // over kept (token, gate)
  double kappa_lower = kNaN, kappa_upper = kNaN;  // as kappa_bounds() has them
  GateMeans gates;                                // over kept tokens
  EffectSummary effect, effect_relative;
  double alignment_mean = kNaN, alignment_energy = kNaN;
  std::vector<ServedEntry> served;      // in token order; empty of a corpus
  std::vector<FrequentToken> frequent;  // of a corpus, by falling count
  std::vector<ChosenPlace> places;      // of a corpus, drawn by lot
};

// Of expert e of row `row` of the trace. Outside the trace: usage.
ExpertCard expert_card(const Trace& trace, std::int64_t row, std::int64_t e);

// The served entries by token, or by falling weight, κ or sharpness: equal ones by token, those
// without a value last.
enum class ServedOrder : std::uint8_t { token, weight, kappa, sharpness };
std::vector<ServedEntry> served_by(const ExpertCard& card, ServedOrder order);

}  // namespace kappascope
