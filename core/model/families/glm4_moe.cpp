// GLM-4.5: experts chosen by a sigmoid and a bias, an expert that every token runs, a part of each
// head turned (SPEC-families §5).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

void read_glm4_moe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 4096,
                                        .depth = 46,
                                        .heads = 96,
                                        .kv_heads = 8,
                                        .head_width = 0,
                                        .vocab = 151552,
                                        .context = 131072,
                                        .epsilon = 1e-5});
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes, {.share = 0.5, .partial = true}));
  layer.attention.input_bias = config.flag("attention_bias", false);
  if (config.flag("use_qk_norm", false)) { layer.attention.norm = QueryKeyNorm::per_head; }
  MoeSpec moe;
  moe.router = config.sigmoid_router({.experts = 128, .slots = 8});
  moe.gates = config.size("moe_intermediate_size", 1408);
  moe.shared = SharedSpec{config.shared_experts("n_shared_experts", 1) * moe.gates, false};
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", 10944);
  hf::finish(model, config, sizes, hf::layers_after(config, sizes, 1, layer, dense, moe),
             hf::deepseek_names());
}

}  // namespace

const Family kGlm4Moe{"glm4_moe", "glm4_moe", "model.embed_tokens.weight", read_glm4_moe};

}  // namespace kappascope
