// Mixtral: every layer has experts, weights normalised over the chosen ones (SPEC-families §0,
// §12).
#include "core/model/families/hf.h"

namespace kappascope {
namespace {

// In files of this program's own layout the block is `mlp`.
constexpr hf::ExpertNames kMixtralNames{.router = "block_sparse_moe.gate.weight",
                                        .gate = "block_sparse_moe.experts.#.w1.weight",
                                        .up = "block_sparse_moe.experts.#.w3.weight",
                                        .down = "block_sparse_moe.experts.#.w2.weight",
                                        .packed = "mlp.experts.gate_up_proj",
                                        .packed_down = "mlp.experts.down_proj",
                                        .router_beside = "mlp.gate.weight"};

void read_mixtral(Model& model, const Json& document, const OpenOptions& /*options*/) {
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes({.width = 4096,
                                        .depth = 32,
                                        .heads = 32,
                                        .kv_heads = 8,
                                        .head_width = 0,
                                        .vocab = 32000,
                                        .context = 131072,
                                        .epsilon = 1e-5});
  config.require_silu();
  config.require_quantization("");
  LayerSpec layer = config.layer(sizes, config.rotary(sizes, {.base = 1e6}));
  layer.attention.window = config.window(0);
  MoeSpec moe;
  moe.router = config.router(8, 2, CombineWeight::softmax_of_chosen);
  moe.gates = config.size("intermediate_size", 14336);
  layer.feed_forward = moe;
  hf::finish(model, config, sizes, std::vector(std::size_t(sizes.depth), layer), kMixtralNames);
}

}  // namespace

const Family kMixtral{"mixtral", "mixtral", "model.embed_tokens.weight", read_mixtral};

}  // namespace kappascope
