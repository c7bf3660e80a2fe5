#include "app/cli/sweep.h"

#include <utility>

#include "app/cli/command_line.h"
#include "core/checkpoint/tensor.h"
#include "core/trace/recorder.h"

namespace kappascope {

void SweepWords::add_text_to(CLI::App& app) {
  app.add_option("MODEL", model, "model folder or model_NNNNNN.pt");
  text.add_to(app);
  app.add_option("-o,--output", output, "folder to write to")->required();
}

void SweepWords::add_rest_to(CLI::App& app, const char* figure, const char* json_help) {
  app.add_flag("--resume", resume, "go on with the sweep of this folder");
  figures.ids = figure;
  figures.add_to(app);
  reading.add_to(app);
  app.add_option("--step", step, "training step; the newest unless given")->check(at_least_zero());
  compute.add_to(app);
  app.add_flag("--json", json, json_help);
  app.add_flag("--force", force, "start again in a folder with results of a sweep");
  talk.add_to(app);
}

void SweepWords::check(const char* verb) {
  text.take_model(model);
  text.check();
  require(!text.names_several(), ExitCode::usage, {}, verb,
          " takes one text: give it with -p, with -f of one file, or with --ids");
  require(!resume || !force, ExitCode::usage, {},
          "--resume goes on and --force starts again: give one of the two");
  figures.check();
  compute.check_device();
}

TokenizedText read_sweep_text(SweepWords& words, const TextTokenizer* tokenizer, const Model& model,
                              bool window, Terminal& terminal) {
  std::vector<TextItem> items = words.text.list(terminal);
  TextItem& item = items.front();
  TokenizedText text = words.text.read(item, tokenizer, model, &terminal);
  cut_into_chunks(text, model.architecture.context, window, item.source());
  require(text.tokens.size() > 1, ExitCode::unsupported, {.file = item.source()},
          "one token has no loss; expected a longer text");
  words.figures.check_tokens(std::ssize(text.tokens), item.source());
  return text;
}

Json sweep_identity(const SweepWords& words, const Model& model, const TokenizedText& text) {
  std::string ids;
  for (const Token& token : text.tokens) { ids += join_words(token.id, " "); }
  const KappaSlots& slots = model.architecture.kappa_slots;
  return {{"config_sha256", model.config_sha256},
          {"tensor_directory_sha256", model.directory_sha256},
          {"step", json_of(model.files.step)},
          {"text_sha256", text.document.sha256},
          {"token_ids_sha256", sha256_hex(ids)},
          {"kappa_formula", name(model.architecture.kappa_formula)},
          {"kappa_slot", slots.side ? Json(name(*slots.side)) : Json()},
          {"sft_kappa", slots.side == KappaSide::sft ? Json(name(slots.sft)) : Json()},
          {"dtype", words.compute.dtype}};
}

void publish_sweep(const SweepWords& words, const Model& model, Trace& trace,
                   std::vector<std::string> files, OutputFolder& folder, Terminal& terminal) {
  if (!trace.model) {
    write_model_parameters(folder.staged(kModelFile), model);
    find_parameters(trace);
    files.insert(files.begin(), kModelFile);
  }
  if (words.figures.ids != "none") {
    std::filesystem::create_directory(folder.staged("figures"));
    const Trace* const traces[] = {&trace};
    const FigureHooks hooks{.say = [&](const std::string& line) { terminal.warn_once(line); },
                            .refuse = false};
    for (const std::string& name :
         write_figures(words.figures, traces, folder.staged("figures"), terminal, hooks)) {
      files.push_back("figures/" + name);
    }
  }
  folder.check_places({}, files);
  terminal.erase();
  folder.publish({}, files);
}

}  // namespace kappascope
