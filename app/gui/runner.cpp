#include "app/gui/runner.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <system_error>
#include <utility>

#include "app/device.h"
#include "app/run_text.h"
#include "core/engine/memory_plan.h"
#include "core/figure/text.h"
#include "core/threads.h"
#include "core/trace/given_routes.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMostLogits = std::uint64_t{1} << 26;  // 256 MB in a file

std::vector<std::int64_t> all_layers(const Model& model) {
  std::vector<std::int64_t> layers(std::size_t(model.architecture.depth()));
  std::iota(layers.begin(), layers.end(), 0);
  return layers;
}

TraceSettings trace_settings(const Model& model, const EngineModel& loaded,
                             const LoadOptions& load) {
  TraceSettings settings;
  settings.layers = all_layers(model);
  settings.tool_version = KAPPASCOPE_VERSION;
  settings.threads = load.threads;
  settings.device = load.device == ComputeDevice::cuda ? "cuda" : "cpu";
  settings.torch_version = engine(load.device).torch_version();
  settings.engine = loaded.description();
  return settings;
}

}  // namespace

// What a job needs of a run.
struct Runner::Order {
  RunSettings run;
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<EngineModel> loaded;  // null: to be loaded
  LoadOptions load;
  bool all_in_memory = false;  // OpenModel's
  fs::path folder;
  std::vector<std::shared_ptr<const Trace>> there;  // that could be the unedited run
  KeptLogits kept;
};

// Where a run and the unedited one beside it are written: removed with this, unless they are kept.
struct RunFolders {
  explicit RunFolders(const fs::path& folder)
      : run(folder), unedited(folder.native() + "-unedited") {}
  ~RunFolders() {
    if (keep) { return; }
    std::error_code ignored;
    fs::remove_all(run, ignored);
    fs::remove_all(unedited, ignored);
  }
  RunFolders(const RunFolders&) = delete;
  RunFolders& operator=(const RunFolders&) = delete;

  const fs::path run, unedited;
  bool keep = false;
};

struct Runner::Result {
  explicit Result(const fs::path& folder) : folders(folder) {}

  RunFolders folders;
  std::shared_ptr<EngineModel> loaded;
  LoadOptions load;
  bool all_in_memory = false;
  std::string warning, note, capacity;
  OpenTrace trace;
  KeptLogits kept;
};

Runner::Runner(Documents& documents, JobQueue& jobs, fs::path scratch_parent, RunnerCalls calls)
    : documents_(documents),
      jobs_(jobs),
      scratch_parent_(std::move(scratch_parent)),
      calls_(std::move(calls)) {}

Runner::~Runner() {
  std::error_code ignored;
  if (!scratch_.empty()) { fs::remove_all(scratch_, ignored); }
}

fs::path Runner::scratch() {
  if (!scratch_.empty()) { return scratch_; }
  std::string pattern = (scratch_parent_ / "kappascope-XXXXXX").string();
  std::error_code error;
  fs::create_directories(scratch_parent_, error);
  require(mkdtemp(pattern.data()) != nullptr, ExitCode::io, {.file = scratch_parent_.native()},
          "no folder for the traces of runs: ", std::generic_category().message(errno));
  return scratch_ = pattern;
}

bool Runner::can_run() const {
  const OpenModel* open = std::as_const(documents_).model_in_use();
  return job_ == 0 && open && open->tokenizer;
}

// Where a model that is not loaded yet will run; false: nowhere, and why was said.
bool Runner::place(LoadOptions& wanted, const OpenModel& open) const {
  if (!open.on_cpu) { wanted.device = automatic_device(); }
  if (open.loaded) { return true; }
  try {
    const MemoryPlan plan = plan_memory(*open.model, wanted);
    if (plan.streamed) { calls_.say(false, memory_text(plan)); }
    return true;
  } catch (const Error& error) {
    calls_.fail(error.failure(), -1);
    return false;
  }
}

void Runner::run(const RunSettings& settings, bool live) {
  if (!can_run()) { return; }
  if (generating_ && !has_grown()) { let_go(); }
  if (!settings.wrong.empty()) { return calls_.fail({ExitCode::usage, settings.wrong}, -1); }
  const OpenModel& open = *documents_.model_in_use();
  auto order = std::make_shared<Order>();
  try {
    order->folder = scratch() / std::to_string(++runs_);
  } catch (const Error& error) { return calls_.fail(error.failure(), -1); }
  LoadOptions wanted{.threads = usable_threads(), .lens = settings.lens};
  if (!place(wanted, open)) { return; }
  order->run = settings;
  order->model = open.model;
  order->tokenizer = open.tokenizer;
  order->loaded = open.loaded;
  order->load = open.loaded ? open.loaded_as : wanted;
  order->all_in_memory = open.loaded && open.all_in_memory;
  order->kept = kept_;
  for (const OpenTrace& there : documents_.traces()) {
    order->there.push_back(there.trace);
    if (there.unedited.trace) { order->there.push_back(there.unedited.trace); }
  }
  OpenTrace as;
  as.model = open.id;
  as.run = settings;
  as.model_path = fs::absolute(open.path).lexically_normal();
  as.model_step = open.model->files.step;
  as.model_reading = open.reading;
  as.live = live;
  if (settings.generates) { return begin_generating(std::move(order), std::move(as), open); }
  auto result = std::make_shared<Result>(order->folder);
  begin(
      "Run " + plain_text(open.model->name()),
      [this, order, result, as = std::move(as)](Progress& progress) -> JobQueue::Finish {
        make(*order, *result, progress);
        OpenTrace made = std::move(result->trace);
        result->trace = as;
        result->trace.path = made.path;
        result->trace.trace = made.trace;
        result->trace.unedited = made.unedited;
        return [this, result, id = as.model] { take(*result, id); };
      },
      result, open.id);
}

// `result` is what the job fills: weights that it loaded before it failed are taken over all the
// same.
void Runner::begin(std::string title, JobQueue::Work work, std::shared_ptr<Result> result,
                   DocumentId model) {
  job_ = jobs_.add(std::move(title), std::move(work),
                   [this, result = std::move(result), model](const Failure& failure) {
                     job_ = 0;
                     if (result && result->loaded) { take_loaded(*result, model); }
                     take_grown(false);  // what came before it
                     calls_.fail(failure, model);
                   });
}

// On the worker: the weights, where the model is not loaded yet. They refer to the model, which
// lives as long as they do.
void Runner::load(Order& order, Result& result, Progress& progress) {
  if (!order.loaded) {
    std::unique_ptr<EngineModel> fresh =
        load_weights_somewhere(*order.model, order.load, progress, result.note, /*smaller=*/false);
    result.warning = nonfinite_weights(*order.model, *fresh);
    order.loaded = std::shared_ptr<EngineModel>(
        fresh.release(), [kept = order.model](EngineModel* engine_model) { delete engine_model; });
    order.all_in_memory =
        order.load.device == ComputeDevice::cpu && !plan_memory(*order.model, order.load).streamed;
  }
  result.loaded = order.loaded;
  result.load = order.load;
  result.all_in_memory = order.all_in_memory;
}

// On the worker: the trace, and the one of the unedited run where none is there.
void Runner::make(Order& order, Result& result, Progress& progress) {
  const RunSettings& run = order.run;
  const Model& model = *order.model;
  const std::string source = run.source.empty() ? "prompt" : run.source;
  TokenizedText text = tokenize({source, run.text}, *order.tokenizer, model, 0);
  cut_into_chunks(text, model.architecture.context, run.window, "text");
  const RunPlan plan = resolve_run(model, run.interventions);
  load(order, result, progress);
  TraceSettings settings = trace_settings(model, *order.loaded, order.load);
  settings.lens = run.lens;
  settings.tokenizer = order.tokenizer.get();
  const auto record = [&](const fs::path& folder, const RunPlan& as, const TraceSettings& how) {
    fs::create_directories(folder);
    TokenProgress tokens(progress, tokens_to_run(text));
    record_trace(folder / kTraceFile, model, as, *order.loaded, text, how, tokens);
    progress.update(Stage::write, 0, 1);
    write_model_parameters(folder / kModelFile, model);
    return opened_trace(folder / kTraceFile);
  };
  // Where its logits are not too many they are kept for the KL of later runs of the text.
  const auto logits_count =
      std::uint64_t(std::ssize(text.tokens)) * std::uint64_t(model.architecture.vocab);
  const bool keepable = logits_count <= kMostLogits;
  const auto record_unedited = [&](const fs::path& folder) {
    TraceSettings how = settings;
    std::shared_ptr<LogitsFile> logits;
    if (keepable) {
      fs::create_directories(folder);
      logits =
          std::make_shared<LogitsFile>(folder, std::ssize(text.tokens), model.architecture.vocab);
      how.keep_logits = logits.get();
    }
    OpenTrace made = record(folder, resolve(model, {}), how);
    result.kept = {order.loaded, ids_of(text), run.window, std::move(logits)};
    return made;
  };
  if (run.interventions.empty()) {
    result.trace = record_unedited(result.folders.run);
    return;
  }
  const bool kept = order.kept.file && order.kept.by.lock() == order.loaded &&
                    order.kept.window == run.window && order.kept.ids == ids_of(text);
  const fs::path& beside = result.folders.unedited;
  OpenTrace unedited;
  if (!kept && keepable) { unedited = record_unedited(beside); }
  TraceSettings how = settings;
  how.against_logits = kept ? order.kept.file.get() : result.kept.file.get();
  result.trace = record(result.folders.run, plan, how);
  for (const auto& there : order.there) {
    if (!is_unedited_run(*result.trace.trace, *there)) { continue; }
    std::error_code ignored;
    fs::remove_all(beside, ignored);
    return;
  }
  if (!unedited.trace) { unedited = record(beside, resolve(model, {}), settings); }
  result.trace.unedited = {-1, unedited.trace};
}

void Runner::take_loaded(Result& result, DocumentId model) {
  job_ = 0;
  if (OpenModel* of = documents_.model(model)) {
    of->loaded = result.loaded;
    of->loaded_as = result.load;
    of->all_in_memory = result.all_in_memory;
    of->loaded_as.cache = of->loaded_as.kept = 0;  // of one text alone
    describe_place(*of);
    if (!result.warning.empty()) { of->warning = result.warning; }
  }
  for (const std::string& line : {result.warning, result.note, result.capacity}) {
    if (!line.empty()) { calls_.say(false, line); }
  }
}

void Runner::take(Result& result, DocumentId model) {
  result.folders.keep = true;
  take_loaded(result, model);
  if (result.kept.file) { kept_ = std::move(result.kept); }
  if (result.trace.unedited.trace) { result.trace.unedited.id = documents_.new_id(); }
  calls_.add(std::move(result.trace));
}

void Runner::stop() {
  if (job_ != 0) { jobs_.cancel(std::exchange(job_, 0)); }
}

void Runner::stopped(JobId id) {
  if (id == job_) { job_ = 0; }
}

// --- generating --------------------------------------------------------------------------------

void Runner::begin_generating(std::shared_ptr<Order> order, OpenTrace as, const OpenModel& open) {
  generating_ = std::make_shared<Generating>(order->folder, calls_.wake);
  text_ = {.as = std::move(as)};
  auto result = std::make_shared<Result>(order->folder);
  begin(
      "Generate " + plain_text(open.model->name()),
      [this, order, result, of = generating_,
       id = open.id](Progress& progress) -> JobQueue::Finish {
        generate(*order, *result, *of, progress);
        return [this, result, id] { take_loaded(*result, id); };
      },
      result, open.id);
  text_.job = job_;
}

// On the worker.
void Runner::generate(Order& order, Result& result, Generating& generating, Progress& progress) {
  const RunSettings& run = order.run;
  const Model& model = *order.model;
  const std::string source = run.source.empty() ? "prompt" : run.source;
  TokenizedText text = run.ids.empty() ? tokenize({source, run.text}, *order.tokenizer, model, 0)
                                       : tokens_of_ids({run.ids.begin(), run.ids.end()}, source,
                                                       order.tokenizer.get(), model, 0);
  const std::int64_t tokens = std::ssize(text.tokens);
  check_prompt(model, tokens, source);
  check_sampling(run.rules);
  RunPlan plan = resolve_run(model, run.interventions);
  check_generation(plan);
  order.load.cache = cache_bytes_of(model, plan, tokens, run.rules.tokens);
  order.load.kept = kept_bytes_of(model, plan, all_layers(model), tokens, run.rules.tokens);
  if (order.all_in_memory) { require_room(model, order.load); }
  result.capacity = capacity_words(plan, tokens, "switching Capacity off");
  load(order, result, progress);
  generating.begin({.model = order.model,
                    .tokenizer = order.tokenizer,
                    .loaded = order.loaded,
                    .plan = std::move(plan),
                    .settings = trace_settings(model, *order.loaded, order.load),
                    .rules = run.rules},
                   std::move(text), progress);
}

std::optional<Runner::Grown> Runner::generated() const {
  if (!generating_) { return {}; }
  return Grown{text_.trace, job_ != 0 && job_ == text_.job, generating_->status()};
}

void Runner::stop_generating() {
  if (generating_) { generating_->stop(); }
}

bool Runner::can_go_on(DocumentId trace, const RunSettings& settings) const {
  const OpenModel* open = std::as_const(documents_).model_in_use();
  return can_run() && generating_ && trace >= 0 && trace == text_.trace &&
         open->id == text_.as.model && settings.interventions == text_.as.run->interventions &&
         generating_->whole(open->loaded) && generating_->can_go_on(settings.rules);
}

void Runner::go_on(std::int64_t tokens) {
  // Made again, the text goes on where it ended now.
  GenerationRules& again = text_.as.run->rules;
  const Ended ended = generating_->status().ended;
  if (ended == Ended::end_token) { again.go_on_at_end = true; }
  if (ended == Ended::stop_text) { again.stops.clear(); }
  generating_->begin_again();
  begin(
      "Generate",
      [this, of = generating_, tokens](Progress& progress) -> JobQueue::Finish {
        of->go_on(tokens, progress);
        return [this] { job_ = 0; };
      },
      nullptr, text_.as.model);
  text_.job = job_;
}

// What it keeps of the text, and its weights, goes with the trace, the model and where that runs.
void Runner::let_go() {
  const OpenModel* of = std::as_const(documents_).model(text_.as.model);
  const bool of_use = of && documents_.trace(text_.trace) && generating_->whole(of->loaded);
  if (!of_use) { generating_ = nullptr; }
}

bool Runner::take_grown(bool idle) {
  if (!generating_) { return false; }
  if (!has_grown()) {
    if (idle) { generating_->want_trace(); }
    if (job_ == 0) { let_go(); }
    return false;
  }
  OpenTrace made = generating_->take();
  OpenTrace grown = text_.as;
  // Made again, it is as long as it is now.
  const auto& phase = made.trace->phase;
  grown.run->rules.tokens =
      std::max<std::int64_t>(1, std::count(phase.begin(), phase.end(), std::int8_t{1}));
  grown.path = std::move(made.path);
  grown.trace = std::move(made.trace);
  text_.trace = calls_.grow(text_.trace, std::move(grown));
  return true;
}

}  // namespace kappascope::gui
