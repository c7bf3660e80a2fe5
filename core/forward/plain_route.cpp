#include "core/forward/plain_route.h"

#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "core/forward/learning.h"
#include "core/nan.h"

namespace kappascope {
namespace {

// Assignments take their place in an expert's queue: all first choices by token, then all second.
at::Tensor kept_within(const at::Tensor& index, std::int64_t experts, std::int64_t capacity,
                       Learning* learning) {
  if (capacity < 0) { return at::ones_like(index, at::kBool); }
  const at::Tensor queue = index.t().flatten();  // [K·T]
  const at::Tensor hits = at::one_hot(queue, experts);
  at::Tensor place = hits.cumsum(0).gather(1, queue.unsqueeze(1)).squeeze(1) - 1;
  if (learning) {
    const at::Tensor counts = hits.view({index.size(1), index.size(0), experts}).sum(1);
    const at::Tensor before = learning->queued_before(counts);
    if (before.defined()) {
      const at::Tensor of_slot = before.repeat_interleave(index.size(0), 0);  // [K·T,E]
      place = place + of_slot.gather(1, queue.unsqueeze(1)).squeeze(1);
    }
  }
  return (place < capacity).view({index.size(1), index.size(0)}).t();
}

at::Tensor scores_of(const PlainRouting& routing, const at::Tensor& x, const MoeWeights& weights,
                     const std::optional<KappaScore>& rule) {
  const at::Tensor none = at::full_like(routing.weight, kNaN);
  const at::Tensor chosen = routing.logits.gather(1, routing.index);
  const double factor = rule ? rule->factor : 1;
  switch (route_score(rule)) {
    case RouteScore::router_probs:
      return factor * routing.weight;
    case RouteScore::raw_logit:
      return factor * chosen;
    case RouteScore::scaled_logit: {
      const at::Tensor norm = at::tensor(weights.score_norm, at::kFloat).to(x.device());
      return factor * chosen / norm.index({routing.index});
    }
    case RouteScore::constant:
      return at::full_like(routing.weight, rule->constant);
    case RouteScore::given:
      return kappa_router_scores(x, weights).gather(1, routing.index);
    case RouteScore::none:
      return none;
  }
  fail(ExitCode::internal, {}, "a score of no kind");
}

at::Tensor router_scores(const at::Tensor& logits, RouterScore score) {
  return score == RouterScore::sigmoid ? logits.sigmoid() : logits.softmax(1);
}

// By what experts are chosen.
struct PlainChoice {
  at::Tensor own;           // [T,E]
  at::Tensor limited;       // [T,E] −∞ in groups that are not kept
  at::Tensor group_margin;  // [T]; undefined: no groups
};

PlainChoice choice_scores(const at::Tensor& logits, const std::vector<float>& bias,
                          const RouterSpec& spec) {
  constexpr double kMasked = -std::numeric_limits<double>::infinity();
  PlainChoice choice;
  choice.own = spec.by_score ? router_scores(logits, spec.score) : logits;
  if (!bias.empty()) { choice.own = choice.own + at::tensor(bias, at::kFloat).to(logits.device()); }
  choice.limited = choice.own;
  if (!spec.groups) { return choice; }
  const RouterGroups& limit = *spec.groups;
  const at::Tensor grouped = choice.own.view({logits.size(0), limit.groups, -1});
  const at::Tensor scores =
      std::get<0>(at::topk(grouped, limit.two_best ? 2 : 1, 2)).sum(2);  // [T,groups]
  const auto [sorted, order] = at::sort(scores, /*stable=*/true, 1, /*descending=*/true);
  const at::Tensor kept = at::zeros_like(scores, at::kBool)
                              .scatter(1, order.narrow(1, 0, limit.kept), true)
                              .unsqueeze(2)
                              .expand_as(grouped);
  choice.limited = grouped.masked_fill(kept.logical_not(), kMasked).view_as(choice.own);
  const at::Tensor next = sorted.select(1, limit.kept);
  choice.group_margin = at::where(next == kMasked, kNaN, sorted.select(1, limit.kept - 1) - next);
  return choice;
}

// [T,K] and the margin, of what experts are chosen by and those given [T,K] or undefined. A given
// expert is put in front of the others in the order of the slots, then into its own slot.
std::pair<at::Tensor, at::Tensor> choose(const PlainChoice& choice, const at::Tensor& given,
                                         std::int64_t slots) {
  const at::Tensor& by = choice.limited;
  const std::int64_t tokens = by.size(0), experts = by.size(1);
  const auto [sorted, order] = at::sort(by, /*stable=*/true, /*dim=*/1, /*descending=*/true);
  at::Tensor index = order.narrow(1, 0, slots).contiguous();
  at::Tensor last = sorted.select(1, slots - 1), next, any_given;
  if (slots < experts) { next = sorted.select(1, slots); }
  if (given.defined()) {
    at::Tensor taken = at::zeros({tokens, experts + 1}, by.options().dtype(at::kBool));
    taken = taken.scatter(1, at::where(given < 0, experts, given), true).narrow(1, 0, experts);
    // Those left, best first: the stable sort keeps the order of `order`.
    const at::Tensor left =
        order.gather(1, std::get<1>(at::sort(taken.gather(1, order).to(at::kInt), true, 1, false)));
    const at::Tensor own = given < 0;
    const at::Tensor turn = (own.cumsum(1) - 1).clamp_min(0);
    index = at::where(own, left.gather(1, turn), given);
    last = std::get<0>(choice.own.gather(1, index).min(1));
    const at::Tensor first_left = own.sum(1, /*keepdim=*/true).clamp_max(experts - 1);
    next = by.gather(1, left.gather(1, first_left)).squeeze(1);
    any_given = own.logical_not().any(1);
  }
  at::Tensor margin = at::full({tokens}, kNaN, by.options());
  if (slots < experts) {
    margin = at::where(next == -std::numeric_limits<double>::infinity(), kNaN, last - next);
  }
  if (choice.group_margin.defined()) {
    const at::Tensor both = at::fmin(margin, choice.group_margin);
    margin = any_given.defined() ? at::where(any_given, margin, both) : both;
  }
  return {index, margin};
}

// Of each slot [T,K]: softmax at its logit m over those near it (SPEC-families §8).
at::Tensor sparse_mixer_weights(const at::Tensor& logits, const at::Tensor& index, double jitter) {
  at::Tensor taken = at::zeros_like(logits, at::kBool);
  std::vector<at::Tensor> weights;
  for (std::int64_t k = 0; k < index.size(1); ++k) {
    const at::Tensor slot = index.narrow(1, k, 1), own = logits.gather(1, slot);
    const at::Tensor far = (own - logits) / at::maximum(logits.abs(), own) > 2 * jitter;
    const at::Tensor left = logits.masked_fill(far.logical_or(taken), -HUGE_VAL);
    weights.push_back(left.softmax(1).gather(1, slot));
    taken = taken.scatter(1, slot, true);
  }
  return at::cat(weights, 1);
}

// [T,K] before anything is dropped.
at::Tensor combine_weights(const at::Tensor& logits, const at::Tensor& index,
                           const RouterSpec& spec) {
  switch (spec.weight) {
    case CombineWeight::softmax_of_chosen:
      return logits.gather(1, index).softmax(1);
    case CombineWeight::score:
      return router_scores(logits, spec.score).gather(1, index) * spec.scale;
    case CombineWeight::normalised_score: {
      const at::Tensor chosen = router_scores(logits, spec.score).gather(1, index);
      const at::Tensor sum = (chosen.sum(1, true) + spec.sum_added).clamp_min(spec.least_sum);
      return chosen / sum * spec.scale;
    }
    case CombineWeight::sparse_mixer:
      return sparse_mixer_weights(logits, index, spec.jitter);
  }
  fail(ExitCode::internal, {}, "a combine weight of no kind");
}

at::Tensor laplace(const at::Tensor& u) {
  return at::where(u < 0, 0.5 * u.clamp_max(0).exp(), 1 - 0.5 * (-u.clamp_min(0)).exp());
}

// x* [T,1] of r [T,E] by bisection, which no gradient passes through.
at::Tensor bisected_root(const at::Tensor& r, const at::Tensor& budget) {
  const c10::NoGradGuard no_gradient;
  const double least = budget.min().item<double>();
  const double reach = std::log(double(r.size(1)) / std::min(least, 1.0)) + 40;
  at::Tensor low = std::get<0>(r.min(1, true)) - reach, high = std::get<0>(r.max(1, true)) + reach;
  for (int i = 0; i < 200; ++i) {
    const at::Tensor middle = (low + high) / 2;
    const at::Tensor right = laplace(r - middle).sum(1, true) > budget;
    const at::Tensor above = at::where(right, middle, low), below = at::where(right, high, middle);
    const bool still = above.equal(low) && below.equal(high);
    low = above;
    high = below;
    if (still) { break; }  // there is no number between them
  }
  return (low + high) / 2;
}

// Soft routing (SPEC §3, SPEC-layouts §3a).
void route_softly(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                  const CallContext& context, PlainRouting& routing) {
  const LayerPlan& plan = context.plan.layers[layer];
  const SoftRule rule = plan.soft_rule();
  const at::Tensor budget = context.learning ? context.learning->budget(layer)
                                             : at::scalar_tensor(rule.budget, at::kDouble);
  const at::Tensor all = soft_weights(routing.logits, budget, rule.temperature);
  const auto [p, order] = at::sort(all, /*stable=*/true, /*dim=*/1, /*descending=*/true);
  routing.soft = all;
  routing.index = order.contiguous();
  const at::Tensor least =
      rule.most > 0 ? p.narrow(1, rule.most - 1, 1) : at::zeros({p.size(0), 1}, p.options());
  at::Tensor away;
  if (rule.relative < 0) {
    routing.kept = (p <= rule.threshold).logical_or(p < least).logical_not();  // NaN runs
    const at::Tensor cut = (p > rule.threshold).logical_and(p < least);
    away = at::cat(
        {(p - rule.threshold).abs(), at::where(cut, least - p, at::full_like(p, HUGE_VAL))}, 1);
  } else {
    const double wanted = soft_threshold(rule, p.size(1));
    const at::Tensor threshold = at::minimum(least.clamp_min(wanted), p.narrow(1, 0, 1));
    routing.kept = (p < threshold).logical_not();
    away = at::where((threshold != wanted).logical_and(p == threshold), at::full_like(p, HUGE_VAL),
                     (p - threshold).abs());
  }
  const at::Tensor nearest = std::get<0>(away.min(1));
  routing.margin = nearest.masked_fill(nearest == HUGE_VAL, kNaN);
  const at::Tensor stays = routing.kept.logical_not();
  routing.weight = p.to(at::kFloat).masked_fill(stays, 0);
  routing.score = scores_of(routing, x, weights, plan.spec->moe()->score).masked_fill(stays, kNaN);
}

}  // namespace

at::Tensor soft_budgets(const at::Tensor& eta, double total) {
  const at::Tensor share = eta.to(at::kDouble).softmax(0);
  return share * (total - double(eta.size(0))) + 1;
}

at::Tensor soft_weights(const at::Tensor& logits, const at::Tensor& budget, double temperature) {
  const at::Tensor r = logits.to(at::kDouble) / temperature;
  const at::Tensor root = bisected_root(r, budget.detach());
  // Newton's step at the root is 0, and its derivatives are those of x*: ∂x*/∂r = f/S,
  // ∂x*/∂k = −1/S.
  const at::Tensor rest = laplace(r - root).sum(1, true) - budget;
  const at::Tensor slope = 0.5 * (-(r - root).abs()).exp().sum(1, true).clamp_min(1e-300);
  return laplace(r - (root + (rest - rest.detach()) / slope.detach()));
}

PlainRouting plain_route(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                         std::int64_t pass, const CallContext& context) {
  const LayerPlan& plan = context.plan.layers[layer];
  const MoeSpec& spec = *plan.spec->moe();
  PlainRouting routing;
  routing.logits = router_logits(x, weights);
  if (plan.soft) {
    route_softly(x, weights, layer, context, routing);
    return routing;
  }
  const std::vector<std::int32_t> experts = given_experts(layer, pass, context);
  at::Tensor given;
  if (!experts.empty()) {
    given = at::tensor(experts, at::kLong).view({x.size(0), plan.slots}).to(x.device());
  }
  const RouterSpec& router = spec.router;
  const PlainChoice choice = choice_scores(routing.logits, selection_bias(weights, plan), router);
  std::tie(routing.index, routing.margin) = choose(choice, given, plan.slots);
  const std::int64_t tokens =
      context.learning ? context.learning->tokens_of_call(x.size(0)) : x.size(0);
  routing.kept =
      kept_within(routing.index, router.experts, plan.capacity_of_call(tokens), context.learning);
  const at::Tensor weight = combine_weights(routing.logits, routing.index, router);
  routing.weight = weight.masked_fill(routing.kept.logical_not(), 0);
  routing.score =
      scores_of(routing, x, weights, spec.score).masked_fill(routing.kept.logical_not(), kNaN);
  return routing;
}

void fill_view(const PlainRouting& routing, RouterScore score, const RoutingView& view) {
  const at::Tensor logits = routing.logits.cpu();
  const auto copy = [](const at::Tensor& from, auto* to) {
    using T = std::remove_pointer_t<decltype(to)>;
    const at::Tensor host = from.to(c10::CppTypeToScalarType<T>::value).cpu().contiguous();
    std::copy_n(host.template const_data_ptr<T>(), host.numel(), to);
  };
  copy(routing.index, view.cells.expert);
  copy(routing.weight, view.cells.weight);
  copy(routing.kept, view.cells.kept);
  copy(routing.score, view.cells.score);
  if (routing.soft.defined()) { copy(routing.soft, view.soft_weight); }
  if (!view.numbers.top1_prob) { return; }
  at::Tensor p = router_scores(logits, score);
  if (score == RouterScore::sigmoid) { p = p / p.sum(1, true); }
  const at::Tensor of_chosen = p.gather(1, routing.index.to(p.device()));
  const at::Tensor best = std::get<0>(at::sort(logits, 1, true));
  copy(std::get<0>(p.max(1)), view.numbers.top1_prob);
  copy(routing.soft.defined() ? (of_chosen * routing.kept.to(p.device())).sum(1) : of_chosen.sum(1),
       view.numbers.selected_mass);
  copy(routing.margin, view.numbers.margin);
  copy(logits.size(1) == 1 ? at::full({logits.size(0)}, kNaN)
                           : best.select(1, 0) - best.select(1, 1),
       view.numbers.top_gap);
  copy(logits.size(1) == 1 ? at::zeros({logits.size(0)})
                           : at::special_entr(p).sum(1) / std::log(double(logits.size(1))),
       view.numbers.entropy);
}

}  // namespace kappascope
