// One recorded layer of a trace: its own part of every array and its own number of experts.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/trace/row_tokens.h"
#include "core/trace/trace.h"

namespace kappascope {

// Which tokens of a trace a layer has: those that its statistics are of, or all there are.
enum class LayerTokens : std::uint8_t { counted, all };

struct TraceLayer {
  TraceLayer(const Trace& trace, std::int64_t row, LayerTokens taken = LayerTokens::counted);

  const Trace& trace;
  std::int64_t row;                     // of the arrays [M,…]
  std::int64_t layer = -1, pass = -1;   // layer_index, pass_index
  std::int64_t tokens, experts, slots;  // T, E of this layer (the arrays may be wider), K
  std::int64_t gates;                   // I of this layer

  // This layer's part of an array [M,per_layer]; empty where the array is absent.
  template <typename T>
  std::span<const T> part(std::span<const T> array, std::int64_t per_layer) const {
    if (array.empty()) { return {}; }
    return array.subspan(static_cast<std::size_t>(row * per_layer),
                         static_cast<std::size_t>(per_layer));
  }
  template <typename T>
  std::span<const T> token_part(std::span<const T> array) const {  // [M,T] → [T]
    return part(array, tokens);
  }
  template <typename T>
  std::span<const T> slot_part(std::span<const T> array) const {  // [M,T,K] → [T,K]
    return part(array, tokens * slots);
  }

  std::span<const std::uint8_t> counted() const { return counted_; }  // [T]; empty: all are
  // False: statistics leave token t out (--only). It has no expert then.
  bool counts(std::int64_t t) const { return counted_.empty() || counted_[t] != 0; }

  // Chosen expert of entry t·K + k, kept or dropped; −1: empty slot.
  std::int64_t expert(std::int64_t entry) const {
    if (!counted_.empty() && counted_[entry / slots] == 0) { return -1; }
    const std::int64_t e = chosen_[entry];
    return e >= 0 && e < experts ? e : -1;
  }
  bool kept(std::int64_t entry) const { return kept_[entry] != 0 && expert(entry) >= 0; }
  // False where NaN or Inf weights spoilt the router's numbers: such a token is left out of loads,
  // as one that is not counted is. (Where the router's score is not known no entropy is.)
  bool router_finite(std::int64_t t) const {
    return counts(t) && (entropy_.empty() || std::isfinite(entropy_[t]));
  }
  // Mean over the tokens that count of an array [M,T].
  double token_mean(std::span<const float> array) const;

 private:
  std::span<const std::int16_t> chosen_;
  std::span<const std::uint8_t> kept_, counted_;  // counted_ empty: all are
  std::span<const float> entropy_;
};

// The layer's tokens as totals take them, pointing into the trace.
RowTokens row_tokens(const TraceLayer& layer);

// The tokens that statistics of the trace are of, [T]; empty: all.
inline std::span<const std::uint8_t> counted_mask(const Trace& trace) {
  return trace.only_assistant ? trace.token_mask : std::span<const std::uint8_t>();
}

// The row that represents the trace where one must: the middle one.
inline std::int64_t middle_row(const Trace& trace) {
  return trace.layers / 2;
}

// [M] 0: first layer of the first pass, 1: last layer of the last pass; passes follow each other.
std::vector<double> relative_depth(const Trace& trace);

}  // namespace kappascope
