// ERNIE 4.5 (text): experts chosen by softmax and a bias, experts that every token runs, positions
// in pairs (SPEC-families §6).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

constexpr hf::ExpertNames ernie_names() {
  hf::ExpertNames names = hf::deepseek_names();
  names.selection_bias = "mlp.moe_statics.e_score_correction_bias";
  names.selection_bias_row = true;
  return names;
}

RouterSpec ernie_router(hf::Config& config) {
  RouterSpec router = config.router(64, 6, CombineWeight::normalised_score);
  router.by_score = router.selection_bias = true;
  router.least_sum = config.number("moe_norm_min", 1e-12);
  return router;
}

// Whether a layer has experts.
std::vector<bool> ernie_layers_with_experts(hf::Config& config, std::int64_t layers) {
  const std::int64_t every = config.size("moe_layer_interval", 1);
  const std::int64_t first = config.size("moe_layer_start_index", 1, 0);
  std::int64_t last = config.size("moe_layer_end_index", -1, -1);
  last = last == -1 ? layers - 1 : last;
  config.fields().record("moe_layer_end_index", last);
  std::vector<bool> sparse;
  for (std::int64_t i = 0; i < layers; ++i) {
    sparse.push_back((i + 1) % every == 0 && i >= first && i <= last);
  }
  return sparse;
}

void read_ernie4_5_moe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 2560,
                                        .depth = 28,
                                        .heads = 20,
                                        .kv_heads = 4,
                                        .head_width = 0,
                                        .vocab = 103424,
                                        .context = 131072,
                                        .epsilon = 1e-5,
                                        .tied = true});
  config.require_silu();
  config.require_quantization("");
  const bool bias = config.flag("use_bias", false);
  LayerSpec layer = config.layer(sizes, config.rotary(sizes, {.base = 500000, .pairs = true}));
  layer.attention.input_bias = layer.attention.output_bias = bias;
  model.architecture.output.bias = bias;
  MoeSpec moe;
  moe.router = ernie_router(config);
  moe.gates = config.size("moe_intermediate_size", 1536);
  const std::int64_t shared = config.size("moe_num_shared_experts", 2, 0);
  if (shared > 0) { moe.shared = SharedSpec{shared * moe.gates, false, bias}; }
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", 12288);
  dense.bias = bias;
  std::vector<LayerSpec> layers;
  for (const bool sparse : ernie_layers_with_experts(config, sizes.depth)) {
    layer.feed_forward = dense;
    if (sparse) { layer.feed_forward = moe; }
    layers.push_back(layer);
  }
  hf::finish(model, config, sizes, std::move(layers), ernie_names());
}

}  // namespace

const Family kErnie45Moe{"ernie4_5_moe", "ernie4_5_moe", "model.embed_tokens.weight",
                         read_ernie4_5_moe};

}  // namespace kappascope
