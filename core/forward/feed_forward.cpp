#include "core/forward/feed_forward.h"

#include <limits>

namespace kappascope {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

RouteScore route_score(const std::optional<KappaScore>& score) {
  if (!score) { return RouteScore::none; }
  if (score->router) { return RouteScore::given; }
  switch (score->input) {
    case KappaInput::router_probs:
      return RouteScore::router_probs;
    case KappaInput::constant:
      return RouteScore::constant;
    case KappaInput::gate_proj:
      return RouteScore::none;
    case KappaInput::top_logits:
      return score->norm_exponent > 0 ? RouteScore::scaled_logit : RouteScore::raw_logit;
  }
  fail(ExitCode::internal, {}, "a κ input of no kind");
}

namespace {

RouteWeight weight_rule(CombineWeight weight) {
  switch (weight) {
    case CombineWeight::softmax_of_chosen:
      return RouteWeight::softmax_of_chosen;
    case CombineWeight::score:
      return RouteWeight::score;
    case CombineWeight::normalised_score:
      return RouteWeight::normalised;
    case CombineWeight::sparse_mixer:
      return RouteWeight::sparse_mixer;
  }
  fail(ExitCode::internal, {}, "a combine weight of no kind");
}

}  // namespace

RouterRule router_rule(const RouterSpec& spec) {
  static_assert(kMostGroups == kMostRouterGroups);
  RouterRule rule;
  rule.score = spec.score == RouterScore::sigmoid ? ExpertScore::sigmoid : ExpertScore::softmax;
  rule.by_score = spec.by_score;
  rule.weight = weight_rule(spec.weight);
  rule.scale = float(spec.scale);
  rule.added = float(spec.sum_added);
  rule.least = float(spec.least_sum);
  rule.jitter = float(spec.jitter);
  if (spec.groups) {
    rule.groups = std::int32_t(spec.groups->groups);
    rule.kept_groups = std::int32_t(spec.groups->kept);
    rule.two_best = spec.groups->two_best;
  }
  return rule;
}

RouteArgs route_rules(const LayerPlan& plan, std::int64_t tokens) {
  const MoeSpec& spec = *plan.spec->moe();
  RouteArgs rules;
  rules.rule = router_rule(spec.router);
  rules.capacity = plan.capacity_of_call(tokens);
  rules.score = route_score(spec.score);
  if (spec.score) {
    rules.score_factor = float(spec.score->factor);
    rules.score_constant = float(spec.score->constant);
  }
  return rules;
}

GateRules gate_rules(const GateSpec& spec, const MoeWeights& weights) {
  GateRules rules;
  if (weights.gate_bias.defined()) { rules.gate_bias = weights.gate_bias.const_data_ptr<float>(); }
  if (weights.up_bias.defined()) { rules.up_bias = weights.up_bias.const_data_ptr<float>(); }
  if (spec.limit) { rules.limit = float(*spec.limit); }
  rules.up_offset = float(spec.up_offset);
  return rules;
}

at::Tensor router_logits(const at::Tensor& x, const MoeWeights& weights) {
  const at::Tensor logits = at::mm(x, weights.w_g.t());
  return weights.router_bias.defined() ? logits + weights.router_bias : logits;
}

at::Tensor shared_weight(const at::Tensor& x, const MoeWeights& weights) {
  if (!weights.shared_weight.defined()) { return {}; }
  return at::mm(x, weights.shared_weight.t()).sigmoid();
}

std::vector<float> selection_bias(const MoeWeights& weights, const LayerPlan& plan) {
  std::vector<float> bias = weights.expert_bias;
  if (!plan.has(ExpertMode::reroute)) { return bias; }
  bias.resize(plan.modes.size());
  for (std::size_t e = 0; e < bias.size(); ++e) {
    if (plan.modes[e] == ExpertMode::reroute) { bias[e] = -kInfinity; }
  }
  return bias;
}

std::vector<float> selection_scores(const RoutingView& routing, const SelectionRule& rule) {
  if (rule.bias.empty() && rule.router.chosen_by_logit()) { return {}; }
  std::vector<float> scores(std::size_t(routing.tokens * routing.experts));
  RouteArgs args;
  args.routing = routing;
  args.rule = rule.router;
  args.selection_bias = rule.bias.empty() ? nullptr : rule.bias.data();
  put_selection_scores(args, scores.data());
  return scores;
}

std::vector<std::int32_t> given_experts(std::int64_t layer, std::int64_t pass,
                                        const CallContext& context) {
  return context.plan.given_experts(
      layer, pass,
      {context.call.text_offset, context.tokens(), context.first_token(), context.text_tokens()});
}

at::Tensor kappa_router_scores(const at::Tensor& x, const MoeWeights& weights) {
  if (!weights.kappa_router.defined()) { return {}; }
  const at::Tensor scores = at::mm(x, weights.kappa_router.t());
  return weights.kappa_router_bias.defined() ? scores + weights.kappa_router_bias : scores;
}

}  // namespace kappascope
