// `kappascope info`: what a checkpoint is, from its headers alone.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/figure/text.h"
#include "core/model/description.h"

namespace kappascope {
namespace {

constexpr const char* kInfoExamples = R"(
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

// What s of MoE layers follows; "" where the model has no κ.
std::string kappa_input_line(const Architecture& architecture) {
  const KappaSpec* kappa = architecture.first_kappa(true);
  const KappaScore* score = first_score(architecture);
  if (!kappa || !score) { return ""; }
  std::string line = join_words("κ input:     ", name(score->input));
  if (kappa->router) {
    line = "κ input:     κ router";
    if (score->input == KappaInput::gate_proj) { line += " and gate_proj"; }
  } else if (score->input == KappaInput::top_logits) {
    line += join_words(", norm exponent ", score->norm_exponent);
  } else if (score->input == KappaInput::constant) {
    line += join_words(" ", score->constant);
  }
  return line + "\n";
}

// Budgets of the MoE layers.
struct Budgets {
  double total = 0, layers = 0;
};
Budgets budgets_of(const Architecture& architecture) {
  Budgets budgets;
  for (const LayerSpec& layer : architecture.layers) {
    if (!layer.moe() || !layer.moe()->router.soft) { continue; }
    budgets.total += layer.moe()->router.soft->budget;
    ++budgets.layers;
  }
  return budgets;
}

std::string soft_line(const Architecture& architecture, const SoftSpec& soft) {
  std::string line = join_words("routing:     soft, total budget ", budgets_of(architecture).total);
  line += soft.relative ? join_words("; the best expert runs, and weights of ", *soft.relative,
                                     "·budget/experts or more")
                        : join_words("; weights above ", soft.threshold, " run");
  if (soft.expansion) { line += join_words(", at most ⌈", *soft.expansion, "·budget⌉ per token"); }
  if (soft.temperature != 1) { line += join_words("; temperature ", soft.temperature); }
  return line + "\n";
}

std::string router_line(const Architecture& architecture) {
  const LayerSpec* first = architecture.first_moe();
  if (first == nullptr) { return ""; }
  const RouterSpec& router = first->moe()->router;
  if (router.soft) { return soft_line(architecture, *router.soft); }
  std::string line = "capacity:    none";
  if (router.capacity) {
    line = join_words("capacity:    ", router.capacity->factor, ", at least ",
                      router.capacity->minimum);
  }
  if (router.by_score) {
    line += router.score == RouterScore::sigmoid ? "; selection by σ(logits)"
                                                 : "; selection by softmax(logits)";
    line += router.selection_bias ? " + bias" : "";
  } else if (router.selection_bias) {
    line += "; selection by logits + expert_bias";
  }
  if (router.groups) {
    line += router.by_score || router.selection_bias ? "," : "; selection";
    line += join_words(" from the best ", router.groups->kept, " of ", router.groups->groups,
                       " groups");
  }
  return line + "\n";
}

// "SSSL", and what its letters mean, of those that occur.
std::string mixer_pattern(const Architecture& architecture) {
  std::string letters, meanings;
  for (const LayerSpec& layer : architecture.layers) {
    const char attends = layer.attention.window < architecture.context ? 'S' : 'L';
    letters += layer.convolution ? 'C' : layer.delta ? 'D' : attends;
  }
  static constexpr std::pair<char, const char*> kMeanings[] = {
      {'S', "sliding window"}, {'L', "whole context"}, {'C', "convolution"}, {'D', "delta rule"}};
  for (const auto& [letter, meaning] : kMeanings) {
    if (letters.find(letter) == letters.npos) { continue; }
    meanings += join_words(meanings.empty() ? " (" : ", ", letter, ": ", meaning);
  }
  return letters + meanings + ")";
}

std::string finding_lines(const Model& model) {
  std::string lines;
  for (const std::string& finding : model.findings) {
    lines += (lines.empty() ? "κ found:     " : "             ") + printable(finding) + "\n";
  }
  return lines;
}

std::string readable(const Model& model, const std::optional<std::filesystem::path>& tokenizer) {
  const Architecture& architecture = model.architecture;
  const AttentionSpec& attention = architecture.layers.front().attention;
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
      bold(printable(model.name())), ", ", architecture.family,
      model.files.step ? join_words(", step ", *model.files.step) : "", "\n",
      "file:        ", printable(model.files.weights.string()), "\n",  //
      steps.empty() ? "" : "steps here: " + steps + "\n",              //
      "dtype:       ", dtypes, "\n",                                   //
      "tokenizer:   ", tokenizer ? printable(tokenizer->string()) : "not found", "\n",
      "width:       ", architecture.width, ", ", attention.heads, " heads, ", attention.kv_heads,
      " key-value heads, vocabulary ", architecture.vocab, ", at most ", architecture.context,
      " tokens\n",  //
      "attention:   ", mixer_pattern(architecture), "; passes: ", architecture.recurrence.passes,
      "\n",                                                                             //
      router_line(architecture), kappa_input_line(architecture), finding_lines(model),  //
      "layers:      ", architecture.depth(), "\n", layer_lines(model),
      "parameters:  ", count_text(counts.total), ", active per token ",
      count_text(std::llround(counts.active)), active_condition(counts), "\n", parts);
}

Json layers_json(const Model& model) {
  Json layers = Json::array();
  for (std::size_t i = 0; i < model.architecture.layers.size(); ++i) {
    const LayerSpec& layer = model.architecture.layers[i];
    const bool kappa = layer.kappa() != nullptr;
    const bool soft = layer.moe() != nullptr && layer.moe()->router.soft.has_value();
    layers.push_back(
        {{"layer", i},
         {"kind", layer.moe() ? "moe" : "dense"},
         {"kappa", kappa},
         {"kappa_tensors", kappa ? Json(model.kappa[i].origin) : Json()},
         {"mixing", layer.convolution ? "convolution"
                    : layer.delta     ? "delta rule"
                                      : "attention"},
         {"window", layer.attention.window < kNoWindow ? Json(layer.attention.window) : Json()},
         {"value_embedding", layer.attention.value_embedding}});
    if (soft) { layers.back()["budget"] = layer.moe()->router.soft->budget; }
  }
  return layers;
}

Json kappa_json(const Model& model) {
  const Architecture& architecture = model.architecture;
  const KappaSpec* experts = architecture.first_kappa(true);
  const KappaSpec* dense = architecture.first_kappa(false);
  const KappaScore* score = first_score(architecture);
  const KappaSlots& slots = architecture.kappa_slots;
  return {{"used", architecture.has_kappa()},
          {"granularity", experts ? Json(name(experts->granularity)) : Json()},
          {"reason", model.findings.front()},
          {"findings", model.findings},
          {"warnings", model.warnings},
          {"input", score ? Json(name(score->input)) : Json()},
          {"router", experts != nullptr && experts->router},
          {"start_layer", architecture.has_kappa() ? Json(architecture.kappa_start()) : Json()},
          {"moe_bound", experts ? Json(experts->bound) : Json()},
          {"dense_bound", dense ? Json(dense->bound) : Json()},
          {"formula", name(architecture.kappa_formula)},
          {"slots", slots.count},
          {"slot", slots.side ? Json(name(*slots.side)) : Json()},
          {"sft", slots.side == KappaSide::sft ? Json(name(slots.sft)) : Json()}};
}

// null: top-k routing.
Json soft_json(const Architecture& architecture) {
  const LayerSpec* first = architecture.first_moe();
  if (first == nullptr || !first->moe()->router.soft) { return {}; }
  const SoftSpec& soft = *first->moe()->router.soft;
  const Budgets budgets = budgets_of(architecture);
  return {{"budget_total", budgets.total},
          {"budget_mean", budgets.total / budgets.layers},
          {"temperature", soft.temperature},
          {"weight_threshold", soft.relative ? Json() : Json(soft.threshold)},
          {"threshold_scale", soft.relative ? Json(*soft.relative) : Json()},
          {"expansion", soft.expansion ? Json(*soft.expansion) : Json()}};
}

Json document(const Model& model, const std::optional<std::filesystem::path>& tokenizer) {
  const Architecture& architecture = model.architecture;
  const ParameterCounts counts = count_parameters(model);
  const Json soft = soft_json(architecture);
  return {{"name", model.name()},
          {"family", architecture.family},
          {"path", model.files.weights.string()},
          {"step", json_of(model.files.step)},
          {"steps", model.files.steps},
          {"tokenizer", tokenizer ? Json(tokenizer->string()) : Json()},
          {"kappa", kappa_json(model)},
          {"passes", architecture.recurrence.passes},
          {"layers", layers_json(model)},
          {"experts", architecture.most_experts()},
          {"experts_per_token",
           soft.is_null() ? Json(architecture.most_slots()) : Json()},  // as the text decides
          {"soft_routing", soft},
          {"gate_units", architecture.layers.back().gates()},
          {"parameters",
           {{"total", counts.total},
            {"active_per_token", std::llround(counts.active)},
            {"parts", counts.parts}}},
          {"tensors_of_dtype", counts.tensors_of},
          {"unknown_fields", model.unknown_fields},
          {"unknown_tensors", model.unknown_tensors},
          {"model_config", model.document},
          {"config_sha256", model.config_sha256},
          {"directory_sha256", model.directory_sha256}};
}

}  // namespace

int info_verb(const Arguments& arguments) {
  CLI::App app("Tell what a checkpoint is; reads no tensor data", "kappascope info");
  app.footer(kInfoExamples);
  std::string path, tokenizer_folder;
  std::optional<std::int64_t> step;
  ReadingOptions reading;
  TalkOptions talk;
  bool json = false;
  app.add_option("MODEL", path, "model folder or model_NNNNNN.pt")->required();
  app.add_option("--step", step, "training step; the newest unless given")->check(at_least_zero());
  app.add_option("--tokenizer", tokenizer_folder,
                 "tokenizer.pkl, tokenizer.json or tokenizer.model, or the folder of one");
  reading.add_to(app);
  app.add_flag("--json", json, "print JSON");
  talk.add_to(app);
  if (!parse_words(app, arguments.words)) { return int(ExitCode::ok); }

  Interrupts interrupts;
  Terminal terminal(talk.talk(), interrupts);
  const Model model =
      open_model(path, {.step = step, .kappa = reading.choices(), .kappa_values = false});
  say_unknown(model, terminal);
  const auto tokenizer = tokenizer_if_any(model, tokenizer_folder);
  print(json ? json_text(document(model, tokenizer)) : readable(model, tokenizer));
  return int(ExitCode::ok);
}

}  // namespace kappascope
