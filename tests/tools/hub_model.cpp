#include "tests/tools/hub_model.h"

#include <cmath>
#include <fstream>
#include <vector>

#include "tests/tools/safetensors_writer.h"
#include "tests/tools/synthetic.h"

namespace kappascope::synthetic {
namespace {

namespace fs = std::filesystem;

class HubTensors {
 public:
  explicit HubTensors(const HubSpec& spec) : spec_(spec) {}

  // A matrix whose outputs have the variance of its inputs: deviation 1/√columns.
  void matrix(const std::string& name, std::int64_t rows, std::int64_t columns) {
    add(name, {rows, columns}, 0, 1 / std::sqrt(static_cast<double>(columns)));
  }
  void norm(const std::string& name, std::int64_t width) { add(name, {width}, 1, 0.1); }

  std::vector<ModelTensor> tensors;

 private:
  void add(const std::string& name, std::vector<std::int64_t> shape, double mean,
           double deviation) {
    tensors.push_back({{name + ".weight", spec_.dtype, std::move(shape)}, mean, deviation});
  }
  const HubSpec& spec_;
};

std::vector<ModelTensor> tensors_of(const HubSpec& spec) {
  HubTensors list(spec);
  list.matrix("lm_head", spec.vocab, spec.hidden);
  list.matrix("model.embed_tokens", spec.vocab, spec.hidden);
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    const std::string head = "model.layers." + std::to_string(layer) + ".";
    list.norm(head + "input_layernorm", spec.hidden);
    for (std::int64_t expert = 0; expert < spec.experts; ++expert) {
      const std::string of = head + "mlp.experts." + std::to_string(expert) + ".";
      list.matrix(of + "down_proj", spec.hidden, spec.gates);
      list.matrix(of + "gate_proj", spec.gates, spec.hidden);
      list.matrix(of + "up_proj", spec.gates, spec.hidden);
    }
    list.matrix(head + "mlp.gate", spec.experts, spec.hidden);
    list.norm(head + "post_attention_layernorm", spec.hidden);
    list.norm(head + "self_attn.k_norm", spec.head_width);
    list.matrix(head + "self_attn.k_proj", spec.kv_heads * spec.head_width, spec.hidden);
    list.matrix(head + "self_attn.o_proj", spec.hidden, spec.heads * spec.head_width);
    list.norm(head + "self_attn.q_norm", spec.head_width);
    list.matrix(head + "self_attn.q_proj", spec.heads * spec.head_width, spec.hidden);
    list.matrix(head + "self_attn.v_proj", spec.kv_heads * spec.head_width, spec.hidden);
  }
  list.norm("model.norm", spec.hidden);
  return std::move(list.tensors);
}

// The characters that byte-level tokenizers write bytes as: those that are printable as themselves,
// the others from U+0100 on.
std::string character_of(unsigned byte, unsigned& others) {
  const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
  const unsigned code = itself ? byte : 256 + others++;
  if (code < 128) { return {static_cast<char>(code)}; }
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
}

// One token for each byte, id = byte.
Json tokenizer() {
  Json vocab = Json::object();
  unsigned others = 0;
  for (unsigned byte = 0; byte < 256; ++byte) { vocab[character_of(byte, others)] = byte; }
  const Json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", bytes},
          {"post_processor", nullptr},
          {"decoder", bytes},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", Json::array()}}}};
}

void write_json(const fs::path& path, const Json& json) {
  std::ofstream out(path);
  out << json.dump(2) << '\n';
  require(out.flush().good(), ExitCode::io, Place{path.native()}, "cannot be written");
}

}  // namespace

Json hub_config(const HubSpec& spec) {
  Json layer_types = Json::array(), mlp_layer_types = Json::array();
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    layer_types.push_back(layer % 4 == 3 ? "full_attention" : "sliding_attention");
    mlp_layer_types.push_back("sparse");
  }
  return {{"architectures", {"MellumForCausalLM"}},
          {"model_type", "mellum"},
          {"attention_bias", false},
          {"torch_dtype", dtype_name(spec.dtype)},
          {"head_dim", spec.head_width},
          {"hidden_act", "silu"},
          {"hidden_size", spec.hidden},
          {"intermediate_size", 2 * spec.gates},
          {"layer_types", layer_types},
          {"max_position_embeddings", 131072},
          {"mlp_layer_types", mlp_layer_types},
          {"moe_intermediate_size", spec.gates},
          {"norm_topk_prob", true},
          {"num_attention_heads", spec.heads},
          {"num_experts", spec.experts},
          {"num_experts_per_tok", spec.slots},
          {"num_hidden_layers", spec.layers},
          {"num_key_value_heads", spec.kv_heads},
          {"rms_norm_eps", 1e-6},
          {"rope_parameters",
           {{"full_attention",
             {{"rope_type", "yarn"},
              {"rope_theta", 500000.0},
              {"factor", 16.0},
              {"original_max_position_embeddings", 8192},
              {"beta_fast", 32.0},
              {"beta_slow", 1.0}}},
            {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 500000.0}}}}},
          {"sliding_window", spec.window},
          {"tie_word_embeddings", false},
          {"use_sliding_window", true},
          {"vocab_size", spec.vocab}};
}

void write_hub_model(const fs::path& folder, const HubSpec& spec) {
  const std::vector<ModelTensor> tensors = tensors_of(spec);
  std::vector<TorchTensor> listed;
  for (const ModelTensor& tensor : tensors) { listed.push_back(tensor.tensor); }
  std::size_t next = 0;  // tensors are asked for in the order of the list
  TensorBytes bytes = [&](const TorchTensor&, const std::function<void(Bytes)>& sink) {
    draw(tensors[next++], spec.seed, sink);
  };
  if (spec.sparse) { bytes = nullptr; }
  write_safetensors(folder, listed, bytes, spec.shard_bytes);
  write_json(folder / "config.json", hub_config(spec));
  write_json(folder / "tokenizer.json", tokenizer());
}

}  // namespace kappascope::synthetic
