// Qwen2-MoE: a shared expert behind a sigmoid, biases on q, k and v (SPEC-families §0, §12).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

constexpr hf::ExpertNames names() {
  hf::ExpertNames names = hf::kMlpExperts;
  names.shared_gate = "mlp.shared_expert.gate_proj.weight";
  names.shared_up = "mlp.shared_expert.up_proj.weight";
  names.shared_down = "mlp.shared_expert.down_proj.weight";
  names.shared_weight = "mlp.shared_expert_gate.weight";
  return names;
}

// Windows: of the layers that layer_types names, else of the even ones below max_window_layers.
std::vector<std::int64_t> windows(hf::Config& config, std::int64_t layers) {
  const bool slides = config.flag("use_sliding_window", false);
  config.fields().find("sliding_window");  // means nothing otherwise
  const std::int64_t window = slides ? config.window(4096) : kNoWindow;
  const std::int64_t below = config.size("max_window_layers", 28, 0);
  std::vector<bool> even;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    even.push_back(slides && layer % 2 == 0 && layer < below);
  }
  std::vector<std::int64_t> result;
  bool sliding = false;
  for (const bool layer_slides : config.sliding_layers(even)) {
    sliding = sliding || layer_slides;
    result.push_back(layer_slides ? window : kNoWindow);
  }
  if (sliding && (!slides || window == kNoWindow)) {
    config.fields().refuse("layer_types",
                           "full_attention alone without use_sliding_window and sliding_window",
                           Json(hf::kSliding));
  }
  if (!sliding) { config.fields().forget("sliding_window"); }
  for (const char* said : {"use_sliding_window", "max_window_layers"}) {
    config.fields().forget(said);
  }
  return result;
}

void read_qwen2_moe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 2048,
                                        .depth = 24,
                                        .heads = 16,
                                        .kv_heads = 16,
                                        .head_width = 0,
                                        .vocab = 151936,
                                        .context = 32768,
                                        .epsilon = 1e-6});
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes));
  layer.attention.input_bias = config.flag("qkv_bias", true);

  MoeSpec moe;
  moe.router = config.normalising_router(60, 4, false, true);
  moe.gates = config.size("moe_intermediate_size", 1408);
  moe.shared = SharedSpec{config.size("shared_expert_intermediate_size", 5632), true};
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", 5632);
  const std::vector<bool> sparse = hf::sparse_layers(config, sizes.depth);
  const std::vector<std::int64_t> window = windows(config, sizes.depth);
  std::vector<LayerSpec> layers;
  for (std::size_t i = 0; i < sparse.size(); ++i) {
    layer.attention.window = window[i];
    layer.feed_forward = dense;
    if (sparse[i] && moe.router.experts > 0) { layer.feed_forward = moe; }
    layers.push_back(layer);
  }
  hf::finish(model, config, sizes, std::move(layers), names());
}

}  // namespace

const Family kQwen2Moe{"qwen2_moe", "qwen2_moe", "model.embed_tokens.weight", read_qwen2_moe};

}  // namespace kappascope
