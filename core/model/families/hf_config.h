// What the configurations of Hugging Face folders have in common: config.json in the older flat and
// the newer nested spelling (SPEC-families §0). Only families read it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/architecture.h"
#include "core/model/families/fields.h"

namespace kappascope::hf {

// Sizes of a model; as an argument, those of a family where its file is silent.
struct Sizes {
  std::int64_t width, depth, heads;
  std::int64_t kv_heads;    // 0: as heads
  std::int64_t head_width;  // 0: width / heads
  std::int64_t vocab;
  std::int64_t context;  // max_position_embeddings
  double epsilon;        // of RMSNorm
  bool tied = false;     // head and embedding are one unless the file has a head
};

// What RoPE is where a file is silent.
struct RotaryDefaults {
  double base = 10000;
  Json parameters = nullptr;  // rope_parameters of a file without any
};

class Config {
 public:
  // `file`: for messages. `document` must outlive this.
  Config(const Json& document, const std::string& file);

  Fields& fields() { return fields_; }
  Faults& faults() { return faults_; }

  Sizes sizes(Sizes defaults);
  std::int64_t size(const char* field, std::int64_t absent, std::int64_t low = 1);
  bool flag(const char* field, bool absent);
  double number(const char* field, double absent);  // > 0
  // One word for each layer, each of `known`; absent: `absent`.
  std::vector<std::string> per_layer(const char* field, std::int64_t layers,
                                     const std::vector<std::string>& known,
                                     std::vector<std::string> absent);
  RotarySpec rotary(const Sizes& sizes, const RotaryDefaults& defaults = {});
  // RoPE of one kind of layer, in a dictionary of its own (Mellum).
  RotarySpec rotary_of(const char* layer_type, const Sizes& sizes, double absent_base);
  // Experts and slots, and how the slots are weighted.
  RouterSpec router(std::int64_t experts, std::int64_t slots, CombineWeight weight);
  // Likewise, where norm_topk_prob says whether weights are normalised over the chosen; `absent`:
  // when it does not.
  RouterSpec normalising_router(std::int64_t experts, std::int64_t slots, bool absent);
  // layer_types: which layers slide; `absent`: when it does not say.
  std::vector<bool> sliding_layers(const std::vector<bool>& absent);
  // hidden_act: silu.
  void require_silu();
  // quantization_config: absent, or of this method ("" : always absent).
  void require_quantization(std::string_view method);
  // sliding_window as a window of ours: W keys with the query's own; absent or null: all.
  std::int64_t window(std::int64_t absent);

  // One layer's attention, without window; norms before both parts.
  LayerSpec layer(const Sizes& sizes, const RotarySpec& rotary) const;
  // A model of these layers.
  void fill(Architecture& architecture, const Sizes& sizes, std::vector<LayerSpec> layers) const;

 private:
  void require_blocks(const Json& used);

  Faults faults_;
  const FieldNames names_;
  Fields fields_;
};

// Words of layer_types.
inline constexpr const char kFull[] = "full_attention", kSliding[] = "sliding_attention";

// Which layers have experts: `decoder_sparse_step` and `mlp_only_layers` of Qwen.
std::vector<bool> sparse_layers(Config& config, std::int64_t layers);

}  // namespace kappascope::hf
