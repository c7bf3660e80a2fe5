// `kappascope patch`: what a prediction gains where single outputs of MoE layers are those of
// another text.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "app/cli/command_line.h"
#include "app/cli/interrupts.h"
#include "app/cli/load_model.h"
#include "app/cli/sweep.h"
#include "app/cli/sweep_log.h"
#include "app/cli/text_table.h"
#include "app/cli/verbs.h"
#include "app/run_text.h"
#include "core/checkpoint/tensor.h"
#include "core/engine/output_plan.h"
#include "core/nan.h"
#include "core/stats/summary.h"
#include "core/trace/given_routes.h"
#include "core/trace/output_file.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

constexpr const char* kPatchingJson = "patching.json";
constexpr const char* kPatchingSchema = "kappascope.patching/1";
constexpr const char* kPatchExamples = R"(
Examples:
  kappascope run assets/d8-kappa -p "The cat sat on the" --record outputs -o a
  kappascope patch assets/d8-kappa -p "The dog sat on the" --from a -o out
  kappascope patch MODEL -p "The dog sat on the" --from a --token " mat" -o out)";

struct PatchOptions : SweepWords {
  std::string from, layers;
  std::optional<std::string> token;
  std::optional<std::int64_t> token_id, at;
  std::int64_t top = 10;

  bool parse(const std::vector<std::string>& words);
};

bool PatchOptions::parse(const std::vector<std::string>& words) {
  CLI::App app(
      "What a prediction gains where single outputs of MoE layers are those of another text of "
      "equal length: every layer and token in turn",
      "kappascope patch");
  app.footer(kPatchExamples);
  add_text_to(app);
  app.add_option("--from", from, "trace of the other text, made by run --record outputs")
      ->type_name("TRACE")
      ->required();
  app.add_option("--token", token,
                 "the predicted token; the one that the other text's run thinks likeliest");
  app.add_option("--token-id", token_id, "the same by its id")->check(at_least_zero());
  app.add_option("--at", at, "it is predicted after this token of the text; the last")
      ->check(at_least_zero());
  app.add_option("--layers", layers, "these layers, e.g. 3-5,7; all of the other text's trace");
  app.add_option("--top", top, "how many places the table shows; 0: all")
      ->check(at_least_zero())
      ->capture_default_str();
  add_rest_to(app, "patching", "print patching.json instead of the table");
  if (!parse_words(app, words)) { return false; }
  check("patch");
  require(!token || !token_id, ExitCode::usage, {},
          "--token and --token-id name one token: give "
          "one of the two");
  return true;
}

// The log-probability of one token in the prediction after another, nats.
class TokenLogprob final : public Probe {
 public:
  TokenLogprob(std::int64_t at, std::int64_t id) : at_(at), id_(id) {}
  ProbeWants wants() const noexcept override {
    return {.next_token = true, .logits = true, .next_token_from = at_};
  }
  bool next_token(const NextTokenTap& tap) noexcept override {
    const std::int64_t row = at_ - tap.first_token;
    if (row < 0 || row >= tap.tokens) { return true; }
    const float* logits = tap.logits + row * tap.vocab;
    const double most = *std::max_element(logits, logits + tap.vocab);
    double sum = 0;
    for (std::int64_t i = 0; i < tap.vocab; ++i) { sum += std::exp(logits[i] - most); }
    value = logits[id_] - most - std::log(sum);
    return true;
  }
  double value = kNaN;

 private:
  std::int64_t at_, id_;
};

class PatchSweep {
 public:
  PatchSweep(PatchOptions options, std::string command)
      : options_(std::move(options)),
        terminal_(options_.talk.talk(), interrupts_),
        model_(open_model(options_.model,
                          {.step = options_.step, .kappa = options_.reading.choices()})),
        plan_(resolve(model_, {})),
        outputs_(read_outputs(options_.from)) {
    settings_.tool_version = kToolVersion;
    settings_.command = std::move(command);
    settings_.dtype = options_.compute.dtype;
    settings_.threads = options_.compute.load_options().threads;
  }

  int run() {
    say_unknown(model_, terminal_);
    const std::optional<TextTokenizer> tokenizer = options_.text.open_tokenizer(model_, terminal_);
    text_ = read_sweep_text(options_, tokenizer ? &*tokenizer : nullptr, model_, false, terminal_);
    list_layers();
    choose_prediction(tokenizer ? &tokenizer->tokenizer : nullptr);
    OutputFolder folder(options_.output, options_.force, interrupts_);
    folder.check_places({}, {kTraceFile, kModelFile, kPatchingJson});
    folder.check_keeps(trace_file(outputs_->file));
    identity_ = identity();
    log_.emplace(kPatchingLog, folder.path(), identity_, options_.resume, options_.force);
    log_->keep([&](const SweepLog::Spot& spot) {
      const auto is_of = [&](const Row& row) { return row.row == spot.first; };
      return spot.second >= 0 && spot.second < tokens() &&
             std::any_of(rows_.begin(), rows_.end(), is_of);
    });
    loaded_ = load_model(model_, options_.compute, {&plan_}, tokens(), terminal_, settings_);
    try {
      measure_all();
    } catch (const Error& error) {
      if (error.code() == ExitCode::interrupted) {
        terminal_.say(join_words(log_->results().size(), " of ", rows_.size() * tokens(),
                                 " places done; the same command with --resume goes on"));
      }
      throw;
    }
    record(folder);
    publish(folder);
    return int(ExitCode::ok);
  }

 private:
  // A layer in one pass: its row in the trace, and the plan that takes all of its outputs from the
  // other run.
  struct Row {
    std::int64_t row, layer, pass;
    PatchedOutputs patch;
  };

  std::int64_t tokens() const { return std::ssize(text_.tokens); }

  void list_layers() {
    check_tokens(*outputs_, tokens());
    std::string problem = problem_of(model_, *outputs_);
    std::vector<std::int64_t> layers = layers_of(*outputs_);
    if (!options_.layers.empty()) {
      layers = parse_layers(options_.layers, model_.architecture.depth());
    }
    RunPlan patched = plan_;
    for (const std::int64_t layer : layers) {
      if (problem.empty()) { problem = place_outputs(patched, outputs_, layer, {}); }
    }
    require(problem.empty(), ExitCode::unsupported, {.file = outputs_->file}, problem);
    std::int64_t row = 0;
    for (std::int64_t pass = 0; pass < plan_.passes; ++pass) {
      for (std::int64_t layer = 0; layer < model_.architecture.depth(); ++layer) {
        if (!model_.architecture.layers[layer].moe()) { continue; }
        for (PatchedOutputs patch : patched.layers[layer].patches) {
          for (std::int64_t other = 0; other < plan_.passes; ++other) {
            if (other != pass) { patch.row[other] = -1; }
          }
          rows_.push_back({row, layer, pass, std::move(patch)});
        }
        ++row;
      }
    }
    recorded_rows_ = row;
    // Layer by layer, so that what comes before a layer runs once for it.
    std::stable_sort(rows_.begin(), rows_.end(),
                     [](const Row& a, const Row& b) { return a.layer < b.layer; });
  }

  void choose_prediction(const Tokenizer* tokenizer) {
    at_ = options_.at.value_or(tokens() - 1);
    require(at_ < tokens(), ExitCode::usage, {}, "--at ", at_, ": expected 0 to ", tokens() - 1);
    if (options_.token) {
      require(tokenizer != nullptr, ExitCode::usage, {},
              "--token: there is no tokenizer; give --token-id");
      std::vector<Token> found = tokenizer->encode(*options_.token, "--token");
      std::erase_if(found, [](const Token& token) { return token.char_start < 0; });
      require(found.size() == 1, ExitCode::usage, {}, "--token: expected one token, found ",
              found.size(), "; kappascope tokens shows them, and --token-id takes an id");
      id_ = found.front().id;
    } else if (options_.token_id) {
      id_ = *options_.token_id;
    } else {
      id_ = static_cast<const Trace*>(outputs_->owner.get())->top_token_id[at_ * kTopTokens];
      require(id_ >= 0, ExitCode::unsupported, {.file = outputs_->file},
              "it names no likeliest token after token ", at_, "; give --token or --token-id");
    }
    require(id_ >= 0 && id_ < model_.architecture.vocab, ExitCode::usage, {}, "--token-id ", id_,
            ": expected 0 to ", model_.architecture.vocab - 1);
    if (tokenizer) { shown_ = display_text(tokenizer->bytes(std::int32_t(id_))); }
  }

  Json identity() const {
    Json identity = sweep_identity(options_, model_, text_);
    const Trace& other = *static_cast<const Trace*>(outputs_->owner.get());
    std::string ids;
    for (const std::int32_t id : other.token_id) { ids += join_words(id, " "); }
    identity["from_token_ids_sha256"] = sha256_hex(ids);
    identity["from_outputs_sha256"] = sha256_hex(
        {reinterpret_cast<const char*>(outputs_->output.data()), outputs_->output.size_bytes()});
    identity["from_interventions"] = other.meta.value("interventions", Json());
    identity["token_id"] = id_;
    identity["at"] = at_;
    return identity;
  }

  void measure_all() {
    const auto places = std::int64_t(rows_.size()) * tokens();
    const std::int64_t waiting = places - std::ssize(log_->results());
    progress_.emplace(terminal_, std::uint64_t(2 + waiting) * tokens_to_run(text_));
    TokenLogprob probe(at_, id_);
    const Failure failure = run_chunks(plan_, *loaded_, text_, probe, *progress_);
    if (failure) { throw Error(failure); }
    base_ = probe.value;
    for (const Row& row : rows_) { measure(row); }
  }

  // What comes before the layer is that of the text itself: it runs once for all of its tokens.
  void measure(const Row& row) {
    RunPlan plan = plan_;
    plan.layers[row.layer].patches = {row.patch};
    for (std::int64_t t = 0; t < tokens(); ++t) {
      if (log_->results().count({row.row, t}) > 0) { continue; }
      plan.layers[row.layer].patches[0].tokens = {t};
      TokenLogprob probe(at_, id_);
      const Failure failure = shared_.run(row.layer, plan, *loaded_, text_, probe, *progress_);
      if (failure) { throw Error(failure); }
      log_->add({row.row, t}, probe.value);
      interrupts_.check();
    }
  }

  // The trace of the text as it is, with what was measured.
  void record(OutputFolder& folder) {
    settings_.patching = {{"token_id", id_},
                          {"token_text", shown_},
                          {"at", at_},
                          {"logprob", number_json(base_)},
                          {"from", printable(std::filesystem::absolute(trace_file(outputs_->file))
                                                 .lexically_normal()
                                                 .parent_path()
                                                 .native())}};
    TraceRecorder recorder(folder.staged(kTraceFile), model_, plan_, text_, settings_);
    const Failure failure = run_chunks(plan_, *loaded_, text_, recorder, *progress_);
    if (recorder.failure()) { throw Error(recorder.failure()); }
    if (failure) { throw Error(failure); }
    std::vector<double> changes(std::size_t(recorded_rows_ * tokens()), kNaN);
    for (const auto& [spot, value] : log_->results()) {
      changes[spot.first * tokens() + spot.second] = value - base_;
    }
    recorder.set_patching(changes);
    recorder.finish();
  }

  // The places by falling size of the change.
  std::vector<std::pair<SweepLog::Spot, double>> ranked() const {
    std::vector<std::pair<SweepLog::Spot, double>> places;
    for (const auto& [spot, value] : log_->results()) { places.emplace_back(spot, value - base_); }
    std::stable_sort(places.begin(), places.end(), [](const auto& a, const auto& b) {
      return std::abs(a.second) > std::abs(b.second);
    });
    return places;
  }

  Json json(const Trace& trace) const {
    Json list = Json::array();
    for (const auto& [spot, change] : ranked()) {
      list.push_back({{"layer", trace.layer_index[spot.first]},
                      {"pass", trace.pass_index[spot.first]},
                      {"token", spot.second},
                      {"patch_logprob", number_json(change)}});
    }
    return {{"schema", kPatchingSchema},
            {"command", printable(settings_.command)},
            {"settings", identity_},
            {"prediction", settings_.patching},
            {"places", std::move(list)}};
  }

  std::string table(const Trace& trace) const {
    const auto places = ranked();
    const std::size_t most =
        options_.top > 0 ? std::min(places.size(), std::size_t(options_.top)) : places.size();
    std::vector<TextRow> rows{{"layer", "token", "text", "Δ log p, nats"}};
    const bool passes = plan_.passes > 1;
    for (std::size_t i = 0; i < most; ++i) {
      const auto& [spot, change] = places[i];
      std::string layer = std::to_string(trace.layer_index[spot.first]);
      if (passes) { layer += join_words(", pass ", trace.pass_index[spot.first]); }
      rows.push_back({layer, std::to_string(spot.second), printable(trace.token_text[spot.second]),
                      cell(change)});
    }
    return join_words("log p of ",
                      shown_.empty() ? join_words("token ", id_) : "'" + printable(shown_) + "'",
                      " after token ", at_, ": ", cell(base_), " nats; patched from ",
                      printable(options_.from), ", ", most, " of ", places.size(), " places:\n") +
           text_table(rows);
  }

  void publish(OutputFolder& folder) {
    terminal_.update(Stage::write, 0, 1);
    Trace trace = open_trace(folder.staged(kTraceFile));
    const std::string document = json_text(json(trace));
    write_file(folder.staged(kPatchingJson), document);
    publish_sweep(options_, model_, trace, {kTraceFile, kPatchingJson}, folder, terminal_);
    if (options_.json) {
      print(document);
    } else if (!options_.talk.quiet) {
      print(table(trace));
    }
  }

  PatchOptions options_;
  Interrupts interrupts_;  // before all that takes long or starts threads
  Terminal terminal_;
  Model model_;
  RunPlan plan_;
  std::shared_ptr<const GivenOutputs> outputs_;
  TraceSettings settings_;
  TokenizedText text_;
  std::vector<Row> rows_;
  std::int64_t recorded_rows_ = 0;  // M of the trace
  std::int64_t at_ = -1, id_ = -1;  // the prediction
  std::string shown_;               // its token
  double base_ = kNaN;              // its log-probability as the model has it
  Json identity_;                   // what decides about the numbers
  std::optional<SweepLog> log_;
  std::unique_ptr<EngineModel> loaded_;  // after model_, which it refers to
  std::optional<TokenProgress> progress_;
  SharedStart shared_;
};

}  // namespace

int patch_verb(const Arguments& arguments) {
  PatchOptions options;
  if (!options.parse(arguments.words)) { return int(ExitCode::ok); }
  return PatchSweep(std::move(options), arguments.command).run();
}

}  // namespace kappascope
