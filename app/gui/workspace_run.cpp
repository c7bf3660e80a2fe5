// Running a text through a model: the part of the workspace that needs the engine.
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "app/device.h"
#include "app/gui/workspace.h"
#include "app/run_text.h"
#include "core/engine/memory_plan.h"
#include "core/figure/text.h"
#include "core/threads.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

TraceSettings trace_settings(const Model& model, const EngineModel& loaded,
                             const LoadOptions& load) {
  TraceSettings settings;
  for (std::int64_t i = 0; i < model.architecture.depth(); ++i) { settings.layers.push_back(i); }
  settings.tool_version = KAPPASCOPE_VERSION;
  settings.threads = load.threads;
  settings.device = load.device == ComputeDevice::cuda ? "cuda" : "cpu";
  settings.torch_version = engine(load.device).torch_version();
  settings.engine = loaded.description();
  return settings;
}

}  // namespace

void describe_place(OpenModel& open) {
  LoadOptions load{.threads = usable_threads()};
  if (!open.on_cpu) { load.device = automatic_device(); }
  open.device = open.on_cpu ? "cpu" : automatic_device_text();
  if (open.loaded) {
    load = open.loaded_as;
    const std::string how = open.loaded->description();
    open.device = load.device == ComputeDevice::cpu ? "cpu" : "cuda (" + how + ")";
  }
  open.memory.clear();
  try {
    open.memory = memory_text(plan_memory(*open.model, load));
  } catch (const Error& error) { open.memory = error.what(); }
}

void RunSettings::take(const std::vector<std::string>& words) {
  interventions.clear();
  wrong.clear();
  for (const std::string& word : words) {
    try {
      interventions.push_back(parse_intervention(word));
    } catch (const Error& error) {
      if (wrong.empty()) { wrong = error.what(); }
    }
  }
}

bool RunSettings::is_off(Edit edit) const {
  return std::find(interventions.begin(), interventions.end(), Intervention{.edit = edit}) !=
         interventions.end();
}

void RunSettings::switch_off(Edit edit, bool off) {
  wrong.clear();
  std::erase(interventions, Intervention{.edit = edit});
  if (off) { interventions.push_back({.edit = edit}); }  // the last one of a kind acts
}

fs::path Workspace::scratch() {
  if (!scratch_.empty()) { return scratch_; }
  std::string pattern = (options_.scratch_parent / "kappascope-XXXXXX").string();
  std::error_code error;
  fs::create_directories(options_.scratch_parent, error);
  require(mkdtemp(pattern.data()) != nullptr, ExitCode::io,
          {.file = options_.scratch_parent.native()},
          "no folder for the traces of runs: ", std::generic_category().message(errno));
  return scratch_ = pattern;
}

bool Workspace::can_run() const {
  const auto in_use = std::find_if(models_.begin(), models_.end(), [this](const OpenModel& open) {
    return open.id == model_in_use_;
  });
  return run_job_ == 0 && in_use != models_.end() && in_use->tokenizer;
}

void Workspace::run() {
  if (!can_run()) { return; }
  if (!next_run.wrong.empty()) { return say({ExitCode::usage, next_run.wrong}); }
  const OpenModel& open = *current_model();
  fs::path folder;
  try {
    folder = scratch() / std::to_string(++runs_);
  } catch (const Error& error) { return say(error.failure()); }
  LoadOptions wanted{.threads = usable_threads()};
  if (!open.on_cpu) { wanted.device = automatic_device(); }
  if (!open.loaded) {
    try {
      const MemoryPlan plan = plan_memory(*open.model, wanted);
      if (plan.streamed) { say(false, memory_text(plan)); }
    } catch (const Error& error) { return say(error.failure()); }
  }
  struct Result {
    std::shared_ptr<EngineModel> loaded;
    LoadOptions load;
    std::string warning, note;
    OpenTrace trace;
  };
  auto work = [this, run = next_run, id = open.id,
               path = fs::absolute(open.path).lexically_normal(), model = open.model,
               tokenizer = open.tokenizer, loaded = open.loaded,
               load = open.loaded ? open.loaded_as : wanted,
               folder](Progress& progress) mutable -> JobQueue::Finish {
    const std::string source = run.source.empty() ? "prompt" : run.source;
    TokenizedText text = tokenize({source, run.text}, *tokenizer, *model, 0);
    cut_into_chunks(text, model->architecture.context, run.window, "text");
    const RunPlan plan = resolve(*model, run.interventions);
    auto result = std::make_shared<Result>();
    // The weights refer to the model: it lives as long as they do.
    if (!loaded) {
      std::unique_ptr<EngineModel> fresh =
          load_weights_somewhere(*model, load, progress, result->note, /*smaller=*/false);
      result->warning = nonfinite_weights(*model, *fresh);
      loaded = std::shared_ptr<EngineModel>(
          fresh.release(), [model](EngineModel* engine_model) { delete engine_model; });
    }
    result->loaded = loaded;
    result->load = load;
    const TraceSettings settings = trace_settings(*model, *loaded, load);
    fs::create_directories(folder);
    TokenProgress tokens(progress, tokens_to_run(text));
    record_trace(folder / kTraceFile, *model, plan, *loaded, text, settings, tokens);
    progress.update(Stage::write, 0, 1);
    write_model_parameters(folder / kModelFile, *model);
    result->trace = opened_trace(folder / kTraceFile);
    result->trace.model = id;
    result->trace.run = run;
    result->trace.model_path = path;
    result->trace.model_step = model->files.step;
    return [this, result, id] {
      run_job_ = 0;
      if (OpenModel* of = this->model(id)) {
        of->loaded = result->loaded;
        of->loaded_as = result->load;
        describe_place(*of);
        if (!result->warning.empty()) { of->warning = result->warning; }
      }
      for (const std::string& line : {result->warning, result->note}) {
        if (!line.empty()) { say(false, line); }
      }
      add_trace(std::move(result->trace));
    };
  };
  run_job_ = long_jobs_.add("Run " + plain_text(open.model->name()), std::move(work),
                            [this, folder, id = open.id](const Failure& failure) {
                              run_job_ = 0;
                              std::error_code ignored;
                              fs::remove_all(folder, ignored);
                              say(failure, id);
                            });
}

void Workspace::run_on_cpu(DocumentId id) {
  OpenModel* open = model(id);
  if (!open) { return; }
  open->on_cpu = true;
  open->loaded.reset();
  describe_place(*open);
  use_model(id);
  run();
}

void Workspace::cancel(JobId id) {
  long_jobs_.cancel(id);
  if (id == run_job_) { run_job_ = 0; }
}

}  // namespace kappascope::gui
