// What panels show: figures, colours and cards, made by jobs when they are first asked for.
#include <algorithm>

#include "app/gui/workspace.h"
#include "core/figure/text.h"
#include "core/stats/layer.h"
#include "core/stats/router.h"

namespace kappascope::gui {

namespace {

constexpr std::size_t kMostFigures = 48, kMostColourings = 24, kMostCards = 64;

std::string choices_key(const FigureChoices& of) {
  return join_words('/', of.layer, '/', of.pass, '/', of.expert, '/', of.slot, '/', of.gates, '/',
                    of.by_expert);
}

PreparedFigure prepared(const FigureEntry& entry,
                        const std::vector<std::shared_ptr<const Trace>>& traces,
                        const FigureChoices& choices) {
  std::vector<const Trace*> plain;
  plain.reserve(traces.size());
  for (const auto& trace : traces) { plain.push_back(trace.get()); }
  try {
    PreparedFigure figure(entry.make(plain, choices));
    for (const Trace* trace : plain) { require_unchanged(*trace); }
    return figure;
  } catch (...) {  // shown in the figure's place: another choice may do
    PreparedFigure none;
    none.failure = failure_in_flight();
    return none;
  }
}

// What was computed from a trace, when its file is still the one that was opened.
template <typename T>
T unchanged(const Trace& trace, T value) {
  require_unchanged(trace);
  return value;
}

}  // namespace

template <typename T>
std::shared_ptr<const T> Workspace::made(Made<T>& store, const std::string& key, std::size_t most,
                                         const std::string& title, std::function<T(Progress&)> make,
                                         Turn turn) {
  auto [found, fresh] = store.entries.try_emplace(key);
  found->second.used = ++clock_;
  if (!fresh) { return found->second.value; }
  auto work = [&store, key, make = std::move(make)](Progress& progress) -> JobQueue::Finish {
    auto value = std::make_shared<const T>(make(progress));
    return [&store, key, value] {
      const auto entry = store.entries.find(key);
      if (entry != store.entries.end()) { entry->second.value = value; }
    };
  };
  found->second.job = quick_jobs_.add(
      title, std::move(work), [this](const Failure& failure) { say(failure); }, turn);
  if (store.entries.size() > most) {
    const auto oldest = std::min_element(
        store.entries.begin(), store.entries.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    quick_jobs_.cancel(oldest->second.job);
    store.entries.erase(oldest);
  }
  return nullptr;
}

std::vector<const OpenTrace*> Workspace::figure_documents(const FigureEntry& entry) const {
  std::vector<const OpenTrace*> shown;
  const OpenTrace* current = current_open_trace();
  if (!current) { return shown; }
  shown.push_back(current);
  if (!entry.shows_all()) { return shown; }
  for (const OpenTrace& other : traces_) {
    if (other.compared && other.id != current->id) { shown.push_back(&other); }
  }
  return shown;
}

std::vector<std::shared_ptr<const Trace>> Workspace::figure_traces(const std::string& id) const {
  std::vector<std::shared_ptr<const Trace>> shown;
  for (const OpenTrace* open : figure_documents(figure_entry(id))) { shown.push_back(open->trace); }
  return shown;
}

std::shared_ptr<const PreparedFigure> Workspace::figure(const std::string& id,
                                                        const FigureChoices& choices, Turn turn) {
  const FigureEntry& entry = figure_entry(id);
  const std::vector<const OpenTrace*> documents = figure_documents(entry);
  if (documents.empty()) { return nullptr; }
  std::string key = id + choices_key(choices);
  std::vector<std::shared_ptr<const Trace>> traces;
  for (const OpenTrace* open : documents) {
    key += join_words('#', open->id, '#');
    traces.push_back(open->trace);
  }
  return made<PreparedFigure>(
      figures_, key, kMostFigures, "Figure " + id,
      [&entry, traces, choices](Progress&) { return prepared(entry, traces, choices); }, turn);
}

std::shared_ptr<const TokenColouring> Workspace::token_colouring() {
  const OpenTrace* open = current_open_trace();
  if (!open) { return nullptr; }
  const std::string& id = view_.token_colour;
  std::int64_t row = -1, slot = 0;
  for (const TokenQuantity& quantity : token_quantities()) {
    if (quantity.id != id) { continue; }
    const bool one = quantity.layers == TokenQuantity::Layers::one;
    const bool chosen = quantity.layers == TokenQuantity::Layers::either && view_.colour_by_layer;
    if (one || chosen) { row = view_.selection.row; }
    if (quantity.slots) { slot = view_.selection.slot; }
    if (one && row < 0) { return nullptr; }
  }
  return made<TokenColouring>(
      colourings_, join_words(id, '/', row, '/', slot, '#', open->id, '#'), kMostColourings,
      "Colours of tokens", [trace = open->trace, id, row, slot](Progress&) {
        return unchanged(*trace, kappascope::token_colouring(*trace, id, row, slot));
      });
}

std::shared_ptr<const TokenCard> Workspace::token_card() {
  const OpenTrace* open = current_open_trace();
  const std::int64_t token = view_.selection.token;
  if (!open || token < 0) { return nullptr; }
  return made<TokenCard>(token_cards_, join_words(token, '#', open->id, '#'), kMostCards, "Token",
                         [trace = open->trace, token](Progress&) {
                           return unchanged(*trace, kappascope::token_card(*trace, token));
                         });
}

std::shared_ptr<const ExpertCard> Workspace::expert_card() {
  const OpenTrace* open = current_open_trace();
  const std::int64_t row = view_.selection.row, expert = view_.selection.expert;
  if (!open || row < 0) { return nullptr; }
  return made<ExpertCard>(
      expert_cards_, join_words(row, '/', expert, '#', open->id, '#'), kMostCards, "Expert",
      [trace = open->trace, row, expert](Progress&) {
        if (expert >= 0) { return unchanged(*trace, kappascope::expert_card(*trace, row, expert)); }
        const auto most = most_loaded_experts(expert_loads(TraceLayer(*trace, row)), 1);
        return unchanged(*trace, kappascope::expert_card(*trace, row, most.at(0)));
      });
}

std::string Workspace::token_text(std::int32_t id) const {
  const OpenTrace* open = current_open_trace();
  const DocumentId maker = open && open->model >= 0 ? open->model : model_in_use_;
  for (const OpenModel& model : models_) {
    if (model.id != maker || !model.tokenizer) { continue; }
    // Only of the same model: another one's tokens have other ids.
    if (open && open->trace->model_name != model.model->name()) { continue; }
    return token_label(display_text(model.tokenizer->bytes(id)));
  }
  if (open) {
    const auto& ids = open->trace->token_id;
    const auto found = std::find(ids.begin(), ids.end(), id);
    if (found != ids.end()) { return token_label(open->trace->token_text[found - ids.begin()]); }
  }
  return join_words('#', id);
}

}  // namespace kappascope::gui
