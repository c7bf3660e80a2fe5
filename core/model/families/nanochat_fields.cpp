#include "core/model/families/nanochat_fields.h"

#include <algorithm>
#include <cmath>
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

Fields::Fields(const Json& document, Faults& faults) : document_(document), faults_(faults) {
  for (const auto& [field, value] : document.items()) {
    old_names_ = old_names_ || has_old_name(field);
    const std::string name = canonical_field(field);
    const auto [at, fresh] = given_.try_emplace(name, Given{field, &value});
    if (fresh || value.is_null()) { continue; }
    Given& before = at->second;
    if (before.value->is_null()) {
      before = {field, &value};
    } else if (*before.value != value) {
      faults_.add(ExitCode::damaged, "", "model_config.", before.name, " and model_config.", field,
                  " are two names of one field; expected one value, found ",
                  found_text(*before.value), " and ", found_text(value));
    }
  }
}

const Json* Fields::find(const char* field) {
  asked_.insert(field);
  const auto found = given_.find(field);
  return found == given_.end() || found->second.value->is_null() ? nullptr : found->second.value;
}

bool Fields::is_null(const char* field) const {
  const auto found = given_.find(field);
  return found != given_.end() && found->second.value->is_null();
}

std::string Fields::spelled(const char* field) const {
  const auto found = given_.find(field);
  return found == given_.end() ? field : found->second.name;
}

void Fields::required(const char* field, std::int64_t& value, std::int64_t high) {
  if (find(field) == nullptr) {
    faults_.add(ExitCode::damaged, "", "model_config.", field, " is missing; expected an integer");
  } else {
    integer(field, value, 1, high);
  }
}

void Fields::integer(const char* field, std::int64_t& value, std::int64_t low, std::int64_t high) {
  const Json* found = find(field);
  if (found == nullptr) { return; }
  if (found->is_number_float() && !std::isfinite(found->get<double>())) {
    return refuse(field, "an integer", *found);
  }
  if (!found->is_number_integer()) { return wrong_type(field, "an integer", *found); }
  const bool huge =
      found->is_number_unsigned() && found->get<std::uint64_t>() > static_cast<std::uint64_t>(kAny);
  if (huge || found->get<std::int64_t>() < low || found->get<std::int64_t>() > high) {
    const std::string range = high == kAny ? join_words("at least ", low)
                                           : join_words("a value from ", low, " to ", high);
    return refuse(field, range, *found);
  }
  value = found->get<std::int64_t>();
}

void Fields::number(const char* field, double& value, double low, bool open) {
  const Json* found = find(field);
  if (found == nullptr) { return; }
  if (!found->is_number()) { return wrong_type(field, "a number", *found); }
  const double given = found->get<double>();
  if (!std::isfinite(given) || given < low || (open && given == low)) {
    if (std::isinf(low)) { return refuse(field, "a finite number", *found); }
    return refuse(field, join_words("a finite number ", open ? "> " : ">= ", low), *found);
  }
  value = given;
}

bool Fields::boolean(const char* field, bool& value) {
  const Json* found = find(field);
  if (found == nullptr) { return false; }
  if (!found->is_boolean()) {
    wrong_type(field, "true or false", *found);
  } else {
    value = found->get<bool>();
  }
  return true;
}

std::optional<std::string> Fields::text(const char* field) {
  const Json* found = find(field);
  if (found == nullptr) { return std::nullopt; }
  if (!found->is_string()) {
    wrong_type(field, "a string", *found);
    return std::nullopt;
  }
  return found->get<std::string>();
}

void Fields::refuse(const char* field, std::string_view expected, const Json& found) {
  faults_.add(ExitCode::unsupported, "", "model_config.", spelled(field),
              " is not supported; expected ", expected, ", found ", found_text(found));
}

std::vector<std::string> Fields::unknown() const {
  std::vector<std::string> result;
  for (const auto& [field, value] : document_.items()) {
    const std::string name = canonical_field(field);
    if (!is_ignored(field) && !is_ignored(name) && asked_.count(name) == 0) {
      result.push_back(field);
    }
  }
  return result;
}

void Fields::wrong_type(const char* field, const char* expected, const Json& found) {
  faults_.add(ExitCode::damaged, "", "model_config.", spelled(field),
              " has the wrong type; expected ", expected, ", found ", found_text(found));
}

}  // namespace kappascope::nanochat
