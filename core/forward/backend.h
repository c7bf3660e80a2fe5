// How the layers' MLPs and what is read off the logits are computed: a value that a loaded model
// carries. Each engine library has its own, for its device, and the plain one.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/forward/feed_forward.h"
#include "core/forward/token_mixers.h"

namespace kappascope {

// NextTokenArgs over logits [rows,V]: `target` holds the token that follows each row, −1 none.
struct NextTokens {
  std::vector<float> nll, top_logprob;     // [rows], [rows,kTopTokens]
  std::vector<std::int32_t> rank, top_id;  // [rows], [rows,kTopTokens]
  explicit NextTokens(std::int64_t rows)
      : nll(std::size_t(rows)),
        top_logprob(std::size_t(rows * kTopTokens)),
        rank(std::size_t(rows)),
        top_id(std::size_t(rows * kTopTokens)) {}
};

struct Backend {
  DeltaRule delta_rule;  // token_mixers.h
  // x [T,H] (already normed) → [T,H]. An MoE layer and a dense one.
  at::Tensor (*moe)(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                    std::int64_t pass, const CallContext& context);
  at::Tensor (*dense)(const at::Tensor& x, const DenseWeights& weights, std::int64_t layer,
                      std::int64_t pass, const CallContext& context);
  NextTokens (*next_tokens)(const at::Tensor& logits, const std::vector<std::int32_t>& target);
  // At the start of a call, and at its end: gives the probe what is still on its way from a GPU.
  void (*begin_taps)(const CallContext& context);
  void (*finish_taps)(const CallContext& context);
  // Rows of queries whose attention scores are in memory at once, of `tokens` and that many heads.
  std::int64_t (*attention_rows)(const at::Device& device, std::int64_t tokens, std::int64_t heads);
};

// attention_rows of a GPU, which a few rows do not keep busy: scores of 256 MB.
inline std::int64_t many_attention_rows(std::int64_t tokens, std::int64_t heads) {
  constexpr std::int64_t kScoresAtOnce = 64 << 20;
  return std::max<std::int64_t>(128, kScoresAtOnce / (tokens * heads));
}

// Of this library's device.
const Backend& native_backend();
// Torch's own operations alone, on any device: the judge of the other two, and slow.
const Backend& plain_backend();

}  // namespace kappascope
