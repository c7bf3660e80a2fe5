// Configurations that contradict themselves or the tensors beside them, and folders that lack a
// file.
#include "core/model/model.h"
#include "tests/refused/refused.h"
#include "tests/tools/hub_model.h"
#include "tests/tools/synthetic.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope::refused {
namespace {

using synthetic::ModelSpec;

std::string open(const TempFolder& folder) {
  open_model(folder.path());
  return "";
}
auto nanochat(const ModelSpec& spec) {
  return [=](const TempFolder& folder) {
    synthetic::write_model(folder.path(), spec);
    return open(folder);
  };
}
auto meta(const char* field, const Json& value) {
  ModelSpec spec;
  spec.config = Json::object({{field, value}});
  return nanochat(spec);
}
auto meta_text(const std::string& text) {
  return [=](const TempFolder& folder) {
    synthetic::write_model(folder.path(), {});
    folder.write("meta_000100.json", text);
    return open(folder);
  };
}
auto hub(const char* field, const Json& value) {
  return [=](const TempFolder& folder) {
    const synthetic::HubSpec spec{.hidden = 32,
                                  .layers = 2,
                                  .heads = 2,
                                  .kv_heads = 1,
                                  .head_width = 16,
                                  .experts = 4,
                                  .slots = 2,
                                  .gates = 16,
                                  .vocab = 256,
                                  .window = 16};
    synthetic::write_hub_model(folder.path(), spec);
    Json config = synthetic::hub_config(spec);
    value.is_discarded() ? void(config.erase(field)) : void(config[field] = value);
    folder.write("config.json", config.dump());
    return open(folder);
  };
}
ModelSpec without(const std::string& tensor) {
  ModelSpec spec;
  spec.drop = {tensor};
  return spec;
}
ModelSpec reshaped(const std::string& tensor, const std::vector<std::int64_t>& shape) {
  ModelSpec spec;
  spec.reshape[tensor] = shape;
  return spec;
}
const Json kAbsent(Json::value_t::discarded);

Rows meta_rows() {
  return {
      {"meta is empty", meta_text(""), "3 DIR/meta_000100.json: the file is empty; expected JSON"},
      {"meta too long", meta_text(std::string((16 << 20) + 1, ' ')),
       "3 DIR/meta_000100.json: the file is too long; expected at most 16777216 bytes, found "
       "16777217"},
      {"meta is a list", meta_text("[]"),
       "3 DIR/meta_000100.json: the top level is not an object; expected {…}"},
      {"meta without model_config", meta_text("{}"),
       "3 DIR/meta_000100.json: no model_config; expected an object"},
      {"model_config is a list", meta_text(R"({"model_config":[]})"),
       "3 DIR/meta_000100.json: model_config has the wrong type; expected an object, found []"},
      {"meta cut", meta_text(R"({"model_config":{"n_layer":3,)"),
       "3 DIR/meta_000100.json: offset 28: invalid JSON: syntax error while parsing object key - "
       "unexpected end of input; expected string literal"},
      {"field twice", meta_text(R"({"model_config":{"n_layer":3,"n_layer":4}})"),
       "3 DIR/meta_000100.json: offset 37: duplicate key 'n_layer'"},
      {"NaN in a field that is used", meta_text(R"({"model_config":{"n_layer":NaN}})"),
       "3 DIR/meta_000100.json: model_config.sequence_len is missing; expected an integer; "
       "model_config.vocab_size is missing; expected an integer; model_config.n_layer is not "
       "supported; expected an integer, found NaN; model_config.n_head is missing; expected an "
       "integer; model_config.n_embd is missing; expected an integer"},
      {"meta in UTF-16", meta_text(std::string("\xff\xfe{\0}\0", 6)),
       "3 DIR/meta_000100.json: offset 0: text in UTF-16; save it as UTF-8"},
      {"n_layer as text", meta("n_layer", "6"),
       "3 DIR/meta_000100.json: model_config.n_layer has the wrong type; expected an integer, "
       "found \"6\""},
      {"n_layer as fraction", meta("n_layer", 6.5),
       "3 DIR/meta_000100.json: model_config.n_layer has the wrong type; expected an integer, "
       "found 6.5"},
      {"n_layer missing", meta("n_layer", nullptr),
       "3 DIR/meta_000100.json: model_config.n_layer is missing; expected an integer"},
      {"no layers", meta("n_layer", 0),
       "4 DIR/meta_000100.json: model_config.n_layer is not supported; expected a value from 1 to "
       "1024, found 0"}};
}

Rows meta_range_rows() {
  return {
      {"1025 layers", meta("n_layer", 1025),
       "4 DIR/meta_000100.json: model_config.n_layer is not supported; expected a value from 1 to "
       "1024, found 1025"},
      {"2^64 - 1 layers", meta("n_layer", 18446744073709551615ULL),
       "4 DIR/meta_000100.json: model_config.n_layer is not supported; expected a value from 1 to "
       "1024, found 18446744073709551615"},
      {"65537 experts", meta("n_exp", 65537),
       "4 DIR/meta_000100.json: model_config.n_exp is not supported; expected a value from 1 to "
       "65536, found 65537"},
      {"more slots than experts", meta("moe_top_k", 5),
       "4 DIR/meta_000100.json: model_config.moe_top_k is not supported; expected at most n_exp 4, "
       "found 5"},
      {"heads that do not divide", meta("n_head", 3),
       "4 DIR/meta_000100.json: model_config.n_head is not supported; expected a divisor of n_embd "
       "32, found 3"},
      {"heads of width 1", meta("n_head", 32),
       "4 DIR/meta_000100.json: model_config.n_head is not supported; expected an even head width "
       "n_embd / n_head, found 32"},
      {"width of 2^62", meta("n_embd", 4611686018427387904),
       "4 DIR/meta_000100.json: model_config.n_embd is not supported; expected a value from 1 to "
       "16777216, found 4611686018427387904"},
      {"vocabulary of 2^24 + 1", meta("vocab_size", (1 << 24) + 1),
       "4 DIR/meta_000100.json: model_config.vocab_size is not supported; expected a value from 1 "
       "to 16777216, found 16777217"},
      {"U of 0", meta("moe_kappa_slope_max_scale", 0),
       "4 DIR/meta_000100.json: model_config.moe_kappa_slope_max_scale is not supported; expected "
       "a finite number > 0, found 0"},
      {"U as text", meta("moe_kappa_slope_max_scale", "3"),
       "3 DIR/meta_000100.json: model_config.moe_kappa_slope_max_scale has the wrong type; "
       "expected a number, found \"3\""},
      {"negative exponent", meta("kappa_input_logit_norm_exponent", -0.1),
       "4 DIR/meta_000100.json: model_config.kappa_input_logit_norm_exponent is not supported; "
       "expected a finite number >= 0, found -0.1"},
      {"no capacity", meta("eval_capacity", 0.0),
       "4 DIR/meta_000100.json: model_config.eval_capacity is not supported; expected a finite "
       "number > 0, found 0.0"},
      {"unknown kappa_input", meta("kappa_input", "softmax"),
       "4 DIR/meta_000100.json: model_config.kappa_input is not supported; expected one of "
       "router_probs, top_logits, constant, gate_proj, found \"softmax\""},
      {"unknown window", meta("window_pattern", "SLX"),
       "4 DIR/meta_000100.json: model_config.window_pattern is not supported; expected letters S "
       "and L, found \"SLX\""},
      {"unknown router", meta("router_type", "softmax"),
       "4 DIR/meta_000100.json: model_config.router_type is not supported; expected \"topk\" or "
       "\"lapsum\", found \"softmax\""},
      {"unknown granularity", meta("global_kappa_bias_granularity", "per_gate"),
       "4 DIR/meta_000100.json: model_config.global_kappa_bias_granularity is not supported; "
       "expected one of per-gate, per-expert, per-layer, global, found \"per_gate\""},
      {"65 passes", meta("total_ut_steps", 65),
       "4 DIR/meta_000100.json: model_config.total_ut_steps is not supported; expected a value "
       "from 1 to 64, found 65"},
      {"text that breaks out", meta("kappa_input", "x\n\x1b[2J\xe2\x80\xae"),
       "4 DIR/meta_000100.json: model_config.kappa_input is not supported; expected one of "
       "router_probs, top_logits, constant, gate_proj, found \"x\\n\\u001b[2J\\u202e\""}};
}

Rows tensor_rows() {
  const std::string experts = "transformer.h.1.mlp.experts.";
  return {
      {"tensor missing", nanochat(without(experts + "c_fc")),
       "3 DIR/model_000100.pt: tensor transformer.h.1.mlp.experts.c_fc: missing; expected [4, 32, "
       "128]"},
      {"kappa_scale missing", nanochat(without(experts + "kappa_scale")),
       "3 DIR/model_000100.pt: tensor transformer.h.1.mlp.experts.kappa_scale: missing; expected "
       "[4, 128] (per-gate κ, as the meta says)"},
      {"tensor of another shape", nanochat(reshaped(experts + "c_fc", {4, 128, 32})),
       "3 DIR/model_000100.pt: tensor transformer.h.1.mlp.experts.c_fc: wrong shape; expected [4, "
       "32, 128], found [4, 128, 32]"},
      {"kappa of another shape", nanochat(reshaped(experts + "kappa_bias", {4, 64})),
       "3 DIR/model_000100.pt: tensor transformer.h.1.mlp.experts.kappa_bias: wrong shape; "
       "expected [4, 128] or [slots, 4, 128] (per-gate κ, as the meta says), found [4, 64]"},
      {"router of other experts",
       nanochat(reshaped("transformer.h.1.mlp.router.w_g.weight", {5, 32})),
       "3 DIR/model_000100.pt: tensor transformer.h.1.mlp.router.w_g.weight: wrong shape; expected "
       "[4, 32], found [5, 32]"},
      {"embedding of another vocabulary", nanochat(reshaped("transformer.wte.weight", {128, 32})),
       "3 DIR/model_000100.pt: tensor transformer.wte.weight: wrong shape; expected [256, 32], "
       "found [128, 32]"},
      {"weights without meta",
       [](const TempFolder& folder) {
         synthetic::write_model(folder.path(), {});
         std::filesystem::remove(folder / "meta_000100.json");
         return open(folder);
       },
       "5 DIR: no complete checkpoint: model_ files without their meta_NNNNNN.json, steps 100"},
      {"meta without weights",
       [](const TempFolder& folder) {
         synthetic::write_model(folder.path(), {});
         std::filesystem::remove(folder / "model_000100.pt");
         return open(folder);
       },
       "5 DIR: no checkpoint; expected model_NNNNNN.pt and meta_NNNNNN.json, or config.json and "
       "model.safetensors"},
      {"empty folder", open,
       "5 DIR: no checkpoint; expected model_NNNNNN.pt and meta_NNNNNN.json, or config.json and "
       "model.safetensors"},
      {"no such folder",
       [](const TempFolder& folder) {
         open_model(folder / "none");
         return std::string();
       },
       "5 DIR/none: no such file or folder"},
      {"folder of a file that is no model",
       file_row("a.txt", "x", [](const auto& path) { open_model(path); }),
       "4 DIR/a.txt: not a checkpoint; expected a folder, model_NNNNNN.pt or model.safetensors"}};
}

Rows hub_rows() {
  return {{"model_type missing", hub("model_type", kAbsent),
           "3 DIR/config.json: no model_type; expected a string"},
          {"model_type unknown", hub("model_type", "llama"),
           "4 DIR/config.json: model_type is not supported; expected one of mixtral, qwen2_moe, "
           "qwen3_moe, olmoe, gpt_oss, mellum, granitemoe, granitemoeshared, dots1, glm4_moe, "
           "ernie4_5_moe, flex_olmo, phimoe, deepseek_v2, deepseek_v3, lfm2_moe, qwen3_next, "
           "qwen3_5_moe, qwen3_5_moe_text, found \"llama\"; the nearest of them is mixtral"},
          {"model_type is a list", hub("model_type", Json::array()),
           "3 DIR/config.json: model_type has the wrong type; expected a string, found []"},
          {"hidden_size as text", hub("hidden_size", "32"),
           "3 DIR/config.json: hidden_size has the wrong type; expected an integer, found \"32\""},
          {"hidden_size of 2^62", hub("hidden_size", 4611686018427387904),
           "4 DIR/config.json: hidden_size is not supported in mellum; expected a value from 1 to "
           "16777216, found 4611686018427387904"},
          {"experts of 0", hub("num_experts", 0),
           "4 DIR/config.json: num_experts is not supported in mellum; expected a value from 1 to "
           "65536, found 0"},
          {"slots over experts", hub("num_experts_per_tok", 9),
           "4 DIR/config.json: num_experts_per_tok is not supported in mellum; expected at most "
           "num_experts = 4, found 9"},
          {"another activation", hub("hidden_act", "gelu_new"),
           "4 DIR/config.json: hidden_act is not supported in mellum; expected silu, found "
           "\"gelu_new\""},
          {"heads that kv heads do not divide", hub("num_key_value_heads", 3),
           "4 DIR/config.json: num_key_value_heads is not supported in mellum; expected a divisor "
           "of num_attention_heads = 2, found 3"},
          {"negative norm", hub("rms_norm_eps", -1.0),
           "4 DIR/config.json: rms_norm_eps is not supported in mellum; expected a finite number > "
           "0, found -1.0"},
          {"layers beyond the tensors", hub("num_hidden_layers", 3),
           "4 DIR/config.json: layer_types is not supported in mellum; expected a list of 3 words, "
           "one a layer, found [\"sliding_attention\",\"sliding_attenti...; mlp_layer_types is not "
           "supported in mellum; expected a list of 3 words, one a layer, found "
           "[\"sparse\",\"sparse\"]"},
          {"config.json is a list",
           [](const TempFolder& folder) {
             folder.write("config.json", "[]");
             folder.write("model.safetensors", testing::safetensors_of("{}", 0));
             return open(folder);
           },
           "3 DIR/config.json: the top level is not an object; expected {…}"},
          {"config.json without weights",
           [](const TempFolder& folder) {
             folder.write("config.json", R"({"model_type":"mixtral"})");
             return open(folder);
           },
           "5 DIR: no weights beside config.json; expected one of model.safetensors, "
           "model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json"}};
}

}  // namespace

Rows config_rows() {
  return joined({meta_rows(), meta_range_rows(), tensor_rows(), hub_rows()});
}

}  // namespace kappascope::refused
