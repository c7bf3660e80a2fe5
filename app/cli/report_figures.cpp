#include "app/cli/report_figures.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "app/cli/compared_result.h"
#include "app/cli/report_parts.h"
#include "core/figure/prepared.h"
#include "core/figure/render.h"
#include "core/figure/restyle.h"

namespace kappascope {
namespace {

constexpr std::int64_t kMostFigureRows = 200;  // of the numbers behind a figure

bool shows_nothing(const Figure& figure) {
  return std::all_of(figure.panels.begin(), figure.panels.end(),
                     [](const Panel& panel) { return is_empty(panel); });
}

// As the empty picture has it, and its small print, each once.
std::string why_empty(const Figure& figure) {
  std::vector<std::string> reasons;
  const auto add = [&](const std::string& reason) {
    const bool known = std::find(reasons.begin(), reasons.end(), reason) != reasons.end();
    if (!reason.empty() && !known) { reasons.push_back(reason); }
  };
  for (const Panel& panel : figure.panels) { add(panel.empty); }
  if (reasons.empty()) {
    for (const std::string& note : figure.notes) { add(note); }
  }
  std::string text;
  for (const std::string& reason : reasons) { text += (text.empty() ? "" : "; ") + reason; }
  return text.empty() ? "nothing to show" : text;
}

// The one value of a column of texts; nothing where it has several.
std::optional<std::string> only_value(const Column& column) {
  const auto* names = std::get_if<std::vector<std::string>>(&column.values);
  if (!names || names->empty()) { return std::nullopt; }
  const auto other = std::find_if(names->begin(), names->end(),
                                  [&](const std::string& name) { return name != names->front(); });
  return other == names->end() ? std::optional(names->front()) : std::nullopt;
}

// A column that says the same in every row is said once: returns the run's name, "" where the
// table has none or several.
std::string take_run(Table& table) {
  std::string run;
  std::erase_if(table.columns, [&](const Column& column) {
    if (column.name != "run" && column.name != "model") { return false; }
    const std::optional<std::string> value = only_value(column);
    if (value && column.name == "run") { run = *value; }
    return value.has_value();
  });
  return run;
}

std::vector<ReportTable> number_tables(const Figure& figure) {
  std::vector<ReportTable> made;
  std::map<std::string, int> of_run;
  std::vector<std::string> runs;
  for (const Table& table : figure.tables) {
    made.push_back({.title = "Numbers behind it",
                    .table = table,
                    .most_rows = kMostFigureRows,
                    .all_rows = "`kappascope plot TRACE --figures " + figure.id +
                                " --figure-format csv -o DIR` writes all",
                    .folded = true});
    runs.push_back(take_run(made.back().table));
    ++of_run[runs.back()];
  }
  std::map<std::string, int> so_far;
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (of_run.size() > 1) { made[i].title += ", " + runs[i]; }
    if (of_run[runs[i]] > 1) { made[i].title += " (" + std::to_string(++so_far[runs[i]]) + ")"; }
  }
  return made;
}

std::string heading_of(const Figure& figure) {
  return figure.run.empty() ? figure.title : figure.title + " · " + figure.run;
}

ReportFigure report_figure(const Figure& figure, FigureStyle style, TextMeter& meter) {
  style.bare = true;
  const std::string name = figure.name.empty() ? figure.id : figure.name;
  ReportFigure made{.id = name, .title = heading_of(figure)};
  made.scene = draw_figure(figure, style, FigureFormat::svg, &meter);
  for (const std::string& line : made.scene.caption) {
    if (line != figure.title) { made.caption.push_back(line); }
  }
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.id == figure.id) { made.metric = entry.metric; }
  }
  made.tables = number_tables(figure);
  return made;
}

}  // namespace

ReportPart figures_part(const FigureOptions& options, Traces traces, Progress& progress,
                        const FigureHooks& hooks) {
  ReportPart part{.title = "Figures"};
  FigureHooks own = hooks;
  own.absent = [&](const FigureEntry& entry, const std::string& why) {
    const auto same = [&](const ReportFact& one) { return one.name == entry.id; };
    if (std::any_of(part.absent.begin(), part.absent.end(), same)) { return; }  // made twice
    part.absent.push_back({std::string(entry.id), why});
  };
  make_figures(options, traces, progress, own, [&](StyledFigure& one) {
    if (shows_nothing(one.figure)) {
      const std::string run = one.figure.run.empty() ? "" : " · " + one.figure.run;
      part.absent.push_back({one.figure.id + run, why_empty(one.figure)});
      return;
    }
    part.figures.push_back(report_figure(one.figure, one.style, one.meter));
  });
  return part;
}

void add_map_differences(ReportPart& part, const FigureOptions& options,
                         const ComparedResult& result, Progress& progress) {
  const FigureStyle style = options.style();
  FileTextMeter meter(style.font);
  for_each_map_difference(result, progress, [&](Figure& figure) {
    if (shows_nothing(figure)) { return; }
    restyle(figure, style);
    part.figures.push_back(report_figure(figure, style, meter));
  });
}

}  // namespace kappascope
