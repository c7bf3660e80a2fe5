// Causal grouped-query attention with rotary positions, QK norm, window, value embeddings, sinks
// (SPEC §1.4, SPEC-families §0).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "core/forward/token_cache.h"
#include "core/forward/weights.h"

namespace kappascope {

// cos and sin of the rotary angles, float32: of neighbours that are turned together [T, n/2]; of
// halves of a head [T, n], the sine with the sign that it has in the channel's sum.
struct Rotary {
  at::Tensor cos, sin;
};
// Of the tokens [first, last) of a sequence that has `last`.
Rotary rotary_table(std::int64_t first, std::int64_t last, const RotarySpec& spec,
                    at::Device device);

// The tables of a call, one for layers whose positions are turned alike; rows are tokens, by their
// place in their sequence.
class RotaryTables {
 public:
  RotaryTables(const Architecture& architecture, const ForwardCall& call, at::Device device);
  const Rotary& of(const RotarySpec& spec) const;

 private:
  std::vector<std::pair<RotarySpec, Rotary>> tables_;
};

// What the queries of a block do not see, in the blocks of a call. It follows from the distance of
// query and key alone: blocks of as many rows have parts of one mask.
class AttentionMasks {
 public:
  // differentiated: scores are, and −∞ is added to them. The derivative of a masked fill would be
  // filled again, where that of a softmax of −∞ is 0 already.
  explicit AttentionMasks(bool differentiated) : differentiated_(differentiated) {}
  // scores [heads,rows,ahead + rows], −∞ where a key is behind its query or more than `window`
  // before it; the first query is at the place of key `ahead`, which is at most `window`.
  at::Tensor hide(at::Tensor scores, std::int64_t ahead, std::int64_t window);

 private:
  struct Band {
    std::int64_t rows, window, before;
    at::Tensor mask;  // [rows, before + rows] of keys from `before` places ahead of the first query
  };
  at::Tensor mask_of(const Band& band, at::Device device) const;

  static constexpr std::size_t kMost = 8;
  const bool differentiated_;
  std::vector<Band> bands_;  // the oldest first
};

// x [T,H] (already normed), ids [T] int64 → [T,H]; a token sees those of its sequence, and before
// them what is in `kept`, to which they are added; nullptr: nothing. Scores of `rows_at_once`
// queries are in memory at once. A token whose numbers are NaN spoils only tokens that see it.
at::Tensor attention(const at::Tensor& x, const at::Tensor& ids, const AttentionWeights& weights,
                     const Rotary& rotary, const AttentionSpec& spec, const ForwardCall& call,
                     std::int64_t rows_at_once, AttentionMasks& masks, LayerState* kept);

}  // namespace kappascope
