// `kappascope info`: what a checkpoint is, from its headers alone.
#include <algorithm>
#include <cstdio>

#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/figure/text.h"
#include "core/model/description.h"

namespace kappascope {
namespace {

constexpr const char* kExamples = R"(
Examples:
  kappascope info assets/d8-kappa
  kappascope info MODEL --step 3000 --json)";

// "layers 2–7: MoE, …" for each run of layers alike.
std::string layer_lines(const Model& model) {
  std::string lines;
  for (const LayerRange& range : layer_ranges(model)) {
    lines += range.first == range.last ? join_words("  layer ", range.first)
                                       : join_words("  layers ", range.first, "–", range.last);
    lines += join_words(": ", range.text, "\n");
  }
  return lines;
}

std::string kappa_input_line(const ModelConfig& config) {
  if (!config.use_kappa_swiglu) { return ""; }
  std::string line = join_words("κ input:     ", name(config.kappa_input));
  if (config.kappa_input == KappaInput::top_logits) {
    line += join_words(", norm exponent ", config.kappa_input_logit_norm_exponent);
  }
  if (config.kappa_input == KappaInput::constant) {
    line += join_words(" ", config.kappa_input_constant);
  }
  return line + "\n";
}

std::string readable(const Model& model, const std::optional<std::filesystem::path>& tokenizer) {
  const ModelConfig& config = model.config;
  const ParameterCounts counts = count_parameters(model);
  std::string steps, dtypes, parts;
  for (const std::int64_t step : model.files.steps) { steps += join_words(" ", step); }
  for (const auto& [dtype, tensors] : counts.tensors_of) {
    dtypes += join_words(dtypes.empty() ? "" : ", ", dtype, " (", tensors, " tensors)");
  }
  for (const auto& [part, elements] : counts.parts) {
    parts += join_words("  ", part, ": ", count_text(elements), "\n");
  }
  return join_words(
      bold(printable(model.name())), ", ", config.family, ", step ", model.files.step, "\n",
      "file:        ", printable(model.files.weights.string()), "\n",  //
      "steps here: ", steps, "\n",                                     //
      "dtype:       ", dtypes, "\n",                                   //
      "tokenizer:   ", tokenizer ? printable(tokenizer->string()) : "not found", "\n",
      "width:       ", config.n_embd, ", ", config.n_head, " heads, ", config.n_kv_head,
      " key-value heads, vocabulary ", config.vocab_size, ", at most ", config.sequence_len,
      " tokens\n",  //
      "attention:   window pattern ", config.window_pattern, "; passes: ", config.total_ut_steps,
      "\n",  //
      "capacity:    ", config.eval_capacity, ", at least ", config.min_capacity,
      config.use_aux_free_load_balancing ? "; selection by logits + expert_bias\n" : "\n",
      kappa_input_line(config),                              //
      "κ found:     ", printable(model.granularity_reason),  //
      "\nlayers:      ", config.n_layer, "\n", layer_lines(model),
      "parameters:  ", count_text(counts.total), ", active per token ",
      count_text(std::int64_t(counts.active)), "\n", parts);
}

Json layers_json(const Model& model) {
  Json layers = Json::array();
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const LayerPlan& plan = model.layers[i];
    layers.push_back({{"layer", i},
                      {"kind", plan.moe ? "moe" : "dense"},
                      {"kappa", plan.kappa},
                      {"kappa_tensors", plan.kappa ? Json(plan.kappa_parameters.origin) : Json()},
                      {"window", plan.window},
                      {"value_embedding", plan.value_embedding}});
  }
  return layers;
}

Json document(const Model& model, const std::optional<std::filesystem::path>& tokenizer) {
  const ModelConfig& config = model.config;
  const ParameterCounts counts = count_parameters(model);
  Json kappa = {{"used", config.use_kappa_swiglu},
                {"granularity", name(config.kappa_granularity)},
                {"reason", model.granularity_reason},
                {"input", name(config.kappa_input)},
                {"start_layer", config.kappa_bias_start_layer},
                {"moe_bound", config.moe_kappa_slope_max_scale},
                {"dense_bound", config.dense_kappa_slope_max_scale}};
  return {{"name", model.name()},
          {"family", config.family},
          {"path", model.files.weights.string()},
          {"step", model.files.step},
          {"steps", model.files.steps},
          {"tokenizer", tokenizer ? Json(tokenizer->string()) : Json()},
          {"kappa", kappa},
          {"layers", layers_json(model)},
          {"experts", config.n_exp},
          {"experts_per_token", config.moe_top_k},
          {"gate_units", config.gate_units()},
          {"parameters",
           {{"total", counts.total},
            {"active_per_token", std::int64_t(counts.active)},
            {"parts", counts.parts}}},
          {"tensors_of_dtype", counts.tensors_of},
          {"unknown_fields", config.unknown_fields},
          {"unknown_tensors", model.unknown_tensors},
          {"model_config", config.document},
          {"config_sha256", model.config_sha256},
          {"directory_sha256", model.directory_sha256}};
}

}  // namespace

int info_verb(const Arguments& arguments) {
  CLI::App app("Tell what a checkpoint is; reads no tensor data", "kappascope info");
  app.footer(kExamples);
  std::string path, tokenizer_folder;
  std::optional<std::int64_t> step;
  TalkOptions talk;
  bool json = false;
  app.add_option("MODEL", path, "model folder or model_NNNNNN.pt")->required();
  app.add_option("--step", step, "training step; the newest unless given")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--tokenizer", tokenizer_folder, "folder of tokenizer.pkl");
  app.add_flag("--json", json, "print JSON");
  talk.add_to(app);
  if (!parse_words(app, arguments.words)) { return int(ExitCode::ok); }

  Interrupts interrupts;
  Terminal terminal(talk.talk(), interrupts);
  const Model model = open_model(path, step, false);
  say_unknown(model, terminal);
  const auto tokenizer = tokenizer_if_any(model, tokenizer_folder);
  print(json ? json_text(document(model, tokenizer)) : readable(model, tokenizer));
  return int(ExitCode::ok);
}

}  // namespace kappascope
