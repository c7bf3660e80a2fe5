// The forward pass of a κ-SwiGLU checkpoint (SPEC §1.4).
#pragma once

#include "core/engine/engine.h"
#include "core/forward/feed_forward.h"
#include "core/forward/weights.h"

namespace kappascope {

// Runs one call and gives the probe what it wants. Throws Stopped (feed_forward.h) or Error.
void run_transformer(const Model& model, const Weights& weights, const ForwardCall& call,
                     const RunPlan& plan, Probe& probe, Progress& progress);

// A part of it, for training: the stack over the tokens of the call, [T,H], normed (predict.h goes
// on from there).
at::Tensor run_stack(const Weights& weights, CallContext& context);

}  // namespace kappascope
