// FlexOlmo: norms of what each part gives, q and k normed over the whole projection (SPEC-families
// §7).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

constexpr hf::ExpertNames flex_names() {
  hf::ExpertNames names = hf::kMlpExperts;
  names.attention_norm = "post_attention_layernorm.weight";
  names.feed_forward_norm = "post_feedforward_layernorm.weight";
  return names;
}

void read_flex_olmo(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 4096,
                                        .depth = 32,
                                        .heads = 32,
                                        .kv_heads = 0,
                                        .head_width = 0,
                                        .vocab = 100352,
                                        .context = 4096,
                                        .epsilon = 1e-6});
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes, {.base = 500000}));
  layer.norms_after = true;
  layer.attention.norm = QueryKeyNorm::whole;
  layer.attention.input_bias = layer.attention.output_bias = config.flag("attention_bias", false);
  MoeSpec moe;
  moe.router = config.normalising_router(7, 5, false);
  moe.gates = config.size("intermediate_size", 11008);
  layer.feed_forward = moe;
  hf::finish(model, config, sizes, std::vector(std::size_t(sizes.depth), layer), flex_names());
}

}  // namespace

const Family kFlexOlmo{"flex_olmo", "flex_olmo", "model.embed_tokens.weight", read_flex_olmo};

}  // namespace kappascope
