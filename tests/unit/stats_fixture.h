// A small trace in memory, filled by hand.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "core/nan.h"
#include "core/stats/kappa.h"
#include "core/trace/trace.h"

namespace kappascope {

struct HandTrace {
  Trace trace;
  std::vector<std::int32_t> token_id, layer_index, pass_index;
  std::vector<std::int16_t> expert_index;
  std::vector<std::uint8_t> expert_kept;
  std::vector<float> router_logits, expert_weight, kappa_input, kappa_mean, kappa_min, kappa_max,
      gate, entropy, top1, mass, margin, gap;
  std::vector<std::int64_t> kappa_hist, gate_pre_hist;

  // Token t has id t; nothing chosen, κ = 1 off, router numbers 0.5, gate statistics 0 where
  // something is kept.
  HandTrace(std::int64_t layers, std::int64_t tokens, std::int64_t experts, std::int64_t slots,
            std::int64_t gates = 1) {
    trace.layers = layers;
    trace.tokens = tokens;
    trace.experts = experts;
    trace.slots = slots;
    trace.gates = gates;
    trace.model_layers = layers;
    const auto rows = static_cast<std::size_t>(layers * tokens);
    const std::size_t entries = rows * static_cast<std::size_t>(slots);
    for (std::int64_t m = 0; m < layers; ++m) {
      layer_index.push_back(static_cast<std::int32_t>(m));
    }
    pass_index.assign(static_cast<std::size_t>(layers), 0);
    expert_index.assign(entries, -1);
    expert_kept.assign(entries, 0);
    expert_weight.assign(entries, 0);
    for (auto* values : {&kappa_input, &kappa_mean, &kappa_min, &kappa_max, &gate}) {
      values->assign(entries, kNaN);
    }
    for (auto* values : {&entropy, &top1, &mass, &margin, &gap}) { values->assign(rows, 0.5f); }
    router_logits.assign(rows * static_cast<std::size_t>(experts), 0);
    kappa_hist.assign(static_cast<std::size_t>(layers * experts * kKappaBins), 0);
    gate_pre_hist.assign(static_cast<std::size_t>(layers * experts * kGatePreBins), 0);
    for (std::int64_t t = 0; t < tokens; ++t) { token_id.push_back(std::int32_t(t)); }
    trace.token_id = token_id;
    attach();
  }
  HandTrace(const HandTrace&) = delete;

  void attach() {
    trace.layer_index = layer_index;
    trace.pass_index = pass_index;
    trace.expert_index = expert_index;
    trace.expert_kept = expert_kept;
    trace.expert_weight = expert_weight;
    trace.router_logits = router_logits;
    trace.kappa_input = kappa_input;
    trace.kappa_mean = kappa_mean;
    trace.kappa_min = kappa_min;
    trace.kappa_max = kappa_max;
    trace.gate_mean_abs = trace.gate_active_fraction = trace.gate_top16_share = trace.gate_entropy =
        trace.gate_kz_rms = trace.gate_linear_fraction = trace.gate_saturated_fraction = gate;
    trace.router_entropy = entropy;
    trace.router_top1_prob = top1;
    trace.router_selected_mass = mass;
    trace.router_margin = margin;
    trace.router_top_gap = gap;
    trace.kappa_hist = kappa_hist;
    trace.gate_pre_hist = gate_pre_hist;
  }

  std::size_t at(std::int64_t m, std::int64_t t, std::int64_t k) const {
    return static_cast<std::size_t>((m * trace.tokens + t) * trace.slots + k);
  }

  // A kept assignment with one κ for all gates.
  void keep(std::int64_t m, std::int64_t t, std::int64_t k, std::int64_t expert,
            float weight = 0.5f, float kappa = 1, float score = 1) {
    const std::size_t i = at(m, t, k);
    expert_index[i] = static_cast<std::int16_t>(expert);
    expert_kept[i] = 1;
    expert_weight[i] = weight;
    kappa_mean[i] = kappa_min[i] = kappa_max[i] = kappa;
    kappa_input[i] = score;
    gate[i] = 0;
  }
  void drop(std::int64_t m, std::int64_t t, std::int64_t k, std::int64_t expert) {
    expert_index[at(m, t, k)] = static_cast<std::int16_t>(expert);
  }
};

// κ parameters of one layer, one α and b for every expert and gate.
struct HandKappa {
  std::vector<float> scale, bias;  // [E,I]
  KappaFunction kappa;

  HandKappa(std::int64_t experts, std::int64_t gates, float bound, std::vector<float> alpha,
            std::vector<float> b)
      : scale(std::move(alpha)), bias(std::move(b)) {
    kappa.source = KappaFunction::Source::parameters;
    kappa.gates = gates;
    for (std::int64_t e = 0; e < experts; ++e) {
      KappaView view;
      view.bias = bias.data() + e * gates;
      view.scale = scale.empty() ? nullptr : scale.data() + e * gates;
      view.gate_stride = view.scale_gate_stride = 1;
      view.log_bound = std::log(bound);
      kappa.experts.push_back(view);
    }
  }
};

}  // namespace kappascope
