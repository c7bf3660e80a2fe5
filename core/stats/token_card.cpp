#include "core/stats/token_card.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/stats/importance.h"
#include "core/stats/layer.h"
#include "core/stats/summary.h"
#include "kernels/kernels.h"

namespace kappascope {
namespace {

// Element `at` of an array; NaN (−1 for whole numbers) where the trace has not recorded it.
double number_of(std::span<const float> array, std::int64_t at) {
  return array.empty() ? kNaN : array[at];
}
std::int32_t integer_of(std::span<const std::int32_t> array, std::int64_t at) {
  return array.empty() ? -1 : array[at];
}
std::string text_of(const std::vector<std::string>& texts, std::int64_t at) {
  return at < std::ssize(texts) ? texts[at] : "";
}

// What the model expected behind token t; empty before the text.
std::vector<Prediction> predictions(const Trace& trace, std::int64_t t) {
  std::vector<Prediction> result;
  if (t < 0) { return result; }
  for (std::int64_t place = 0; place < kTopTokens; ++place) {
    const std::int64_t at = t * kTopTokens + place;
    const Prediction one{integer_of(trace.top_token_id, at),
                         number_of(trace.top_token_logprob, at)};
    if (one.id >= 0) { result.push_back(one); }
  }
  return result;
}

// Of one (token, expert) in an array [M,T,E].
double expert_number(const TraceLayer& layer, std::span<const float> array, std::int64_t t,
                     std::int64_t e) {
  const std::int64_t stride = layer.trace.experts;
  return number_of(layer.part(array, layer.tokens * stride), t * stride + e);
}

TokenSlot slot_of(const TraceLayer& layer, std::int64_t entry) {
  const Trace& trace = layer.trace;
  const auto number = [&](std::span<const float> array) {
    return number_of(layer.slot_part(array), entry);
  };
  TokenSlot slot;
  slot.unknown = layer.expert(entry) >= 0 && !layer.router_finite(entry / layer.slots);
  if (slot.unknown) { return slot; }
  slot.expert = layer.expert(entry);
  slot.kept = layer.kept(entry);
  if (slot.expert >= 0) {
    const std::int64_t t = entry / layer.slots;
    slot.weight = number(trace.expert_weight);
    slot.logit = expert_number(layer, trace.router_logits, t, slot.expert);
    slot.selection_score = expert_number(layer, trace.selection_score, t, slot.expert);
  }
  if (!slot.kept) { return slot; }
  slot.score = number(trace.kappa_input);
  slot.output_norm = number(trace.expert_output_norm);
  slot.contribution = slot.weight * slot.output_norm;
  slot.kappa_mean = number(trace.kappa_mean);
  slot.kappa_p05 = number(trace.kappa_p05);
  slot.kappa_p95 = number(trace.kappa_p95);
  slot.kappa_min = number(trace.kappa_min);
  slot.kappa_max = number(trace.kappa_max);
  slot.sharpness = number(trace.gate_kz_rms);
  slot.active_fraction = number(trace.gate_active_fraction);
  slot.top16_share = number(trace.gate_top16_share);
  slot.linear_fraction = number(trace.gate_linear_fraction);
  slot.saturated_fraction = number(trace.gate_saturated_fraction);
  return slot;
}

TokenLayer layer_of(const Trace& trace, std::int64_t row, std::int64_t t) {
  const TraceLayer layer(trace, row, LayerTokens::all);
  const auto number = [&](std::span<const float> array) {
    return number_of(layer.token_part(array), t);
  };
  TokenLayer result;
  result.row = row;
  result.layer = layer.layer;
  result.pass = layer.pass;
  result.top1_prob = number(trace.router_top1_prob);
  result.selected_mass = number(trace.router_selected_mass);
  result.margin = number(trace.router_margin);
  result.entropy = number(trace.router_entropy);
  result.near_tie = trace.is_near_tie(result.margin);
  for (std::int64_t k = 0; k < layer.slots; ++k) {
    result.slots.push_back(slot_of(layer, t * layer.slots + k));
  }
  result.without_expert = std::none_of(result.slots.begin(), result.slots.end(),
                                       [](const TokenSlot& slot) { return slot.kept; });
  return result;
}

}  // namespace

TokenCard token_card(const Trace& trace, std::int64_t t) {
  require(t >= 0 && t < trace.tokens, ExitCode::usage, {trace.path.string()}, "token ", t,
          "; expected 0 to ", trace.tokens - 1);
  TokenCard card;
  card.token = t;
  card.id = integer_of(trace.token_id, t);
  card.text = text_of(trace.token_text, t);
  card.bytes_hex = text_of(trace.token_bytes_hex, t);
  card.char_start = integer_of(trace.char_start, t);
  card.char_end = integer_of(trace.char_end, t);
  if (!trace.phase.empty()) { card.generated = trace.phase[t] != 0; }
  if (!trace.token_mask.empty()) { card.assistant = trace.token_mask[t] != 0; }
  card.nll = number_of(trace.nll, t);
  if (!card.bytes_hex.empty()) { card.bytes = std::ssize(card.bytes_hex) / 2; }
  if (const std::int64_t bytes = text_bytes(trace, t); bytes > 0) {
    card.bits_per_byte = card.nll / (std::log(2.0) * static_cast<double>(bytes));
  }
  card.target_rank = integer_of(trace.target_rank, t);
  card.instead_of = predictions(trace, t - 1);
  card.after = predictions(trace, t);
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    card.layers.push_back(layer_of(trace, row, t));
  }
  return card;
}

}  // namespace kappascope
