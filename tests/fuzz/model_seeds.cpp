// Seeds of nanochat's models: every layout of κ and what contradicts it.
#include "tests/fuzz/model_lines.h"
#include "tests/fuzz/more_seeds.h"
#include "tests/tools/synthetic.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;
using synthetic::ModelSpec;

class ModelSeeds {
 public:
  ModelSeeds(fs::path folder, WriteSeed* write) : folder_(std::move(folder)), write_(write) {}

  template <typename Change>
  void operator()(const std::string& name, const Change& change) const {
    ModelSpec spec;
    spec.experts = 3;
    change(spec);
    Json meta{{"step", spec.step}, {"model_config", synthetic::model_config(spec)}};
    if (!spec.user_config.is_null()) { meta["user_config"] = spec.user_config; }
    std::string lines;
    for (const synthetic::ModelTensor& tensor : synthetic::model_tensors(spec)) {
      lines += line_of((spec.compiled ? "_orig_mod." : "") + tensor.tensor.name,
                       tensor.tensor.dtype, tensor.tensor.shape);
    }
    write_(folder_ / name, meta.dump(2) + '\0' + lines);
  }

 private:
  fs::path folder_;
  WriteSeed* write_;
};

std::string experts(int layer, const std::string& leaf) {
  return "transformer.h." + std::to_string(layer) + ".mlp.experts." + leaf;
}

void with_slots(ModelSpec& spec, std::int64_t slots) {
  for (const int layer : {1, 2}) {
    spec.reshape[experts(layer, "kappa_bias")] = {slots, 3, 128};
    spec.reshape[experts(layer, "kappa_scale")] = {slots, 3, 128};
  }
}

void with_router(ModelSpec& spec, std::int64_t rows) {
  spec.config["independent_kappa_router"] = true;
  for (const int layer : {1, 2}) {
    spec.extra["transformer.h." + std::to_string(layer) + ".mlp.kappa_router.weight"] = {rows, 32};
    spec.drop.push_back(experts(layer, "kappa_scale"));
  }
}

void write_granularities(const ModelSeeds& seed) {
  for (const Granularity granularity : {Granularity::per_gate, Granularity::per_expert,
                                        Granularity::per_layer, Granularity::global}) {
    const std::string word(name(granularity));
    seed(word, [&](ModelSpec& spec) { spec.granularity = granularity, spec.dense_kappa = true; });
    seed(word + " by another", [&](ModelSpec& spec) {
      spec.granularity = granularity;
      spec.config["global_kappa_bias_granularity"] =
          granularity == Granularity::per_layer ? "per-gate" : "per-layer";
    });
    seed(word + " by none", [&](ModelSpec& spec) {
      spec.granularity = granularity;
      spec.config = {{"global_kappa_bias_granularity", nullptr}, {"use_kappa_swiglu", nullptr}};
    });
  }
  for (const KappaInput input : {KappaInput::router_probs, KappaInput::top_logits,
                                 KappaInput::constant, KappaInput::gate_proj}) {
    seed(std::string(name(input)), [&](ModelSpec& spec) { spec.kappa_input = input; });
    seed(std::string(name(input)) + " without bias", [&](ModelSpec& spec) {
      spec.kappa_input = input;
      spec.config["disable_kappa_bias"] = true;
    });
  }
}

void write_layouts(const ModelSeeds& seed) {
  seed("product", [](ModelSpec& spec) { spec.kappa_product = true; });
  seed("product by expert", [](ModelSpec& spec) {
    spec.kappa_product = true;
    spec.config["global_kappa_bias_granularity"] = "per-expert";
  });
  for (const std::int64_t slots : {1, 2, 3}) {
    const std::string count = std::to_string(slots);
    seed("slots " + count, [&](ModelSpec& spec) { with_slots(spec, slots); });
    seed("sides " + count, [&](ModelSpec& spec) {
      with_slots(spec, slots);
      spec.config["separate_base_sft_kappa"] = true;
      spec.user_config = {{"use_kappa_swiglu_sft_only", true}};
    });
  }
  seed("router", [](ModelSpec& spec) { with_router(spec, 3); });
  seed("router of two sides", [](ModelSpec& spec) {
    with_router(spec, 6);
    spec.config["separate_base_sft_kappa"] = true;
  });
  seed("router that is not named", [](ModelSpec& spec) {
    with_router(spec, 3);
    spec.config.erase("independent_kappa_router");
  });
  seed("router with a bias", [](ModelSpec& spec) {
    with_router(spec, 3);
    spec.extra["transformer.h.1.mlp.kappa_router.bias"] = {3};
  });
  seed("router without bias", [](ModelSpec& spec) {
    with_router(spec, 3);
    spec.config["disable_kappa_bias"] = true;
    for (const int layer : {1, 2}) {
      spec.extra["transformer.h." + std::to_string(layer) + ".mlp.kappa_router.bias"] = {3};
    }
  });
  seed("router and constant", [](ModelSpec& spec) {
    with_router(spec, 3);
    spec.config["kappa_input"] = "constant";
  });
  seed("router and gate", [](ModelSpec& spec) {
    with_router(spec, 3);
    spec.config["kappa_input"] = "gate_proj";
  });
  seed("router from layer 2", [](ModelSpec& spec) {
    with_router(spec, 3);
    spec.config["kappa_bias_start_layer"] = 2;
  });
}

void write_dates(const ModelSeeds& seed) {
  const auto dated = [&](const std::string& name, const Json& fields, bool old = false) {
    seed(name, [&](ModelSpec& spec) {
      spec.config = fields;
      spec.config["kappa_input_logit_norm_exponent"] = Json(Json::value_t::null);
      spec.old_names = old;
    });
  };
  seed("no norm", [](ModelSpec& spec) { spec.kappa_exponent = 0; });
  seed("absent norm",
       [](ModelSpec& spec) { spec.config["kappa_input_logit_norm_exponent"] = nullptr; });
  seed("old names", [](ModelSpec& spec) {
    spec.old_names = true;
    spec.config["kappa_input_logit_norm_exponent"] = nullptr;
  });
  dated("norms of June", {{"normalize_top_logits", false}, {"top_logit_norm_exponent", 0.5}});
  dated("top logits of June", {{"normalize_top_logits", true}});
  dated("constant 1", {{"kappa_input_constant", 1}});
  dated("constant 0.5", {{"kappa_input_constant", 0.5}});
  dated("mixed", {{"disable_kappa_bias", true}});
  dated("old with averages", {{"kappa_bias_ema_rms_reg", 1}}, true);
  seed("two norms", [](ModelSpec& spec) { spec.config["top_logit_norm_exponent"] = 0.9; });
  seed("two rules", [](ModelSpec& spec) { spec.config["normalize_top_logits"] = true; });
  seed("old without scale", [](ModelSpec& spec) {
    spec.old_names = true;
    spec.config["kappa_input_logit_norm_exponent"] = nullptr;
    spec.drop = {experts(1, "gate_proj_bias_scale"), experts(2, "gate_proj_bias_scale")};
  });
  seed("two names", [](ModelSpec& spec) { spec.extra[experts(1, "gate_proj_bias")] = {3, 128}; });
}

void write_rest(const ModelSeeds& seed) {
  seed("soft", [](ModelSpec& spec) { spec.soft_budget = 3, spec.slots = 3; });
  seed("soft and relative", [](ModelSpec& spec) {
    spec.soft_budget = 3;
    spec.config = {{"lapsum_threshold_scale", 1.8}, {"lapsum_expansion", 2}};
  });
  seed("soft without budget", [](ModelSpec& spec) {
    spec.soft_budget = 3;
    spec.config = {{"lapsum_budget_total", nullptr},
                   {"lapsum_threshold", nullptr},
                   {"use_aux_free_load_balancing", true}};
  });
  seed("soft of too much", [](ModelSpec& spec) {
    spec.soft_budget = 3;
    spec.config["lapsum_budget_total"] = 99;
  });
  seed("passes", [](ModelSpec& spec) { spec.passes = 2, spec.lambda_steps = true; });
  for (const bool square : {false, true}) {
    seed(square ? "source a pass and layer" : "source a pass", [&](ModelSpec& spec) {
      spec.passes = 2;
      spec.config = {{"ut_source", -1}, {"ut_destination", 1}};
      spec.extra["ut_source_lambdas"] = {2};
      if (square) { spec.extra["ut_source_lambdas"] = {2, 3}; }
    });
  }
  seed("source without factors", [](ModelSpec& spec) {
    spec.passes = 2;
    spec.config = {{"ut_source", -1}};
  });
  seed("dense", [](ModelSpec& spec) { spec.experts = 1, spec.slots = 1, spec.dense_kappa = true; });
  seed("plain dense", [](ModelSpec& spec) { spec.gated_dense = false, spec.kappa = false; });
  seed("no kappa but its tensors", [](ModelSpec& spec) {
    spec.config = {{"use_kappa_swiglu", false}, {"bilinear_mlp_moe", true}};
  });
  seed("kappa above", [](ModelSpec& spec) { spec.config["kappa_bias_start_layer"] = 9; });
  seed("biased", [](ModelSpec& spec) { spec.expert_bias = true, spec.bilinear = true; });
  seed("stride",
       [](ModelSpec& spec) { spec.moe_start = 0, spec.moe_stride = 2, spec.moe_count = 1; });
  seed("compiled", [](ModelSpec& spec) { spec.compiled = true, spec.dtype = DType::bfloat16; });
  seed("bytes", [](ModelSpec& spec) { spec.dtype = DType::uint8; });
  seed("unused", [](ModelSpec& spec) {
    spec.extra = {{"a.b", {1}},
                  {experts(1, "gate_proj_a"), {1}},
                  {"transformer.h.1.mlp.kappa_router.weight", {3, 32}}};
    spec.config = {{"refused", 1}, {"loss_chunk", 2}, {"use_qwen3_moe_mlp", false}};
  });
  seed("lacking", [](ModelSpec& spec) {
    spec.drop = {experts(1, "kappa_bias"), "lm_head.weight", "resid_lambdas"};
    spec.reshape = {{experts(2, "kappa_bias"), {3}}, {"x0_lambdas", {4}}};
  });
  seed("old fields", [](ModelSpec& spec) {
    spec.config = {{"use_gate_proj_bias", true}, {"moe_gate_slope_max_scale", 3}};
  });
}

}  // namespace

void write_model_seeds(const fs::path& root, WriteSeed* write) {
  write(root / "meta_json" / "not finite", R"({"loss":NaN,"best":[-Infinity,Infinity],"s":"NaN"})");
  const ModelSeeds seed(root / "meta_json", write);
  write_granularities(seed);
  write_layouts(seed);
  write_dates(seed);
  write_rest(seed);
}

}  // namespace kappascope::testing
