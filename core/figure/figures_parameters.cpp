// α and b of κ = U^tanh(α·s + b), and the κ and the bounds that they imply.
#include <algorithm>
#include <cmath>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/stats/each_layer.h"
#include "core/stats/kappa_curves.h"

namespace kappascope::figures {
namespace {

constexpr const char* kLinearScore = "nothing to show: α = 1, the κ router's score enters as it is";

Violin box_of(const Spread& spread, double position, int colour) {
  Violin box;
  box.position = position;
  box.low = spread.p05;
  box.quarter = spread.p25;
  box.middle = spread.p50;
  box.three_quarters = spread.p75;
  box.high = spread.p95;
  box.colour = colour;
  return box;
}

void add_spread(Table& table, const std::string& name, const std::vector<Spread>& spreads) {
  using Member = double Spread::*;
  const std::pair<const char*, Member> members[] = {
      {"_min", &Spread::least}, {"_p05", &Spread::p05},  {"_p25", &Spread::p25},
      {"_p50", &Spread::p50},   {"_p75", &Spread::p75},  {"_p95", &Spread::p95},
      {"_max", &Spread::most},  {"_mean", &Spread::mean}};
  for (const auto& [suffix, member] : members) {
    std::vector<double> values;
    values.reserve(spreads.size());
    for (const Spread& spread : spreads) { values.push_back(spread.*member); }
    table.columns.push_back({name + suffix, std::move(values)});
  }
}

// That α, b and κ are those of the run where these are not the learned ones.
void add_in_force_notes(Figure& figure, const Trace& trace) {
  if (!parameters_changed(trace)) { return; }
  bool set = false;
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const TraceLayer layer(trace, row);
    for (std::int64_t e = 0; e < layer.experts; ++e) {
      set = set || kappa_set_by_run(layer, e).has_value();
    }
  }
  figure.notes.push_back("α and b are those in force in the run, not all of them learned.");
  if (set) { figure.notes.push_back("Where the run set κ itself, α and b are 0 and do not act."); }
}

// Distributions of α, b and κ at the median score over layers or over the experts of a layer.
struct ParameterRows {
  FigureAxis axis;
  std::vector<ParameterSpread> rows;
  Table table;
};

ParameterRows parameter_rows(const Trace& trace, const FigureChoices& choices) {
  ParameterRows result;
  if (choices.by_expert && trace.layers > 0) {
    const TraceLayer layer(trace, chosen_layer(trace, choices));
    const KappaFunction kappa = kappa_function(layer);
    result.axis = expert_axis(layer.experts);
    result.table.columns = {index_column("expert", layer.experts)};
    result.rows.resize(static_cast<std::size_t>(layer.experts));
    for_each_layer(layer.experts, choices.progress,
                   [&](std::int64_t e) { result.rows[e] = kappa_parameters(layer, kappa, e); });
  } else {
    result.axis = layer_axis(trace);
    result.table.columns = choices.by_expert ? std::vector<Column>{index_column("expert", 0)}
                                             : layer_columns(trace, 1);
    result.rows.resize(static_cast<std::size_t>(trace.layers));
    for_each_layer(trace.layers, choices.progress, [&](std::int64_t row) {
      const TraceLayer layer(trace, row);
      result.rows[row] = kappa_parameters(layer, kappa_function(layer));
    });
  }
  result.table.rows = std::ssize(result.rows);
  return result;
}

Panel parameter_panel(const ParameterRows& rows, const std::string& title, const std::string& name,
                      Spread ParameterSpread::* member, int colour, const std::string& empty) {
  Panel panel;
  panel.title = title;
  panel.x = rows.axis;
  panel.y.name = name;
  panel.empty = empty;
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    panel.violins.push_back(box_of(rows.rows[i].*member, static_cast<double>(i), colour));
  }
  return panel;
}

// Bounds of the parameters as they were learned; else those of each position.
void add_parameter_bounds(Panel& panel, const std::vector<KappaBounds>& bounds) {
  const auto any = [](const KappaBounds& one) { return one.any(); };
  if (std::none_of(bounds.begin(), bounds.end(), any)) { return; }
  const bool learned = std::all_of(bounds.begin(), bounds.end(), [](const KappaBounds& one) {
    return one.factor == 1 || !one.any();
  });
  if (!learned) { return add_bounds(panel, bounds); }
  panel.lines.push_back(bound_line(bounds, true, false, "bounds 1/U and U"));
  panel.lines.push_back(bound_line(bounds, false, false, ""));
}

}  // namespace

Figure kappa_parameters(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  ParameterRows rows = parameter_rows(trace, choices);
  const bool by_expert = choices.by_expert && trace.layers > 0;
  Figure figure = start_figure(traces, "kappa-parameters");
  if (by_expert) {
    figure.row = chosen_layer(trace, choices);
    figure.title += " in " + layer_label(trace, figure.row);
  }
  std::vector<Spread> scale, bias, kappa;
  std::vector<double> score, lower, upper;
  std::vector<KappaBounds> bounds;
  for (const ParameterSpread& row : rows.rows) {
    scale.push_back(row.scale);
    bias.push_back(row.bias);
    kappa.push_back(row.kappa);
    score.push_back(row.median_score);
    lower.push_back(row.bounds.lower);
    upper.push_back(row.bounds.upper);
    bounds.push_back(row.bounds);
  }
  add_spread(rows.table, "kappa_scale", scale);
  add_spread(rows.table, "kappa_bias", bias);
  add_spread(rows.table, "kappa_at_median_input", kappa);
  rows.table.columns.push_back({"kappa_input_p50", std::move(score)});
  rows.table.columns.push_back({"kappa_lower_bound", lower});
  rows.table.columns.push_back({"kappa_upper_bound", upper});
  const std::string empty = no_parameters_because(trace), no_score = no_score_because(trace);
  const bool router = has_kappa_router(trace) && !kappa_follows_gate(trace);
  figure.panels = {parameter_panel(rows, "Scale α", "α", &ParameterSpread::scale, 0,
                                   router ? kLinearScore : empty),
                   parameter_panel(rows, "Bias b", "b", &ParameterSpread::bias, 0, empty),
                   parameter_panel(rows, "κ at the median score", "κ", &ParameterSpread::kappa, 1,
                                   no_score.empty() ? empty : no_score)};
  if (router) { figure.panels[0].violins.clear(); }
  if (!router) { figure.panels[0].references.push_back({0, false, ""}); }
  figure.panels[1].references.push_back({0, false, ""});
  Panel& last = figure.panels[2];
  last.y.scale = Scale::log;
  if (no_score.empty()) { last.references.push_back({1, false, "κ = 1"}); }
  if (no_score.empty()) { add_parameter_bounds(last, bounds); }
  figure.tables.push_back(std::move(rows.table));
  figure.notes.push_back("Over gate units: dot median, bar 25–75 %, line 5–95 %.");
  if (empty.empty() || parameters_changed(trace)) { add_in_force_notes(figure, trace); }
  return figure;
}

}  // namespace kappascope::figures
