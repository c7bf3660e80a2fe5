#include "core/model/families/nanochat_fields.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kappascope::nanochat {
namespace {

// Fields that shape the training run and change nothing in evaluation, and second names that the
// reference writes beside n_layer, n_head and n_embd.
constexpr std::array kIgnoredFields = {
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_size",
    "use_aux_loss",
    "aux_free_load_balancing_bias_update_speed",
    "use_router_z_loss",
    "z_loss_demean_logits",
    "z_loss_penalize_mean_logits",
    "log_implicit_gate_proj_bias",
    "kappa_bias_ema_rms_reg",
    "refresh_kappa_bias_references",
    "refresh_kappa_param_references",
    "use_noisy_top_k",
    "aux_loss_weight",
    "router_z_loss_weight",
    "router_z_loss_input_grad_scale",
    "router_tie_noise_steps",
    "train_capacity",
    "router_use_full_prec",
    "ut_everypass_ntp",
    "ut_detach",
    "debug",
};
constexpr std::array<std::string_view, 2> kIgnoredBeginnings = {"activation_", "loss_"};
// Of the losses on κ's parameters: "kappa_bias_l2_loss_weight", "kappa_scale_l2_ema_beta" …
constexpr std::array<std::string_view, 2> kIgnoredParts = {"_l2_loss_", "_l2_ema_"};

bool is_ignored(std::string_view field) {
  const auto begins = [&](std::string_view part) { return field.starts_with(part); };
  const auto holds = [&](std::string_view part) { return field.find(part) != field.npos; };
  return std::find(kIgnoredFields.begin(), kIgnoredFields.end(), field) != kIgnoredFields.end() ||
         std::any_of(kIgnoredBeginnings.begin(), kIgnoredBeginnings.end(), begins) ||
         std::any_of(kIgnoredParts.begin(), kIgnoredParts.end(), holds) ||
         (field.starts_with("kappa_") && holds("_l2_"));
}

// Whole names that follow no rule; the rest of §1.2c replaces parts of names.
constexpr std::pair<std::string_view, const char*> kRenamed[] = {
    {"use_gate_proj_bias", "use_kappa_swiglu"},
    {"use_exp_gate_proj_bias", "use_kappa_swiglu"},
    {"use_exp_kappa_bias", "use_kappa_swiglu"},
    {"kappa_bias_input", "kappa_input"},
    {"kappa_bias_input_constant", "kappa_input_constant"},
    {"global_kappa_param_granularity", "global_kappa_bias_granularity"},
    {"kappa_start_layer", "kappa_bias_start_layer"},
    {"constant_kappa_dense_layers", "constant_kappa_bias_dense_layers"},
};
constexpr std::pair<std::string_view, const char*> kOldParts[] = {{"gate_proj_bias", "kappa_bias"},
                                                                  {"gate_slope", "kappa_slope"}};

bool has_old_name(std::string_view field) {
  return field != "log_implicit_gate_proj_bias" &&
         (field.find("gate_proj_bias") != field.npos || field.find("gate_slope") != field.npos);
}

const char* whole_name(std::string_view field) {
  for (const auto& [from, to] : kRenamed) {
    if (field == from) { return to; }
  }
  return nullptr;
}

}  // namespace

std::string canonical_field(std::string_view name) {
  if (const char* whole = whole_name(name)) { return whole; }
  std::string renamed(name);
  if (has_old_name(name)) {
    for (const auto& [from, to] : kOldParts) {
      const std::size_t at = renamed.find(from);
      if (at != renamed.npos) { renamed.replace(at, from.size(), to); }
    }
  }
  const char* whole = whole_name(renamed);
  return whole ? whole : renamed;
}

const FieldNames kFieldNames{"model_config.", canonical_field, is_ignored, has_old_name,
                             ExitCode::damaged};

}  // namespace kappascope::nanochat
