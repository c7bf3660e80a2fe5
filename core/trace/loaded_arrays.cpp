#include "core/trace/loaded_arrays.h"

namespace kappascope {

std::string_view key_of(ArrayGroup group) {
  switch (group) {
    case ArrayGroup::tokens:
      return "";
    case ArrayGroup::moe:
    case ArrayGroup::moe_optional:
      return "layer_index";
    case ArrayGroup::dense:
      return "dense_layer_index";
    case ArrayGroup::shared:
      return "shared_layer_index";
    case ArrayGroup::gates:
      return "gate_pre";
    case ArrayGroup::logits:
      return "logits";
    case ArrayGroup::against:
      return "kl_against";
    case ArrayGroup::chat:
      return "token_mask";
    case ArrayGroup::generated:
      return "phase";
    case ArrayGroup::outputs:
      return "moe_output";
    case ArrayGroup::lens:
      return "lens_layer_index";
  }
  fail(ExitCode::internal, {}, "arrays of an unknown group");
}

bool recorded(const NpzReader& file, ArrayGroup group) {
  if (group == ArrayGroup::moe_optional) { return false; }
  const std::string_view key = key_of(group);
  return key.empty() || file.mentions(key);
}

namespace {

void load_tokens(Trace& trace, const NpzReader& file) {
  trace.token_id = file.int32("token_id");
  trace.char_start = file.int32("char_start");
  trace.char_end = file.int32("char_end");
  trace.token_text = file.text("token_text");
  trace.token_bytes_hex = file.text("token_bytes_hex");
  trace.nll = file.float32("nll");
  trace.target_rank = file.int32("target_rank");
  trace.top_token_id = file.int32("top_token_id");
  trace.top_token_logprob = file.float32("top_token_logprob");
}

void load_moe(Trace& trace, const NpzReader& file) {
  trace.layer_index = file.int32("layer_index");
  trace.pass_index = file.int32("pass_index");
  trace.router_logits = file.float32("router_logits");
  trace.expert_index = file.int16("expert_index");
  trace.expert_weight = file.float32("expert_weight");
  trace.expert_kept = file.boolean("expert_kept");
  trace.kappa_input = file.float32("kappa_input");
  trace.kappa_mean = file.float32("kappa_mean");
  trace.kappa_min = file.float32("kappa_min");
  trace.kappa_max = file.float32("kappa_max");
  trace.kappa_p05 = file.float32("kappa_p05");
  trace.kappa_p95 = file.float32("kappa_p95");
  trace.gate_mean_abs = file.float32("gate_mean_abs");
  trace.gate_active_fraction = file.float32("gate_active_fraction");
  trace.gate_top16_share = file.float32("gate_top16_share");
  trace.gate_entropy = file.float32("gate_entropy");
  trace.gate_kz_rms = file.float32("gate_kz_rms");
  trace.gate_linear_fraction = file.float32("gate_linear_fraction");
  trace.gate_saturated_fraction = file.float32("gate_saturated_fraction");
  trace.router_top1_prob = file.float32("router_top1_prob");
  trace.router_selected_mass = file.float32("router_selected_mass");
  trace.router_margin = file.float32("router_margin");
  trace.router_top_gap = file.float32("router_top_gap");
  trace.router_entropy = file.float32("router_entropy");
}

void load_sums(Trace& trace, const NpzReader& file) {
  trace.kappa_hist = file.int64("kappa_hist");
  trace.gate_pre_hist = file.int64("gate_pre_hist");
  trace.effect_mean = file.float64("effect_mean");
  trace.effect_abs = file.float64("effect_abs");
  trace.effect_rms = file.float64("effect_rms");
  trace.effect_positive = file.float64("effect_positive");
  trace.effect_rel_mean = file.float64("effect_rel_mean");
  trace.effect_rel_abs = file.float64("effect_rel_abs");
  trace.effect_rel_rms = file.float64("effect_rel_rms");
  trace.effect_rel_positive = file.float64("effect_rel_positive");
  trace.effect_count = file.float64("effect_count");
}

void load_optional(Trace& trace, const NpzReader& file) {
  const auto floats = [&](const char* name, std::span<const float>& array) {
    if (file.mentions(name)) { array = file.float32(name); }
  };
  floats("expert_output_norm", trace.expert_output_norm);
  floats("selection_score", trace.selection_score);
  floats("gate_clamped_fraction", trace.gate_clamped_fraction);
  floats("kappa_bias_in_force", trace.kappa_bias_in_force);
  floats("kappa_scale_in_force", trace.kappa_scale_in_force);
  floats("kappa_factor", trace.kappa_factor);
  floats("soft_weight", trace.soft_weight);
  floats("layer_budget", trace.layer_budget);
  floats("layer_threshold", trace.layer_threshold);
  if (file.mentions("patch_logprob")) { trace.patch_logprob = file.float64("patch_logprob"); }
  if (file.mentions("ablation_nll")) { trace.ablation_nll = file.float64("ablation_nll"); }
  if (file.mentions("kappa_u_square")) { trace.kappa_u_square = file.float64("kappa_u_square"); }
  if (file.mentions("layer_cap")) { trace.layer_cap = file.int32("layer_cap"); }
}

void load_lens(Trace& trace, const NpzReader& file) {
  trace.lens_layer_index = file.int32("lens_layer_index");
  trace.lens_pass_index = file.int32("lens_pass_index");
  trace.lens_token_id = file.int32("lens_token_id");
  trace.lens_token_text = file.text("lens_token_text");
  trace.lens_logprob = file.float32("lens_logprob");
  trace.lens_target_rank = file.int32("lens_target_rank");
}

void load_dense(Trace& trace, const NpzReader& file) {
  trace.dense_layer_index = file.int32("dense_layer_index");
  trace.dense_pass_index = file.int32("dense_pass_index");
  trace.dense_kappa = file.float32("dense_kappa");
  trace.dense_gate_mean_abs = file.float32("dense_gate_mean_abs");
  trace.dense_gate_active_fraction = file.float32("dense_gate_active_fraction");
  trace.dense_gate_top16_share = file.float32("dense_gate_top16_share");
  trace.dense_gate_entropy = file.float32("dense_gate_entropy");
  trace.dense_gate_kz_rms = file.float32("dense_gate_kz_rms");
  trace.dense_gate_linear_fraction = file.float32("dense_gate_linear_fraction");
  trace.dense_gate_saturated_fraction = file.float32("dense_gate_saturated_fraction");
}

}  // namespace

void load_arrays(Trace& trace, const NpzReader& file) {
  load_tokens(trace, file);
  if (recorded(file, ArrayGroup::chat)) { trace.token_mask = file.boolean("token_mask"); }
  if (recorded(file, ArrayGroup::generated)) { trace.phase = file.int8("phase"); }
  if (recorded(file, ArrayGroup::moe)) {
    load_moe(trace, file);
    load_sums(trace, file);
    load_optional(trace, file);
  }
  if (recorded(file, ArrayGroup::dense)) { load_dense(trace, file); }
  if (recorded(file, ArrayGroup::shared)) {
    trace.shared_layer_index = file.int32("shared_layer_index");
    trace.shared_weight = file.float32("shared_weight");
    trace.shared_output_norm = file.float32("shared_output_norm");
  }
  if (recorded(file, ArrayGroup::gates)) {
    trace.kappa_values = file.float32("kappa");
    trace.gate_pre = file.float32("gate_pre");
    trace.gate_act = file.float32("gate_act");
  }
  if (recorded(file, ArrayGroup::outputs)) { trace.moe_output = file.float32("moe_output"); }
  if (recorded(file, ArrayGroup::lens)) { load_lens(trace, file); }
  if (recorded(file, ArrayGroup::logits)) { trace.logits = file.float32("logits"); }
  if (recorded(file, ArrayGroup::against)) { trace.kl_against = file.float32("kl_against"); }
}

}  // namespace kappascope
