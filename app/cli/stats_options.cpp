#include "app/cli/stats_options.h"

#include "app/cli/command_line.h"

#include <charconv>

namespace kappascope {
namespace {

constexpr const char* kStatsExamples = R"(
Examples:
  kappascope stats MODEL --corpus texts/ -o result
  kappascope stats MODEL --corpus 'shards/*.parquet' --tokens 10000000 -o result
  kappascope stats MODEL --corpus web.jsonl.zst --domain-field source --sample 1:0.01 -o result
  kappascope stats MODEL --corpus chats.jsonl --chat --only assistant -o result
  kappascope stats MODEL --corpus web.jsonl -o result --resume     # where it was stopped
  torchrun --no-python --nproc-per-node 4 kappascope stats MODEL --corpus web.jsonl -o result

DIR gets stats.npz, which plot and the window open like a trace, stats.json and stats.csv.)";

}  // namespace

bool StatsOptions::parse(const std::vector<std::string>& words) {
  CLI::App app("Statistics of a model over a corpus", "kappascope stats");
  app.footer(kStatsExamples);
  add_to(app);
  if (!parse_words(app, words)) { return false; }
  check();
  return true;
}

void StatsOptions::add_corpus(CLI::App& app) {
  app.add_option("--corpus", corpus,
                 "files, folders and patterns of .txt, .jsonl, .csv, each also .gz or .zst, and "
                 ".parquet")
      ->required();
  app.add_flag("--chat", source.chats,
               "lines of .jsonl are chats (\"messages\"), rendered as the tokenizer does");
  app.add_option("--only", only,
                 "with --chat, assistant: statistics of the assistant's tokens alone")
      ->check(CLI::IsMember({"assistant"}));
  text_field_ = app.add_option("--text-field", source.text_field, "of .jsonl, .csv and .parquet")
                    ->capture_default_str();
  app.add_option("--domain-field", source.domain_field,
                 "field whose values tell domains apart: assignments of each are counted");
  app.add_option("--documents", source.documents, "at most so many")->check(over_zero());
  app.add_option("--tokens", tokens, "at most so many; the last document is cut")
      ->check(over_zero());
  app.add_option("--sample", sample_,
                 "SEED:SHARE: that share of the documents, chosen by a hash of seed and place");
  app.add_flag("--effect-tails", effect_tails,
               "also the κ effect over its largest 10 and 2 %, which takes the values of every "
               "gate unit");
  app.add_flag("--window", window,
               "cut documents longer than a call into pieces that overlap by half of one");
  app.add_option("--call-tokens", call_tokens, "tokens of a call; sequence_len unless given")
      ->check(over_zero());
}

void StatsOptions::add_to(CLI::App& app) {
  app.add_option("MODEL", model, "model folder or model_NNNNNN.pt");
  add_corpus(app);
  app.add_option("-o,--output", output, "folder for stats.npz, stats.json and stats.csv")
      ->required();
  app.add_flag("--resume", resume, "go on where a run into the folder was stopped");
  app.add_flag("--json", json, "print stats.json instead of the table");
  changes.add_to(app);
  app.add_option("--tokenizer", tokenizer_folder,
                 "tokenizer.pkl, tokenizer.json or tokenizer.model, or the folder of one");
  app.add_option("--seed", seed, "of the resamples of the intervals")
      ->check(at_least_zero())
      ->capture_default_str();
  reading.add_to(app);
  app.add_option("--step", step, "training step; the newest unless given")->check(at_least_zero());
  compute.add_to(app);
  app.add_flag("--force", force, "start anew where a run was stopped, and replace other files");
  talk.add_to(app);
}

void StatsOptions::take_sample() {
  if (sample_.empty()) { return; }
  const char* const end = sample_.data() + sample_.size();
  const auto seed_end = std::from_chars(sample_.data(), end, source.sample_seed);
  bool good = seed_end.ec == std::errc{} && seed_end.ptr != end && *seed_end.ptr == ':';
  if (good) {
    const auto share_end = std::from_chars(seed_end.ptr + 1, end, source.sample_share);
    good = share_end.ec == std::errc{} && share_end.ptr == end;
  }
  require(good && source.sample_share > 0 && source.sample_share <= 1, ExitCode::usage, {},
          "--sample: expected SEED:SHARE, a whole number and a share above 0 up to 1, found \"",
          sample_, "\"");
}

void StatsOptions::check() {
  require(!model.empty(), ExitCode::usage, {},
          "MODEL is required, before --corpus: a model folder or a model_NNNNNN.pt");
  take_sample();
  check_only(only, source.chats);
  require(!source.chats || text_field_->count() == 0, ExitCode::usage, {},
          "--chat reads \"messages\", and --text-field a text: give one of them");
  changes.parse();
  require(!changes.names({Edit::routes, Edit::route, Edit::patch}), ExitCode::usage, {},
          "--routes, --route and --patch name the tokens of one text, and a corpus has many");
  require(!(resume && force), ExitCode::usage, {},
          "--resume goes on and --force starts anew: give one of them");
  compute.check_device();
}

}  // namespace kappascope
