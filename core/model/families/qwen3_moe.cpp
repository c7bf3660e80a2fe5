// Qwen3-MoE: q and k normed in each head, some layers dense (SPEC-families §0, §12).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

void read_qwen3_moe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 2048,
                                        .depth = 24,
                                        .heads = 32,
                                        .kv_heads = 4,
                                        .head_width = 0,
                                        .vocab = 151936,
                                        .context = 32768,
                                        .epsilon = 1e-6});
  config.require_silu();
  config.require_quantization("fp8");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes));
  AttentionSpec& attention = layer.attention;
  attention.norm = QueryKeyNorm::per_head;
  attention.input_bias = attention.output_bias = config.flag("attention_bias", false);
  // The windows of all layers, whatever max_window_layers says.
  const bool slides = config.flag("use_sliding_window", false);
  config.fields().find("sliding_window");  // means nothing otherwise
  attention.window = slides ? config.window(4096) : kNoWindow;
  config.fields().find("max_window_layers");

  MoeSpec moe;
  moe.router = config.normalising_router(128, 8, false, true);
  moe.gates = config.size("moe_intermediate_size", 768);
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", 6144);
  std::vector<LayerSpec> layers;
  for (const bool sparse : hf::sparse_layers(config, sizes.depth)) {
    layer.feed_forward = dense;
    if (sparse && moe.router.experts > 0) { layer.feed_forward = moe; }
    layers.push_back(layer);
  }
  hf::finish(model, config, sizes, std::move(layers), hf::kMlpExperts, true);
}

}  // namespace

const Family kQwen3Moe{"qwen3_moe", "qwen3_moe", "model.embed_tokens.weight", read_qwen3_moe};

}  // namespace kappascope
