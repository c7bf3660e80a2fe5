// Granite MoE (IBM Granite 3, PowerMoE), with and without a shared expert: four multipliers,
// experts in one tensor (SPEC-families §2).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

constexpr hf::ExpertNames kGraniteNames{.router = "block_sparse_moe.router.layer.weight",
                                        .packed = "block_sparse_moe.input_linear.weight",
                                        .packed_down = "block_sparse_moe.output_linear.weight",
                                        .shared_down = "shared_mlp.output_linear.weight",
                                        .shared_packed = "shared_mlp.input_linear.weight"};

void read_granitemoe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 4096,
                                        .depth = 32,
                                        .heads = 32,
                                        .kv_heads = 0,
                                        .head_width = 0,
                                        .vocab = 32000,
                                        .context = 2048,
                                        .epsilon = 1e-6});
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes));
  layer.attention.input_bias = layer.attention.output_bias = config.flag("attention_bias", false);
  layer.attention.scale = config.number("attention_multiplier", 1);
  model.architecture.embedding.multiplier = config.number("embedding_multiplier", 1);
  model.architecture.residual.multiplier = config.number("residual_multiplier", 1);
  model.architecture.output.divisor = config.number("logits_scaling", 1);
  MoeSpec moe;
  moe.router = config.router(8, 2, CombineWeight::softmax_of_chosen);
  moe.gates = config.size("intermediate_size", 11008);
  const bool shared = document["model_type"] == "granitemoeshared";
  const std::int64_t gates = shared ? config.size("shared_intermediate_size", 0, 0) : 0;
  if (gates > 0) { moe.shared = SharedSpec{gates, false}; }
  layer.feed_forward = moe;
  hf::finish(model, config, sizes, std::vector(std::size_t(sizes.depth), layer), kGraniteNames);
}

}  // namespace

const Family kGraniteMoe{"granitemoe", "granitemoe", "model.embed_tokens.weight", read_granitemoe};
const Family kGraniteMoeShared{"granitemoeshared", "granitemoeshared", "model.embed_tokens.weight",
                               read_granitemoe};

}  // namespace kappascope
