#include "core/model/families/nanochat_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <unordered_set>

#include "core/model/families/nanochat_fields.h"

namespace kappascope::nanochat {
namespace {

constexpr double kLowest = -std::numeric_limits<double>::infinity();
// Fields whose evaluation is not certain, and what to do (SPEC-layouts §1.2b).
constexpr std::pair<const char*, const char*> kRefusedFields[] = {
    {"kappa_bias_from_scale",
     "b made of α (kappa_bias_alpha) is not evaluated; save the product as experts.kappa_bias"},
    {"use_kappa_router_softmax",
     "combine weights with a learned temperature are not evaluated; save a model without"},
    {"router_wg_delta", "add router.w_g_delta to router.w_g for the SFT side, and save that"}};
constexpr std::int64_t kMaxLength = std::int64_t{1} << 24;  // of texts, vocabularies and vectors

// Leaves of tensor names before and since they were renamed (SPEC-layouts §1.2c).
struct RenamedLeaf {
  std::string_view before, now;
};
constexpr RenamedLeaf kRenamedLeaves[] = {{"gate_proj_bias_scale", "kappa_scale"},
                                          {"gate_proj_bias", "kappa_bias"}};

std::string with_leaf(std::string_view name, std::string_view from, std::string_view to) {
  const std::size_t at = name.rfind(from);
  return at == name.npos ? "" : join_words(name.substr(0, at), to, name.substr(at + from.size()));
}

std::string current_tensor_name(const std::string& name) {
  for (const RenamedLeaf& leaf : kRenamedLeaves) {
    const std::string now = with_leaf(name, leaf.before, leaf.now);
    if (!now.empty()) { return now; }
  }
  return name;
}

// What the tensor names say about κ.
struct KappaNames {
  bool root = false;                        // global_kappa_bias
  std::optional<std::int64_t> lowest = {};  // lowest layer whose experts have a bias
  bool any() const { return root || lowest.has_value(); }
};

KappaNames kappa_names(const std::vector<TensorInfo>& tensors) {
  constexpr std::string_view kHead = "transformer.h.";
  constexpr std::array<std::string_view, 4> kTails = {
      ".mlp.experts.kappa_bias", ".mlp.experts.kappa_bias_expert",
      ".mlp.experts.kappa_bias_intermediate", ".mlp.experts.kappa_bias_residual"};
  KappaNames found;
  for (const TensorInfo& tensor : tensors) {
    const std::string now = current_tensor_name(tensor.name);
    const std::string_view text = now;
    if (text == "global_kappa_bias") { found.root = true; }
    if (text.substr(0, kHead.size()) != kHead) { continue; }
    std::int64_t layer = -1;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + kHead.size(), end, layer);
    const std::string_view tail(rest, static_cast<std::size_t>(end - rest));
    if (error != std::errc() || layer < 0 ||
        std::find(kTails.begin(), kTails.end(), tail) == kTails.end()) {
      continue;
    }
    found.lowest = std::min(layer, found.lowest.value_or(layer));
  }
  return found;
}

// Sizes of SPEC §1.2's first row, and how they must divide each other.
void read_sizes(Fields& fields, Config& config) {
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

void read_experts(Fields& fields, Config& config) {
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
  if (router && *router == "lapsum") {
    config.soft.emplace();
  } else if (router && *router != "topk") {
    fields.refuse("router_type", "\"topk\" or \"lapsum\"", Json(*router));
  }
}

// A finite number ≥ `low` (`open`: > low) that may be absent.
void optional_number(Fields& fields, const char* field, double low, bool open,
                     std::optional<double>& value) {
  double given = 1;
  if (fields.find(field) == nullptr) { return; }
  fields.number(field, given, low, open);
  value = given;
}

void read_soft_routing(Fields& fields, Faults& faults, Config& config) {
  if (!config.soft) { return; }
  SoftSpec& soft = *config.soft;
  fields.number("lapsum_temperature", soft.temperature, 0, true);
  optional_number(fields, "lapsum_expansion", 0, true, soft.expansion);
  optional_number(fields, "lapsum_threshold_scale", 0, false, soft.relative);
  const bool budget = fields.find("lapsum_budget_total") != nullptr;
  if (!budget) {
    faults.add(ExitCode::damaged, "", "missing field ", fields.spelled("lapsum_budget_total"));
  }
  fields.number("lapsum_budget_total", config.soft_total, 0, true);
  const bool absolute = fields.find("lapsum_threshold") != nullptr;  // known, too, where unread
  if (!soft.relative) {
    if (!absolute) {
      faults.add(ExitCode::damaged, "", "missing field ", fields.spelled("lapsum_threshold"));
    }
    fields.number("lapsum_threshold", soft.threshold, 0, false);
  }
  if (config.use_aux_free_load_balancing) {
    fields.refuse("use_aux_free_load_balancing", "false where router_type is \"lapsum\"",
                  Json(true));
  }
  const std::int64_t layers = config.n_layer < 1 ? 0 : config.moe_layers();
  if (!budget || layers == 0 || config.soft_total <= 0) { return; }
  const double rest = config.soft_total - double(layers);  // each layer has at least 1
  if (rest < 0 || rest + 1 >= double(config.n_exp)) {
    fields.refuse("lapsum_budget_total",
                  join_words("at least ", layers, ", one for each MoE layer, and less than ",
                             layers + config.n_exp - 1, ", so that no layer's is all experts"),
                  config.soft_total);
  }
}

void read_kappa(Fields& fields, const std::vector<TensorInfo>& tensors, Config& config) {
  const KappaNames names = kappa_names(tensors);
  config.use_kappa_swiglu_inferred = !fields.boolean("use_kappa_swiglu", config.use_kappa_swiglu);
  if (config.use_kappa_swiglu_inferred) {
    config.use_kappa_swiglu = names.any();
    config.kappa_bias_start_layer = names.lowest.value_or(0);
  }
  fields.integer("kappa_bias_start_layer", config.kappa_bias_start_layer, 0, kAny);
  fields.choice("kappa_input", config.kappa_input,
                std::array{KappaInput::router_probs, KappaInput::top_logits, KappaInput::constant,
                           KappaInput::gate_proj});
  config.kappa_input_constant_given = fields.find("kappa_input_constant") != nullptr;
  fields.number("kappa_input_constant", config.kappa_input_constant, kLowest, false);
  fields.number("kappa_input_logit_norm_exponent", config.kappa_input_logit_norm_exponent, 0,
                false);
  // The reference takes null as "no normalisation", unlike an absent field.
  const bool no_norm = fields.is_null("kappa_input_logit_norm_exponent");
  config.exponent_given = no_norm || fields.find("kappa_input_logit_norm_exponent") != nullptr;
  if (no_norm) { config.kappa_input_logit_norm_exponent = 0; }
  fields.number("moe_kappa_slope_max_scale", config.moe_kappa_slope_max_scale, 0, true);
  config.bound_given = fields.find("moe_kappa_slope_max_scale") != nullptr;
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

// What came after and before the snapshot of SPEC §1 (SPEC-layouts §1.2a).
void read_other_layouts(Fields& fields, Config& config) {
  fields.boolean("separate_base_sft_kappa", config.separate_base_sft_kappa);
  fields.boolean("independent_kappa_router", config.independent_kappa_router);
  fields.boolean("disable_kappa_bias", config.disable_kappa_bias);
  if (config.independent_kappa_router && config.kappa_input == KappaInput::constant) {
    fields.refuse("independent_kappa_router",
                  "false where kappa_input is constant: the κ router is an input of its own",
                  Json(true));
  }
  config.old_field_names = fields.old_names();
  config.ema_fields = fields.find("kappa_bias_ema_rms_reg") != nullptr ||
                      fields.find("log_implicit_gate_proj_bias") != nullptr;
  fields.boolean("normalize_top_logits", config.normalize_top_logits);
  fields.number("top_logit_norm_exponent", config.top_logit_norm_exponent, 0, false);
  config.normalisation_given = fields.find("normalize_top_logits") != nullptr ||
                               fields.find("top_logit_norm_exponent") != nullptr;
  // Of a few days or of an experiment; how they are evaluated is not certain.
  for (const auto& [field, remedy] : kRefusedFields) {
    bool used = false;
    fields.boolean(field, used);
    if (used) { fields.refuse(field, join_words("false: ", remedy), Json(true)); }
  }
}

void read_recurrence(Fields& fields, Config& config) {
  fields.integer("total_ut_steps", config.total_ut_steps, 1, 64);
  config.ut_layers_given =
      fields.find("ut_source") != nullptr || fields.find("ut_destination") != nullptr;
  if (config.n_layer < 1) { return; }
  fields.integer("ut_source", config.ut_source, -config.n_layer, config.n_layer - 1);
  fields.integer("ut_destination", config.ut_destination, -config.n_layer, config.n_layer - 1);
}

void read_rest(Fields& fields, Config& config) {
  if (std::optional<std::string> pattern = fields.text("window_pattern")) {
    for (char& letter : *pattern) {  // the reference takes either case
      letter = letter == 's' ? 'S' : letter == 'l' ? 'L' : letter;
    }
    const bool known = pattern->find_first_not_of("SL") == std::string::npos;
    if (pattern->empty() || !known) {
      fields.refuse("window_pattern", "letters S and L", Json(*pattern));
    } else {
      config.window_pattern = *pattern;
    }
  }
  fields.number("gate_stats_threshold", config.gate_stats_threshold, 0, false);
  fields.integer("gate_stats_topk", config.gate_stats_topk, 1, kAny);
}

// True iff every dense layer has a gate projection (SPEC §1.2).
bool dense_layers_are_gated(const Config& config, const std::vector<TensorInfo>& tensors) {
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

bool Config::is_moe(std::int64_t layer) const {
  if (n_exp <= 1 || layer < moe_start_layer || (layer + 1) % moe_layer_stride != 0) {
    return false;
  }
  // Multiples of the stride in [start+1, layer+1]: this layer is the rank-th, counted from 1.
  const std::int64_t rank = (layer + 1) / moe_layer_stride - moe_start_layer / moe_layer_stride;
  return num_moe_layers < 0 || rank <= num_moe_layers;
}

std::int64_t Config::moe_layers() const {
  std::int64_t count = 0;
  for (std::int64_t layer = 0; layer < n_layer; ++layer) { count += is_moe(layer); }
  return count;
}

bool Config::has_kappa(std::int64_t layer) const {
  if (!use_kappa_swiglu || layer < kappa_bias_start_layer) { return false; }
  if (is_moe(layer)) { return true; }
  return constant_kappa_bias_dense_layers && use_qwen3_dense_mlp && !disable_kappa_bias;
}

std::int64_t Config::window(std::int64_t layer) const {
  if (layer == n_layer - 1) { return sequence_len; }
  const auto place = static_cast<std::size_t>(layer) % window_pattern.size();
  return window_pattern[place] == 'S' ? sequence_len / 2 : sequence_len;
}

bool Config::has_bias() const {
  return !disable_kappa_bias && !(kappa_input == KappaInput::gate_proj && independent_kappa_router);
}

bool Config::has_scale() const {
  if (kappa_input == KappaInput::gate_proj) { return true; }
  return kappa_input != KappaInput::constant && !independent_kappa_router;
}

std::string old_tensor_name(std::string_view name) {
  for (const RenamedLeaf& leaf : kRenamedLeaves) {
    const std::string before = with_leaf(name, leaf.now, leaf.before);
    if (!before.empty()) { return before; }
  }
  return "";
}

Config read_config(const Json& meta, const std::vector<TensorInfo>& tensors,
                   std::string_view file) {
  const Place place{file, {}, -1};
  require(meta.is_object(), ExitCode::damaged, place,
          "the top level is not an object; expected {…}");
  const auto document = meta.find("model_config");
  require(document != meta.end(), ExitCode::damaged, place, "no model_config; expected an object");
  require(document->is_object(), ExitCode::damaged, place,
          "model_config has the wrong type; expected an object, found ", found_text(*document));

  Faults faults{std::string(file)};
  Fields fields(*document, faults, kFieldNames);
  Config config;
  config.document = *document;
  read_sizes(fields, config);
  read_experts(fields, config);
  read_kappa(fields, tensors, config);
  read_other_layouts(fields, config);
  read_soft_routing(fields, faults, config);
  read_recurrence(fields, config);
  read_rest(fields, config);
  const auto user = meta.find("user_config");
  config.sft_only_kappa = user != meta.end() && user->is_object() &&
                          user->value("use_kappa_swiglu_sft_only", Json()) == Json(true);
  const bool dense_given = fields.boolean("use_qwen3_dense_mlp", config.use_qwen3_dense_mlp);
  config.unknown_fields = fields.unknown();
  faults.throw_if_any();
  if (!dense_given) { config.use_qwen3_dense_mlp = dense_layers_are_gated(config, tensors); }
  return config;
}

}  // namespace kappascope::nanochat
