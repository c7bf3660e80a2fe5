// Runs of the same text beside each other: statistics over depth, routing, steps of training.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/text.h"
#include "core/stats/bands.h"
#include "core/stats/difference.h"
#include "core/stats/router.h"
#include "core/trace/meta.h"

namespace kappascope::figures {
namespace {

struct DepthBand {
  Band band;
  bool exact = true;
};

// One panel of statistics-depth.
struct DepthStatistic {
  const char* title;
  const char* name;    // of the y axis
  const char* column;  // of the table
  const char* band;    // of the ends of the band, with _p05 and _p95 behind it; nullptr: no band
  bool log;
  DepthBand (*of)(const TraceLayer& layer);
};

DepthBand kappa_of(const TraceLayer& layer) {
  const KappaBand kappa = kappa_over_entries(layer);
  return {kappa.band, kappa.exact};
}

DepthBand load_entropy_of(const TraceLayer& layer) {
  DepthBand load;
  load.band.mean = expert_loads(layer).entropy;
  return load;
}

constexpr DepthStatistic kDepthStatistics[] = {
    {"Sharpness κ", "κ", "kappa_geometric_mean", "kappa", true, kappa_of},
    {"Entropy of the load", "Share of ln E", "load_entropy", nullptr, false, load_entropy_of},
    {"Confidence", "Probability", "router_top1_prob", "router_top1_prob", false,
     [](const TraceLayer& l) { return DepthBand{number_band(l, "router_top1_prob")}; }},
    {"Entropy of the router", "Share of ln E", "router_entropy", "router_entropy", false,
     [](const TraceLayer& l) { return DepthBand{number_band(l, "router_entropy")}; }},
    {"Effective sharpness", "rms of κz", "gate_kz_rms", "gate_kz_rms", false,
     [](const TraceLayer& l) { return DepthBand{number_band(l, "gate_kz_rms")}; }},
    {"Active gate units", "Share", "gate_active_fraction", "gate_active_fraction", false,
     [](const TraceLayer& l) { return DepthBand{number_band(l, "gate_active_fraction")}; }},
};

// A line of one run in the panel of a statistic, and its columns. `exact` is false when a number
// of it is not.
Line depth_line(const Trace& trace, const DepthStatistic& statistic, Table& table, bool& exact) {
  Line line;
  line.marker = true;
  line.x = relative_depth(trace);
  line.layers = {trace.layer_index.begin(), trace.layer_index.end()};
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const DepthBand found = statistic.of(TraceLayer(trace, row));
    exact = exact && found.exact;
    line.y.push_back(found.band.mean);
    if (statistic.band == nullptr) { continue; }
    line.low.push_back(found.band.p05);
    line.high.push_back(found.band.p95);
  }
  table.columns.push_back({statistic.column, line.y});
  if (statistic.band == nullptr) { return line; }
  table.columns.push_back({statistic.band + std::string("_p05"), line.low});
  table.columns.push_back({statistic.band + std::string("_p95"), line.high});
  return line;
}

constexpr const char* kTokensDiffer = "nothing to show: the two runs are not of the same tokens";
constexpr const char* kLayersDiffer = "nothing to show: the two runs are not of the same layers";
constexpr const char* kNoCommonLayer =
    "nothing to show: no layer with experts was recorded in both runs";

// In the map −1: the same experts, 0: others, 1: others by a near tie; NaN: not known, or a layer
// that the reference has not recorded.
struct RoutingMap {
  LayerMap map;
  std::vector<float> routed;             // the same as 0, 1 and 2, as tables have it
  std::vector<double> share, near_ties;  // of the tokens of each row, 0 … 1
};

RoutingMap routing_map(const Trace& reference, const Trace& trace,
                       const std::vector<RowPair>& rows) {
  RoutingMap result;
  result.map.rows = trace.layers;
  result.map.columns = trace.tokens;
  result.map.values.assign(static_cast<std::size_t>(trace.layers * trace.tokens), kNaN);
  result.share.assign(static_cast<std::size_t>(trace.layers), kNaN);
  result.near_ties = result.share;
  for (const RowPair pair : rows) {
    const RoutingDifference found = routing_difference(trace, reference, pair);
    for (std::int64_t t = 0; t < std::ssize(found.tokens); ++t) {
      const Routed routed = found.tokens[t];
      if (routed == Routed::unknown) { continue; }
      result.map.values[pair.a * trace.tokens + t] = static_cast<float>(routed) - 1;
    }
    result.share[pair.a] = found.share();
    if (found.compared > 0) {
      result.near_ties[pair.a] =
          static_cast<double>(found.near_ties) / static_cast<double>(found.compared);
    }
  }
  for (const float value : result.map.values) { result.routed.push_back(value + 1); }
  return result;
}

// Of one quantity at the steps of a series: the mean over layers between the lowest and the
// highest.
struct StepLine {
  std::vector<std::vector<double>> of_layer;  // [steps][M]

  Line drawn(const std::vector<double>& steps, bool log, int colour) const {
    Line line;
    line.x = steps;
    line.marker = true;
    line.colour = colour;
    for (const std::vector<double>& layers : of_layer) {
      Mean mean;
      double low = kNaN, high = kNaN;
      for (const double value : layers) {
        mean.add(log ? std::log(value) : value);
        if (!std::isfinite(value)) { continue; }
        low = std::isnan(low) ? value : std::min(low, value);
        high = std::isnan(high) ? value : std::max(high, value);
      }
      line.y.push_back(log ? std::exp(mean.value()) : mean.value());
      line.low.push_back(low);
      line.high.push_back(high);
    }
    return line;
  }
};

// The last step that is inside the warm-up of U, as the traces say; −1: they do not.
std::int64_t warm_up_end(const Trace& trace) {
  const Json* end = meta_at(trace, "kappa", "warm_up_end");
  return end != nullptr && end->is_number_integer() ? end->get<std::int64_t>() : -1;
}

// Places of the traces in the order of their steps.
std::vector<std::size_t> by_step(Traces traces) {
  std::vector<std::size_t> order(traces.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return traces[a]->step < traces[b]->step; });
  return order;
}

// Why the traces are no series; "" where they are.
std::string no_series_because(Traces traces) {
  for (const Trace* trace : traces) {
    if (trace->step < 0) { return "nothing to show: a model has no training step"; }
    if (trace->model_name != traces[0]->model_name) {
      return "nothing to show: these are steps of several models";
    }
  }
  return "";
}

Panel step_panel(const char* title, const char* name, Line line) {
  Panel panel;
  panel.title = title;
  panel.x.name = "Training step";
  panel.x.integer = true;
  panel.y.name = name;
  panel.lines.push_back(std::move(line));
  return panel;
}

// What a series shows of one step, by recorded layer.
struct StepNumbers {
  std::vector<double> kappa, load, saturation;
  std::vector<double> budget;  // of soft routing; else empty
  bool exact = true;           // κ
};

StepNumbers step_numbers(const Trace& trace, const Trace& last) {
  StepNumbers numbers;
  numbers.budget.assign(trace.layer_budget.begin(), trace.layer_budget.end());
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const TraceLayer layer(trace, row);
    const KappaBand kappa = kappa_over_entries(layer);
    numbers.kappa.push_back(kappa.band.mean);
    numbers.exact = numbers.exact && kappa.log_exact;
    numbers.load.push_back(expert_loads(layer).entropy);
    numbers.saturation.push_back(kNaN);
  }
  if (!tokens_differ_because(trace, last).empty()) { return numbers; }
  for (const RowPair pair : common_rows(trace, last)) {
    numbers.saturation[pair.a] = router_saturation(trace, last, pair);
  }
  return numbers;
}

Table step_table(const Trace& trace, const StepNumbers& numbers, std::int64_t warm_up) {
  Table table;
  table.rows = trace.layers;
  table.columns = {{"step", std::vector<std::int64_t>{trace.step}}};
  for (Column& column : layer_columns(trace, 1)) { table.columns.push_back(std::move(column)); }
  table.columns.push_back({"kappa_geometric_mean", numbers.kappa});
  table.columns.push_back({"load_entropy", numbers.load});
  table.columns.push_back({"router_saturation", numbers.saturation});
  if (!numbers.budget.empty()) { table.columns.push_back({"budget", numbers.budget}); }
  const std::string inside = warm_up < 0 ? "" : trace.step < warm_up ? "true" : "false";
  table.columns.push_back({"in_warm_up", std::vector<std::string>{inside}});
  return table;
}

}  // namespace

Figure statistics_depth(Traces traces, const FigureChoices& choices) {
  Figure figure = start_figure(traces, "statistics-depth");
  for (const Trace* trace : traces) {
    Table table;
    table.rows = trace->layers;
    table.columns = layer_columns(*trace, 1);
    table.columns.push_back({"relative_depth", relative_depth(*trace)});
    figure.tables.push_back(std::move(table));
  }
  const Trace* inexact = nullptr;
  for (const DepthStatistic& statistic : kDepthStatistics) {
    Panel panel;
    panel.title = statistic.title;
    panel.x.name = "Relative depth";
    panel.x.low = -0.02;
    panel.x.high = 1.02;
    panel.y.name = statistic.name;
    if (statistic.log) { panel.y.scale = Scale::log; }
    panel.empty = nothing_because(*traces[0]);
    for (std::size_t i = 0; i < traces.size(); ++i) {
      bool exact = true;
      Line line = depth_line(*traces[i], statistic, figure.tables[i], exact);
      if (!exact && inexact == nullptr) { inexact = traces[i]; }
      line.colour = line.dash = static_cast<int>(i);
      line.name = choices.runs[i];
      panel.lines.push_back(std::move(line));
    }
    figure.panels.push_back(std::move(panel));
  }
  figure.notes.push_back(
      "Depth 0: first layer, 1: last. κ: geometric mean; confidence: largest routing probability.");
  figure.notes.push_back(
      "Band: 5–95 % of the tokens, of κ and the gates of kept (token, slot) and gate units.");
  if (inexact != nullptr) { figure.notes.push_back(band_not_exact(*inexact)); }
  return figure;
}

Figure routing_change(Traces traces, const FigureChoices& choices) {
  const Trace &reference = *traces.front(), &trace = *traces.back();
  const std::string against =
      choices.runs.empty() ? "the run that it is compared with" : choices.runs.front();
  Figure figure = start_figure(traces, "routing-change");
  const std::string tokens = tokens_differ_because(trace, reference);
  const std::string layers = models_differ_because(reference, trace);
  const bool comparable = tokens.empty() && layers.empty();
  const std::vector<RowPair> rows =
      comparable ? common_rows(trace, reference) : std::vector<RowPair>{};
  RoutingMap routing = routing_map(reference, trace, rows);
  ColourScale colours;
  colours.kind = ColourKind::categorical;
  colours.names = {"other experts", "other experts, by a near tie"};
  colours.rest = "the same experts";
  const bool all_common = std::ssize(rows) == trace.layers;
  colours.no_value = all_common ? "not known" : "not known, or no such layer in " + against;
  Panel side = rate_panel("Routed otherwise", routing.share, layer_axis(trace));
  Table table;
  table.rows = trace.layers;
  table.columns = layer_columns(trace, 1);
  table.columns.push_back({"routed_otherwise_share", routing.share});
  table.columns.push_back({"routed_otherwise_near_tie_share", routing.near_ties});
  add_layer_tokens(figure, trace, std::move(routing.map), std::move(colours), "routed");
  figure.tables[0].columns.back().values = std::move(routing.routed);
  figure.tables.push_back(std::move(table));
  const std::string nothing = nothing_because(trace);
  if (!comparable || (nothing.empty() && rows.empty())) {
    make_empty(figure, !tokens.empty()   ? join_words(kTokensDiffer, " (", tokens, ")")
                       : !layers.empty() ? join_words(kLayersDiffer, " (", layers, ")")
                                         : kNoCommonLayer);
    return figure;
  }
  if (figure.panels[0].empty.empty()) { figure.panels.push_back(std::move(side)); }
  figure.notes.push_back(join_words(
      "A token is routed otherwise where the set of experts that it chose is not that of ", against,
      ". By a near tie: the margin there was so small that rounding may flip it."));
  return figure;
}

Figure step_series(Traces traces, const FigureChoices&) {
  const std::vector<std::size_t> order = by_step(traces);
  Figure figure = start_figure(traces, "step-series");
  figure.tables.resize(traces.size());
  std::vector<double> steps;
  StepLine kappa, load, saturation, budget;
  std::int64_t warm_up = -1, inside = 0;
  const Trace* inexact = nullptr;
  for (const Trace* trace : traces) { warm_up = std::max(warm_up, warm_up_end(*trace)); }
  for (const std::size_t i : order) {
    const Trace& trace = *traces[i];
    StepNumbers numbers = step_numbers(trace, *traces[order.back()]);
    figure.tables[i] = step_table(trace, numbers, warm_up);
    steps.push_back(static_cast<double>(trace.step));
    inside += trace.step < warm_up;
    if (!numbers.exact && inexact == nullptr) { inexact = &trace; }
    kappa.of_layer.push_back(std::move(numbers.kappa));
    load.of_layer.push_back(std::move(numbers.load));
    saturation.of_layer.push_back(std::move(numbers.saturation));
    budget.of_layer.push_back(std::move(numbers.budget));
  }
  const std::string no_series = no_series_because(traces);
  if (!no_series.empty()) {
    figure.panels.assign(1, Panel{});
    figure.panels[0].empty = no_series;
    return figure;
  }
  figure.panels = {
      step_panel("Sharpness κ", "κ", kappa.drawn(steps, true, 0)),
      step_panel("Entropy of the load", "Share of ln E", load.drawn(steps, false, 1)),
      step_panel("Router saturation", "Share of choices", saturation.drawn(steps, false, 2))};
  if (!traces[0]->layer_budget.empty()) {
    figure.panels.push_back(
        step_panel("Budget of soft routing", "Budget of a layer", budget.drawn(steps, false, 3)));
  }
  figure.panels[0].y.scale = Scale::log;
  figure.panels[0].references.push_back({1, false, "κ = 1"});
  for (Panel& panel : figure.panels) {
    panel.empty = nothing_because(*traces[0]);
    if (warm_up < 0) { continue; }
    panel.references.push_back({static_cast<double>(warm_up), true, "U is reached"});
  }
  figure.notes.push_back("Line: mean over the layers, of κ the geometric mean.");
  figure.notes.push_back("Band: the lowest and the highest layer.");
  figure.notes.push_back(
      "Router saturation: share of the last step's choices of experts that a step makes already.");
  if (inexact != nullptr) { figure.notes.push_back(band_not_exact(*inexact)); }
  if (inside > 0) {
    figure.notes.push_back(count_text(inside) + (inside == 1 ? " step is" : " steps are") +
                           " inside the warm-up of U, which ends at step " + count_text(warm_up) +
                           ": the final U, with which κ is computed, never acted there.");
  }
  return figure;
}

}  // namespace kappascope::figures
