// gpt-oss: sinks, biases everywhere, a clamped gate with κ = swiglu_alpha; float or MXFP4 experts
// (SPEC-families §0).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

constexpr hf::ExpertNames kGptOssNames{.router = "mlp.router.weight",
                                       .router_bias = "mlp.router.bias",
                                       .interleaved = "mlp.experts.gate_up_proj",
                                       .interleaved_down = "mlp.experts.down_proj"};

// RoPE of a file that says nothing about it.
Json silent_rope() {
  return {{"rope_type", "yarn"}, {"factor", 32.0},    {"beta_fast", 32.0},
          {"beta_slow", 1.0},    {"truncate", false}, {"original_max_position_embeddings", 4096}};
}

void read_gpt_oss(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 2880,
                                        .depth = 36,
                                        .heads = 64,
                                        .kv_heads = 8,
                                        .head_width = 64,
                                        .vocab = 201088,
                                        .context = 131072,
                                        .epsilon = 1e-5});
  config.require_silu();
  config.require_quantization("mxfp4");
  LayerSpec layer =
      config.layer(sizes, config.rotary(sizes, {.base = 150000, .parameters = silent_rope()}));
  AttentionSpec& attention = layer.attention;
  attention.input_bias = attention.output_bias = config.flag("attention_bias", true);
  attention.sinks = true;

  MoeSpec moe;
  moe.router = config.router(128, 4, CombineWeight::softmax_of_chosen);
  moe.router.logit_bias = true;
  moe.gates = config.size("intermediate_size", 2880);
  moe.gate.kappa = config.number("swiglu_alpha", 1.702);
  moe.gate.limit = config.number("swiglu_limit", 7);
  moe.gate.up_offset = 1;
  moe.gate.bias = true;
  layer.feed_forward = moe;

  std::vector<bool> alternating;
  for (std::int64_t i = 0; i < sizes.depth; ++i) { alternating.push_back(i % 2 == 0); }
  const std::vector<bool> sliding_layers = config.sliding_layers(alternating);
  const std::int64_t window = config.window(128);
  config.require_window(sliding_layers, window);
  std::vector<LayerSpec> layers;
  for (const bool slides : sliding_layers) {
    layer.attention.window = slides ? window : kNoWindow;
    layers.push_back(layer);
  }
  hf::finish(model, config, sizes, std::move(layers), kGptOssNames);
}

}  // namespace

const Family kGptOss{"gpt_oss", "gpt_oss", "model.embed_tokens.weight", read_gpt_oss};

}  // namespace kappascope
