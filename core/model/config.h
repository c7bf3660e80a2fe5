// The model's configuration: meta_*.json with every default, inference rule and range of SPEC §1.2.
// Standard library only: `info` reads it without Torch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/checkpoint/tensor.h"

namespace kappascope {

enum class KappaInput : std::uint8_t { router_probs, top_logits, constant };
enum class Granularity : std::uint8_t { per_gate, per_expert, per_layer, global };

std::string_view name(KappaInput input);         // as in meta_*.json
std::string_view name(Granularity granularity);  // as in meta_*.json

struct ModelConfig {
  std::string family = "kappa-swiglu";
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
  double kappa_input_constant = 1.0;
  double kappa_input_logit_norm_exponent = 0.5;  // p ≥ 0; null: 0, as the reference reads it
  double moe_kappa_slope_max_scale = 3.0;        // U of MoE layers: 1/U < κ < U
  double dense_kappa_slope_max_scale = 2.0;      // U of dense layers
  bool constant_kappa_bias_dense_layers = false;
  Granularity kappa_granularity = Granularity::per_gate;
  bool kappa_granularity_given = false;  // false: the meta did not say, the default holds

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
  bool has_kappa(std::int64_t layer) const;  // MoE or dense, by start layer and settings
  bool has_value_embedding(std::int64_t layer) const { return layer % 2 == (n_layer - 1) % 2; }
  // Attention reach W of a layer: key j is seen by query i iff 0 ≤ i−j ≤ W.
  std::int64_t window(std::int64_t layer) const;
  // Layers that hold experts, ascending.
  std::vector<std::int64_t> moe_layers() const;
  // C of SPEC §1.5 for a call of `tokens` tokens.
  std::int64_t capacity(std::int64_t tokens) const;
};

// Parses the whole meta document (its "model_config"); tensor names settle what is inferred. A null
// field counts as absent. All faults are reported together: damaged (missing field, wrong type),
// unsupported (range, unknown value). `file` is for messages.
ModelConfig read_model_config(const Json& meta, const std::vector<TensorInfo>& tensors,
                              std::string_view file);

}  // namespace kappascope
