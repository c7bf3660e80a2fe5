// DeepSeek V2 and V3: keys and values from a latent vector, experts in groups (SPEC-families §3,
// §4).
#include <cmath>

#include "core/model/families/hf.h"

namespace kappascope {
namespace {

// What the two differ in where a file is silent.
struct DeepseekDefaults {
  hf::Sizes sizes;
  std::int64_t dense, dense_gates, gates, shared;
};

// Latent attention, in place of `sizes`' heads; width of a head of q and k.
LatentSpec read_latent(hf::Config& config, hf::Sizes& sizes) {
  LatentSpec latent;
  const bool whole = config.fields().is_null("q_lora_rank");
  latent.query_rank = whole ? 0 : config.size("q_lora_rank", 1536);
  if (whole) {
    config.fields().find("q_lora_rank");
    config.fields().record("q_lora_rank", nullptr);
  }
  latent.rank = config.size("kv_lora_rank", 512);
  latent.turned = config.size("qk_rope_head_dim", 64, 2);
  latent.value_width = config.size("v_head_dim", 128);
  latent.norm = {.epsilon = 1e-6, .weight = true};  // whatever rms_norm_eps says
  latent.bias = config.flag("attention_bias", false);
  sizes.head_width = config.size("qk_nope_head_dim", 128) + latent.turned;
  config.fields().find("qk_head_dim");  // their sum
  if (latent.turned % 2 != 0) {
    config.fields().refuse("qk_rope_head_dim", "an even width", Json(latent.turned));
    latent.turned = 2;
  }
  if (sizes.kv_heads != sizes.heads) {
    config.fields().refuse("num_key_value_heads", join_words("num_attention_heads = ", sizes.heads),
                           Json(sizes.kv_heads));
  }
  return latent;
}

LayerSpec latent_layer(hf::Config& config, hf::Sizes sizes, bool pairs) {
  const LatentSpec latent = read_latent(config, sizes);
  hf::Sizes turned = sizes;
  turned.head_width = latent.turned;
  LayerSpec layer = config.layer(sizes, config.rotary(turned, {.pairs = pairs}));
  layer.attention.scale *= config.latent_scale();
  layer.attention.output_bias = latent.bias;
  layer.attention.latent = latent;
  return layer;
}

// The K likeliest, of the likeliest groups where there are any; never normalised.
RouterSpec router_of_v2(hf::Config& config) {
  std::int64_t needed = 1;
  config.fields().required("num_experts_per_tok", needed, kAny);
  RouterSpec router = config.router(64, 1, CombineWeight::score);
  router.scale = config.number("routed_scaling_factor", 1);
  config.fields().find("norm_topk_prob");
  const std::string method = config.fields().text("topk_method").value_or("greedy");
  config.fields().record("topk_method", method);
  if (method == "group_limited_greedy") {
    for (const char* field : {"n_group", "topk_group"}) {
      config.fields().required(field, needed, kMostGroups);
    }
    router.groups = config.groups(router, {1, 1, false});
  } else if (method != "greedy") {
    config.fields().refuse("topk_method", "greedy or group_limited_greedy", Json(method));
  }
  for (const char* unread : {"n_group", "topk_group"}) { config.fields().find(unread); }
  return router;
}

void finish_deepseek(Model& model, hf::Config& config, const hf::Sizes& sizes, bool pairs,
                     const DeepseekDefaults& absent, RouterSpec router, bool mlp_bias,
                     bool eight_bits) {
  config.require_silu();
  config.require_quantization(eight_bits ? "fp8" : "");
  const LayerSpec layer = latent_layer(config, sizes, pairs);
  MoeSpec moe;
  moe.router = std::move(router);
  moe.gates = config.size("moe_intermediate_size", absent.gates);
  moe.shared = SharedSpec{config.shared_experts("n_shared_experts", absent.shared) * moe.gates,
                          false, mlp_bias};
  DenseSpec dense;
  dense.gates = config.size("intermediate_size", absent.dense_gates);
  dense.bias = mlp_bias;
  hf::finish(model, config, sizes, hf::layers_after(config, sizes, absent.dense, layer, dense, moe),
             hf::deepseek_names(), eight_bits);
}

void read_deepseek_v2(Model& model, const Json& document, const OpenOptions& /*options*/) {
  const DeepseekDefaults absent{{.width = 4096,
                                 .depth = 32,
                                 .heads = 32,
                                 .kv_heads = 0,
                                 .head_width = 0,
                                 .vocab = 102400,
                                 .context = 2048,
                                 .epsilon = 1e-6,
                                 .own_heads = false},
                                0,
                                11008,
                                1407,
                                2};
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes(absent.sizes);
  RouterSpec router = router_of_v2(config);
  finish_deepseek(model, config, sizes, true, absent, std::move(router),
                  config.flag("mlp_bias", false), false);
}

void read_deepseek_v3(Model& model, const Json& document, const OpenOptions& /*options*/) {
  const DeepseekDefaults absent{{.width = 7168,
                                 .depth = 61,
                                 .heads = 128,
                                 .kv_heads = 128,
                                 .head_width = 0,
                                 .vocab = 129280,
                                 .context = 4096,
                                 .epsilon = 1e-6,
                                 .own_heads = false,
                                 .null_as_heads = true},
                                3,
                                18432,
                                2048,
                                1};
  hf::Config config(document, model.files.meta.string());
  const hf::Sizes sizes = config.sizes(absent.sizes);
  RouterSpec router = config.sigmoid_router(
      {.experts = 256, .slots = 8, .scale = 2.5, .groups = 8, .kept_groups = 4});
  config.fields().find("topk_method");
  const bool pairs = config.flag("rope_interleave", true);
  finish_deepseek(model, config, sizes, pairs, absent, std::move(router), false, true);
}

}  // namespace

const Family kDeepseekV2{"deepseek_v2", "deepseek_v2", "model.embed_tokens.weight",
                         read_deepseek_v2};
const Family kDeepseekV3{"deepseek_v3", "deepseek_v3", "model.embed_tokens.weight",
                         read_deepseek_v3};

}  // namespace kappascope
