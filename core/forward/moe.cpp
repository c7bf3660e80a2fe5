#include <ATen/Parallel.h>

#include "core/forward/experts.h"

namespace kappascope {
namespace {

Routing route(const at::Tensor& x, const MoeWeights& weights, const CallContext& context,
              bool recorded) {
  const ModelConfig& config = context.model.config;
  const std::int64_t tokens = x.size(0), experts = config.n_exp, slots = config.moe_top_k;
  Routing routing{experts, slots, at::mm(x, weights.w_g.t()), {}, {}, {}, {}, {}, {}, {}, {}, {}};
  const auto cells = std::size_t(tokens * slots), rows = std::size_t(tokens);
  routing.expert_index.resize(cells);
  routing.expert_weight.resize(cells);
  routing.expert_kept.resize(cells);
  routing.kappa_input.resize(cells);
  if (recorded) {
    for (auto* values : {&routing.top1_prob, &routing.selected_mass, &routing.margin,
                         &routing.top_gap, &routing.entropy}) {
      values->resize(rows);
    }
  }
  RouteArgs args;
  args.tokens = tokens;
  args.experts = experts;
  args.slots = slots;
  args.logits = routing.logits.const_data_ptr<float>();
  args.selection_bias = weights.expert_bias.empty() ? nullptr : weights.expert_bias.data();
  args.capacity = context.options.capacity ? config.capacity(tokens) : -1;
  args.score = route_score(config);
  args.score_norm = weights.score_norm.data();
  args.score_constant = float(config.kappa_input_constant);
  args.expert_index = routing.expert_index.data();
  args.expert_weight = routing.expert_weight.data();
  args.expert_kept = routing.expert_kept.data();
  args.kappa_input = routing.kappa_input.data();
  if (recorded) {
    args.top1_prob = routing.top1_prob.data();
    args.selected_mass = routing.selected_mass.data();
    args.margin = routing.margin.data();
    args.top_gap = routing.top_gap.data();
    args.entropy = routing.entropy.data();
  }
  at::parallel_for(0, tokens, 256, [&](std::int64_t first, std::int64_t last) {
    cpu_kernels().route_tokens(args, first, last);
  });
  route_capacity(args);
  return routing;
}

template <typename T>
const T* data_or_null(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

const float* data_or_null(const at::Tensor& values) {
  return values.defined() ? values.const_data_ptr<float>() : nullptr;
}

void give_to_probe(const at::Tensor& x, const at::Tensor& output, const Routing& routing,
                   const ExpertRecord& record, std::int64_t layer, std::int64_t pass,
                   const CallContext& context) {
  const std::int64_t first = context.call.first_recorded, cell = first * routing.slots;
  MoeTap tap{};
  tap.layer = layer;
  tap.pass = pass;
  tap.first_token = context.first_token();
  tap.tokens = context.recorded();
  tap.experts = routing.experts;
  tap.slots = routing.slots;
  tap.gates = context.model.config.gate_units();
  tap.width = x.size(1);
  tap.router_logits = routing.logits.const_data_ptr<float>() + first * routing.experts;
  tap.expert_index = routing.expert_index.data() + cell;
  tap.expert_weight = routing.expert_weight.data() + cell;
  tap.expert_kept = routing.expert_kept.data() + cell;
  tap.kappa_input = routing.kappa_input.data() + cell;
  tap.top1_prob = routing.top1_prob.data() + first;
  tap.selected_mass = routing.selected_mass.data() + first;
  tap.margin = routing.margin.data() + first;
  tap.top_gap = routing.top_gap.data() + first;
  tap.entropy = routing.entropy.data() + first;
  tap.gate_stats = data_or_null(record.gate_stats);
  tap.kappa_stats = data_or_null(record.kappa_stats);
  tap.kappa_hist = data_or_null(record.kappa_hist);
  tap.gate_pre_hist = data_or_null(record.gate_pre_hist);
  tap.effect = data_or_null(record.effect);
  tap.kappa = data_or_null(record.kappa);
  tap.gate_pre = data_or_null(record.gate_pre);
  tap.gate_act = data_or_null(record.gate_act);
  tap.router_input = x.const_data_ptr<float>() + first * tap.width;
  tap.output = output.const_data_ptr<float>() + first * tap.width;
  CallContext::require_going(context.probe.moe(tap));
}

}  // namespace

at::Tensor moe_layer(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                     std::int64_t pass, const CallContext& context) {
  const bool recorded = context.wants.routing && context.probe.wants_layer(layer);
  const Routing routing = route(x, weights, context, recorded);
  ExpertRecord record;
  const at::Tensor output = run_experts(x, weights, layer, routing, context,
                                        recorded ? context.wants : ProbeWants{}, record);
  if (recorded) { give_to_probe(x, output, routing, record, layer, pass, context); }
  return output;
}

}  // namespace kappascope
