// The MLPs in Torch's own operations, as the formulas are written (SPEC §1.5): differentiable, on
// any device, and the judge of the other two backends. Statistics are those of the reference
// kernels.
#include <utility>

#include "core/forward/backend.h"
#include "core/forward/experts.h"
#include "core/forward/gate_keep.h"
#include "core/forward/learning.h"
#include "core/forward/operations.h"
#include "core/forward/plain_gates.h"
#include "core/forward/plain_route.h"
#include "core/nan.h"

namespace kappascope {
namespace {

// α or b of one expert, [I] or [1]; undefined: none.
at::Tensor parameters_of(const std::vector<float>& values, std::int64_t expert_stride,
                         std::int64_t gate_stride, std::int64_t expert, std::int64_t gates,
                         const at::Device& device) {
  if (values.empty()) { return {}; }
  const std::int64_t count = gate_stride == 0 ? 1 : gates;
  return at::from_blob(const_cast<float*>(values.data()) + expert * expert_stride, {count},
                       at::kFloat)
      .to(device);
}

// κ of the gates of one expert: z [rows,I], s [rows] → [rows,I].
at::Tensor kappa_of(const KappaPlan& plan, std::int64_t expert, const at::Tensor& z,
                    const at::Tensor& s) {
  const std::int64_t gates = z.size(1);
  const at::Device device = z.device();
  const at::Tensor bias =
      parameters_of(plan.bias, plan.expert_stride, plan.gate_stride, expert, gates, device);
  const at::Tensor scale = parameters_of(plan.scale, plan.scale_expert_stride,
                                         plan.scale_gate_stride, expert, gates, device);
  const float factor = plan.factor.empty() ? 1.0f : plan.factor[expert];
  if (!bias.defined() && !scale.defined()) { return at::full_like(z, factor); }
  at::Tensor u;
  if (!scale.defined()) {
    u = s.unsqueeze(1) * bias;
  } else if (plan.from_gate) {
    u = scale * z + s.nan_to_num(0).unsqueeze(1);
  } else {
    u = scale * s.unsqueeze(1);
  }
  if (scale.defined() && bias.defined()) { u = u + bias; }
  return (factor * (std::log(plan.bound) * u.tanh()).exp()).expand_as(z);
}

// One expert's kept cells, and what it makes of them.
struct ExpertRows {
  std::int64_t expert;
  at::Tensor cell;             // [rows] of [T·K], ascending
  at::Tensor z, up, kappa, a;  // [rows,I]
  at::Tensor clamped;          // [rows]; undefined: the layer has no limit
  at::Tensor y;                // [rows,H]
};

// Biases, the limit and the offset of z and up.
void prepare_gates(const GateSpec& spec, const MoeWeights& weights, ExpertRows& rows) {
  if (weights.gate_bias.defined()) {
    rows.z = rows.z + weights.gate_bias.select(0, rows.expert);
    rows.up = rows.up + weights.up_bias.select(0, rows.expert);
  }
  if (spec.limit) {
    rows.clamped = rows.z.ge(*spec.limit).to(at::kDouble).mean(1);
    rows.z = rows.z.clamp_max(*spec.limit);
    rows.up = rows.up.clamp(-*spec.limit, *spec.limit);
  }
  if (spec.up_offset != 0) { rows.up = rows.up + spec.up_offset; }
}

// a [rows,I] without what is not among the largest (gate_keep.h).
at::Tensor largest_of(const at::Tensor& a, double share) {
  const at::Tensor magnitude = a.abs().to(at::kDouble);
  const auto [sorted, order] = at::sort(magnitude, /*stable=*/true, 1, /*descending=*/true);
  const at::Tensor before = sorted.cumsum(1) - sorted;  // taken before each
  const at::Tensor stays = before < share * magnitude.sum(1, true);
  const at::Tensor acts = at::zeros_like(stays).scatter(1, order, stays);
  return a.masked_fill(acts.logical_not().logical_and(magnitude.sum(1, true).isnan().logical_not()),
                       0);
}

// a ∘ up [rows,I].
at::Tensor gated(const LayerPlan& plan, const KappaPlan& kappa, const at::Tensor& score,
                 ExpertRows& rows) {
  rows.kappa = kappa_of(kappa, rows.expert, rows.z, score);
  rows.a = plan.spec->moe()->gate.activation == Activation::identity
               ? rows.z
               : rows.z * (rows.kappa * rows.z).sigmoid();
  const double share = plan.share_kept(rows.expert);
  if (share < 1) { rows.a = largest_of(rows.a, share); }
  return rows.a * rows.up;
}

// Adds an expert's rows to the record, by the reference kernel.
void record_rows(const ExpertRows& rows, const LayerPlan& plan, const KappaPlan& kappa,
                 const RoutingView& routing, const CallContext& context, const ProbeWants& wants,
                 ExpertRecord& record) {
  const auto host = [](const at::Tensor& values) {
    return values.to(at::kFloat).cpu().contiguous();
  };
  const at::Tensor z = host(rows.z), up = host(rows.up).clone(), y = host(rows.y);
  const at::Tensor cells = rows.cell.cpu().contiguous();
  const std::int64_t* cell = cells.const_data_ptr<std::int64_t>();
  const std::int64_t count = cells.numel(), gates = z.size(1);
  const std::int64_t skipped = context.call.first_recorded * routing.slots;
  std::vector<std::int64_t> out_row;
  std::vector<float> score;
  for (std::int64_t r = 0; r < count; ++r) {
    out_row.push_back(cell[r] - skipped);
    score.push_back(routing.cells.score[cell[r]]);
  }
  KappaSwigluArgs args;
  args.rows = count;
  args.gates = gates;
  args.gate_pre = z.const_data_ptr<float>();
  args.up = args.hidden = up.mutable_data_ptr<float>();
  if (route_score(plan.spec->moe()->score) != RouteScore::none) { args.score = score.data(); }
  args.kappa = kappa.view().at_expert(rows.expert);
  args.identity_gate = plan.spec->moe()->gate.activation == Activation::identity;
  args.first_recorded = std::lower_bound(cell, cell + count, skipped) - cell;
  args.active_threshold = float(context.model.architecture.gate_threshold);
  args.top_gates = context.model.architecture.gate_top;
  args.out_row = out_row.data();
  if (wants.gate_stats) {
    args.stats = record.gate_stats.data();
    args.kappa_stats = record.kappa_stats.data();
    args.kappa_hist = record.kappa_hist.data() + rows.expert * kKappaBins;
    args.gate_pre_hist = record.gate_pre_hist.data() + rows.expert * kGatePreBins;
    args.effect = &record.effect[rows.expert];
  }
  kappa_swiglu_ref(args);
  const bool part_acts = plan.share_kept(rows.expert) < 1;
  const at::Tensor acting = part_acts ? host(rows.a) : at::Tensor();
  for (std::int64_t r = args.first_recorded; part_acts && wants.gate_stats && r < count; ++r) {
    GateStats& stats = record.gate_stats[out_row[r]];
    stats = stats_of_kept(stats, acting.const_data_ptr<float>() + r * gates, args);
  }
  const at::Tensor clamped =
      rows.clamped.defined() && wants.gate_stats ? host(rows.clamped) : at::Tensor();
  const at::Tensor norm = host(rows.y.to(at::kFloat).square().sum(1).sqrt());
  for (std::int64_t r = args.first_recorded; r < count; ++r) {
    if (wants.gate_stats) { record.output_norm[out_row[r]] = norm.const_data_ptr<float>()[r]; }
    if (clamped.defined()) { record.gate_clamped[out_row[r]] = clamped.const_data_ptr<float>()[r]; }
  }
  if (!wants.gates) { return; }
  const std::pair<const at::Tensor*, at::Tensor*> kept[] = {
      {&rows.kappa, &record.kappa}, {&rows.z, &record.gate_pre}, {&rows.a, &record.gate_act}};
  for (const auto& [from, to] : kept) {
    const at::Tensor values = host(*from);
    for (std::int64_t r = args.first_recorded; r < count; ++r) {
      std::copy_n(values.const_data_ptr<float>() + r * gates, gates,
                  to->mutable_data_ptr<float>() + out_row[r] * gates);
    }
  }
}

at::Tensor plain_moe(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                     std::int64_t pass, const CallContext& context) {
  const LayerPlan& plan = context.plan.layers[layer];
  const KappaPlan& kappa = context.plan.kappa_of(layer, pass);
  const bool recorded = context.wants.routing && context.probe.wants_layer(layer);
  const ProbeWants wants = recorded ? context.wants : ProbeWants{};
  PlainRouting routing = plain_route(x, weights, layer, pass, context);
  if (context.learning) {
    context.learning->routed(layer, x, weights, routing);
    return context.learning->experts(layer, x, routing, kappa, context);
  }
  const Routing host(routing.logits.cpu().contiguous(), plan.slots, recorded,
                     plan.soft.has_value());
  const MoeSpec& spec = *plan.spec->moe();
  if (recorded) { fill_view(routing, spec.router.score, host.view); }
  ExpertRecord record;
  record.prepare(host.view.from(context.call.first_recorded), spec.gates, wants,
                 context.gate_memory);
  if (wants.gate_stats && spec.gate.limit) { record.prepare_clamped(); }
  at::Tensor output = at::zeros_like(x);
  const at::Tensor flat_index = routing.index.flatten(), flat_kept = routing.kept.flatten();
  for (std::int64_t e = 0; e < spec.router.experts; ++e) {
    ExpertRows rows{
        e, (flat_index == e).logical_and(flat_kept).nonzero().squeeze(1), {}, {}, {}, {}, {}, {}};
    if (rows.cell.numel() == 0) { continue; }
    const at::Tensor token = rows.cell.div(plan.slots, "floor");
    const at::Tensor in = x.index_select(0, token);
    rows.z = product(in, weights.matrix(Role::expert_gate, e));
    rows.up = product(in, weights.matrix(Role::expert_up, e));
    prepare_gates(spec.gate, weights, rows);
    const at::Tensor score = routing.score.flatten().index_select(0, rows.cell);
    rows.y = product(gated(plan, kappa, score, rows), weights.matrix(Role::expert_down, e));
    if (weights.down_bias.defined()) { rows.y = rows.y + weights.down_bias.select(0, e); }
    if (plan.mode(e) == ExpertMode::zero) { rows.y = at::zeros_like(rows.y); }
    if (plan.mode(e) == ExpertMode::mean) { rows.y = rows.y.mean(0, true).expand_as(rows.y); }
    const at::Tensor weight = routing.weight.flatten().index_select(0, rows.cell);
    output = output.index_add(0, token, rows.y * weight.unsqueeze(1));
    if (wants.gate_stats || wants.gates) {
      record_rows(rows, plan, kappa, host.view, context, wants, record);
    }
  }
  if (spec.shared) { output = output + plain_shared(x, weights, layer, pass, context); }
  if (recorded) { give_to_probe(x, output, weights, host.view, record, layer, pass, context); }
  return output;
}

at::Tensor plain_dense(const at::Tensor& x, const DenseWeights& weights, std::int64_t layer,
                       std::int64_t pass, const CallContext& context) {
  const DenseSpec& spec = *context.plan.layers[layer].spec->dense();
  const at::Tensor up = project(x, weights.c_fc, weights.up_bias);
  if (!spec.gated()) { return project(up.relu().square(), weights.c_proj); }
  const KappaPlan& plan = context.plan.kappa_of(layer, pass);
  const at::Tensor z = project(x, weights.gate_proj, weights.gate_bias);
  if (context.learning) { return project(context.learning->dense_hidden(z, up), weights.c_proj); }
  const at::Tensor score = at::full({x.size(0)}, spec.kappa_score, z.options());
  const at::Tensor kappa = kappa_of(plan, 0, z, score);
  const at::Tensor a = z * (kappa * z).sigmoid();
  if (context.wants.gate_stats && context.probe.wants_layer(layer)) {
    const at::Tensor host_kappa = kappa.select(0, 0).cpu().contiguous();
    const std::vector<GateStats> stats =
        plain_stats(z, up, plan.view().at_expert(0), spec.kappa_score, context);
    const DenseTap tap{layer,
                       pass,
                       context.first_token(),
                       context.recorded(),
                       spec.gates,
                       host_kappa.const_data_ptr<float>(),
                       stats.data() + context.call.first_recorded};
    CallContext::require_going(context.probe.dense(tap));
  }
  return project(a * up, weights.c_proj, weights.down_bias);
}

NextTokens plain_next_tokens(const at::Tensor& logits, const std::vector<std::int32_t>& target) {
  const at::Tensor host = logits.cpu().contiguous();
  NextTokens read(host.size(0));
  next_token_ref({host.size(0), host.size(1), host.const_data_ptr<float>(), target.data(),
                  read.nll.data(), read.rank.data(), read.top_id.data(), read.top_logprob.data()});
  return read;
}

}  // namespace

const Backend& plain_backend() {
  static const Backend kBackend{
      delta_rule,
      plain_moe,
      plain_dense,
      plain_next_tokens,
      [](const CallContext&) {},
      [](const CallContext&) {},
      [](const at::Device& device, std::int64_t tokens, std::int64_t heads) {
        return device.is_cpu() ? std::int64_t{128} : many_attention_rows(tokens, heads);
      }};
  return kBackend;
}

}  // namespace kappascope
