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

// What the score q of an expert is measured by: softmax over all E. Static like the functions
// below.
struct ScoreBase {
  float highest = 0, sum = 1;  // the largest logit, and Σ exp(logit − highest)
};
KAPPASCOPE_HOST_DEVICE static inline ScoreBase score_base(const RouteArgs& args, std::int64_t t) {
  if (args.rule.score == ExpertScore::sigmoid) { return {}; }
  const float* logits = args.routing.logits + t * args.routing.experts;
  ScoreBase base{logits[0], 0};
  for (std::int64_t e = 1; e < args.routing.experts; ++e) {
    if (base.highest < logits[e]) { base.highest = logits[e]; }
  }
  for (std::int64_t e = 0; e < args.routing.experts; ++e) {
    base.sum += std::exp(logits[e] - base.highest);
  }
  return base;
}
KAPPASCOPE_HOST_DEVICE static inline float score_of_logit(const RouterRule& rule, float logit,
                                                          const ScoreBase& base) {
  return rule.score == ExpertScore::sigmoid ? 1 / (1 + std::exp(-logit))
                                            : std::exp(logit - base.highest) / base.sum;
}

// What decides the choice for a token: c of each expert, −∞ in groups that are not kept.
struct Selection {
  ScoreBase base;
  std::uint32_t kept = ~std::uint32_t{0};  // bit g: group g
  float group_margin = NAN;  // of the lowest score of a kept group and the highest of another
};
// c of an expert, whatever its group.
KAPPASCOPE_HOST_DEVICE static inline float own_score(const RouteArgs& args, std::int64_t t,
                                                     std::int64_t e, const ScoreBase& base) {
  const float logit = args.routing.logits[t * args.routing.experts + e];
  return (args.rule.by_score ? score_of_logit(args.rule, logit, base) : logit) +
         (args.selection_bias ? args.selection_bias[e] : 0.0f);
}
KAPPASCOPE_HOST_DEVICE static inline float selection_score(const RouteArgs& args, std::int64_t t,
                                                           std::int64_t e,
                                                           const Selection& selection) {
  if (args.rule.groups > 1) {
    const std::int64_t group = e / (args.routing.experts / args.rule.groups);
    if ((selection.kept >> group & 1) == 0) { return -INFINITY; }
  }
  return own_score(args, t, e, selection.base);
}

// router_margin, of the lowest chosen score and the highest other one.
KAPPASCOPE_HOST_DEVICE static inline float margin_of(float chosen, float other) {
  return other == -INFINITY ? NAN : chosen - other;
}

// Which groups are kept, by `score_of` each; it is asked several times.
template <typename Score>
KAPPASCOPE_HOST_DEVICE static inline void keep_groups(const RouterRule& rule, const Score& score_of,
                                                      Selection& selection) {
  selection.kept = 0;
  Candidate last{};
  for (std::int32_t n = 0; n <= rule.kept_groups && n < rule.groups; ++n) {
    Candidate best{-INFINITY, INT32_MAX};
    for (std::int32_t g = 0; g < rule.groups; ++g) {
      const Candidate here{score_of(g), g};
      if ((selection.kept >> g & 1) == 0 && chosen_before(here, best)) { best = here; }
    }
    if (n == rule.kept_groups) {
      selection.group_margin = margin_of(last.score, best.score);
    } else {
      last = best;
      selection.kept |= std::uint32_t{1} << best.index;
    }
  }
}

// The better two of some experts.
struct BestTwo {
  Candidate best{-INFINITY, INT32_MAX}, second{-INFINITY, INT32_MAX};
  KAPPASCOPE_HOST_DEVICE void consider(const Candidate& here) {
    if (chosen_before(here, best)) {
      second = best;
      best = here;
    } else if (chosen_before(here, second)) {
      second = here;
    }
  }
};

KAPPASCOPE_HOST_DEVICE static inline Selection selection_of(const RouteArgs& args, std::int64_t t) {
  Selection selection;
  if (args.rule.by_score) { selection.base = score_base(args, t); }
  if (args.rule.groups == 1) { return selection; }
  const std::int64_t width = args.routing.experts / args.rule.groups;
  const auto score_of = [&](std::int32_t g) {
    BestTwo two;
    for (std::int64_t e = g * width; e < (g + 1) * width; ++e) {
      two.consider({own_score(args, t, e, selection.base), std::int32_t(e)});
    }
    return args.rule.two_best ? two.best.score + two.second.score : two.best.score;
  };
  keep_groups(args.rule, score_of, selection);
  return selection;
}

// The smaller of two margins; NaN where both are.
KAPPASCOPE_HOST_DEVICE static inline float smaller_margin(float a, float b) {
  return b < a || a != a ? b : a;
}

// The experts of token t where some may be given; returns the margin.
KAPPASCOPE_HOST_DEVICE static inline float choose_given(const RouteArgs& args, std::int64_t t) {
  const std::int64_t experts = args.routing.experts, slots = args.routing.slots;
  const Selection selection = selection_of(args, t);
  std::int32_t* chosen = args.routing.cells.expert + t * slots;
  bool given = false;
  for (std::int64_t k = 0; k < slots; ++k) {
    chosen[k] = args.given_expert[t * slots + k];
    given = given || chosen[k] >= 0;
  }
  const auto best_left = [&] {
    Candidate best{-INFINITY, INT32_MAX};
    for (std::int64_t e = 0; e < experts; ++e) {
      bool taken = false;
      for (std::int64_t k = 0; k < slots; ++k) { taken = taken || chosen[k] == e; }
      const Candidate here{taken ? 0 : selection_score(args, t, e, selection), std::int32_t(e)};
      if (!taken && chosen_before(here, best)) { best = here; }
    }
    return best;
  };
  Candidate last{INFINITY, -1};
  for (std::int64_t k = 0; k < slots; ++k) {
    if (chosen[k] < 0) { chosen[k] = best_left().index; }
    const Candidate here{own_score(args, t, chosen[k], selection.base), chosen[k]};
    if (k == 0 || chosen_before(last, here)) { last = here; }
  }
  const float margin = slots < experts ? margin_of(last.score, best_left().score) : NAN;
  return given ? margin : smaller_margin(margin, selection.group_margin);
}

// expert_weight of token t, as the rule says. Static, so that every file of kernels/cpu has one for
// its own instruction set.
KAPPASCOPE_HOST_DEVICE static inline void weigh_by_score(const RouteArgs& args, std::int64_t t) {
  const RoutingView& routing = args.routing;
  const float* logits = routing.logits + t * routing.experts;
  const ScoreBase base = score_base(args, t);
  float* weight = routing.cells.weight + t * routing.slots;
  float sum = 0;
  for (std::int64_t k = 0; k < routing.slots; ++k) {
    const float logit = logits[routing.cells.expert[t * routing.slots + k]];
    sum += weight[k] = score_of_logit(args.rule, logit, base);
  }
  sum += args.rule.added;
  if (sum < args.rule.least) { sum = args.rule.least; }
  if (args.rule.weight == RouteWeight::score) { sum = 1; }
  for (std::int64_t k = 0; k < routing.slots; ++k) {
    weight[k] = weight[k] / sum * args.rule.scale;
  }
}
KAPPASCOPE_HOST_DEVICE static inline void weigh_sparse_mixer(const RouteArgs& args,
                                                             std::int64_t t) {
  const RoutingView& routing = args.routing;
  const float* logits = routing.logits + t * routing.experts;
  const std::int32_t* index = routing.cells.expert + t * routing.slots;
  const auto taken_before = [&](std::int64_t slot, std::int64_t e) {
    bool taken = false;
    for (std::int64_t k = 0; k < slot; ++k) { taken = taken || index[k] == e; }
    return taken;
  };
  for (std::int64_t k = 0; k < routing.slots; ++k) {
    const float own = logits[index[k]];
    float sum = 0;
    for (std::int64_t e = 0; e < routing.experts; ++e) {
      const float r = logits[e], size = r < 0 ? -r : r;
      const bool far = (own - r) / (size < own ? own : size) > 2 * args.rule.jitter;
      if (!far && !taken_before(k, e)) { sum += std::exp(r - own); }
    }
    routing.cells.weight[t * routing.slots + k] = 1 / sum;
  }
}
KAPPASCOPE_HOST_DEVICE static inline void weigh(const RouteArgs& args, std::int64_t t) {
  if (args.rule.weight == RouteWeight::sparse_mixer) { return weigh_sparse_mixer(args, t); }
  if (args.rule.weight != RouteWeight::softmax_of_chosen) { return weigh_by_score(args, t); }
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

// Of the reference twins: p = q / Σ q of token t: its maximum, its sum over the first `chosen`
// cells, its entropy / ln E; and the gap between the two highest logits.
void describe_router(const RoutingView& routing, std::int64_t t, std::int64_t chosen,
                     ExpertScore score = ExpertScore::softmax);

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
