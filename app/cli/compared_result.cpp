#include "app/cli/compared_result.h"

#include <optional>
#include <string_view>
#include <utility>

#include "app/cli/interrupts.h"
#include "core/figure/catalogue.h"
#include "core/figure/map_difference.h"
#include "core/figure/runs.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {
namespace {

constexpr std::int64_t kTextResamples = 2000;
// Maps that are drawn as differences, too.
constexpr const char* kMaps[] = {"kappa-tokens", "kappa-experts", "expert-load"};

using SideOfRuns = std::vector<std::size_t>;

std::vector<std::pair<SideOfRuns, SideOfRuns>> sides_of(const std::vector<ComparedRun>& runs) {
  SideOfRuns first, second;
  for (std::size_t r = 0; r < runs.size(); ++r) { (runs[r].against ? second : first).push_back(r); }
  if (!second.empty()) { return {{first, second}}; }
  std::vector<std::pair<SideOfRuns, SideOfRuns>> pairs;
  for (std::size_t r = 1; r < runs.size(); ++r) { pairs.push_back({{r}, {0}}); }
  return pairs;
}

}  // namespace

ComparedResult compared(const std::vector<ComparedRun>& opened, std::uint64_t seed,
                        Progress& progress) {
  ComparedResult result{opened};
  std::vector<const Trace*> wholes;
  wholes.reserve(opened.size());
  for (const ComparedRun& run : opened) { wholes.push_back(&run.whole()); }
  result.fields = different_fields(wholes);
  result.names = run_names(wholes);
  const std::vector<std::string> labels = field_labels(result.fields, wholes.size());
  for (std::size_t r = 0; r < opened.size(); ++r) {
    if (!labels[r].empty()) { result.names[r] += " (" + labels[r] + ")"; }
  }
  std::vector<RunOfTexts> runs;
  for (std::size_t r = 0; r < opened.size(); ++r) {
    RunOfTexts run{result.names[r], {}, {}};
    for (const Trace& text : opened[r].texts) {
      go_on(progress, Stage::read, runs.size(), opened.size());
      run.texts.push_back(&text);
      run.layers.push_back(summarise(text));
    }
    result.whole.push_back(opened[r].joined ? summarise(*opened[r].joined) : run.layers[0]);
    runs.push_back(std::move(run));
  }
  const CorpusTotals* const corpus = wholes[0]->corpus.get();
  result.resamples = corpus ? kResamples : kTextResamples;
  result.seed = corpus ? corpus->seed : seed;
  const Resamples resamples(std::ssize(opened[0].texts), kTextResamples, seed);
  for (const auto& [a, b] : sides_of(opened)) {
    go_on(progress, Stage::read, result.sides.size(), opened.size());
    result.sides.push_back(compare_sides(runs, a, b, resamples));
  }
  return result;
}

void for_each_map_difference(const ComparedResult& result, Progress& progress,
                             const std::function<void(Figure&)>& use) {
  const std::vector<std::string> words = file_words(result.names);
  for (const SideComparison& side : result.sides) {
    if (!side.rows_differ.empty() || side.a.size() > 1 || side.b.size() > 1) { continue; }
    const Trace* const of[] = {&result.runs[side.a[0]].whole()};
    const Trace* const against[] = {&result.runs[side.b[0]].whole()};
    for (const char* id : kMaps) {
      const bool tokens = std::string_view(id) == "kappa-tokens";
      if (tokens && (!side.same_tokens || result.runs[0].texts.size() > 1)) { continue; }
      go_on(progress, Stage::figures, 0, 1);
      const FigureEntry& entry = figure_entry(id);
      std::optional<Figure> figure =
          map_difference(entry.make(of, {}), entry.make(against, {}), result.names[side.a[0]],
                         result.names[side.b[0]]);
      if (!figure) { continue; }
      if (result.sides.size() > 1) { figure->run = words[side.a[0]]; }
      use(*figure);
    }
  }
}

}  // namespace kappascope
