// PhiMoE (Phi-3.5-MoE): two experts by SparseMixer, LayerNorm with biases (SPEC-families §8).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

// In files of transformers' own layout the block is `mlp`.
constexpr hf::ExpertNames kPhiNames{.router = "block_sparse_moe.gate.weight",
                                    .gate = "block_sparse_moe.experts.#.w1.weight",
                                    .up = "block_sparse_moe.experts.#.w3.weight",
                                    .down = "block_sparse_moe.experts.#.w2.weight",
                                    .packed = "mlp.experts.gate_up_proj",
                                    .packed_down = "mlp.experts.down_proj",
                                    .router_beside = "mlp.router.weight"};

// SparseMixer chooses two, whatever num_experts_per_tok says.
RouterSpec sparse_mixer(hf::Config& config) {
  RouterSpec router;
  router.experts = config.size("num_experts", 16, 2);
  router.slots = 2;
  router.weight = CombineWeight::sparse_mixer;
  router.jitter = 0.01;
  config.fields().number("router_jitter_noise", router.jitter, 0, false);
  for (const char* unread : {"num_experts_per_tok", "input_jitter_noise"}) {
    config.fields().find(unread);
  }
  return router;
}

void read_phimoe(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 4096,
                                        .depth = 32,
                                        .heads = 32,
                                        .kv_heads = 8,
                                        .head_width = 0,
                                        .vocab = 32064,
                                        .context = 131072,
                                        .epsilon = 1e-5,
                                        .null_as_heads = true});
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes, {.base = 1e6, .phi = true}));
  layer.attention_norm.centred = layer.feed_forward_norm.centred = true;
  layer.attention.window = config.window(0);
  layer.attention.input_bias = layer.attention.output_bias = config.flag("attention_bias", false);
  model.architecture.output.bias = config.flag("lm_head_bias", false);
  MoeSpec moe;
  moe.router = sparse_mixer(config);
  moe.gates = config.size("intermediate_size", 6400);
  layer.feed_forward = moe;
  hf::finish(model, config, sizes, std::vector(std::size_t(sizes.depth), layer), kPhiNames);
}

}  // namespace

const Family kPhiMoe{"phimoe", "phimoe", "model.embed_tokens.weight", read_phimoe};

}  // namespace kappascope
