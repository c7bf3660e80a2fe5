#include "app/gui/documents.h"

#include <algorithm>

#include "app/device.h"
#include "app/gui/training_watch.h"
#include "app/run_text.h"
#include "core/checkpoint/folder.h"
#include "core/checkpoint/hub.h"
#include "core/engine/memory_plan.h"
#include "core/figure/caption.h"
#include "core/figure/runs.h"
#include "core/figure/text.h"
#include "core/threads.h"
#include "core/trace/stats_file.h"
#include "core/train/log_reader.h"
#include "core/train/train_log.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kLabelBytes = 40;

// "d8-kappa, κ off · prose · Once upon a time…"
std::string label_of(const OpenTrace& opened) {
  const Trace& trace = *opened.trace;
  std::string label = trace.model_name.empty() ? "unnamed model" : trace.model_name;
  for (const std::string& word : run_settings(trace)) {
    if (word.ends_with(" off")) { label += ", " + word; }
  }
  const std::string edits = intervention_label(trace);
  if (!edits.empty()) { label += ", " + edits; }
  if (!opened.run) {
    label += " · " + plain_text(fs::absolute(opened.path).parent_path().filename().string());
  }
  return label + " · " + run_text(trace, kLabelBytes);
}

bool has_interventions(const Trace& trace) {
  const auto list = trace.meta.find("interventions");
  return list != trace.meta.end() && list->is_array() && !list->empty();
}

// What makes the numbers of a run, but for interventions.
bool same_but_for_interventions(const Trace& a, const Trace& b) {
  for (const char* key : {"model", "config_sha256", "tensor_directory_sha256", "kappa_formula",
                          "kappa_slot", "sft_kappa", "dtype", "device", "window"}) {
    const auto of_a = a.meta.find(key), of_b = b.meta.find(key);
    const bool none = of_a == a.meta.end() && of_b == b.meta.end();
    if (!none && (of_a == a.meta.end() || of_b == b.meta.end() || *of_a != *of_b)) { return false; }
  }
  return same_tokens(a, b);
}

template <typename Document>
auto find_in(Document& documents, DocumentId id) {
  const auto found = std::find_if(documents.begin(), documents.end(),
                                  [id](const auto& document) { return document.id == id; });
  return found == documents.end() ? nullptr : &*found;
}

}  // namespace

void RunSettings::take(const std::vector<std::string>& words) {
  interventions.clear();
  wrong.clear();
  for (const std::string& word : words) {
    try {
      interventions.push_back(parse_intervention(word));
      std::string& file = interventions.back().file;  // a session is opened from other folders
      if (!file.empty()) { file = fs::absolute(file).lexically_normal().string(); }
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

void remove_run(const fs::path& trace) {
  std::error_code ignored;
  fs::remove_all(trace.parent_path(), ignored);
}

bool same_tokens(const Trace& a, const Trace& b) {
  return std::equal(a.token_id.begin(), a.token_id.end(), b.token_id.begin(), b.token_id.end());
}

bool is_unedited_run(const Trace& edited, const Trace& other) {
  return has_interventions(edited) && !has_interventions(other) &&
         same_but_for_interventions(edited, other);
}

bool same_reading(const KappaChoices& a, const KappaChoices& b) {
  return a.side == b.side && a.sft == b.sft && a.formula == b.formula;
}

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

OpenModel opened_model(const fs::path& path, std::optional<std::int64_t> step,
                       const KappaChoices& reading) {
  OpenModel opened;
  opened.path = path;
  opened.reading = reading;
  auto model = std::make_shared<const Model>(open_model(path, {.step = step, .kappa = reading}));
  if (const auto file = tokenizer_if_any(*model, "")) {
    opened.tokenizer = std::make_shared<const Tokenizer>(Tokenizer::load(*file));
  }
  opened.steps = model->files.steps;
  opened.parameters = count_parameters(*model);
  opened.layers = layer_ranges(*model);
  opened.model = std::move(model);
  describe_place(opened);
  return opened;
}

OpenTrace opened_trace(const fs::path& path) {
  OpenTrace opened;
  opened.path = path;
  opened.trace = std::make_shared<const Trace>(open_trace(path));
  return opened;
}

namespace {

bool has_checkpoint(const fs::path& folder) {
  try {
    find_checkpoint(folder);
    return true;
  } catch (const Error&) { return false; }
}

// Of the folder of a training run the step that was asked for, else the newest once there is one.
void add_models(Opened& opened, const std::vector<fs::path>& logs, std::optional<std::int64_t> step,
                const KappaChoices& reading) {
  for (const fs::path& log : logs) {
    if (!step && !has_checkpoint(log.parent_path())) { continue; }
    opened.models.push_back(opened_model(log.parent_path(), step, reading));
  }
}

}  // namespace

Opened opened_at(const fs::path& path, std::optional<std::int64_t> step,
                 const KappaChoices& reading) {
  Opened opened{.path = path};
  std::error_code unreadable;
  const bool run = fs::exists(path / kTraceFile, unreadable);
  const bool corpus = !run && fs::exists(path / kStatsFile, unreadable);
  if (!run && !corpus && path.extension() != ".npz") {
    fs::path whole = fs::absolute(path).lexically_normal();
    if (!whole.has_filename()) { whole = whole.parent_path(); }
    const bool trains = path.filename() == kTrainLog || fs::exists(path / kTrainLog, unreadable);
    const bool pair = !trains && fs::is_directory(path, unreadable) && !has_checkpoint(whole);
    const auto logs = trains || pair ? training_logs(whole) : std::vector<fs::path>();
    require(logs.size() <= kMostTrainingRuns, ExitCode::usage, {.file = path.native()},
            "training runs; expected at most ", kMostTrainingRuns, ", found ", logs.size(),
            "; open those that are meant one by one");
    if (!logs.empty()) {
      opened.training = whole;
      add_models(opened, logs, step, reading);
      return opened;
    }
    // A session and the list of recent files name the folder: "org/name" would be a path there.
    opened.path = resolve_model(path);
    opened.models.push_back(opened_model(opened.path, step, reading));
    const fs::path log = fs::absolute(opened.path).lexically_normal().parent_path() / kTrainLog;
    if (fs::is_regular_file(log, unreadable)) { opened.training = log; }  // of a model_NNNNNN.pt
    return opened;
  }
  opened.trace = opened_trace(run ? path / kTraceFile : corpus ? path / kStatsFile : path);
  const fs::path against = path / kAgainstFolder / kTraceFile;
  if (run && fs::exists(against, unreadable)) {
    OpenTrace beside = opened_trace(against);
    // Else an earlier run into the folder left it there.
    if (same_but_for_interventions(*opened.trace->trace, *beside.trace)) {
      opened.against = std::move(beside);
    }
  }
  return opened;
}

OpenModel* Documents::model(DocumentId id) {
  return find_in(models_, id);
}

const OpenModel* Documents::model(DocumentId id) const {
  return find_in(models_, id);
}

OpenTrace* Documents::trace(DocumentId id) {
  return find_in(traces_, id);
}

const OpenTrace* Documents::trace(DocumentId id) const {
  return find_in(traces_, id);
}

OpenModel* Documents::model_in_use() {
  return find_in(models_, in_use_);
}

const OpenModel* Documents::model_in_use() const {
  return find_in(models_, in_use_);
}

void Documents::use_model(DocumentId id) {
  if (model(id)) { in_use_ = id; }
}

bool Documents::add(OpenModel opened) {
  const auto same = std::find_if(models_.begin(), models_.end(), [&](const OpenModel& other) {
    return other.model->files.weights.parent_path() == opened.model->files.weights.parent_path();
  });
  if (same != models_.end() && same->model->files.step == opened.model->files.step &&
      same_reading(same->reading, opened.reading)) {
    in_use_ = same->id;
    return false;
  }
  opened.id = in_use_ = new_id();
  if (same != models_.end() && same->on_cpu) {  // so was asked for
    opened.on_cpu = true;
    describe_place(opened);
  }
  if (same != models_.end()) {
    *same = std::move(opened);
  } else {
    models_.push_back(std::move(opened));
  }
  return true;
}

DocumentId Documents::add(OpenTrace opened) {
  opened.id = new_id();
  opened.label = label_of(opened);
  traces_.push_back(std::move(opened));
  ++changes_;
  return last_id_;
}

OpenTrace Documents::replace(DocumentId id, OpenTrace opened) {
  OpenTrace* const there = trace(id);
  require(there != nullptr, ExitCode::internal, {}, "no trace to be replaced");
  opened.id = id;
  opened.label = label_of(opened);
  ++changes_;
  return std::exchange(*there, std::move(opened));
}

const OpenTrace* Documents::live_run() const {
  const auto found = std::find_if(traces_.rbegin(), traces_.rend(), [](const OpenTrace& open) {
    return open.live && is_unsaved(open);
  });
  return found == traces_.rend() ? nullptr : &*found;
}

bool Documents::use(const fs::path& trace) const {
  return std::any_of(traces_.begin(), traces_.end(), [&](const OpenTrace& open) {
    return open.path == trace || (open.unedited.trace && open.unedited.trace->path == trace);
  });
}

void Documents::remove_model(DocumentId id) {
  std::erase_if(models_, [id](const OpenModel& model) { return model.id == id; });
  if (in_use_ == id) { in_use_ = models_.empty() ? -1 : models_.back().id; }
}

void Documents::remove_trace(DocumentId id) {
  ++changes_;
  std::erase_if(traces_, [id](const OpenTrace& trace) { return trace.id == id; });
}

std::vector<ShownTrace> Documents::shown(DocumentId current) const {
  std::vector<ShownTrace> shown;
  const OpenTrace* first = trace(current);
  if (!first) { return shown; }
  shown.push_back({first->id, first->trace});
  for (const OpenTrace& other : traces_) {
    if (other.compared && other.id != current) { shown.push_back({other.id, other.trace}); }
  }
  return shown;
}

ShownTrace Documents::unedited(const OpenTrace& edited) const {
  const auto is_it = [&](const Trace& other) { return is_unedited_run(*edited.trace, other); };
  for (const OpenTrace& other : traces_) {
    if (other.id != edited.id && is_it(*other.trace)) { return {other.id, other.trace}; }
  }
  if (edited.unedited.trace) { return edited.unedited; }
  for (const OpenTrace& other : traces_) {
    if (other.unedited.trace && is_it(*other.unedited.trace)) { return other.unedited; }
  }
  return {};
}

}  // namespace kappascope::gui
