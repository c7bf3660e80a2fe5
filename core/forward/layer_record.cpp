#include "core/forward/layer_record.h"

#include <algorithm>
#include <utility>

#include "core/forward/backend.h"
#include "core/forward/operations.h"
#include "core/nan.h"

namespace kappascope {
namespace {

template <typename T>
const T* data_or_null(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

Routing::Routing(at::Tensor logits, std::int64_t slots, bool recorded, bool soft)
    : logits_(std::move(logits)),
      expert_(std::size_t(logits_.size(0) * slots)),
      weight_(expert_.size()),
      score_(expert_.size()),
      kept_(expert_.size()),
      soft_weight_(soft ? std::size_t(logits_.numel()) : 0),
      numbers_(recorded ? std::size_t(5 * logits_.size(0)) : 0) {
  view.tokens = logits_.size(0);
  view.experts = logits_.size(1);
  view.slots = slots;
  view.logits = logits_.const_data_ptr<float>();
  view.soft_weight = soft ? soft_weight_.data() : nullptr;
  view.cells = {nullptr, expert_.data(), weight_.data(), kept_.data(), score_.data()};
  if (!recorded) { return; }
  float* const numbers = numbers_.data();
  view.numbers = {numbers, numbers + view.tokens, numbers + 2 * view.tokens,
                  numbers + 3 * view.tokens, numbers + 4 * view.tokens};
}

void ExpertRecord::prepare(const RoutingView& recorded, std::int64_t gates, const ProbeWants& wants,
                           at::Tensor* gate_memory) {
  const auto cells = std::size_t(recorded.tokens * recorded.slots);
  const auto experts = std::size_t(recorded.experts);
  if (wants.gate_stats) {
    gate_stats.assign(cells, {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN, kNaN});
    kappa_stats.assign(cells, {kNaN, kNaN, kNaN, kNaN, kNaN});
    kappa_hist.assign(experts * kKappaBins, 0);
    gate_pre_hist.assign(experts * kGatePreBins, 0);
    effect.resize(experts);
    output_norm.assign(cells, kNaN);
  }
  if (!wants.gates) { return; }
  at::Tensor own;
  at::Tensor& memory = gate_memory ? *gate_memory : own;
  const std::int64_t each = std::int64_t(cells) * gates;
  if (!memory.defined() || memory.numel() < 3 * each) { memory = at::empty({3 * each}); }
  const auto third = [&](std::int64_t i) {
    return memory.narrow(0, i * each, each).view({recorded.tokens, recorded.slots, gates});
  };
  kappa = third(0);
  gate_pre = third(1);
  gate_act = third(2);
  for (at::Tensor* values : {&kappa, &gate_pre, &gate_act}) {
    float* to = values->mutable_data_ptr<float>();
    for (std::size_t cell = 0; cell < cells; ++cell) {
      if (!recorded.cells.kept[cell]) { std::fill_n(to + std::int64_t(cell) * gates, gates, kNaN); }
    }
  }
}

void ExpertRecord::prepare_clamped() {
  gate_clamped.assign(output_norm.size(), kNaN);
}

std::vector<float> dense_kappa(const KappaView& view, std::int64_t gates, float score) {
  std::vector<float> kappa(std::size_t(gates), 1.0f);
  for (std::int64_t i = 0; i < gates; ++i) {
    if (!view.fixed()) { kappa[i] = kappa_value(view.log_bound, view.argument(i, score, 0)); }
    kappa[i] *= view.factor_value();
  }
  return kappa;
}

void give_shared_to_probe(const at::Tensor& y, const at::Tensor& weight,
                          const std::vector<GateStats>& stats, std::int64_t layer,
                          std::int64_t pass, const CallContext& context) {
  const std::int64_t first = context.call.first_recorded, tokens = context.recorded();
  const at::Tensor norm = y.square().sum(1).sqrt().to(at::kFloat).cpu().contiguous();
  const at::Tensor factor = weight.defined() ? weight.to(at::kFloat).cpu().contiguous()
                                             : at::ones({y.size(0), 1}, at::kFloat);
  const std::int64_t gates = context.plan.layers[layer].spec->moe()->shared->gates;
  const SharedTap tap{layer,
                      pass,
                      context.first_token(),
                      tokens,
                      gates,
                      factor.const_data_ptr<float>() + first,
                      norm.const_data_ptr<float>() + first,
                      stats.data() + first};
  CallContext::require_going(context.probe.shared(tap));
}

void give_to_probe(const at::Tensor& x, const at::Tensor& output, const MoeWeights& weights,
                   const RoutingView& routing, const ExpertRecord& record, std::int64_t layer,
                   std::int64_t pass, const CallContext& context) {
  const std::int64_t first = context.call.first_recorded;
  MoeTap tap{};
  tap.layer = layer;
  tap.pass = pass;
  tap.first_token = context.first_token();
  tap.gates = context.plan.layers[layer].spec->gates();
  tap.width = x.size(1);
  tap.routing = routing.from(first);
  tap.gate_stats = data_or_null(record.gate_stats);
  tap.kappa_stats = data_or_null(record.kappa_stats);
  tap.kappa_hist = data_or_null(record.kappa_hist);
  tap.gate_pre_hist = data_or_null(record.gate_pre_hist);
  tap.effect = data_or_null(record.effect);
  tap.output_norm = data_or_null(record.output_norm);
  tap.gate_clamped = data_or_null(record.gate_clamped);
  tap.kappa = data_or_null(record.kappa);
  tap.gate_pre = data_or_null(record.gate_pre);
  tap.gate_act = data_or_null(record.gate_act);
  tap.router_input = x.const_data_ptr<float>() + first * tap.width;
  tap.output = output.const_data_ptr<float>() + first * tap.width;
  const LayerPlan& plan = context.plan.layers[layer];
  const std::vector<float> scores = selection_scores(
      tap.routing, {router_rule(plan.spec->moe()->router), selection_bias(weights, plan)});
  tap.selection_score = data_or_null(scores);
  CallContext::require_going(context.probe.moe(tap));
}

void give_rows_to_probe(const at::Tensor& rows, std::int64_t layer, std::int64_t pass,
                        bool (Probe::*to)(const RowsTap&), const CallContext& context) {
  if (!context.probe.wants_layer(layer)) { return; }
  const std::int64_t width = rows.size(1);
  context.backend.finish_taps(context);
  const at::Tensor host = rows.to(at::kFloat).contiguous().cpu();
  const RowsTap tap{layer,
                    pass,
                    context.first_token(),
                    context.recorded(),
                    width,
                    host.const_data_ptr<float>() + context.call.first_recorded * width};
  CallContext::require_going((context.probe.*to)(tap));
}

}  // namespace kappascope
