// Seeds of Hugging Face folders: each family with what its fields may say, and with weights of
// eight and four bits.
#include "core/checkpoint/safetensors.h"
#include "tests/fuzz/model_lines.h"
#include "tests/fuzz/more_seeds.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;

// Of every family: merged over its config.json.
constexpr const char* kChanges[] = {
    R"({"head_dim":7,"partial_rotary_factor":0.3})",
    R"({"num_key_value_heads":null,"tie_word_embeddings":7})",
    R"({"layer_types":["sliding_attention","full_attention","sliding_attention"],"sliding_window":4})",
    R"({"layer_types":["unknown",7]})",
    R"({"layer_types":null,"eos_token_id":[1,2]})",
    R"({"quantization_config":{"quant_method":"gptq"}})",
    R"({"quantization_config":{"quant_method":"fp8","weight_block_size":[64,64],"fmt":"e5m2"}})",
    R"({"mlp_only_layers":7,"num_hidden_layers":9})",
    R"({"mlp_only_layers":[7,"x"]})",
    R"({"n_group":3,"topk_group":1,"topk_method":"noaux","num_experts_per_tok":4})",
    R"({"n_group":4,"topk_group":1,"num_experts_per_tok":4,"n_routed_experts":4})",
    R"({"sliding_window":7,"use_sliding_window":true,"linear_num_value_heads":3})",
    R"({"qk_rope_head_dim":7,"q_lora_rank":null,"num_attention_heads":8})",
    R"({"rope_scaling":{"type":"linear","factor":2},"attention_bias":true,"conv_bias":true})",
    R"({"rope_parameters":[],"hidden_act":7,"head_dim":20,"use_expert_bias":true})"};

// Of one family.
constexpr const char* kTurns[] = {
    R"({"rope_type":"linear","factor":2})",
    R"({"rope_type":"dynamic","factor":2})",
    R"({"rope_type":"linear"})",
    R"({"rope_type":"unknown"})",
    R"({"type":"longrope"})",
    R"({"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,)"
    R"("original_max_position_embeddings":64})",
    R"({"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":1,)"
    R"("original_max_position_embeddings":64})",
    R"({"rope_type":"yarn","factor":4,"original_max_position_embeddings":64,"truncate":7})",
    R"({"rope_type":"yarn","factor":4,"mscale":1,"mscale_all_dim":1,"attention_factor":-1})",
    R"({"rope_type":"longrope","short_factor":[1,1],"long_factor":[1,0],"factor":2})",
    R"({"rope_type":"longrope","short_factor":[1,1,1,1,1,1,1,1],"long_factor":[2,2,2,2,2,2,2,2],)"
    R"("original_max_position_embeddings":64,"factor":2})",
    R"({"rope_type":"longrope","original_max_position_embeddings":1})",
    R"({"partial_rotary_factor":0.5})",
    R"({"rope_type":"default","rope_theta":"x"})",
    R"({"full_attention":{"rope_type":"default"}})",
    "7"};

constexpr const char* kTypes[] = {"llama", "gemma2", "zebra", "qwen3_5", "deepseek_v9", "hy3"};

struct Source {
  Json config;
  std::string lines;
  std::string seed() const { return config.dump() + '\0' + lines; }
};

Source source_of(const fs::path& folder) {
  return {Json::parse(read_text_file(folder / "config.json", 1 << 20)),
          lines_of(read_safetensors(folder / "model.safetensors"))};
}

// Every part of the lines that is `from` becomes `to`.
std::string replaced(std::string lines, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = lines.find(from, at)) != lines.npos; at += to.size()) {
    lines.replace(at, from.size(), to);
  }
  return lines;
}

void write_turns(const fs::path& folder, const Source& plain, WriteSeed* write) {
  int number = 0;
  for (const char* turn : kTurns) {
    for (const char* field : {"rope_scaling", "rope_parameters"}) {
      Source seed = plain;
      seed.config.erase("rope_parameters");
      seed.config[field] = Json::parse(turn);
      write(folder / (std::string(field) + std::to_string(number)), seed.seed());
    }
    ++number;
  }
}

// Experts of four bits, as gpt_oss has them: the rows of an expert's matrix in blocks of 32.
void write_four_bits(const fs::path& folder, const Source& plain, WriteSeed* write) {
  for (const int outputs : {48, 32}) {
    Source seed = plain;
    std::string lines;
    for (const TensorLine& line : tensor_lines(plain.lines)) {
      const bool packed = line.name.ends_with("gate_up_proj") || line.name.ends_with("down_proj");
      if (!packed || line.shape.size() != 3) { continue; }
      const std::string experts = std::to_string(line.shape[0]);
      const std::string rows = line.name.ends_with("down_proj") ? "32" : std::to_string(outputs);
      lines += line.name + "_blocks U8 " + experts + "," + rows + ",1,16\n";
      lines += line.name + "_scales U8 " + experts + "," + rows + ",1\n";
    }
    seed.lines = lines + plain.lines;
    write(folder / ("four bits beside " + std::to_string(outputs)), seed.seed());
    seed.lines = lines;
    for (const TensorLine& line : tensor_lines(plain.lines)) {
      if (line.shape.size() == 3 && line.name.ends_with("_proj")) { continue; }
      seed.lines += line_of(line.name, line.dtype, line.shape);
    }
    write(folder / ("four bits " + std::to_string(outputs)), seed.seed());
  }
}

void write_lines(const fs::path& folder, const std::string& name, const Source& plain,
                 WriteSeed* write) {
  const auto with = [&](const std::string& what, const std::string& lines) {
    Source seed = plain;
    seed.lines = lines;
    write(folder / (name + " " + what), seed.seed());
  };
  with("prefixed", replaced("\n" + plain.lines, "\n", "\nbase."));
  with("of bytes", replaced(plain.lines, " BF16 ", " U8 "));
  with("of eight bits", replaced(plain.lines, "proj.weight BF16 ", "proj.weight F8_E4M3 "));
  with("of mixed bits",
       replaced(plain.lines, "0.up_proj.weight BF16 ", "0.up_proj.weight F8_E4M3 "));
  with("of other shapes", replaced(plain.lines, "proj.weight BF16 ", "proj.weight BF16 3,"));
  with("and leftovers",
       plain.lines +
           "mtp.a BF16 1\nmodel.visual.b BF16 1\nmodel.layers.0.rotary_emb.inv_freq BF16 1\n"
           "model.layers.0.mlp.k_scale BF16 1\nmodel.layers.99.a BF16 1\nother BF16 1\n"
           "model.layers.1.mlp.experts.gate_up_proj BF16 4,1,1\n");
  int number = 0;
  for (const char* quantized :
       {R"({"quant_method":"fp8","weight_block_size":[128,128],"fmt":"e4m3"})", R"("fp8")",
        R"({"quant_method":"mxfp4"})"}) {
    Source seed = plain;
    seed.config["quantization_config"] = Json::parse(quantized);
    seed.lines.clear();
    for (const TensorLine& line : tensor_lines(plain.lines)) {
      if (!line.name.ends_with("proj.weight") || line.shape.size() != 2) { continue; }
      seed.lines += line.name + "_scale_inv F32 1,1\n";
    }
    seed.lines += replaced(plain.lines, "proj.weight BF16 ", "proj.weight F8_E4M3 ");
    write(folder / (name + " quantized " + std::to_string(number++)), seed.seed());
  }
}

}  // namespace

void write_family_seeds(const fs::path& root, const fs::path& families, WriteSeed* write) {
  const fs::path folder = root / "config";
  for (const fs::directory_entry& entry : fs::directory_iterator(families)) {
    const std::string name = entry.path().filename();
    const Source plain = source_of(entry.path());
    write(folder / name, plain.seed());
    int number = 0;
    for (const char* change : kChanges) {
      Source seed = plain;
      const Json fields = Json::parse(change);
      seed.config.update(fields);
      if (seed.config.contains("text_config")) { seed.config["text_config"].update(fields); }
      write(folder / (name + " " + std::to_string(number++)), seed.seed());
    }
    write_lines(folder, name, plain, write);
  }
  const Source plain = source_of(families / "mixtral-window");
  write_turns(folder, plain, write);
  for (const char* type : kTypes) {
    Source seed = plain;
    seed.config["model_type"] = type;
    write(folder / ("type " + std::string(type)), seed.seed());
  }
  write_four_bits(folder, source_of(families / "gpt-oss-alpha-limit"), write);
  // The same text model inside another one.
  Source outer = source_of(families / "qwen3-5");
  Json text = outer.config;
  text["model_type"] = "qwen3_5_moe_text";
  outer.config = {{"model_type", "qwen3_5_moe"}, {"text_config", text}};
  outer.lines = replaced("\n" + outer.lines, "\nmodel.", "\nmodel.language_model.");
  write(folder / "text model inside", outer.seed());
  outer.config["quantization_config"] = Json{{"quant_method", "fp8"}};
  outer.config["tie_word_embeddings"] = true;
  write(folder / "text model inside, quantized", outer.seed());
  outer.config["text_config"] = 7;
  write(folder / "text model of a number", outer.seed());
}

}  // namespace kappascope::testing
