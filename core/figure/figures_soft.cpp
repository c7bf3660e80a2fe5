// How many experts run, and their weights by soft routing.
#include <algorithm>
#include <cmath>

#include "core/engine/interventions.h"
#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/runs.h"
#include "core/figure/text.h"
#include "core/stats/layer.h"
#include "core/stats/router.h"
#include "core/trace/meta.h"

namespace kappascope::figures {
namespace {

// Experts run over depth: their mean with its band, then the budget, NaN where there is none.
std::vector<Line> budget_lines(const Trace& trace, int number, const std::string& run) {
  Line mean;
  mean.marker = true;
  mean.x = relative_depth(trace);
  mean.layers = {trace.layer_index.begin(), trace.layer_index.end()};
  mean.colour = number;
  Line budget = mean;
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const Band band = experts_run(TraceLayer(trace, row));
    mean.y.push_back(band.mean);
    mean.low.push_back(band.p05);
    mean.high.push_back(band.p95);
  }
  mean.name = run.empty() ? "experts run, mean" : run;
  budget.y.assign(trace.layer_budget.begin(), trace.layer_budget.end());
  budget.y.resize(budget.x.size(), kNaN);
  budget.name = run.empty() ? "budget" : run + ", budget";
  budget.dash = 1;
  if (run.empty()) { budget.colour = 1; }
  return {std::move(mean), std::move(budget)};
}

Table budget_table(const Trace& trace, const std::vector<Line>& lines) {
  Table table;
  table.rows = trace.layers;
  table.columns = layer_columns(trace, 1);
  table.columns.push_back({"relative_depth", lines[0].x});
  table.columns.push_back({"experts_run_mean", lines[0].y});
  table.columns.push_back({"experts_run_p05", lines[0].low});
  table.columns.push_back({"experts_run_p95", lines[0].high});
  table.columns.push_back({"budget", lines[1].y});
  return table;
}

// Whether the threshold of a layer is a share of the budget, which the best expert of a token
// always passes: as the model has it, where the run does not set another.
bool has_relative_threshold(const Trace& trace, std::int64_t row) {
  const auto sets_another = [&](const std::string& word) {
    if (!word.starts_with("threshold=")) { return false; }
    const std::vector<std::int64_t> layers = parse_intervention(word).layers;
    return layers.empty() ||
           std::binary_search(layers.begin(), layers.end(), trace.layer_index[row]);
  };
  return meta_at(trace, "model_config", "lapsum_threshold_scale") != nullptr &&
         !any_intervention(trace, sets_another);
}

// "The weights of a token add up to 1.7. Those above 0.05 run, at most 4 of a token."
std::string rule_note(const Trace& trace, std::int64_t row) {
  const auto number = [row](std::span<const float> values) {
    return values.empty() ? std::string("?") : number_text(values[row]);
  };
  std::string note =
      "The weights of a token add up to " + number(trace.layer_budget) +
      (has_relative_threshold(trace, row)
           ? ". The best one runs, and those from " + number(trace.layer_threshold) + " on"
           : ". Those above " + number(trace.layer_threshold) + " run");
  const std::int64_t cap = trace.layer_cap.empty() ? 0 : trace.layer_cap[row];
  return note + (cap > 0 ? ", at most " + std::to_string(cap) + " of a token." : ".");
}

// [E,T]
LayerMap weight_map(const TraceLayer& layer) {
  const std::int64_t stride = layer.trace.experts;
  const std::span<const float> weights = layer.part(layer.trace.soft_weight, layer.tokens * stride);
  LayerMap map;
  map.rows = layer.experts;
  map.columns = layer.tokens;
  for (std::int64_t e = 0; e < map.rows; ++e) {
    for (std::int64_t t = 0; t < map.columns; ++t) {
      map.values.push_back(weights[t * stride + e]);
    }
  }
  return map;
}

Figure without_soft_routing(Figure figure, const Trace& trace, const ColourScale& colours) {
  Panel panel = cell_panel(token_axis(trace), expert_axis(0), {}, colours);
  panel.empty =
      trace.layers == 0 ? nothing_because(trace) : "nothing to show: the model has no soft routing";
  figure.panels.push_back(std::move(panel));
  figure.tables = {empty_table({"expert", "token", "token_text", "soft_weight", "chosen"})};
  return figure;
}

}  // namespace

Figure expert_budget(Traces traces, const FigureChoices&) {
  Figure figure = start_figure(traces, "expert-budget");
  Panel panel;
  panel.x.name = "Relative depth";
  panel.y.name = "Experts run per token";
  panel.y.low = 0;
  panel.empty = nothing_because(*traces[0]);
  double first = 1;
  const std::vector<std::string> runs = run_names(traces);
  for (std::size_t i = 0; i < traces.size(); ++i) {
    std::vector<Line> lines =
        budget_lines(*traces[i], static_cast<int>(i), traces.size() > 1 ? runs[i] : "");
    figure.tables.push_back(budget_table(*traces[i], lines));
    for (Line& line : lines) {
      if (std::all_of(line.y.begin(), line.y.end(), [](double y) { return std::isnan(y); })) {
        continue;  // no budget
      }
      for (const double x : line.x) { first = std::min(first, x); }
      panel.lines.push_back(std::move(line));
    }
  }
  panel.x.low = first - 0.02;  // layers before the first one with experts would be a blank
  panel.x.high = 1.02;
  figure.panels.push_back(std::move(panel));
  figure.notes.push_back("Depth 0: first layer, 1: last.");
  figure.notes.push_back("Band: 5–95 % of the tokens.");
  return figure;
}

Figure soft_weight(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  const std::int64_t row = trace.layers > 0 ? chosen_layer(trace, choices) : -1;
  Figure figure =
      start_figure(traces, "soft-weight", row >= 0 ? ", " + layer_label(trace, row) : "");
  figure.row = row;
  ColourScale colours;
  colours.label = "Weight before the threshold";
  colours.low = 0;
  if (row < 0 || trace.soft_weight.empty()) { return without_soft_routing(figure, trace, colours); }
  const TraceLayer layer(trace, row, LayerTokens::all);
  const LayerMap map = weight_map(layer);
  std::vector<std::uint32_t> outlined;
  std::vector<std::int64_t> chosen(map.values.size(), 0);
  for (std::int64_t i = 0; i < layer.tokens * layer.slots; ++i) {
    if (!layer.kept(i)) { continue; }
    const std::int64_t cell = layer.expert(i) * layer.tokens + i / layer.slots;
    outlined.push_back(static_cast<std::uint32_t>(cell));
    chosen[cell] = 1;
  }
  Table table;
  table.rows = map.rows * map.columns;
  table.columns = {index_column("expert", map.rows, map.columns)};
  for (Column& column : token_columns(trace)) { table.columns.push_back(std::move(column)); }
  table.columns.push_back({"soft_weight", map.values});
  table.columns.push_back({"chosen", std::move(chosen)});
  figure.tables.push_back(std::move(table));
  Panel panel = cell_panel(token_axis(trace), expert_axis(layer.experts), map, colours);
  panel.empty = trace.tokens == 0 ? nothing_because(trace) : "";
  figure.notes.push_back(rule_note(trace, row));
  if (outlined.size() <= kMostOutlines) {
    panel.heat_map[0].outlined = std::move(outlined);
    panel.heat_map[0].outline_name = "runs";
  } else {
    figure.notes.push_back("Cells that run are too many to be marked; the CSV names them.");
  }
  figure.panels.push_back(std::move(panel));
  return figure;
}

}  // namespace kappascope::figures
