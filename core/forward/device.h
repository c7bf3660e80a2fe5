// What the two engine libraries do differently beside the MLPs of the layers: device_cpu.cpp is in
// the one, device_cuda.cpp in the other.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "core/forward/feed_forward.h"

namespace kappascope {

// The device asked for, ready to use. Throws Error (gpu) when there is none such.
at::Device open_device(const LoadOptions& options);

// Sets weights.state, once the weights are there; returns what EngineModel::description tells.
std::string prepare_device(const Model& model, Weights& weights);

// Rows of queries whose attention scores are in memory at once, of `tokens` and that many heads.
std::int64_t attention_rows(const at::Device& device, std::int64_t tokens, std::int64_t heads);

// At the start of a call, and at its end: gives the probe what is still on its way from a GPU.
void begin_taps(const CallContext& context);
void finish_taps(const CallContext& context);

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
NextTokens read_next_tokens(const at::Tensor& logits, const std::vector<std::int32_t>& target);

}  // namespace kappascope
