#include "app/gui/workspace.h"

#include <algorithm>
#include <utility>

#include "core/figure/text.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostMessages = 200;

// What the window's own controls do about it; "" where a button beside the message does it.
std::string_view control_words(Remedy remedy) {
  switch (remedy) {
    case Remedy::more_gpu_memory:
    case Remedy::more_memory:
    case Remedy::end_programs:
      return "; end other programs, tick Window below the text, so that it is run in overlapping "
             "chunks, or generate fewer tokens";
    case Remedy::cut_text:
      return "; shorten it, or tick Window below it: then it is run in overlapping chunks";
    default:
      return "";
  }
}

}  // namespace

Workspace::Workspace(WorkspaceOptions options)
    : options_(std::move(options)),
      history_([this](DocumentId id) {
        const OpenTrace* open = std::as_const(documents_).trace(id);
        return open ? open->trace.get() : nullptr;
      }),
      results_(quick_jobs_, [this](const Failure& failure) { say(failure); }),
      runner_(documents_, long_jobs_, options_.scratch_parent,
              {.wake = options_.wake,
               .add = [this](OpenTrace made) { add_trace(std::move(made)); },
               .grow = [this](DocumentId id,
                              OpenTrace made) { return grow_trace(id, std::move(made)); },
               .say = [this](bool error, const std::string& text) { say(error, text); },
               .fail = [this](const Failure& failure, DocumentId id) { say(failure, id); }}),
      long_jobs_(options_.wake),
      quick_jobs_(options_.wake),
      watch_(options_.wake) {}

Workspace::~Workspace() {
  long_jobs_.cancel_all();
  quick_jobs_.cancel_all();
  long_jobs_.wait();
  quick_jobs_.wait();
}

// --- what is open ------------------------------------------------------------------------------

void Workspace::open(const fs::path& path, std::optional<std::int64_t> step,
                     const KappaChoices& reading) {
  auto work = [this, path, step, reading](Progress& progress) -> JobQueue::Finish {
    progress.update(Stage::open, 0, 1);
    auto opened = std::make_shared<Opened>(opened_at(path, step, reading));
    return [this, opened, again = step.has_value()] {
      add_models(std::move(opened->models));
      if (opened->trace) { add_trace(std::move(*opened->trace)); }
      follow_training(opened->training, again);
      if (opened->against) {
        opened->against->compared = true;
        documents_.add(std::move(*opened->against));
      }
      if (on_opened) { on_opened(opened->path); }
    };
  };
  long_jobs_.add("Open " + plain_text(path.filename().string()), std::move(work),
                 [this](const Failure& failure) { say(failure); });
}

// The first of them is in use then.
void Workspace::add_models(std::vector<OpenModel> opened) {
  DocumentId first = -1;
  for (OpenModel& one : opened) {
    const std::shared_ptr<const Model> model = one.model;
    const bool fresh = documents_.add(std::move(one));
    if (first < 0) { first = documents_.model_in_use()->id; }
    if (!fresh) { continue; }
    for (const std::string& warning : model->warnings) { say(false, warning); }
  }
  use_model(first);
  watch_models();
}

void Workspace::add_trace(OpenTrace opened) {
  if (!opened.trace->model_problem.empty()) { say(false, opened.trace->model_problem); }
  const std::int32_t middle = std::int32_t(opened.trace->tokens / 2);
  const OpenTrace* old = opened.live ? documents_.live_run() : nullptr;
  const DocumentId replaced = old ? old->id : -1;
  if (old) { opened.compared = old->compared; }
  const bool stays = old && same_tokens(*old->trace, *opened.trace);
  show_trace(stays ? replace_trace(replaced, std::move(opened))
                   : documents_.add(std::move(opened)));
  const bool fits = selection().token >= 0;
  pick({.token = fits ? -1 : middle});  // something on the cards from the start
  if (!stays) { close_trace(replaced); }
}

// What is in sight of its figures and what is selected stay.
DocumentId Workspace::replace_trace(DocumentId id, OpenTrace opened) {
  const OpenTrace closed = documents_.replace(id, std::move(opened));
  results_.forget(id);
  changed_.erase(id);
  if (view().trace == id) { history_.refit(); }
  let_go(closed);
  return id;
}

void Workspace::close_trace(DocumentId id) {
  const OpenTrace* found = trace(id);
  if (!found) { return; }
  const OpenTrace closed = *found;
  documents_.remove_trace(id);
  results_.forget(id);
  history_.forget(id, traces().empty() ? -1 : traces().back().id);
  let_go(closed);
}

// The files of a run go with the last trace that needs them; what is mapped of them stays valid.
void Workspace::let_go(const OpenTrace& closed) {
  if (closed.run && !documents_.use(closed.path)) { remove_run(closed.path); }
  if (closed.unedited.trace) { hand_on(closed); }
}

// The unedited run that was made with a trace goes to another one that is compared with it; where
// none is, it is closed, too.
void Workspace::hand_on(const OpenTrace& closed) {
  const Trace& unedited = *closed.unedited.trace;
  for (const OpenTrace& other : traces()) {
    if (other.unedited.trace || !is_unedited_run(*other.trace, unedited)) { continue; }
    trace(other.id)->unedited = closed.unedited;
    return;
  }
  results_.forget(closed.unedited.id);
  if (!documents_.use(unedited.path)) { remove_run(unedited.path); }
}

void Workspace::close_model(DocumentId id) {
  documents_.remove_model(id);
  watch_models();
}

const OpenTrace* Workspace::current_open_trace() const {
  return documents_.trace(view().trace);
}

const Trace* Workspace::current_trace() const {
  return current().trace.get();
}

ShownTrace Workspace::current() const {
  const OpenTrace* open = current_open_trace();
  return open ? ShownTrace{open->id, open->trace} : ShownTrace{};
}

// --- view --------------------------------------------------------------------------------------

void Workspace::show_trace(DocumentId id) {
  ViewState view = this->view();
  // Of those beside each other another one is current: the former one stays beside it.
  const OpenTrace* next = trace(id);
  OpenTrace* former = trace(view.trace);
  if (former && next && former != next && next->compared) { former->compared = true; }
  view.trace = id;
  set_view(std::move(view));
}

std::shared_ptr<const Counterparts> Workspace::counterparts(const ShownTrace& of) {
  const ShownTrace from = current();
  return from.trace && of.trace ? results_.counterparts(from, of) : nullptr;
}

Subject Workspace::selection_in(const ShownTrace& of) {
  if (of.id == view().trace) { return selection(); }
  const auto parts = counterparts(of);
  return parts ? parts->there(selection()) : Subject{};
}

void Workspace::pick_in(const ShownTrace& of, const Subject& named, Move move) {
  if (of.id == view().trace) { return pick(named, move); }
  const auto parts = counterparts(of);
  if (!parts) { return; }
  const Subject here = parts->back(named);
  if (here.any()) { pick(here, move); }
}

// --- what panels show --------------------------------------------------------------------------

std::vector<ShownTrace> Workspace::shown_in(const FigureEntry& entry) const {
  std::vector<ShownTrace> all = shown();
  if (entry.series && all.size() < 2) { return {}; }
  if (all.empty() || entry.shows_all()) { return all; }
  if (entry.several == Several::difference) {
    ShownTrace from = unedited();
    if (!from.trace && all.size() > 1) { from = all[1]; }
    return from.trace ? std::vector<ShownTrace>{from, all[0]} : std::vector<ShownTrace>{};
  }
  all.resize(std::min(all.size(), kMostLanes));
  return all;
}

std::vector<std::shared_ptr<const Trace>> Workspace::figure_traces(const std::string& id) const {
  std::vector<std::shared_ptr<const Trace>> traces;
  for (const ShownTrace& one : shown_in(figure_entry(id))) { traces.push_back(one.trace); }
  return traces;
}

std::shared_ptr<const PreparedFigure> Workspace::figure(const std::string& id,
                                                        const FigureChoices& choices, Turn turn) {
  const FigureEntry& entry = figure_entry(id);
  std::vector<ShownTrace> shown = shown_in(entry);
  if (shown.empty()) { return nullptr; }
  if (entry.several == Several::one_each) { shown.resize(1); }
  return results_.figure(entry, shown, choices, turn);
}

std::shared_ptr<const LaneFigures> Workspace::lanes(const std::string& id,
                                                    const FigureChoices& choices, Turn turn) {
  const FigureEntry& entry = figure_entry(id);
  const std::vector<ShownTrace> shown = shown_in(entry);
  return shown.empty() ? nullptr : results_.lanes(entry, shown, choices, turn);
}

ShownTrace Workspace::unedited() const {
  const OpenTrace* open = current_open_trace();
  if (!open) { return {}; }
  if (found_.of != open->id || found_.changes != documents_.changes()) {
    found_ = {open->id, documents_.changes(), documents_.unedited(*open)};
  }
  return found_.unedited;
}

std::shared_ptr<const RunDifference> Workspace::effect() {
  const ShownTrace from = unedited();
  return from.trace ? results_.effect(current(), from) : nullptr;
}

void Workspace::show_unedited() {
  const ShownTrace from = unedited();
  if (!from.trace) { return; }
  if (OpenTrace* open = trace(from.id)) {
    open->compared = true;
    return;
  }
  const auto made_with = std::find_if(traces().begin(), traces().end(), [&](const OpenTrace& one) {
    return one.unedited.id == from.id;
  });
  OpenTrace opened = *made_with;
  opened.path = from.trace->path;
  opened.trace = from.trace;
  opened.unedited = {};
  opened.run->interventions.clear();
  opened.saved.clear();
  opened.asked = opened.live = false;
  opened.compared = true;
  documents_.add(std::move(opened));
}

std::shared_ptr<const TokenColouring> Workspace::token_colouring() {
  const ShownTrace of = current();
  if (!of.trace) { return nullptr; }
  const std::string& id = view().token_colour;
  std::int64_t row = -1, slot = 0;
  for (const TokenQuantity& quantity : token_quantities()) {
    if (quantity.id != id) { continue; }
    const bool one = quantity.layers == TokenQuantity::Layers::one;
    const bool chosen = quantity.layers == TokenQuantity::Layers::either && view().colour_by_layer;
    if (one || chosen) { row = selection().row; }
    if (quantity.slots) { slot = selection().slot; }
    if (one && row < 0) { return nullptr; }
  }
  return results_.token_colouring(of, id, row, slot);
}

std::shared_ptr<const TokenCard> Workspace::token_card() {
  const ShownTrace of = current();
  const std::int64_t token = selection().token;
  return of.trace && token >= 0 ? results_.token_card(of, token) : nullptr;
}

std::shared_ptr<const ExpertCard> Workspace::expert_card() {
  const ShownTrace of = current();
  const Subject& at = selection();
  return of.trace && at.row >= 0 ? results_.expert_card(of, at.row, at.expert) : nullptr;
}

std::string Workspace::token_text(std::int32_t id) const {
  const OpenTrace* open = current_open_trace();
  const OpenModel* used = documents_.model_in_use();
  for (const OpenModel& model : models()) {
    // Only of the same model: another one's tokens have other ids.
    const bool maker = open ? open->trace->model_name == model.model->name() : used == &model;
    if (!maker || !model.tokenizer) { continue; }
    return token_label(display_text(model.tokenizer->bytes(id)));
  }
  if (open) {
    const auto& ids = open->trace->token_id;
    const auto found = std::find(ids.begin(), ids.end(), id);
    if (found != ids.end()) { return token_label(open->trace->token_text[found - ids.begin()]); }
  }
  return join_words('#', id);
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
  if (failure.remedy == Remedy::stream_or_use_cpu || failure.remedy == Remedy::use_cpu) {
    messages_.back().on_cpu = model;
  }
}

void Workspace::after_opening(std::function<void()> then) {
  long_jobs_.add(
      "Open", [then = std::move(then)](Progress&) { return then; },
      [this](const Failure& failure) { say(failure); });
}

bool Workspace::nothing_to_take_over() const {
  return long_jobs_.nothing_done() && quick_jobs_.nothing_done() && watch_.nothing_new() &&
         !runner_.has_grown();
}

bool Workspace::busy() const {
  return loading() || !quick_jobs_.idle() || !watch_.settled();
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
  for (const OpenTrace& open : traces()) { look(open.id, open.trace->file->file()); }
  for (const OpenModel& open : models()) {
    for (const InputFile& file : open.model->tensors->files()) { look(open.id, file); }
  }
}

bool Workspace::take_over() {
  look_at_files();
  const bool any_long = long_jobs_.finish_done();
  const bool any_quick = quick_jobs_.finish_done();
  const bool any_grown = runner_.take_grown(quick_jobs_.idle());
  std::shared_ptr<const TrainingState> seen = watch_.take();
  if (!seen) { return any_long || any_quick || any_grown; }
  take_training(std::move(seen));
  return true;
}

}  // namespace kappascope::gui
