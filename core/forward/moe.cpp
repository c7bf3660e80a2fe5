#include <algorithm>
#include <limits>
#include <vector>

#include "core/forward/feed_forward.h"
#include "core/forward/operations.h"

namespace kappascope {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr GateStats kNoStats = {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN, kNaN};

// The routing of a call and what it tells of each token.
struct Routing {
  std::int64_t experts, slots;
  at::Tensor logits;                                                      // [T,E]
  std::vector<std::int32_t> expert_index;                                 // [T,K]
  std::vector<float> expert_weight;                                       // [T,K]
  std::vector<std::uint8_t> expert_kept;                                  // [T,K]
  std::vector<float> kappa_input;                                         // [T,K]
  std::vector<float> top1_prob, selected_mass, margin, top_gap, entropy;  // [T]
};

RouteScore route_score(const ModelConfig& config) {
  switch (config.kappa_input) {
    case KappaInput::router_probs:
      return RouteScore::router_probs;
    case KappaInput::constant:
      return RouteScore::constant;
    case KappaInput::top_logits:
      break;
  }
  return config.kappa_input_logit_norm_exponent > 0 ? RouteScore::scaled_logit
                                                    : RouteScore::raw_logit;
}

Routing route(const at::Tensor& x, const MoeWeights& weights, const CallContext& context) {
  const ModelConfig& config = context.model.config;
  const std::int64_t tokens = x.size(0), experts = config.n_exp, slots = config.moe_top_k;
  Routing routing{experts, slots, at::mm(x, weights.w_g.t()), {}, {}, {}, {}, {}, {}, {}, {}, {}};
  const auto cells = std::size_t(tokens * slots), rows = std::size_t(tokens);
  routing.expert_index.resize(cells);
  routing.expert_weight.resize(cells);
  routing.expert_kept.resize(cells);
  routing.kappa_input.resize(cells);
  for (auto* values : {&routing.top1_prob, &routing.selected_mass, &routing.margin,
                       &routing.top_gap, &routing.entropy})
    values->resize(rows);
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
  args.top1_prob = routing.top1_prob.data();
  args.selected_mass = routing.selected_mass.data();
  args.margin = routing.margin.data();
  args.top_gap = routing.top_gap.data();
  args.entropy = routing.entropy.data();
  route_ref(args);
  return routing;
}

// What the taps are given beyond the routing, over the recorded tokens T.
struct Record {
  std::vector<GateStats> stats;                         // [T,K]
  std::vector<std::int64_t> kappa_hist, gate_pre_hist;  // [E,bins]
  std::vector<EffectSums> effect;                       // [E]
  std::vector<float> kappa, gate_pre, gate_act;         // [T,K,I]

  Record(const ProbeWants& wants, std::int64_t tokens, const ModelConfig& config) {
    const auto cells = std::size_t(tokens * config.moe_top_k), experts = std::size_t(config.n_exp);
    if (wants.gate_stats) {
      stats.assign(cells, kNoStats);
      kappa_hist.assign(experts * kKappaBins, 0);
      gate_pre_hist.assign(experts * kGatePreBins, 0);
      effect.resize(experts);
    }
    if (wants.gates)
      for (auto* values : {&kappa, &gate_pre, &gate_act})
        values->assign(cells * std::size_t(config.gate_units()), kNaN);
  }
};

// One expert's kept assignments, by token then slot.
struct Assignments {
  std::vector<std::int64_t> cell;   // index into [T,K]
  std::vector<std::int64_t> token;  // cell / K
};

std::vector<Assignments> group_by_expert(const Routing& routing) {
  std::vector<Assignments> groups(std::size_t(routing.experts));
  for (std::size_t cell = 0; cell < routing.expert_index.size(); ++cell) {
    if (!routing.expert_kept[cell]) continue;
    Assignments& group = groups[std::size_t(routing.expert_index[cell])];
    group.cell.push_back(std::int64_t(cell));
    group.token.push_back(std::int64_t(cell) / routing.slots);
  }
  return groups;
}

class ExpertRunner {
 public:
  ExpertRunner(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
               const Routing& routing, const CallContext& context, const ProbeWants& wants)
      : x_(x),
        weights_(weights),
        routing_(routing),
        context_(context),
        config_(context.model.config),
        wants_(wants),
        // As in the reference, a layer with κ parameters is never bilinear, not even with κ off.
        bilinear_(config_.bilinear_mlp_moe && !context.model.layers[std::size_t(layer)].kappa),
        output(at::zeros_like(x)),
        record(wants, context.recorded(), config_) {
    const KappaParameters& kappa = context.model.layers[std::size_t(layer)].kappa_parameters;
    if (context.options.kappa && !kappa.empty()) kappa_ = kappa.view();
  }

  // Expert e over its own tokens; adds weight · output to their rows.
  void run(std::int64_t e, const Assignments& group) {
    const auto rows = std::int64_t(group.cell.size()), gates = config_.gate_units();
    const at::Tensor index =
        at::from_blob(const_cast<std::int64_t*>(group.token.data()), {rows}, at::kLong);
    const at::Tensor gathered = x_.index_select(0, index);
    const at::Tensor z = product(gathered, weights_.gate_proj.select(0, e));
    at::Tensor up = product(gathered, weights_.c_fc.select(0, e));  // becomes a ∘ up
    swiglu(e, group, z.const_data_ptr<float>(), up.mutable_data_ptr<float>(), gates);
    combine(group, product(up, weights_.c_proj.select(0, e)));
  }

 private:
  void swiglu(std::int64_t e, const Assignments& group, const float* z, float* up,
              std::int64_t gates);
  void scatter(const Assignments& group, std::int64_t first, const std::vector<GateStats>& stats,
               const float* z, const std::vector<float>& kappa, const std::vector<float>& act);

  void combine(const Assignments& group, const at::Tensor& y) {
    const auto width = y.size(1);
    const float* from = y.const_data_ptr<float>();
    float* to = output.mutable_data_ptr<float>();
    for (std::size_t r = 0; r < group.cell.size(); ++r) {
      const float weight = routing_.expert_weight[std::size_t(group.cell[r])];
      for (std::int64_t h = 0; h < width; ++h)
        to[group.token[r] * width + h] += weight * from[std::int64_t(r) * width + h];
    }
  }

  const at::Tensor& x_;
  const MoeWeights& weights_;
  const Routing& routing_;
  const CallContext& context_;
  const ModelConfig& config_;
  const ProbeWants wants_;
  const bool bilinear_;
  KappaView kappa_;

 public:
  at::Tensor output;  // [T,H]
  Record record;
};

void ExpertRunner::swiglu(std::int64_t e, const Assignments& group, const float* z, float* up,
                          std::int64_t gates) {
  const auto rows = group.cell.size();
  const auto before =
      std::lower_bound(group.token.begin(), group.token.end(), context_.call.first_recorded);
  std::vector<float> score(rows);
  for (std::size_t r = 0; r < rows; ++r)
    score[r] = routing_.kappa_input[std::size_t(group.cell[r])];
  std::vector<GateStats> stats(wants_.gate_stats ? rows : 0);
  std::vector<float> kappa(wants_.gates ? rows * std::size_t(gates) : 0), act(kappa.size());
  KappaSwigluArgs args;
  args.rows = std::int64_t(rows);
  args.gates = gates;
  args.gate_pre = z;
  args.up = args.hidden = up;
  args.score = score.data();
  args.kappa = kappa_;
  if (kappa_.bias) args.kappa.bias += e * kappa_.expert_stride;
  if (kappa_.scale) args.kappa.scale += e * kappa_.expert_stride;
  args.identity_gate = bilinear_;
  args.first_recorded = before - group.token.begin();
  args.active_threshold = float(config_.gate_stats_threshold);
  args.top_gates = config_.gate_stats_topk;
  if (wants_.gate_stats) {
    args.stats = stats.data();
    args.kappa_hist = record.kappa_hist.data() + e * kKappaBins;
    args.gate_pre_hist = record.gate_pre_hist.data() + e * kGatePreBins;
    args.effect = &record.effect[std::size_t(e)];
  }
  if (wants_.gates) {
    args.kappa_out = kappa.data();
    args.gate_act_out = act.data();
  }
  kappa_swiglu_ref(args);
  scatter(group, args.first_recorded, stats, z, kappa, act);
}

void ExpertRunner::scatter(const Assignments& group, std::int64_t first,
                           const std::vector<GateStats>& stats, const float* z,
                           const std::vector<float>& kappa, const std::vector<float>& act) {
  const std::int64_t skipped = context_.call.first_recorded * routing_.slots;
  const std::int64_t gates = config_.gate_units();
  for (std::size_t r = std::size_t(first); r < group.cell.size(); ++r) {
    const std::int64_t cell = group.cell[r] - skipped, row = std::int64_t(r) * gates;
    if (wants_.gate_stats) record.stats[std::size_t(cell)] = stats[r];
    if (!wants_.gates) continue;
    std::copy_n(z + row, gates, record.gate_pre.data() + cell * gates);
    std::copy_n(kappa.data() + row, gates, record.kappa.data() + cell * gates);
    std::copy_n(act.data() + row, gates, record.gate_act.data() + cell * gates);
  }
}

template <typename T>
const T* data_or_null(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

void give_to_probe(const at::Tensor& x, const Routing& routing, const ExpertRunner& run,
                   std::int64_t layer, std::int64_t pass, const CallContext& context) {
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
  tap.gate_stats = data_or_null(run.record.stats);
  tap.kappa_hist = data_or_null(run.record.kappa_hist);
  tap.gate_pre_hist = data_or_null(run.record.gate_pre_hist);
  tap.effect = data_or_null(run.record.effect);
  tap.kappa = data_or_null(run.record.kappa);
  tap.gate_pre = data_or_null(run.record.gate_pre);
  tap.gate_act = data_or_null(run.record.gate_act);
  tap.router_input = x.const_data_ptr<float>() + first * tap.width;
  tap.output = run.output.const_data_ptr<float>() + first * tap.width;
  CallContext::require_going(context.probe.moe(tap));
}

}  // namespace

at::Tensor moe_layer(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                     std::int64_t pass, const CallContext& context) {
  const bool recorded = context.wants.routing && context.probe.wants_layer(layer);
  const Routing routing = route(x, weights, context);
  ExpertRunner run(x, weights, layer, routing, context, recorded ? context.wants : ProbeWants{});
  const auto groups = group_by_expert(routing);
  for (std::size_t e = 0; e < groups.size(); ++e) {
    if (groups[e].cell.empty()) continue;
    context.check();
    run.run(std::int64_t(e), groups[e]);
  }
  if (recorded) give_to_probe(x, routing, run, layer, pass, context);
  return run.output;
}

}  // namespace kappascope
