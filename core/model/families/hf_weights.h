// The tensors of Hugging Face folders by their part in the model (SPEC-families §0): names that all
// families share, and those of the experts that each has its own of.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/model.h"

namespace kappascope::hf {

// Names follow "model.layers.LAYER."; '#' stands for the number of an expert. nullptr: none such. A
// bias is called as its weight, with "bias" for "weight".
struct ExpertNames {
  const char* router;
  const char* router_bias = nullptr;
  const char* selection_bias = nullptr;
  bool selection_bias_row = false;  // [1,E], else [E]
  // Experts apart: a tensor each, [I,H] and [H,I].
  const char *gate = nullptr, *up = nullptr, *down = nullptr;
  // All in one: [E,2I,H], gate rows first, and [E,H,I]. `router_beside`: its name in such a file,
  // when another.
  const char *packed = nullptr, *packed_down = nullptr, *router_beside = nullptr;
  // All in one with gate and up in turn: [E,H,2I] and [E,I,H]; or _blocks and _scales (MXFP4).
  const char *interleaved = nullptr, *interleaved_down = nullptr;
  // The shared expert: [Is,H] twice and [H,Is]; or both in one, [2Is,H].
  const char *shared_gate = nullptr, *shared_up = nullptr, *shared_down = nullptr;
  const char* shared_packed = nullptr;
  const char* shared_weight = nullptr;
  // Of layers without experts.
  const char* dense_gate = "mlp.gate_proj.weight";
  const char* dense_up = "mlp.up_proj.weight";
  const char* dense_down = "mlp.down_proj.weight";
  // Beside the experts.
  const char* attention_norm = "input_layernorm.weight";
  const char* feed_forward_norm = "post_attention_layernorm.weight";
  const char* attention_output = "self_attn.o_proj.weight";
  const char* query_norm = "self_attn.q_norm.weight";
  const char* key_norm = "self_attn.k_norm.weight";
  const char* front = "model.";             // of layers, embedding and last norm
  const char* output_norm = "norm.weight";  // after that
};

// Those of most families.
inline constexpr ExpertNames kMlpExperts{.router = "mlp.gate.weight",
                                         .gate = "mlp.experts.#.gate_proj.weight",
                                         .up = "mlp.experts.#.up_proj.weight",
                                         .down = "mlp.experts.#.down_proj.weight",
                                         .packed = "mlp.experts.gate_up_proj",
                                         .packed_down = "mlp.experts.down_proj"};

// Likewise with a bias of selection and an expert that every token runs, as in DeepSeek-V3.
constexpr ExpertNames deepseek_names() {
  ExpertNames names = kMlpExperts;
  names.selection_bias = "mlp.gate.e_score_correction_bias";
  names.shared_gate = "mlp.shared_experts.gate_proj.weight";
  names.shared_up = "mlp.shared_experts.up_proj.weight";
  names.shared_down = "mlp.shared_experts.down_proj.weight";
  return names;
}

// Finds every weight that the architecture has; what is missing or of a wrong shape or type is a
// fault. `tied`: a missing head is the embedding. `eight_bits`: float8 weights with the scales of
// their blocks are read.
void assign_roles(Model& model, const ExpertNames& names, bool tied, bool eight_bits,
                  Faults& faults);

// Tensors that belong to no weight: those that evaluation leaves out by rule, and the rest.
struct Leftovers {
  std::map<std::string, std::vector<std::string>> by_rule;  // what they are → names
  std::vector<std::string> unknown;
};
// `front`: ExpertNames::front.
Leftovers leftovers(const Model& model, std::string_view front);

}  // namespace kappascope::hf
