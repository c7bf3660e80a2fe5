#include "app/cli/score_options.h"

#include "app/cli/command_line.h"

namespace kappascope {
namespace {

constexpr const char* kScoreExamples = R"(
Examples:
  kappascope score MODEL --tasks eval_bundle                        # every task of a CORE bundle
  kappascope score MODEL --tasks eval_bundle/eval_data/world_knowledge/arc_easy.jsonl --against off
  kappascope score MODEL --tasks own.jsonl --shots 5 --delimiter "\nAnswer: " -o scores
  kappascope score pair/kappa --against-model pair/kappa-off --tasks own.jsonl -o scores

A line of a task file is a JSON object with query, choices and gold (multiple choice), with
context_options, continuation and gold (schema), or with context and continuation (language
modelling).)";

}  // namespace

bool ScoreOptions::parse(const std::vector<std::string>& words) {
  CLI::App app("Answer tasks in the form of the CORE bundle: accuracy above chance",
               "kappascope score");
  app.footer(kScoreExamples);
  add_to(app);
  if (!parse_words(app, words)) { return false; }
  check();
  return true;
}

void ScoreOptions::add_to(CLI::App& app) {
  app.add_option("MODEL", model, "model folder or model_NNNNNN.pt");
  tasks.add_to(app);
  app.add_option("--tokenizer", tokenizer_folder,
                 "tokenizer.pkl, tokenizer.json or tokenizer.model, or the folder of one");
  app.add_option("-o,--output", output, "folder for score.json and score.csv");
  app.add_flag("--json", json, "print score.json instead of the tables");
  changes.add_to(app,
                 "answer with these words, too, such as \"kappa=2@3 top-k=1\", and compare; off: "
                 "kappa=off, none: the model as it is");
  app.add_option(
      "--against-model", against_model,
      "another model to compare with, its newest step, with the same words or those of --against");
  app.add_option("--seed", seed, "of the resamples of the intervals")
      ->check(at_least_zero())
      ->capture_default_str();
  reading.add_to(app);
  app.add_option("--step", step, "training step; the newest unless given")->check(at_least_zero());
  compute.add_to(app);
  app.add_flag("--force", force, "replace files that kappascope has not written");
  talk.add_to(app);
}

void ScoreOptions::check() {
  require(!model.empty(), ExitCode::usage, {},
          "MODEL is required, before --tasks: a model folder or a model_NNNNNN.pt");
  changes.parse();
  if (against_model.empty()) { changes.check_runs_differ(); }
  require(!changes.names({Edit::routes, Edit::route, Edit::patch}), ExitCode::usage, {},
          "--routes, --route and --patch name the tokens of one text, and tasks have many");
  tasks.check();
  compute.check_device();
  require(!output.empty() || !force, ExitCode::usage, {},
          "--force is for files: give a folder with -o DIR");
}

}  // namespace kappascope
