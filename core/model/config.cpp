#include "core/model/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <unordered_set>

namespace kappascope {
namespace {

constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMaxLength = std::int64_t{1} << 24;  // of texts, vocabularies and vectors
constexpr std::int64_t kValueGateInputs = 32;               // width of attn.ve_gate

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
    "kappa_bias_l2_loss_weight",
    "kappa_bias_ema_rms_reg",
    "kappa_bias_l2_ema_beta",
    "kappa_bias_l2_ema_anchor_start",
    "kappa_bias_l2_ema_anchor_end",
    "kappa_bias_l2_ema_floor_frac",
    "refresh_kappa_bias_references",
    "use_noisy_top_k",
    "aux_loss_weight",
    "router_z_loss_weight",
    "router_z_loss_input_grad_scale",
    "train_capacity",
    "router_use_full_prec",
    "ut_everypass_ntp",
    "ut_detach",
    "activation_checkpointing",
    "activation_offload",
    "loss_chunk_tokens",
    "loss_recompute_backward",
    "debug",
};

// Reads fields of model_config by name and collects what is wrong with them. A field that is null
// counts as absent and leaves its default; a faulty one too.
class Fields {
 public:
  Fields(const Json& document, Faults& faults) : document_(document), faults_(faults) {}

  const Json* find(const char* field) {
    names_.insert(field);
    const auto found = document_.find(field);
    return found == document_.end() || found->is_null() ? nullptr : &*found;
  }

  bool is_null(const char* field) const {
    const auto found = document_.find(field);
    return found != document_.end() && found->is_null();
  }

  void required(const char* field, std::int64_t& value, std::int64_t high) {
    if (find(field) == nullptr) {
      faults_.add(ExitCode::damaged, "", "model_config.", field,
                  " is missing; expected an integer");
    } else {
      integer(field, value, 1, high);
    }
  }

  void integer(const char* field, std::int64_t& value, std::int64_t low, std::int64_t high) {
    const Json* found = find(field);
    if (found == nullptr) { return; }
    if (found->is_number_float() && !std::isfinite(found->get<double>())) {
      return refuse(field, "an integer", *found);
    }
    if (!found->is_number_integer()) { return wrong_type(field, "an integer", *found); }
    const bool huge = found->is_number_unsigned() &&
                      found->get<std::uint64_t>() > static_cast<std::uint64_t>(kAny);
    if (huge || found->get<std::int64_t>() < low || found->get<std::int64_t>() > high) {
      const std::string range = high == kAny ? join_words("at least ", low)
                                             : join_words("a value from ", low, " to ", high);
      return refuse(field, range, *found);
    }
    value = found->get<std::int64_t>();
  }

  // A finite number ≥ low, or > low where `open`.
  void number(const char* field, double& value, double low, bool open) {
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

  // Whether the field was given (well or not).
  bool boolean(const char* field, bool& value) {
    const Json* found = find(field);
    if (found == nullptr) { return false; }
    if (!found->is_boolean()) {
      wrong_type(field, "true or false", *found);
    } else {
      value = found->get<bool>();
    }
    return true;
  }

  std::optional<std::string> text(const char* field) {
    const Json* found = find(field);
    if (found == nullptr) { return std::nullopt; }
    if (!found->is_string()) {
      wrong_type(field, "a string", *found);
      return std::nullopt;
    }
    return found->get<std::string>();
  }

  // One of the enumerators, by the name that stands in the file.
  template <typename Enum, std::size_t N>
  void choice(const char* field, Enum& value, const std::array<Enum, N>& known) {
    const std::optional<std::string> given = text(field);
    if (!given) { return; }
    std::string names;
    for (const Enum candidate : known) {
      if (*given == name(candidate)) {
        value = candidate;
        return;
      }
      names += (names.empty() ? "" : ", ") + std::string(name(candidate));
    }
    refuse(field, "one of " + names, Json(*given));
  }

  void refuse(const char* field, std::string_view expected, const Json& found) {
    faults_.add(ExitCode::unsupported, "", "model_config.", field, " is not supported; expected ",
                expected, ", found ", found_text(found));
  }

  // Fields of the document that neither were asked for nor are known to be of training only.
  std::vector<std::string> unknown() const {
    std::vector<std::string> result;
    for (const auto& [field, value] : document_.items()) {
      const bool ignored =
          std::find(kIgnoredFields.begin(), kIgnoredFields.end(), field) != kIgnoredFields.end();
      if (!ignored && names_.count(field) == 0) { result.push_back(field); }
    }
    return result;
  }

 private:
  void wrong_type(const char* field, const char* expected, const Json& found) {
    faults_.add(ExitCode::damaged, "", "model_config.", field, " has the wrong type; expected ",
                expected, ", found ", found_text(found));
  }

  const Json& document_;
  Faults& faults_;
  std::set<std::string> names_;
};

// What the tensor names say about κ.
struct KappaNames {
  bool root = false;                        // global_kappa_bias
  std::optional<std::int64_t> lowest = {};  // lowest layer whose experts have a bias
  bool any() const { return root || lowest.has_value(); }
};

KappaNames kappa_names(const std::vector<TensorInfo>& tensors) {
  constexpr std::string_view head = "transformer.h.";
  constexpr std::array<std::string_view, 4> tails = {
      ".mlp.experts.kappa_bias", ".mlp.experts.kappa_bias_expert",
      ".mlp.experts.kappa_bias_intermediate", ".mlp.experts.kappa_bias_residual"};
  KappaNames found;
  for (const TensorInfo& tensor : tensors) {
    const std::string_view text = tensor.name;
    if (text == "global_kappa_bias") { found.root = true; }
    if (text.substr(0, head.size()) != head) { continue; }
    std::int64_t layer = -1;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + head.size(), end, layer);
    const std::string_view tail(rest, static_cast<std::size_t>(end - rest));
    if (error != std::errc() || layer < 0 ||
        std::find(tails.begin(), tails.end(), tail) == tails.end()) {
      continue;
    }
    found.lowest = std::min(layer, found.lowest.value_or(layer));
  }
  return found;
}

// Sizes of SPEC §1.2's first row, and how they must divide each other.
void read_sizes(Fields& fields, ModelConfig& config) {
  fields.required("sequence_len", config.sequence_len, kMaxLength);
  fields.required("vocab_size", config.vocab_size, kMaxLength);
  fields.required("n_layer", config.n_layer, 1024);
  fields.required("n_head", config.n_head, kMaxLength);
  fields.required("n_embd", config.n_embd, kMaxLength);
  config.n_kv_head = config.n_head;
  fields.integer("n_kv_head", config.n_kv_head, 1, kMaxLength);
  if (config.n_embd < 1 || config.n_head < 1) { return; }
  if (config.n_embd < kValueGateInputs) {
    fields.refuse("n_embd", join_words("at least ", kValueGateInputs, ", the inputs of ve_gate"),
                  config.n_embd);
  }
  if (config.n_embd % config.n_head != 0) {
    fields.refuse("n_head", join_words("a divisor of n_embd ", config.n_embd), config.n_head);
  } else if (config.head_width() % 2 != 0) {
    fields.refuse("n_head", "an even head width n_embd / n_head", config.n_head);
  }
  if (config.n_head % config.n_kv_head != 0) {
    fields.refuse("n_kv_head", join_words("a divisor of n_head ", config.n_head), config.n_kv_head);
  }
}

void read_experts(Fields& fields, ModelConfig& config) {
  fields.integer("n_exp", config.n_exp, 1, 65536);
  fields.integer("moe_top_k", config.moe_top_k, 1, 65536);
  if (config.n_exp > 1 && config.moe_top_k > config.n_exp) {
    fields.refuse("moe_top_k", join_words("at most n_exp ", config.n_exp), config.moe_top_k);
  }
  fields.integer("moe_start_layer", config.moe_start_layer, 0, kAny);
  fields.integer("moe_layer_stride", config.moe_layer_stride, 1, kAny);
  fields.integer("num_moe_layers", config.num_moe_layers, -1, kAny);
  fields.boolean("use_aux_free_load_balancing", config.use_aux_free_load_balancing);
  fields.boolean("bilinear_mlp_moe", config.bilinear_mlp_moe);
  fields.number("eval_capacity", config.eval_capacity, 0, true);
  fields.integer("min_capacity", config.min_capacity, 0, kAny);
  bool gated = true;
  fields.boolean("use_qwen3_moe_mlp", gated);
  if (!gated && config.n_exp > 1) {
    fields.refuse("use_qwen3_moe_mlp", "true: experts without a gate have no κ", Json(false));
  }
  const std::optional<std::string> router = fields.text("router_type");
  if (router && *router != "topk") { fields.refuse("router_type", "\"topk\"", Json(*router)); }
}

void read_kappa(Fields& fields, const std::vector<TensorInfo>& tensors, ModelConfig& config) {
  constexpr double lowest = -std::numeric_limits<double>::infinity();
  const KappaNames names = kappa_names(tensors);
  config.use_kappa_swiglu_inferred = !fields.boolean("use_kappa_swiglu", config.use_kappa_swiglu);
  if (config.use_kappa_swiglu_inferred) {
    config.use_kappa_swiglu = names.any();
    config.kappa_bias_start_layer = names.lowest.value_or(0);
  }
  fields.integer("kappa_bias_start_layer", config.kappa_bias_start_layer, 0, kAny);
  fields.choice("kappa_input", config.kappa_input,
                std::array{KappaInput::router_probs, KappaInput::top_logits, KappaInput::constant});
  fields.number("kappa_input_constant", config.kappa_input_constant, lowest, false);
  fields.number("kappa_input_logit_norm_exponent", config.kappa_input_logit_norm_exponent, 0,
                false);
  // The reference takes null as "no normalisation", unlike an absent field.
  if (fields.is_null("kappa_input_logit_norm_exponent")) {
    config.kappa_input_logit_norm_exponent = 0;
  }
  fields.number("moe_kappa_slope_max_scale", config.moe_kappa_slope_max_scale, 0, true);
  fields.number("dense_kappa_slope_max_scale", config.dense_kappa_slope_max_scale, 0, true);
  fields.boolean("constant_kappa_bias_dense_layers", config.constant_kappa_bias_dense_layers);
  const bool constant_used =
      config.kappa_input == KappaInput::constant || config.constant_kappa_bias_dense_layers;
  if (config.use_kappa_swiglu && constant_used && fields.is_null("kappa_input_constant")) {
    fields.refuse("kappa_input_constant", "a finite number, as the κ input is constant", nullptr);
  }
  config.kappa_granularity_given = fields.find("global_kappa_bias_granularity") != nullptr;
  fields.choice("global_kappa_bias_granularity", config.kappa_granularity,
                std::array{Granularity::per_gate, Granularity::per_expert, Granularity::per_layer,
                           Granularity::global});
}

void read_rest(Fields& fields, ModelConfig& config) {
  if (const std::optional<std::string> pattern = fields.text("window_pattern")) {
    const bool known = pattern->find_first_not_of("SL") == std::string::npos;
    if (pattern->empty() || !known) {
      fields.refuse("window_pattern", "letters S and L", Json(*pattern));
    } else {
      config.window_pattern = *pattern;
    }
  }
  fields.integer("total_ut_steps", config.total_ut_steps, 1, 64);
  fields.number("gate_stats_threshold", config.gate_stats_threshold, 0, false);
  fields.integer("gate_stats_topk", config.gate_stats_topk, 1, kAny);
}

// True iff every dense layer has a gate projection (SPEC §1.2).
bool dense_layers_are_gated(const ModelConfig& config, const std::vector<TensorInfo>& tensors) {
  std::unordered_set<std::string_view> names;
  for (const TensorInfo& tensor : tensors) { names.insert(tensor.name); }
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    if (config.is_moe(layer)) { continue; }
    if (names.count(join_words("transformer.h.", layer, ".mlp.gate_proj.weight")) == 0) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string_view name(KappaInput input) {
  switch (input) {
    case KappaInput::router_probs:
      return "router_probs";
    case KappaInput::top_logits:
      return "top_logits";
    case KappaInput::constant:
      return "constant";
  }
  return "";
}

std::string_view name(Granularity granularity) {
  switch (granularity) {
    case Granularity::per_gate:
      return "per-gate";
    case Granularity::per_expert:
      return "per-expert";
    case Granularity::per_layer:
      return "per-layer";
    case Granularity::global:
      return "global";
  }
  return "";
}

bool ModelConfig::is_moe(std::int64_t layer) const {
  if (n_exp <= 1 || layer < moe_start_layer || (layer + 1) % moe_layer_stride != 0) {
    return false;
  }
  // Multiples of the stride in [start+1, layer+1]: this layer is the rank-th, counted from 1.
  const std::int64_t rank = (layer + 1) / moe_layer_stride - moe_start_layer / moe_layer_stride;
  return num_moe_layers < 0 || rank <= num_moe_layers;
}

bool ModelConfig::has_kappa(std::int64_t layer) const {
  if (!use_kappa_swiglu || layer < kappa_bias_start_layer) { return false; }
  return is_moe(layer) || (constant_kappa_bias_dense_layers && use_qwen3_dense_mlp);
}

std::int64_t ModelConfig::window(std::int64_t layer) const {
  if (layer == n_layer - 1) { return sequence_len; }
  const auto place = static_cast<std::size_t>(layer) % window_pattern.size();
  return window_pattern[place] == 'S' ? sequence_len / 2 : sequence_len;
}

std::vector<std::int64_t> ModelConfig::moe_layers() const {
  std::vector<std::int64_t> result;
  for (std::int64_t layer = 0; layer < n_layer; ++layer) {
    if (is_moe(layer)) { result.push_back(layer); }
  }
  return result;
}

std::int64_t ModelConfig::capacity(std::int64_t tokens) const {
  // ((K·eval_capacity)·T)/E in double, in this order: another one may round across a whole number.
  const double share = static_cast<double>(moe_top_k) * eval_capacity *
                       static_cast<double>(tokens) / static_cast<double>(n_exp);
  // No expert is chosen more than `tokens` times, so a bound far above is as good as none.
  constexpr double top = 4.0e18;
  const auto whole = static_cast<std::int64_t>(std::floor(std::min(share, top)));
  return std::max(whole + whole % 2, min_capacity);
}

ModelConfig read_model_config(const Json& meta, const std::vector<TensorInfo>& tensors,
                              std::string_view file) {
  const Place place{file, {}, -1};
  require(meta.is_object(), ExitCode::damaged, place, "the top level is no object; expected {…}");
  const auto document = meta.find("model_config");
  require(document != meta.end(), ExitCode::damaged, place, "no model_config; expected an object");
  require(document->is_object(), ExitCode::damaged, place,
          "model_config has the wrong type; expected an object, found ", found_text(*document));

  Faults faults{std::string(file)};
  Fields fields(*document, faults);
  ModelConfig config;
  config.document = *document;
  read_sizes(fields, config);
  read_experts(fields, config);
  read_kappa(fields, tensors, config);
  read_rest(fields, config);
  const bool dense_given = fields.boolean("use_qwen3_dense_mlp", config.use_qwen3_dense_mlp);
  config.unknown_fields = fields.unknown();
  faults.throw_if_any();
  if (!dense_given) { config.use_qwen3_dense_mlp = dense_layers_are_gated(config, tensors); }
  return config;
}

}  // namespace kappascope
