// Everything that a trace holds about one token.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/stats/mean.h"
#include "core/trace/trace.h"

namespace kappascope {

struct Prediction {
  std::int32_t id = -1;
  double logprob = kNaN;  // nats
  double probability() const { return std::exp(logprob); }
};

// One slot of the token in one layer; numbers are NaN where it was dropped or is empty.
struct TokenSlot {
  std::int64_t expert = -1;  // −1: empty, or not known
  bool unknown = false;      // NaN or Inf weights spoilt the choice
  bool kept = false;
  double weight = kNaN, score = kNaN;  // combine weight, s
  double logit = kNaN;                 // raw router logit of the expert
  double selection_score = kNaN;       // by which it was chosen, where that is not the logit
  double output_norm = kNaN;           // of the expert's output, before the weight
  double contribution = kNaN;          // weight · output_norm
  double kappa_mean = kNaN, kappa_p05 = kNaN, kappa_p95 = kNaN, kappa_min = kNaN,
         kappa_max = kNaN;  // over gate units
  double sharpness = kNaN;  // rms of κz
  double active_fraction = kNaN, top16_share = kNaN, linear_fraction = kNaN,
         saturated_fraction = kNaN;
};

struct TokenLayer {
  std::int64_t row = -1, layer = -1, pass = -1;
  double top1_prob = kNaN, selected_mass = kNaN, margin = kNaN, entropy = kNaN;
  bool without_expert = false;   // no expert ran for the token
  bool near_tie = false;         // Trace::is_near_tie
  std::vector<TokenSlot> slots;  // [K]
};

struct TokenCard {
  std::int64_t token = -1;  // t
  std::int32_t id = -1;
  std::string text, bytes_hex;
  std::int64_t char_start = -1, char_end = -1;  // in the text; −1: added, not of it
  std::optional<bool> assistant;                // of a chat: the token is the assistant's
  std::optional<bool> generated;                // where a text was generated; else the prompt's
  double nll = kNaN;                            // nats; NaN for the first token
  std::int64_t bytes = -1;                      // of the token; −1: not known
  double bits_per_byte = kNaN;         // of the token; NaN for one that is not part of the text
  std::int64_t target_rank = -1;       // 0: the likeliest; −1 for the first token
  std::vector<Prediction> instead_of;  // likeliest tokens at t, predicted at t − 1
  std::vector<Prediction> after;       // likeliest tokens at t + 1, predicted at t
  std::vector<TokenLayer> layers;      // [M]
};

// Of token t. Outside the trace: usage.
TokenCard token_card(const Trace& trace, std::int64_t t);

}  // namespace kappascope
