// Mellum2 (JetBrains): each layer dense or sparse, full or sliding, with the RoPE of its kind
// (SPEC-families §0, §12).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

void read_mellum(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 2304,
                                        .depth = 28,
                                        .heads = 32,
                                        .kv_heads = 4,
                                        .head_width = 128,
                                        .vocab = 98304,
                                        .context = 131072,
                                        .epsilon = 1e-6});
  config.require_silu();
  config.require_quantization("");
  const std::vector<bool> sliding_layers =
      config.sliding_layers(std::vector<bool>(std::size_t(sizes.depth)));
  const std::vector<std::string> kinds =
      config.per_layer("mlp_layer_types", sizes.depth, {"dense", "sparse"},
                       std::vector<std::string>(std::size_t(sizes.depth), "sparse"));
  const std::int64_t window = config.window(1024);
  config.require_window(sliding_layers, window);
  // layer_types alone says which layers slide.
  config.fields().find("use_sliding_window");
  config.fields().find("max_window_layers");
  // The flat fields of RoPE cannot say two kinds.
  config.fields().find("rope_theta");
  const Json* scaling = config.fields().find("rope_scaling");
  if (scaling != nullptr && !scaling->empty()) {
    config.fields().refuse("rope_scaling", "null beside rope_parameters", *scaling);
  }
  const bool input_bias = config.flag("attention_bias", false);

  MoeSpec moe;
  moe.router = config.normalising_router(64, 8, true);
  moe.gates = config.size("moe_intermediate_size", 896);
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", 7168);
  std::optional<RotarySpec> full, sliding;
  std::vector<LayerSpec> layers;
  for (std::size_t i = 0; i < sliding_layers.size(); ++i) {
    const bool slides = sliding_layers[i];
    std::optional<RotarySpec>& rotary = slides ? sliding : full;
    if (!rotary) {
      rotary = config.rotary_of(slides ? hf::kSliding : hf::kFull, sizes, slides ? 10000 : 500000);
    }
    LayerSpec layer = config.layer(sizes, *rotary);
    layer.attention.window = slides ? window : kNoWindow;
    layer.attention.norm = QueryKeyNorm::per_head;
    layer.attention.input_bias = layer.attention.output_bias = input_bias;
    layer.feed_forward = dense;
    if (kinds[i] == "sparse") { layer.feed_forward = moe; }
    layers.push_back(layer);
  }
  hf::finish(model, config, sizes, std::move(layers), hf::kMlpExperts);
}

}  // namespace

const Family kMellum{"mellum", "mellum", "model.embed_tokens.weight", read_mellum};

}  // namespace kappascope
