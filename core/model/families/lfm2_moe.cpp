// LFM2-MoE: short convolutions in the place of attention in some layers, experts chosen by a
// sigmoid and a bias (SPEC-families §9).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

constexpr hf::ExpertNames lfm_names() {
  hf::ExpertNames names{.router = "feed_forward.gate.weight",
                        .selection_bias = "feed_forward.expert_bias",
                        .gate = "feed_forward.experts.#.w1.weight",
                        .up = "feed_forward.experts.#.w3.weight",
                        .down = "feed_forward.experts.#.w2.weight",
                        .packed = "feed_forward.experts.gate_up_proj",
                        .packed_down = "feed_forward.experts.down_proj"};
  names.dense_gate = "feed_forward.w1.weight";
  names.dense_up = "feed_forward.w3.weight";
  names.dense_down = "feed_forward.w2.weight";
  names.attention_norm = "operator_norm.weight";
  names.feed_forward_norm = "ffn_norm.weight";
  names.attention_output = "self_attn.out_proj.weight";
  names.query_norm = "self_attn.q_layernorm.weight";
  names.key_norm = "self_attn.k_layernorm.weight";
  names.output_norm = "embedding_norm.weight";
  return names;
}

RouterSpec lfm_router(hf::Config& config) {
  RouterSpec router = config.router(
      32, 4,
      config.flag("norm_topk_prob", true) ? CombineWeight::normalised_score : CombineWeight::score);
  router.score = RouterScore::sigmoid;
  router.by_score = true;
  router.selection_bias = config.flag("use_expert_bias", true);
  router.sum_added = 1e-6;
  router.scale = config.number("routed_scaling_factor", 1);
  return router;
}

void read_lfm2_moe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  hf::Sizes sizes = config.sizes({.width = 2048,
                                  .depth = 32,
                                  .heads = 32,
                                  .kv_heads = 8,
                                  .head_width = 0,
                                  .vocab = 65536,
                                  .context = 128000,
                                  .epsilon = 1e-5,
                                  .tied = true,
                                  .epsilon_field = "norm_eps"});
  // The older name beats the newer.
  if (config.fields().boolean("tie_embedding", sizes.tied)) {
    config.fields().record("tie_word_embeddings", sizes.tied);
  }
  config.fields().forget("tie_embedding");
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes, {.base = 1e6}));
  layer.attention.norm = QueryKeyNorm::per_head;
  const ConvolutionSpec convolution{config.size("conv_L_cache", 3),
                                    config.flag("conv_bias", false)};
  MoeSpec moe;
  moe.router = lfm_router(config);
  moe.gates = config.size("moe_intermediate_size", 1792);
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", 7168);
  const std::int64_t first = config.size("num_dense_layers", 2, 0);
  const std::vector<std::string> kinds =
      config.per_layer("layer_types", sizes.depth, {"conv", hf::kFull}, {});
  if (config.fields().find("layer_types") == nullptr) {
    config.faults().add(ExitCode::damaged, "", "layer_types is missing; expected a list of words");
  }
  std::vector<LayerSpec> layers;
  for (std::int64_t i = 0; i < std::ssize(kinds); ++i) {
    layer.convolution.reset();
    if (kinds[i] == "conv") { layer.convolution = convolution; }
    layer.feed_forward = dense;
    if (i >= first) { layer.feed_forward = moe; }
    layers.push_back(layer);
  }
  hf::finish(model, config, sizes, std::move(layers), lfm_names());
}

}  // namespace

const Family kLfm2Moe{"lfm2_moe", "lfm2_moe", "model.embed_tokens.weight", read_lfm2_moe};

}  // namespace kappascope
