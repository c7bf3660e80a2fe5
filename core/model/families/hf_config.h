// What the configurations of Hugging Face folders have in common: config.json in the older flat and
// the newer nested spelling (SPEC-families §0). Only families read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
  const char* epsilon_field = "rms_norm_eps";
  bool own_heads = true;       // false: head_dim is not read
  bool null_as_heads = false;  // num_key_value_heads null: as heads, not what an absent one is
};

// What RoPE is where a file is silent.
struct RotaryDefaults {
  double base = 10000;
  double share = 1;           // of the head that is turned
  bool partial = false;       // whether it may be another than 1
  bool pairs = false;         // RotarySpec::pairs
  bool phi = false;           // default and longrope as PhiMoE has it alone
  Json parameters = nullptr;  // rope_parameters of a file without any
};

struct SigmoidDefaults {
  std::int64_t experts = 0, slots = 0;
  bool normalised = true;
  double scale = 1;
  std::int64_t groups = 1, kept_groups = 1;
};

class Config {
 public:
  // `file`: for messages. `document` must outlive this.
  Config(const Json& document, const std::string& file);

  Fields& fields() { return fields_; }
  Faults& faults() { return faults_; }

  Sizes sizes(Sizes defaults);
  std::int64_t size(const char* field, std::int64_t absent, std::int64_t low = 1);
  bool flag(const char* field, bool absent);  // null: false
  double number(const char* field, double absent);  // > 0
  // One word for each layer, each of `known`; absent: `absent`.
  std::vector<std::string> per_layer(const char* field, std::int64_t layers,
                                     const std::vector<std::string>& known,
                                     std::vector<std::string> absent);
  RotarySpec rotary(const Sizes& sizes, const RotaryDefaults& defaults = {});
  // What yarn multiplies the scores of latent attention by, beside 1/√D: 1 without mscale_all_dim.
  double latent_scale();
  // RoPE of one kind of layer, in a dictionary of its own (Mellum).
  RotarySpec rotary_of(const char* layer_type, const Sizes& sizes, double absent_base);
  // Experts and slots, and how the slots are weighted.
  // `may_be_dense`: 0 experts say that no layer has any.
  RouterSpec router(std::int64_t experts, std::int64_t slots, CombineWeight weight,
                    bool may_be_dense = false);
  // Likewise, where norm_topk_prob says whether weights are normalised over the chosen; `absent`:
  // when it does not.
  RouterSpec normalising_router(std::int64_t experts, std::int64_t slots, bool absent,
                                bool may_be_dense = false);
  // Experts chosen by their sigmoid and a bias, in groups, as in DeepSeek-V3; `absent`: what counts
  // where the file is silent. Experts or slots 0: must be said.
  RouterSpec sigmoid_router(const SigmoidDefaults& absent);
  // n_group and topk_group, over the experts of `router`; nothing where all groups are kept.
  std::optional<RouterGroups> groups(const RouterSpec& router, RouterGroups absent);
  // How many shared experts there are, one or more; absent 0: must be said.
  std::int64_t shared_experts(const char* field, std::int64_t absent);
  // layer_types: which layers slide; `absent`: when it does not say.
  std::vector<bool> sliding_layers(const std::vector<bool>& absent);
  // hidden_act: silu.
  void require_silu();
  // quantization_config: absent, or of this method ("" : always absent).
  void require_quantization(std::string_view method);
  // sliding_window as a window of ours: W keys with the query's own; absent or null: all.
  std::int64_t window(std::int64_t absent);
  // Refuses layers that slide where there is no window.
  void require_window(const std::vector<bool>& sliding, std::int64_t window);

  // One layer's attention, without window; norms before both parts.
  LayerSpec layer(const Sizes& sizes, const RotarySpec& rotary) const;
  // A model of these layers.
  void fill(Architecture& architecture, const Sizes& sizes, std::vector<LayerSpec> layers) const;

 private:
  void set_head_width(Sizes& sizes);
  // The object that says what RoPE is, and the field that it is in.
  std::pair<const char*, const Json*> rope_object(const Json& absent);
  void require_blocks(const Json& used);

  Faults faults_;
  const FieldNames names_;
  Fields fields_;
};

// Words of layer_types.
inline constexpr const char kFull[] = "full_attention", kSliding[] = "sliding_attention";

// Layers from `first_k_dense_replace` on have experts, those before are dense.
std::vector<LayerSpec> layers_after(Config& config, const Sizes& sizes, std::int64_t absent,
                                    const LayerSpec& layer, const DenseSpec& dense,
                                    const MoeSpec& moe);

// Which layers have experts: `decoder_sparse_step` and `mlp_only_layers` of Qwen.
std::vector<bool> sparse_layers(Config& config, std::int64_t layers);

}  // namespace kappascope::hf
