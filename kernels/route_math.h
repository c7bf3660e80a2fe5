// The decisions of the router, a token at a time, for the CPU and the GPU (SPEC §1.5).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/kappa_math.h"
#include "kernels/kernels.h"

namespace kappascope {

// An expert and its selection score, or a token and its logit.
struct Candidate {
  float score;
  std::int32_t index;
};

// Whether `a` is chosen before `b`: the higher score, of equal ones the lower index. A strict
// order also when scores are NaN (they come first, as in torch.topk).
KAPPASCOPE_HOST_DEVICE inline bool chosen_before(const Candidate& a, const Candidate& b) {
  const bool a_nan = a.score != a.score, b_nan = b.score != b.score;
  if (a_nan != b_nan) { return a_nan; }
  if (!a_nan && a.score != b.score) { return a.score > b.score; }
  return a.index < b.index;
}

// What decides the choice. Static like the functions below.
KAPPASCOPE_HOST_DEVICE static inline float selection_score(const RouteArgs& args, std::int64_t t,
                                                           std::int64_t e) {
  return args.routing.logits[t * args.routing.experts + e] +
         (args.selection_bias ? args.selection_bias[e] : 0.0f);
}

// router_margin, of the lowest chosen score and the highest other one.
KAPPASCOPE_HOST_DEVICE static inline float margin_of(float chosen, float other) {
  return other == -INFINITY ? NAN : chosen - other;
}

// The experts of token t where some may be given; returns the margin.
KAPPASCOPE_HOST_DEVICE static inline float choose_given(const RouteArgs& args, std::int64_t t) {
  const std::int64_t experts = args.routing.experts, slots = args.routing.slots;
  std::int32_t* chosen = args.routing.cells.expert + t * slots;
  for (std::int64_t k = 0; k < slots; ++k) { chosen[k] = args.given_expert[t * slots + k]; }
  const auto best_left = [&] {
    Candidate best{-INFINITY, INT32_MAX};
    for (std::int64_t e = 0; e < experts; ++e) {
      bool taken = false;
      for (std::int64_t k = 0; k < slots; ++k) { taken = taken || chosen[k] == e; }
      const Candidate here{taken ? 0 : selection_score(args, t, e), std::int32_t(e)};
      if (!taken && chosen_before(here, best)) { best = here; }
    }
    return best;
  };
  Candidate last{INFINITY, -1};
  for (std::int64_t k = 0; k < slots; ++k) {
    if (chosen[k] < 0) { chosen[k] = best_left().index; }
    const Candidate here{selection_score(args, t, chosen[k]), chosen[k]};
    if (k == 0 || chosen_before(last, here)) { last = here; }
  }
  return slots < experts ? margin_of(last.score, best_left().score) : NAN;
}

// expert_weight of token t: softmax over the logits of its chosen experts, or over all of them.
// Static, so that every file of kernels/cpu has one for its own instruction set.
KAPPASCOPE_HOST_DEVICE static inline void weigh_of_all(const RouteArgs& args, std::int64_t t) {
  const RoutingView& routing = args.routing;
  const float* logits = routing.logits + t * routing.experts;
  float highest = logits[0];
  for (std::int64_t e = 1; e < routing.experts; ++e) {
    if (highest < logits[e]) { highest = logits[e]; }
  }
  float sum = 0;
  for (std::int64_t e = 0; e < routing.experts; ++e) { sum += std::exp(logits[e] - highest); }
  for (std::int64_t k = 0; k < routing.slots; ++k) {
    const std::int64_t cell = t * routing.slots + k;
    routing.cells.weight[cell] = std::exp(logits[routing.cells.expert[cell]] - highest) / sum;
  }
}
KAPPASCOPE_HOST_DEVICE static inline void weigh(const RouteArgs& args, std::int64_t t) {
  if (args.weight_of_all) { return weigh_of_all(args, t); }
  const RoutingView& routing = args.routing;
  const std::int64_t slots = routing.slots;
  const float* logits = routing.logits + t * routing.experts;
  const std::int32_t* index = routing.cells.expert + t * slots;
  float* weight = routing.cells.weight + t * slots;
  float highest = logits[index[0]];
  for (std::int64_t k = 1; k < slots; ++k) {
    if (highest < logits[index[k]]) { highest = logits[index[k]]; }
  }
  float sum = 0;
  for (std::int64_t k = 0; k < slots; ++k) {
    sum += weight[k] = std::exp(logits[index[k]] - highest);
  }
  for (std::int64_t k = 0; k < slots; ++k) { weight[k] /= sum; }
}

// s of a kept slot of token t, from its weight before anything was dropped; NaN where the model has
// none.
KAPPASCOPE_HOST_DEVICE inline float kappa_score(const RouteArgs& args, float weight, std::int64_t t,
                                                std::int32_t expert) {
  const std::int64_t at = t * args.routing.experts + expert;
  switch (args.score) {
    case RouteScore::router_probs:
      return args.score_factor * weight;
    case RouteScore::raw_logit:
      return args.score_factor * args.routing.logits[at];
    case RouteScore::scaled_logit:
      return args.score_factor * args.routing.logits[at] / args.score_norm[expert];
    case RouteScore::given:
      return args.given_score[at];
    case RouteScore::constant:
      return args.score_constant;
    case RouteScore::none:
      break;
  }
  return NAN;
}

// Of the reference twins: p = softmax over all E logits of token t: its maximum, its sum over the
// first `chosen` cells, its entropy / ln E; and the gap between the two highest logits.
void describe_router(const RoutingView& routing, std::int64_t t, std::int64_t chosen);

// Queues are filled by every token's 1st choice in token order, then every 2nd, …: assignment
// number `turn` of T tokens and K slots is that of this cell of [T,K].
KAPPASCOPE_HOST_DEVICE inline std::int64_t cell_of_turn(std::int64_t turn, std::int64_t tokens,
                                                        std::int64_t slots) {
  return turn % tokens * slots + turn / tokens;
}
KAPPASCOPE_HOST_DEVICE inline std::int64_t turn_of_cell(std::int64_t cell, std::int64_t tokens,
                                                        std::int64_t slots) {
  return cell % slots * tokens + cell / slots;
}

}  // namespace kappascope
