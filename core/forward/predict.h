// What a model predicts after each token: from the output of the stack, and from the residual
// stream after a layer of it (the logit lens).
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/forward/feed_forward.h"
#include "core/forward/weights.h"

namespace kappascope {

// Logits [rows,V] of rows of the stack's output x [rows,H], normed.
at::Tensor output_logits(const at::Tensor& x, const Weights& weights,
                         const Architecture& architecture);

// Gives the probe NextTokenTap of the recorded rows of x [T,H], normed. A block of rows at a time:
// [T,V] never exists whole.
void predict(const at::Tensor& x, const Weights& weights, const CallContext& context);

// Likewise LensTap of the residual stream x [T,H] after a layer; after the last one the same
// numbers as predict, bit for bit.
void look_through_lens(const at::Tensor& x, std::int64_t layer, std::int64_t pass,
                       const Weights& weights, const CallContext& context);

}  // namespace kappascope
