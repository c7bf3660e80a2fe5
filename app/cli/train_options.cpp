#include "app/cli/train_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "app/cli/command_line.h"

namespace kappascope {
namespace {

constexpr const char* kTrainFooter = R"(
The output folder has the tokenizer, train.jsonl with a line for every step, and checkpoints
(model_NNNNNN.pt, meta_NNNNNN.json) that every other verb and the window open. Ctrl-C saves the step
that was reached; --resume goes on from the newest one. One sequence in twenty is held out; the first
64 of them are evaluated.
The same words give the same weights on one thread.
Started by torchrun or srun as several ranks, they share the sequences of every step.

Examples:
  kappascope train --text book.txt --tokenizer assets/tokenizer --tokens 500000 \
      --kappa-delay 20 --kappa-warmup 50 -o book
  kappascope train --text a.txt b.jsonl --vocab 2048 --layers 4 --experts 8 --twin kappa=off -o pair
  kappascope train --text book.txt --vocab 2048 --router softmoe --twin router=topk -o routers
  kappascope train --resume pair
  torchrun --no-python --nproc-per-node 2 kappascope train --text book.txt --vocab 2048 -o book)";

// What only a new run can be asked for.
void add_model_options(CLI::App& app, TrainSettings& settings) {
  const auto count = CLI::Range(std::int64_t{1}, std::int64_t{1} << 40);
  app.add_option("--layers", settings.layers,
                 "layers; all but the first two have experts, of fewer than four the later half")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--width", settings.width, "hidden width; 4 times as many gate units")
      ->check(CLI::Range(32, 65536))
      ->capture_default_str();
  app.add_option("--heads", settings.heads, "attention heads; by default one for 32 of the width")
      ->check(count);
  app.add_option("--kv-heads", settings.kv_heads, "of keys and values; by default as many")
      ->check(count);
  app.add_option("--experts", settings.experts, "of a layer")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--top-k", settings.top_k,
                 "experts that a token is given to; with soft routing the mean, k")
      ->check(count)
      ->capture_default_str();
  app.add_option("--context", settings.context, "tokens of a sequence")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  app.add_option("--window", settings.window,
                 "S and L, tiled over the layers: attention to half of the context, or to all")
      ->capture_default_str();
  app.add_option("--kappa", settings.kappa, "what κ follows, or off")
      ->check(CLI::IsMember({"top_logits", "router_probs", "constant", "gate_proj", "off"}))
      ->capture_default_str();
  app.add_option("--granularity", settings.granularity, "of κ's parameters")
      ->check(CLI::IsMember({"per-gate", "per-expert", "per-layer", "global"}))
      ->capture_default_str();
  app.add_option("--bound", settings.bound, "U: κ is within 1/U and U, after its warm-up")
      ->capture_default_str();
  app.add_flag("--kappa-router", settings.kappa_router, "κ follows a linear score of its own");
}

constexpr const char* kOfSoftRouting[] = {"--budget",    "--threshold",   "--threshold-scale",
                                          "--expansion", "--temperature", "--temperature-start"};

void add_router_options(CLI::App& app, TrainSettings& settings) {
  const std::string group = "With --router softmoe";
  app.add_option("--router", settings.router,
                 "topk, or softmoe: as many experts as a token needs, the budgets of the layers "
                 "learned")
      ->check(CLI::IsMember({"topk", "softmoe"}))
      ->capture_default_str();
  app.add_option("--budget", settings.budget,
                 "k, the sum of a token's weights, in the mean over the layers; by default --top-k")
      ->group(group);
  app.add_option("--threshold", settings.threshold, "experts with a weight above it run")
      ->group(group);
  app.add_option("--threshold-scale", settings.threshold_scale,
                 "or experts with at least this many k/experts, and always the best one")
      ->capture_default_str()
      ->group(group);
  app.add_option("--expansion", settings.expansion,
                 "at most ⌈this·k⌉ experts of a token run; 0: as many as may")
      ->capture_default_str()
      ->group(group);
  app.add_option("--temperature", settings.temperature, "of the router logits, at the end")
      ->capture_default_str()
      ->group(group);
  app.add_option("--temperature-start", settings.temperature_start, "and at the start")
      ->capture_default_str()
      ->group(group);
}

// Words of soft routing for a run without, and two for one thing.
void check_router_words(const CLI::App& app, const TrainOptions& options) {
  const auto given = [&](const char* name) { return app.get_option(name)->count() > 0; };
  for (const char* name : kOfSoftRouting) {
    require(options.has_soft() || !given(name), ExitCode::usage, {}, name,
            ": of soft routing; expected --router softmoe with it");
  }
  // What stands for another number in the settings.
  require(!given("--budget") || options.settings.budget != 0, ExitCode::usage, {},
          "--budget: expected at least 1 for each layer with experts, found 0");
  require(!given("--threshold") || !(options.settings.threshold < 0), ExitCode::usage, {},
          "--threshold: expected a number from 0 to below 1, found ", options.settings.threshold);
  require(!given("--threshold") || !given("--threshold-scale"), ExitCode::usage, {},
          "--threshold-scale: expected one of it and --threshold, found both");
  require(!given("--top-k") || !given("--budget") || options.twin == Twin::router, ExitCode::usage,
          {},
          "--top-k: with soft routing it is the budget; expected one of it and --budget, found "
          "both");
}

void add_course_options(CLI::App& app, TrainSettings& settings) {
  const auto count = CLI::Range(std::int64_t{1}, std::int64_t{1} << 40);
  const auto share = at_least_zero();
  app.add_option("--text-field", settings.text_field,
                 "of a line of a .jsonl file; column of a .csv or .parquet file")
      ->capture_default_str();
  app.add_option("--tokens", settings.tokens, "to train on")->check(count)->capture_default_str();
  app.add_option("--batch", settings.batch, "sequences of a step")
      ->check(count)
      ->capture_default_str();
  app.add_option("--micro-batch", settings.micro_batch,
                 "of these so many at once, on all ranks together: it takes less memory, and the "
                 "capacity of experts and load balancing count within them; by default all")
      ->check(count);
  app.add_option("--seed", settings.seed, "of the first weights and of the order of the text")
      ->check(at_least_zero())
      ->capture_default_str();
  app.add_option("--lr", settings.rate,
                 "learning rate of the matrices, the others in proportion; by default by batch and "
                 "width")
      ->check(over_zero());
  app.add_option("--weight-decay", settings.decay, "of the matrices, at 12 layers")
      ->check(share)
      ->capture_default_str();
  app.add_option("--kappa-l2", settings.kappa_l2, "weight of the L2 loss of κ's parameters")
      ->check(share)
      ->capture_default_str();
  app.add_option(
         "--kappa-delay", settings.kappa_delay,
         "steps before κ is learned; by default 5 %, at least 200, which a short run does not have")
      ->check(at_least_zero());
  app.add_option("--kappa-warmup", settings.kappa_warmup,
                 "steps over which its learning rate rises")
      ->check(at_least_zero())
      ->capture_default_str();
  app.add_option("--save-every", settings.save_every, "steps between checkpoints")
      ->check(count)
      ->capture_default_str();
  app.add_option("--save-dtype", settings.save_dtype,
                 "float32, or bfloat16: of the last checkpoint, at half the size")
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  app.add_option("--eval-every", settings.evaluate_every,
                 "steps between evaluations on what is held out")
      ->check(count)
      ->capture_default_str();
}

// The options that were given and that a model without κ has no use for; "": none.
std::string given_for_kappa(const CLI::App& app) {
  std::string given;
  for (const char* name :
       {"--granularity", "--bound", "--kappa-l2", "--kappa-delay", "--kappa-warmup"}) {
    if (app.get_option(name)->count() > 0) { given += join_words(given.empty() ? "" : ", ", name); }
  }
  return given;
}

}  // namespace

bool TrainOptions::parse(const std::vector<std::string>& words) {
  CLI::App app("Train a small model on texts, or a pair that differs in κ or in the router alone",
               "kappascope train");
  std::string twin_word;
  app.add_option(
      "--text", texts,
      "UTF-8 texts, .jsonl, .csv and .parquet files with a text a line or row, also .gz and .zst; "
      "folders of them");
  app.add_option("--tokenizer", tokenizer, "folder with the tokenizer.pkl to use");
  app.add_option("--vocab", vocab, "or the size of one that is learned from the texts")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 20));
  add_model_options(app, settings);
  add_router_options(app, settings);
  add_course_options(app, settings);
  app.add_option("--twin", twin_word,
                 "kappa=off, router=softmoe or router=topk: also the same model with that")
      ->check(CLI::IsMember({"kappa=off", "router=softmoe", "router=topk"}));
  app.add_option("-o,--output", output, "folder to write");
  app.add_option("--resume", resume, "go on with the run in this folder");
  app.add_option("--device", device,
                 "where to train: cpu, cuda, cuda:N, or auto: a GPU if it can be used")
      ->capture_default_str();
  add_threads(app, threads);
  app.add_flag("--force", force, "replace the run that is in the output folder");
  talk.add_to(app);
  app.footer(kTrainFooter);
  if (!parse_words(app, words)) { return false; }
  ComputeOptions{.device = device}.check_device();
  twin = twin_word.empty() ? Twin::none : twin_word == "kappa=off" ? Twin::kappa : Twin::router;
  if (!resume.empty()) {
    for (const CLI::Option* option : app.get_options()) {
      const std::string name = option->get_name();
      const bool allowed = name == "--resume" || name == "--device" || name == "--threads" ||
                           name == "-q,--quiet" || name == "-v,--verbose" || name == "--quiet" ||
                           name == "--verbose";
      require(option->count() == 0 || allowed, ExitCode::usage, {}, name,
              ": a run that goes on keeps what it was started with; expected nothing "
              "beside --resume but --device, --threads, -q and -v");
    }
    return true;
  }
  require(!output.empty() && !texts.empty(), ExitCode::usage, {},
          "expected --text FILE… and -o DIR, or --resume DIR; see `kappascope train --help`");
  require(tokenizer.empty() != (vocab == 0), ExitCode::usage, {},
          "expected either --tokenizer DIR or --vocab N");
  require(twin != Twin::kappa || settings.has_kappa(), ExitCode::usage, {},
          "--twin kappa=off: expected a model with κ, found --kappa off");
  if (!settings.has_kappa()) { without_effect = given_for_kappa(app); }
  text_field_given = app.get_option("--text-field")->count() > 0;
  require(twin != Twin::router || twin_word != "router=" + settings.router, ExitCode::usage, {},
          "--twin ", twin_word, ": expected another router than the model's own");
  check_router_words(app, *this);
  check_settings(settings);
  if (twin == Twin::router) {
    settings.router = settings.is_soft() ? "topk" : "softmoe";
    check_settings(settings);
    settings.router = "topk";  // the first of the pair
  }
  return true;
}

}  // namespace kappascope
