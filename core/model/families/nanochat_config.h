// A nanochat configuration: meta_*.json with every default, inference rule and range of SPEC §1.2
// and SPEC-layouts §1.2b. Only the family reads it; everybody else reads Architecture.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/checkpoint/tensor.h"
#include "core/model/architecture.h"

namespace kappascope::nanochat {

struct Config {
  std::int64_t sequence_len = 0;  // tokens, ≥ 1; longest text of one call, and the rotary range
  std::int64_t vocab_size = 0;    // V ≥ 1; tensors hold it rounded up to 64
  std::int64_t n_layer = 0;       // L
  std::int64_t n_head = 0;        // divides n_embd
  std::int64_t n_kv_head = 0;     // divides n_head; absent: n_head
  std::int64_t n_embd = 0;        // H ≥ 32, the inputs of attn.ve_gate

  std::int64_t n_exp = 64;            // E; ≤ 1: the model has no MoE layer
  std::int64_t moe_top_k = 2;         // K
  std::int64_t moe_start_layer = 2;   // first layer that may be MoE
  std::int64_t moe_layer_stride = 1;  // layer i is MoE iff i ≥ start and (i+1) mod stride = 0
  std::int64_t num_moe_layers = -1;   // at most so many, −1: all

  bool use_kappa_swiglu = false;            // absent: inferred from the tensor names
  bool use_kappa_swiglu_inferred = false;   // the meta did not say
  std::int64_t kappa_bias_start_layer = 0;  // below it κ = 1, dense layers too
  KappaInput kappa_input = KappaInput::router_probs;
  double kappa_input_constant = 1.0;  // absent: by the formula
  bool kappa_input_constant_given = false;
  double kappa_input_logit_norm_exponent = 0.5;  // p ≥ 0; null: 0, as the reference reads it
  bool exponent_given = false;                   // null is given; absent: older than 2026-06-07
  double moe_kappa_slope_max_scale = 3.0;        // U of MoE layers: 1/U < κ < U
  double dense_kappa_slope_max_scale = 2.0;      // U of dense layers
  bool bound_given = false;                      // U of MoE layers
  bool constant_kappa_bias_dense_layers = false;
  Granularity kappa_granularity = Granularity::per_gate;
  bool kappa_granularity_given = false;  // false: the meta did not say, the default holds

  bool separate_base_sft_kappa = false;             // two slots of κ parameters: 0 base, 1 SFT
  bool independent_kappa_router = false;            // κ from a linear score of its own
  bool disable_kappa_bias = false;                  // b = 0
  bool sft_only_kappa = false;                      // user_config.use_kappa_swiglu_sft_only
  std::int64_t ut_source = -1, ut_destination = 0;  // −L … L−1, from the end where negative
  bool ut_layers_given = false;                     // one of the two

  bool old_field_names = false;        // of before 2026-05-29, not migrated
  bool ema_fields = false;             // of 2026-05-23 and later
  double top_logit_norm_exponent = 0;  // 2026-06-01 … 06-07
  bool normalisation_given = false;    // one of the fields of those days
  bool normalize_top_logits = false;   // of those days, too

  // Soft routing (SPEC §3, SPEC-layouts §3a); the budget of a layer is not here, but follows from
  // soft_total and the tensor softmoe_eta.
  std::optional<SoftSpec> soft;
  double soft_total = 0;  // Kt: sum of the layers' budgets

  bool use_aux_free_load_balancing = false;  // selection by logits + expert_bias
  bool use_qwen3_dense_mlp = true;           // absent: inferred; false: c_proj(relu(c_fc x)²)
  bool bilinear_mlp_moe = false;             // expert gate activation is the identity
  std::string window_pattern = "L";          // S and L, tiled over the layers
  double eval_capacity = 3.0;
  std::int64_t min_capacity = 4;
  std::int64_t total_ut_steps = 1;    // passes over the whole stack
  double gate_stats_threshold = 0.1;  // |a| above it counts as active
  std::int64_t gate_stats_topk = 16;  // gates whose share of Σ|a| is reported

  Json document;                            // model_config as found, for the trace's meta
  std::vector<std::string> unknown_fields;  // one debug line each

  std::int64_t gate_units() const { return 4 * n_embd; }       // I of an expert and a dense layer
  std::int64_t head_width() const { return n_embd / n_head; }  // D
  std::int64_t padded_vocab() const { return (vocab_size + 63) / 64 * 64; }  // Vp
  bool is_moe(std::int64_t layer) const;
  std::int64_t moe_layers() const;           // how many
  bool has_kappa(std::int64_t layer) const;  // MoE or dense, by start layer and settings
  bool has_value_embedding(std::int64_t layer) const { return layer % 2 == (n_layer - 1) % 2; }
  // Attention reach W of a layer: key j is seen by query i iff 0 ≤ i−j ≤ W.
  std::int64_t window(std::int64_t layer) const;

  // Whether κ of MoE layers has a static b, and α, among its tensors (SPEC-layouts §1.3a).
  bool has_bias() const;
  bool has_scale() const;
};

// The name of a tensor before it was renamed ("…gate_proj_bias_scale" of "…kappa_scale"); "" when
// it has none.
std::string old_tensor_name(std::string_view name);

// Parses the whole meta document (its "model_config"); tensor names settle what is inferred. A null
// field counts as absent. All faults are reported together: damaged (missing field, wrong type),
// unsupported (range, unknown value). `file` is for messages.
Config read_config(const Json& meta, const std::vector<TensorInfo>& tensors, std::string_view file);

}  // namespace kappascope::nanochat
