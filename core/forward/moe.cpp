#include <ATen/Parallel.h>

#include "core/forward/device.h"
#include "core/forward/experts.h"

namespace kappascope {

namespace {

void route(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer, std::int64_t pass,
           const CallContext& context, const RoutingView& routing) {
  const LayerPlan& plan = context.plan.layers[layer];
  const std::int64_t tokens = x.size(0);
  RouteArgs args = route_rules(plan, tokens);
  args.routing = routing;
  const std::vector<float> bias = selection_bias(weights, plan);
  const std::vector<std::int32_t> given = given_experts(layer, pass, context);
  args.selection_bias = bias.empty() ? nullptr : bias.data();
  args.given_expert = given.empty() ? nullptr : given.data();
  const at::Tensor kappa_scores = kappa_router_scores(x, weights);
  if (kappa_scores.defined()) { args.given_score = kappa_scores.const_data_ptr<float>(); }
  args.score_norm = weights.score_norm.data();
  if (plan.soft) {
    const SoftRouteArgs soft{args, plan.soft_rule()};
    return at::parallel_for(0, tokens, 64, [&](std::int64_t first, std::int64_t last) {
      soft_route_ref(soft, first, last);
    });
  }
  at::parallel_for(0, tokens, 256, [&](std::int64_t first, std::int64_t last) {
    cpu_kernels().route_tokens(args, first, last);
  });
  route_capacity(args);
}

}  // namespace

at::Tensor moe_layer(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                     std::int64_t pass, const CallContext& context) {
  const bool recorded = context.wants.routing && context.probe.wants_layer(layer);
  const LayerPlan& plan = context.plan.layers[layer];
  const Routing routing(router_logits(x, weights), plan.slots, recorded, plan.soft.has_value());
  route(x, weights, layer, pass, context, routing.view);
  ExpertRecord record;
  at::Tensor output = run_experts(x, weights, layer, pass, routing.view, context,
                                  recorded ? context.wants : ProbeWants{}, record);
  if (plan.spec->moe()->shared) {
    output = output + shared_expert(x, weights, layer, pass, context);
  }
  if (recorded) { give_to_probe(x, output, weights, routing.view, record, layer, pass, context); }
  return output;
}

}  // namespace kappascope
