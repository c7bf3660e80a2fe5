#include "app/gui/workspace.h"

#include <algorithm>
#include <utility>

#include "app/run_text.h"
#include "core/checkpoint/hub.h"
#include "core/figure/parts.h"
#include "core/figure/runs.h"
#include "core/figure/text.h"
#include "core/stats/layer.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostMessages = 200, kMostHistory = 200;
constexpr std::size_t kLabelBytes = 40;

// What is at `path`, opened: one of the two.
struct Opened {
  std::optional<OpenModel> model;
  std::optional<OpenTrace> trace;
};

bool is_trace(const fs::path& path) {
  std::error_code unreadable;
  return path.extension() == ".npz" || fs::exists(path / kTraceFile, unreadable);
}

OpenModel opened_model(const fs::path& path, std::optional<std::int64_t> step) {
  OpenModel opened;
  opened.path = path;
  auto model = std::make_shared<const Model>(open_model(path, {.step = step}));
  if (const auto file = tokenizer_if_any(*model, "")) {
    opened.tokenizer = std::make_shared<const Tokenizer>(Tokenizer::load(*file));
  }
  opened.parameters = count_parameters(*model);
  opened.layers = layer_ranges(*model);
  opened.model = std::move(model);
  describe_place(opened);
  return opened;
}

Opened opened_at(const fs::path& path, std::optional<std::int64_t> step) {
  if (!is_trace(path)) { return {opened_model(path, step), {}}; }
  std::error_code unreadable;
  return {{}, opened_trace(fs::is_directory(path, unreadable) ? path / kTraceFile : path)};
}

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

// What the window's own controls do about it; "" where a button beside the message does it.
std::string_view control_words(Remedy remedy) {
  switch (remedy) {
    case Remedy::none:
    case Remedy::use_cpu:
    case Remedy::stream_or_use_cpu:
      return "";
    case Remedy::more_gpu_memory:
    case Remedy::more_memory:
    case Remedy::end_programs:
      return "; end other programs, or tick Window below the text: then it is run in overlapping "
             "chunks";
    case Remedy::cut_text:
      return "; shorten it, or tick Window below it: then it is run in overlapping chunks";
  }
  return "";
}

}  // namespace

OpenTrace opened_trace(const fs::path& path) {
  OpenTrace opened;
  opened.path = path;
  opened.trace = std::make_shared<const Trace>(open_trace(path));
  return opened;
}

Workspace::Workspace(WorkspaceOptions options)
    : options_(std::move(options)), long_jobs_(options_.wake), quick_jobs_(options_.wake) {
  history_.push_back(view_);
}

Workspace::~Workspace() {
  long_jobs_.cancel_all();
  quick_jobs_.cancel_all();
  long_jobs_.wait();
  quick_jobs_.wait();
  traces_.clear();
  std::error_code ignored;
  if (!scratch_.empty()) { fs::remove_all(scratch_, ignored); }
}

// --- what is open ------------------------------------------------------------------------------

void Workspace::open(const fs::path& path, std::optional<std::int64_t> step) {
  auto work = [this, path, step](Progress& progress) -> JobQueue::Finish {
    progress.update(Stage::open, 0, 1);
    // A session and the list of recent files name the folder: "org/name" would be a path there.
    const fs::path there = is_trace(path) ? path : resolve_model(path);
    auto opened = std::make_shared<Opened>(opened_at(there, step));
    return [this, there, opened] {
      if (opened->model) {
        add_model(std::move(*opened->model));
      } else {
        add_trace(std::move(*opened->trace));
      }
      if (on_opened) { on_opened(there); }
    };
  };
  long_jobs_.add("Open " + plain_text(path.filename().string()), std::move(work),
                 [this](const Failure& failure) { say(failure); });
}

void Workspace::add_model(OpenModel opened) {
  // The same checkpoint again, or another step of it, takes its place.
  const auto same = std::find_if(models_.begin(), models_.end(), [&](const OpenModel& other) {
    return other.model->files.weights.parent_path() == opened.model->files.weights.parent_path();
  });
  if (same != models_.end() && same->model->files.step == opened.model->files.step) {
    model_in_use_ = same->id;
    return;
  }
  opened.id = ++last_id_;
  model_in_use_ = opened.id;
  for (const std::string& warning : opened.model->warnings) { say(false, warning); }
  if (same != models_.end()) {
    *same = std::move(opened);
  } else {
    models_.push_back(std::move(opened));
  }
}

void Workspace::add_trace(OpenTrace opened) {
  opened.id = ++last_id_;
  opened.label = label_of(opened);
  if (!opened.trace->model_problem.empty()) { say(false, opened.trace->model_problem); }
  traces_.push_back(std::move(opened));
  show_trace(last_id_);
  const std::int32_t middle = std::int32_t(traces_.back().trace->tokens / 2);
  const bool fits = view_.selection.token >= 0;
  pick({.token = fits ? -1 : middle});  // something on the cards from the start
}

void Workspace::close_trace(DocumentId id) {
  const auto found = std::find_if(traces_.begin(), traces_.end(),
                                  [id](const OpenTrace& trace) { return trace.id == id; });
  if (found == traces_.end()) { return; }
  if (found->run) {  // its folder in the scratch folder; the map stays valid
    std::error_code ignored;
    fs::remove_all(found->path.parent_path(), ignored);
  }
  traces_.erase(found);
  forget(id);
}

// Nothing made of a closed trace is kept, and back does not lead to it.
void Workspace::forget(DocumentId trace) {
  const std::string mark = join_words('#', trace, '#');
  const auto forget_in = [&](auto& store) {
    for (auto entry = store.entries.begin(); entry != store.entries.end();) {
      if (entry->first.find(mark) == std::string::npos) {
        ++entry;
        continue;
      }
      quick_jobs_.cancel(entry->second.job);
      entry = store.entries.erase(entry);
    }
  };
  forget_in(figures_);
  forget_in(colourings_);
  forget_in(token_cards_);
  forget_in(expert_cards_);
  const auto of_it = [trace](const ViewState& view) { return view.trace == trace; };
  history_.erase(std::remove_if(history_.begin(), history_.end(), of_it), history_.end());
  if (history_.empty()) { history_.push_back({}); }
  history_at_ = history_.size() - 1;
  stepping_ = false;
  if (view_.trace != trace) { return; }
  view_.trace = traces_.empty() ? -1 : traces_.back().id;
  view_.selection = {};
  settle_selection();
  history_[history_at_] = view_;
}

void Workspace::close_model(DocumentId id) {
  const auto found = std::find_if(models_.begin(), models_.end(),
                                  [id](const OpenModel& model) { return model.id == id; });
  if (found == models_.end()) { return; }
  models_.erase(found);
  if (model_in_use_ == id) { model_in_use_ = models_.empty() ? -1 : models_.back().id; }
}

OpenTrace* Workspace::trace(DocumentId id) {
  for (OpenTrace& trace : traces_) {
    if (trace.id == id) { return &trace; }
  }
  return nullptr;
}

OpenModel* Workspace::model(DocumentId id) {
  for (OpenModel& model : models_) {
    if (model.id == id) { return &model; }
  }
  return nullptr;
}

const OpenTrace* Workspace::current_open_trace() const {
  for (const OpenTrace& trace : traces_) {
    if (trace.id == view_.trace) { return &trace; }
  }
  return nullptr;
}

const Trace* Workspace::current_trace() const {
  const OpenTrace* open = current_open_trace();
  return open ? open->trace.get() : nullptr;
}

OpenModel* Workspace::current_model() {
  return model(model_in_use_);
}

void Workspace::use_model(DocumentId id) {
  if (model(id)) { model_in_use_ = id; }
}

// --- view --------------------------------------------------------------------------------------

// Leaves of the selection what the trace has; a row is always selected where there is one.
void Workspace::settle_selection() {
  Subject& selection = view_.selection;
  const Trace* trace = current_trace();
  if (!trace) {
    selection = {};
    return;
  }
  if (selection.row < 0 || selection.row >= trace->layers) {
    selection.row = trace->layers > 0 ? std::int32_t(middle_row(*trace)) : -1;
  }
  if (selection.token >= trace->tokens) { selection.token = -1; }
  if (selection.slot < 0 || selection.slot >= trace->slots) { selection.slot = 0; }
  const bool no_expert = selection.row < 0 || selection.expert < 0 ||  // of a file that changed
                         selection.expert >= TraceLayer(*trace, selection.row).experts;
  if (no_expert) { selection.expert = -1; }
}

void Workspace::set_view(ViewState view, Move move) {
  if (view == view_) { return; }
  view_ = std::move(view);
  settle_selection();
  const bool goes_on = move == Move::step && stepping_;  // in place of the step before
  history_.resize(history_at_ + (goes_on ? 0 : 1));
  const bool returned = history_.back() == view_;
  stepping_ = move == Move::step && !returned;
  if (!returned) { history_.push_back(view_); }
  if (history_.size() > kMostHistory) { history_.erase(history_.begin()); }
  history_at_ = history_.size() - 1;
}

void Workspace::pick(const Subject& named, Move move) {
  const Trace* trace = current_trace();
  if (!trace) { return; }
  ViewState view = view_;
  Subject& selection = view.selection;
  if (named.row >= 0) { selection.row = named.row; }
  if (named.token >= 0) { selection.token = named.token; }
  if (named.slot >= 0) { selection.slot = named.slot; }
  const bool inside = selection.row >= 0 && selection.row < trace->layers && selection.token >= 0 &&
                      selection.token < trace->tokens && selection.slot >= 0 &&
                      selection.slot < trace->slots;
  if (named.expert >= 0) {
    selection.expert = named.expert;
  } else if (inside) {
    selection.expert =
        TraceLayer(*trace, selection.row).expert(selection.token * trace->slots + selection.slot);
  }
  set_view(std::move(view), move);
}

void Workspace::show_trace(DocumentId id) {
  ViewState view = view_;
  view.trace = id;
  set_view(std::move(view));
}

void Workspace::go_back() {
  if (!can_go_back()) { return; }
  stepping_ = false;
  view_ = history_[--history_at_];
  settle_selection();
}

void Workspace::go_forward() {
  if (!can_go_forward()) { return; }
  stepping_ = false;
  view_ = history_[++history_at_];
  settle_selection();
}

// --- jobs and messages -------------------------------------------------------------------------

void Workspace::say(bool error, std::string text) {
  ++messages_said_;
  messages_.push_back({error, std::move(text)});
  if (messages_.size() > kMostMessages) { messages_.pop_front(); }
}

void Workspace::say(const Failure& failure, DocumentId model) {
  say(true, join_words(failure.message, control_words(failure.remedy)));
  messages_.back().code = failure.code;
  if (failure.remedy == Remedy::stream_or_use_cpu) { messages_.back().too_large = model; }
}

void Workspace::after_opening(std::function<void()> then) {
  long_jobs_.add(
      "Open", [then = std::move(then)](Progress&) { return then; },
      [this](const Failure& failure) { say(failure); });
}

bool Workspace::nothing_to_take_over() const {
  return long_jobs_.nothing_done() && quick_jobs_.nothing_done();
}

bool Workspace::busy() const {
  return loading() || !quick_jobs_.idle();
}

bool Workspace::loading() const {
  return !long_jobs_.idle();
}

// What is shown stays as it was read; whoever looks at it should know that the file no longer is.
void Workspace::look_at_files() {
  const auto look = [&](DocumentId id, const InputFile& file) {
    if (!file.changed() || !changed_.insert(id).second) { return; }
    try {
      file.require_unchanged();
    } catch (const Error& error) { say(error.failure()); }
  };
  for (const OpenTrace& open : traces_) { look(open.id, open.trace->file->file()); }
  for (const OpenModel& open : models_) {
    for (const InputFile& file : open.model->tensors->files()) { look(open.id, file); }
  }
}

bool Workspace::take_over() {
  look_at_files();
  const bool any_long = long_jobs_.finish_done();
  const bool any_quick = quick_jobs_.finish_done();
  return any_long || any_quick;
}

}  // namespace kappascope::gui
