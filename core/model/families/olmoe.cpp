// OLMoE: q and k normed over the whole projection, weights not normalised unless the file says so
// (SPEC-families §0, §12).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

void read_olmoe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 2048,
                                        .depth = 16,
                                        .heads = 16,
                                        .kv_heads = 0,
                                        .head_width = 0,
                                        .vocab = 50304,
                                        .context = 4096,
                                        .epsilon = 1e-5});
  config.require_silu();
  config.require_quantization("");
  if (sizes.head_width != sizes.width / sizes.heads) {
    config.fields().refuse("head_dim", "hidden_size / num_attention_heads", Json(sizes.head_width));
  }
  if (config.window(0) != kNoWindow) {
    config.fields().refuse("sliding_window", "null", *config.fields().find("sliding_window"));
  }
  LayerSpec layer = config.layer(sizes, config.rotary(sizes));
  AttentionSpec& attention = layer.attention;
  attention.norm = QueryKeyNorm::whole;
  attention.input_bias = attention.output_bias = config.flag("attention_bias", false);
  if (config.fields().find("clip_qkv") != nullptr) {
    attention.clip = config.number("clip_qkv", 1);
  }
  MoeSpec moe;
  moe.router = config.normalising_router(64, 8, false);
  moe.gates = config.size("intermediate_size", 2048);
  layer.feed_forward = moe;
  hf::finish(model, config, sizes, std::vector(std::size_t(sizes.depth), layer), hf::kMlpExperts);
}

}  // namespace

const Family kOlmoe{"olmoe", "olmoe", "model.embed_tokens.weight", read_olmoe};

}  // namespace kappascope
