// Qwen3-Next and the text part of Qwen3.5-MoE: the gated delta rule in most layers, gated attention
// in the others (SPEC-families §10, §10b).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

constexpr hf::ExpertNames delta_names() {
  hf::ExpertNames names = hf::kMlpExperts;
  names.shared_gate = "mlp.shared_expert.gate_proj.weight";
  names.shared_up = "mlp.shared_expert.up_proj.weight";
  names.shared_down = "mlp.shared_expert.down_proj.weight";
  names.shared_weight = "mlp.shared_expert_gate.weight";
  return names;
}

// Beside a model of pictures.
constexpr hf::ExpertNames inner_delta_names() {
  hf::ExpertNames names = delta_names();
  names.front = "model.language_model.";
  return names;
}

constexpr const char kLinear[] = "linear_attention";

DeltaSpec read_delta(hf::Config& config, const hf::Sizes& sizes, bool by_key_head) {
  DeltaSpec delta;
  delta.key_heads = config.size("linear_num_key_heads", 16);
  delta.value_heads = config.size("linear_num_value_heads", 32);
  delta.key_width = config.size("linear_key_head_dim", 128);
  delta.value_width = config.size("linear_value_head_dim", 128);
  delta.taps = config.size("linear_conv_kernel_dim", 4);
  delta.by_key_head = by_key_head;
  delta.norm = {.epsilon = sizes.epsilon, .weight = true};
  if (delta.value_heads % delta.key_heads != 0) {
    config.fields().refuse("linear_num_value_heads",
                           join_words("a multiple of linear_num_key_heads = ", delta.key_heads),
                           Json(delta.value_heads));
  }
  return delta;
}

// What every layer has, its feed forward part aside.
LayerSpec gated_layer(hf::Config& config, const hf::Sizes& sizes) {
  LayerSpec layer = config.layer(sizes, config.rotary(sizes, {.share = 0.25, .partial = true}));
  layer.attention_norm.plus_one = layer.feed_forward_norm.plus_one = true;
  layer.attention.norm = QueryKeyNorm::per_head;
  layer.attention.norm_spec = layer.attention_norm;
  layer.attention.gated = true;
  layer.attention.input_bias = layer.attention.output_bias = config.flag("attention_bias", false);
  return layer;
}

// layer_types, else every full_attention_interval-th layer attends.
std::vector<bool> linear_layers(hf::Config& config, std::int64_t layers) {
  const std::int64_t every = config.size("full_attention_interval", 4);
  config.fields().forget("full_attention_interval");
  std::vector<std::string> words;
  for (std::int64_t i = 0; i < layers; ++i) {
    words.emplace_back((i + 1) % every == 0 ? hf::kFull : kLinear);
  }
  std::vector<bool> linear;
  for (const std::string& word :
       config.per_layer("layer_types", layers, {hf::kFull, kLinear}, std::move(words))) {
    linear.push_back(word == kLinear);
  }
  return linear;
}

MoeSpec gated_moe(hf::Config& config, RouterSpec router) {
  MoeSpec moe;
  moe.router = std::move(router);
  moe.gates = config.size("moe_intermediate_size", 512);
  moe.shared = SharedSpec{config.size("shared_expert_intermediate_size", 512), true};
  return moe;
}

constexpr hf::Sizes kDeltaSizes{.width = 2048,
                                .depth = 48,
                                .heads = 16,
                                .kv_heads = 2,
                                .head_width = 256,
                                .vocab = 151936,
                                .context = 32768,
                                .epsilon = 1e-6};

void read_qwen3_next(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes(kDeltaSizes);
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = gated_layer(config, sizes);
  const DeltaSpec delta = read_delta(config, sizes, true);
  const MoeSpec moe = gated_moe(config, config.normalising_router(512, 10, true, true));
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", 5632);
  const std::vector<bool> sparse = hf::sparse_layers(config, sizes.depth);
  std::vector<LayerSpec> layers;
  for (const bool linear : linear_layers(config, sizes.depth)) {
    layer.delta.reset();
    if (linear) { layer.delta = delta; }
    layer.feed_forward = dense;
    if (sparse[layers.size()] && moe.router.experts > 0) { layer.feed_forward = moe; }
    layers.push_back(layer);
  }
  hf::finish(model, config, sizes, std::move(layers), delta_names());
}

// `tied`: of the file as a whole, where it says more than the text part.
void read_qwen3_5_text(Model& model, const Json& document, const Json& tied,
                       const hf::ExpertNames& names) {
  hf::Config config(document, model.files.meta.string());
  hf::Sizes absent = kDeltaSizes;
  absent.depth = 40;
  absent.vocab = 248320;
  absent.tied = tied.is_boolean() && tied.get<bool>();
  const hf::Sizes sizes = config.sizes(absent);
  if (tied.is_boolean() && tied.get<bool>() != sizes.tied) {
    config.fields().refuse("tie_word_embeddings", "one value in config.json and text_config",
                           Json(sizes.tied));
  }
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = gated_layer(config, sizes);
  const DeltaSpec delta = read_delta(config, sizes, false);
  RouterSpec router = config.router(256, 8, CombineWeight::softmax_of_chosen);
  layer.feed_forward = gated_moe(config, std::move(router));
  std::vector<LayerSpec> layers;
  for (const bool linear : linear_layers(config, sizes.depth)) {
    layer.delta.reset();
    if (linear) { layer.delta = delta; }
    layers.push_back(layer);
  }
  hf::finish(model, config, sizes, std::move(layers), names);
}

void read_qwen3_5_moe_text(Model& model, const Json& document, const OpenOptions& /*options*/) {
  read_qwen3_5_text(model, document, nullptr, delta_names());
}

// Of pictures and text: the text model alone.
void read_qwen3_5_moe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  const Place place{model.files.meta.native()};
  const auto text = document.find("text_config");
  require(text != document.end() && text->is_object(), ExitCode::damaged, place,
          "text_config is missing; expected an object");
  require(
      text->value("model_type", Json()) == "qwen3_5_moe_text", ExitCode::unsupported, place,
      "text_config.model_type is not supported in qwen3_5_moe; expected qwen3_5_moe_text, found ",
      found_text(text->value("model_type", Json())));
  const auto quantization = document.find("quantization_config");
  require(
      quantization == document.end() || quantization->is_null(), ExitCode::unsupported, place,
      "quantization_config is not supported in qwen3_5_moe; expected none: float32, bfloat16 or "
      "float16 weights, found ",
      found_text(document.value("quantization_config", Json())));
  read_qwen3_5_text(model, *text, document.value("tie_word_embeddings", Json()),
                    inner_delta_names());
}

}  // namespace

const Family kQwen3Next{"qwen3_next", "qwen3_next", "model.embed_tokens.weight", read_qwen3_next};
const Family kQwen35Moe{"qwen3_5_moe", "qwen3_5_moe", "model.language_model.embed_tokens.weight",
                        read_qwen3_5_moe};
const Family kQwen35MoeText{"qwen3_5_moe_text", "qwen3_5_moe_text", "model.embed_tokens.weight",
                            read_qwen3_5_moe_text};

}  // namespace kappascope
