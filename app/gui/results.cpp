#include "app/gui/results.h"

#include <algorithm>

#include "core/figure/runs.h"
#include "core/figure/side_by_side.h"
#include "core/stats/layer.h"
#include "core/stats/router.h"

namespace kappascope::gui {

namespace {

constexpr std::size_t kMostFigures = 48, kMostLaneFigures = 24, kMostColourings = 24,
                      kMostCards = 64;

std::vector<const Trace*> plain(const std::vector<ShownTrace>& shown) {
  std::vector<const Trace*> traces;
  for (const ShownTrace& one : shown) { traces.push_back(one.trace.get()); }
  return traces;
}

std::vector<DocumentId> ids(const std::vector<ShownTrace>& shown) {
  std::vector<DocumentId> ids;
  for (const ShownTrace& one : shown) { ids.push_back(one.id); }
  return ids;
}

// What was computed from a trace, when its file is still the one that was opened.
template <typename T>
T unchanged(const Trace& trace, T value) {
  require_unchanged(trace);
  return value;
}

PreparedFigure failed() {
  PreparedFigure none;
  none.failure = failure_in_flight();
  return none;
}

PreparedFigure prepared(const FigureEntry& entry, const std::vector<ShownTrace>& shown,
                        FigureChoices choices, Progress& progress) {
  choices.progress = &progress;
  try {
    PreparedFigure figure(entry.make(plain(shown), choices));
    for (const ShownTrace& one : shown) { require_unchanged(*one.trace); }
    return figure;
  } catch (...) { return failed(); }  // shown in the figure's place: another choice may do
}

LaneFigures prepared_lanes(const FigureEntry& entry, const std::vector<ShownTrace>& shown,
                           const FigureChoices& choices, Progress& progress) {
  const std::vector<const Trace*> traces = plain(shown);
  const std::vector<std::string> names = run_names(traces);
  std::vector<Figure> figures;
  std::vector<PreparedFigure> failures(shown.size());
  std::vector<std::size_t> whose;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    try {
      FigureChoices own = choices;
      own.runs = {names[i]};
      PartOfProgress part(progress, Stage::figures, i, shown.size());
      own.progress = &part;
      figures.push_back(entry.make(Traces(traces).subspan(i, 1), own));
      require_unchanged(*traces[i]);
      whose.push_back(i);
    } catch (...) {
      figures.resize(whose.size());
      failures[i] = failed();
    }
  }
  share_colours(figures);
  LaneFigures result;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto found = std::find(whose.begin(), whose.end(), i);
    PreparedFigure figure =
        found == whose.end()
            ? std::move(failures[i])
            : PreparedFigure(std::move(figures[std::distance(whose.begin(), found)]));
    result.lanes.push_back(
        {shown[i].id, names[i], std::make_shared<const PreparedFigure>(std::move(figure))});
  }
  return result;
}

}  // namespace

Results::Results(JobQueue& jobs, std::function<void(const Failure&)> say)
    : jobs_(jobs), say_(std::move(say)) {}

template <typename T>
std::shared_ptr<const T> Results::made(Made<T>& store, const ResultKey& key, std::size_t most,
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
  found->second.job = jobs_.add(title, std::move(work), say_, turn);
  if (store.entries.size() > most) {
    const auto oldest = std::min_element(
        store.entries.begin(), store.entries.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    jobs_.cancel(oldest->second.job);
    store.entries.erase(oldest);
  }
  return nullptr;
}

template <typename T>
void Results::forget_in(Made<T>& store, DocumentId trace) {
  for (auto entry = store.entries.begin(); entry != store.entries.end();) {
    const auto& of = entry->first.traces;
    if (std::find(of.begin(), of.end(), trace) == of.end()) {
      ++entry;
      continue;
    }
    jobs_.cancel(entry->second.job);
    entry = store.entries.erase(entry);
  }
}

void Results::forget(DocumentId trace) {
  forget_in(figures_, trace);
  forget_in(lanes_, trace);
  forget_in(names_, trace);
  forget_in(counterparts_, trace);
  forget_in(effects_, trace);
  forget_in(colourings_, trace);
  forget_in(token_cards_, trace);
  forget_in(expert_cards_, trace);
}

JobStatus Results::figure_job(const std::string& id) const {
  for (JobStatus& job : jobs_.status()) {
    const bool makes = job.title == "Figure " + id || job.title == "Figures " + id;
    if (job.running && makes) { return std::move(job); }
  }
  return {};
}

void Results::forget_stopped() {
  const auto stopped = [](const PreparedFigure& figure) {
    return figure.failure.code == ExitCode::interrupted;
  };
  std::erase_if(figures_.entries, [&](const auto& entry) {
    return entry.second.value && stopped(*entry.second.value);
  });
  std::erase_if(lanes_.entries, [&](const auto& entry) {
    return entry.second.value &&
           std::any_of(entry.second.value->lanes.begin(), entry.second.value->lanes.end(),
                       [&](const auto& lane) { return stopped(*lane.figure); });
  });
}

std::shared_ptr<const PreparedFigure> Results::figure(const FigureEntry& entry,
                                                      const std::vector<ShownTrace>& shown,
                                                      const FigureChoices& choices, Turn turn) {
  const std::string id(entry.id);
  return made<PreparedFigure>(
      figures_, {.what = id, .traces = ids(shown), .choices = choices}, kMostFigures,
      "Figure " + id,
      [&entry, shown, choices](Progress& progress) {
        return prepared(entry, shown, choices, progress);
      },
      turn);
}

std::shared_ptr<const LaneFigures> Results::lanes(const FigureEntry& entry,
                                                  const std::vector<ShownTrace>& shown,
                                                  const FigureChoices& choices, Turn turn) {
  const std::string id(entry.id);
  return made<LaneFigures>(
      lanes_, {.what = id, .traces = ids(shown), .choices = choices}, kMostLaneFigures,
      "Figures " + id,
      [&entry, shown, choices](Progress& progress) {
        return prepared_lanes(entry, shown, choices, progress);
      },
      turn);
}

std::shared_ptr<const std::vector<std::string>> Results::names(
    const std::vector<ShownTrace>& shown) {
  return made<std::vector<std::string>>(names_, {.traces = ids(shown)}, kMostCards, "Names of runs",
                                        [shown](Progress&) { return run_names(plain(shown)); });
}

std::shared_ptr<const Counterparts> Results::counterparts(const ShownTrace& from,
                                                          const ShownTrace& to) {
  return made<Counterparts>(counterparts_, {.traces = {from.id, to.id}}, kMostCards,
                            "Tokens of two traces",
                            [from, to](Progress&) { return Counterparts(*from.trace, *to.trace); });
}

std::shared_ptr<const RunDifference> Results::effect(const ShownTrace& edited,
                                                     const ShownTrace& unedited) {
  return made<RunDifference>(effects_, {.traces = {edited.id, unedited.id}}, kMostCards, "Effect",
                             [edited, unedited](Progress&) {
                               RunDifference effect =
                                   run_difference(*edited.trace, *unedited.trace);
                               require_unchanged(*edited.trace);
                               return unchanged(*unedited.trace, std::move(effect));
                             });
}

std::shared_ptr<const TokenColouring> Results::token_colouring(const ShownTrace& of,
                                                               const std::string& id,
                                                               std::int64_t row,
                                                               std::int64_t slot) {
  return made<TokenColouring>(
      colourings_, {.what = id, .traces = {of.id}, .place = {row, slot, 0}}, kMostColourings,
      "Colours of tokens", [trace = of.trace, id, row, slot](Progress&) {
        return unchanged(*trace, kappascope::token_colouring(*trace, id, row, slot));
      });
}

std::shared_ptr<const TokenCard> Results::token_card(const ShownTrace& of, std::int64_t token) {
  return made<TokenCard>(token_cards_, {.traces = {of.id}, .place = {0, token, 0}}, kMostCards,
                         "Token", [trace = of.trace, token](Progress&) {
                           return unchanged(*trace, kappascope::token_card(*trace, token));
                         });
}

std::shared_ptr<const ExpertCard> Results::expert_card(const ShownTrace& of, std::int64_t row,
                                                       std::int64_t expert) {
  return made<ExpertCard>(
      expert_cards_, {.traces = {of.id}, .place = {row, 0, expert}}, kMostCards, "Expert",
      [trace = of.trace, row, expert](Progress&) {
        if (expert >= 0) { return unchanged(*trace, kappascope::expert_card(*trace, row, expert)); }
        const auto most = most_loaded_experts(expert_loads(TraceLayer(*trace, row)), 1);
        return unchanged(*trace, kappascope::expert_card(*trace, row, most.at(0)));
      });
}

}  // namespace kappascope::gui
