// What experts add to the residual stream, and how full they are (SPEC §10).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/stats/layer.h"
#include "core/stats/mean.h"
#include "core/trace/totals.h"

namespace kappascope {

// Over the kept assignments of tokens with finite router numbers: w combine weight, ‖o‖ norm of the
// expert's output. Empty where the trace has not recorded the norms.
struct ExpertImportance {
  std::vector<double> saliency;      // [E] mean of w·‖o‖; NaN without a kept token
  std::vector<double> contribution;  // [E] Σ w·‖o‖ over the Σ of all experts; NaN when that is 0
};
ExpertImportance expert_importance(const ImportanceTotals& totals);
ExpertImportance expert_importance(const TraceLayer& layer);
// Of a corpus as it was added up, else of the trace's tokens.
ImportanceTotals importance_totals(const TraceLayer& layer);

// [E] mean of the raw logit over the tokens that chose the expert, kept or dropped; NaN where none
// did. Empty where the trace has no logits.
std::vector<double> mean_selected_logit(const ImportanceTotals& totals);
std::vector<double> mean_selected_logit(const TraceLayer& layer);

// Assignments that an expert can take in the calls of the run together, all of which the trace
// must have recorded; absent without a limit, and where calls overlap (--window) so that tokens
// took seats twice.
std::optional<double> run_capacity(const TraceLayer& layer);

// Kept assignments over capacity.
struct Utility {
  std::vector<double> of_expert;  // [E]; empty without a capacity
  double least = kNaN, mean = kNaN;
};
// `choices`: choice_totals() of the layer.
Utility expert_utility(const TraceLayer& layer, const ChoiceTotals& choices);

// Mean of u² over kept (token, gate) of a layer, or of one expert; NaN where the trace has none and
// where κ has no parameters or is a number that an intervention set. Those experts are left out.
double slope_square(const TraceLayer& layer, std::int64_t expert = -1);

// The same of row `row` of the dense layers: u = b·c, from the κ of its gate units. NaN in a layer
// without κ, where an intervention set κ, and where κ is its bound in float32, so that u is lost.
double dense_slope_square(const Trace& trace, std::int64_t row);

// A token that is not part of the text: one that the tokenizer added, or a given id such as
// <|bos|>.
bool is_control_token(const Trace& trace, std::int64_t token);

// Bytes of the text in a token; 0: it holds only the space that the tokenizer puts in front of a
// text; −1: not known, or a control token.
std::int64_t text_bytes(const Trace& trace, std::int64_t token);

// Σ nll / (ln 2 · Σ bytes) over tokens that have an nll and are not special.
struct BitsPerByte {
  double value = kNaN;  // NaN without bytes: ids were given and no tokenizer was found
  std::int64_t bytes = 0;
};
BitsPerByte bits_per_byte(const Trace& trace);

}  // namespace kappascope
