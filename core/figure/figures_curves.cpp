// κ of learned parameters: as functions of the score and of the gate.
#include <algorithm>
#include <cmath>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/text.h"
#include "core/stats/kappa_curves.h"
#include "core/stats/kappa_histogram.h"

namespace kappascope::figures {
namespace {

constexpr std::int64_t kCurvePoints = 201, kScoreBins = 40;
constexpr const char* kLinearScore = "nothing to show: α = 1, the κ router's score enters as it is";

std::string no_parameters_because(const Trace& trace) {
  const std::string why = no_kappa_because(trace);
  if (!why.empty()) { return why; }
  return trace.model || !trace.kappa_bias_in_force.empty()
             ? "nothing to show: κ has no learned parameters here"
             : "nothing to show: model.npz, which holds the parameters of κ, is not beside "
               "the trace";
}

// Why κ is not drawn as a function of the score; "" where it is one.
std::string no_score_because(const Trace& trace) {
  return kappa_follows_gate(trace)
             ? "nothing to show: κ follows from the gates' own pre-activations z, not from a score"
             : "";
}

// Layer and expert of a figure about one expert; expert −1 when none has a token.
struct OneExpert {
  TraceLayer layer;
  std::int64_t expert;
  std::string label;  // "layer 5, expert 3"
};

OneExpert one_expert(const Trace& trace, const FigureChoices& choices) {
  TraceLayer layer(trace, chosen_layer(trace, choices));
  const std::int64_t expert = chosen_expert(layer, choices);
  std::string label = layer_label(trace, layer.row);
  if (expert >= 0) { label += ", expert " + std::to_string(expert); }
  return {layer, expert, label};
}

Figure start_figure(Traces traces, std::string_view id, const OneExpert& one) {
  Figure figure = kappascope::start_figure(traces, id, ", " + one.label);
  figure.row = one.layer.row;
  figure.expert = one.expert;
  return figure;
}

Figure nothing(Figure figure, const std::string& why, std::vector<Table> tables) {
  Panel panel;
  panel.empty = why;
  figure.panels.push_back(std::move(panel));
  figure.tables = std::move(tables);
  return figure;
}

Violin box_of(const Spread& spread, double position, int colour) {
  Violin box;
  box.position = position;
  box.low = spread.p05;
  box.quarter = spread.p25;
  box.middle = spread.p50;
  box.three_quarters = spread.p75;
  box.high = spread.p95;
  box.colour = colour;
  if (std::isfinite(spread.p50)) { box.value = {spread.p05, spread.p95}; }
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
    for (std::int64_t e = 0; e < layer.experts; ++e) {
      result.rows.push_back(kappa_parameters(layer, kappa, e));
    }
  } else {
    result.axis = layer_axis(trace);
    result.table.columns = choices.by_expert ? std::vector<Column>{index_column("expert", 0)}
                                             : layer_columns(trace, 1);
    for (std::int64_t row = 0; row < trace.layers; ++row) {
      const TraceLayer layer(trace, row);
      result.rows.push_back(kappa_parameters(layer, kappa_function(layer)));
    }
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

Line curve(std::vector<double> x, std::vector<double> y) {
  Line line;
  line.x = std::move(x);
  line.y = std::move(y);
  line.weight = Line::Weight::thin;
  return line;
}

Panel counts_below(const std::vector<double>& edges, const std::vector<double>& counts,
                   const FigureAxis& x, const std::string& name) {
  Panel panel;
  panel.below = true;
  panel.share = 0.32;
  panel.x = x;
  panel.y.name = name;
  panel.y.integer = true;
  panel.empty = "nothing to count";
  Bins bins;
  bins.edges = edges;
  bins.counts = counts;
  panel.bins.push_back(std::move(bins));
  return panel;
}

std::vector<double> even_edges(double low, double high, std::size_t bins) {
  std::vector<double> edges;
  for (std::size_t i = 0; i <= bins; ++i) {
    edges.push_back(low + (high - low) * static_cast<double>(i) / static_cast<double>(bins));
  }
  return edges;
}

Table counts_table(const std::string& name, const std::vector<double>& edges,
                   const std::vector<double>& counts) {
  Table table;
  table.rows = std::ssize(counts);
  if (counts.empty()) {
    const std::string from = name + "_from", to = name + "_to";
    return empty_table({from.c_str(), to.c_str(), "count"});
  }
  table.columns = {{name + "_from", std::vector<double>(edges.begin(), edges.end() - 1)},
                   {name + "_to", std::vector<double>(edges.begin() + 1, edges.end())},
                   {"count", counts}};
  return table;
}

// Which gate units are drawn, and what multiplies their κ.
std::string gates_note(const KappaView& view, const KappaCurves& curves,
                       const FigureChoices& choices) {
  const bool by_scale = view.scale != nullptr && view.scale_gate_stride != 0;
  std::string note = curves.gates.size() > 1 ? std::to_string(curves.gates.size()) +
                                                   " gate units spread over the quantiles of " +
                                                   (by_scale ? "α." : "b.")
                     : choices.gates > 1 ? "All gate units of the expert share α and b."
                                         : "One gate unit.";
  if (view.factor_value() != 1) {
    note += " κ is multiplied by " + number_text(view.factor_value()) + ".";
  }
  return note;
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
  for (const ParameterSpread& row : rows.rows) {
    scale.push_back(row.scale);
    bias.push_back(row.bias);
    kappa.push_back(row.kappa);
    score.push_back(row.median_score);
    lower.push_back(row.lower);
    upper.push_back(row.upper);
  }
  add_spread(rows.table, "kappa_scale", scale);
  add_spread(rows.table, "kappa_bias", bias);
  add_spread(rows.table, "kappa_at_median_input", kappa);
  rows.table.columns.push_back({"kappa_input_p50", std::move(score)});
  rows.table.columns.push_back({"kappa_lower_bound", lower});
  rows.table.columns.push_back({"kappa_upper_bound", upper});
  const std::string empty = no_parameters_because(trace), no_score = no_score_because(trace);
  const bool router = has_kappa_router(trace) && no_score.empty();
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
  for (const std::vector<double>* values : {&upper, &lower}) {
    if (!no_score.empty()) { continue; }
    Line bound;
    bound.weight = Line::Weight::thin;
    bound.colour = -1;
    bound.dash = 2;
    bound.name = values == &lower             ? ""
                 : trace.kappa_factor.empty() ? "bounds 1/U and U"
                                              : "bounds of κ with the factors of the run";
    for (std::size_t i = 0; i < values->size(); ++i) { bound.x.push_back(static_cast<double>(i)); }
    bound.y = *values;
    last.lines.push_back(std::move(bound));
  }
  figure.tables.push_back(std::move(rows.table));
  figure.notes.push_back("Over gate units: dot median, bar 25–75 %, line 5–95 %.");
  return figure;
}

Figure kappa_vs_score(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  const char* id = "kappa-vs-score";
  const std::vector<Table> none = {
      empty_table({"gate", "kappa_scale", "kappa_bias", "kappa_input", "kappa"}),
      counts_table("kappa_input", {}, {})};
  if (trace.layers == 0) { return nothing(start_figure(traces, id), nothing_because(trace), none); }
  const OneExpert one = one_expert(trace, choices);
  const KappaFunction kappa = kappa_function(one.layer);
  Figure figure = start_figure(traces, id, one);
  if (kappa.source != KappaFunction::Source::parameters) {
    const std::string no_score = no_score_because(trace);
    return nothing(std::move(figure), no_score.empty() ? no_parameters_because(trace) : no_score,
                   none);
  }
  if (one.expert < 0) { return nothing(std::move(figure), nothing_because(trace), none); }
  const Histogram scores = histogram(kept_scores(one.layer, one.expert), kScoreBins);
  const double low = std::isfinite(scores.low) ? std::min(0.0, scores.low) : 0;
  const double high = std::isfinite(scores.high) ? std::max(scores.high * 1.05, low + 0.1) : 2;
  const auto gates = spread_gates(kappa.experts[one.expert], kappa.gates, choices.gates);
  const KappaCurves curves = kappa_curves(kappa, one.expert, gates, low, high, kCurvePoints);
  Panel panel;
  panel.x.name = has_kappa_router(trace) ? "Score s of the κ router (α = 1)" : "Score s";
  panel.x.low = low;
  panel.x.high = high;
  panel.y.name = "κ";
  panel.y.scale = Scale::log;
  panel.references.push_back({1, false, "κ = 1: SiLU"});
  Table table;
  table.rows = std::ssize(curves.gates) * std::ssize(curves.score);
  std::vector<double> values;
  for (const auto& one_gate : curves.kappa) {
    panel.lines.push_back(curve(curves.score, one_gate));
    values.insert(values.end(), one_gate.begin(), one_gate.end());
  }
  const std::int64_t points = std::max<std::int64_t>(1, std::ssize(curves.score));
  table.columns = {{"gate", curves.gates, points},
                   {"kappa_scale", curves.scale, points},
                   {"kappa_bias", curves.bias, points},
                   {"kappa_input", curves.score, 1},
                   {"kappa", std::move(values), 1}};
  const std::vector<double> counts(scores.counts.begin(), scores.counts.end());
  const std::vector<double> edges = even_edges(scores.low, scores.high, counts.size());
  const FigureAxis x = panel.x;
  figure.panels.push_back(std::move(panel));
  figure.panels.push_back(counts_below(edges, counts, x, "Kept tokens"));
  figure.tables = {std::move(table), counts_table("kappa_input", edges, counts)};
  figure.notes.push_back(gates_note(kappa.experts[one.expert], curves, choices));
  return figure;
}

Figure silu_kappa(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  const char* id = "silu-kappa";
  const std::vector<Table> none = {empty_table({"z", "silu_at_p05", "silu_at_p50", "silu_at_p95",
                                                "kappa_p05", "kappa_p50", "kappa_p95"}),
                                   counts_table("z", {}, {})};
  if (trace.layers == 0) { return nothing(start_figure(traces, id), nothing_because(trace), none); }
  const OneExpert one = one_expert(trace, choices);
  Figure figure = start_figure(traces, id, one);
  if (one.expert < 0) { return nothing(std::move(figure), nothing_because(trace), none); }
  const SiluCurves curves =
      silu_curves(one.layer, kappa_function(one.layer), one.expert, kCurvePoints);
  Panel panel;
  panel.x = {"Gate pre-activation z"};
  panel.x.low = -8;
  panel.x.high = 8;
  panel.y.name = "z·σ(κz)";
  if (curves.unit[0] >= 0) { figure.title = "The gate with κ from z, " + one.label; }
  Table table;
  table.rows = std::ssize(curves.z);
  table.columns = {{"z", curves.z}};
  const char* names[] = {"5 %", "50 %", "95 %"};
  const char* columns[] = {"silu_at_p05", "silu_at_p50", "silu_at_p95"};
  for (std::size_t i = 0; i < 3; ++i) {
    Line line = curve(curves.z, curves.value[i]);
    line.weight = Line::Weight::normal;
    line.colour = i == 0 ? 0 : i == 1 ? 5 : 1;
    line.dash = i == 1 ? 0 : i == 0 ? 1 : 2;
    line.name = std::string(names[i]) + (curves.unit[i] < 0
                                             ? ": κ = " + number_text(curves.kappa[i])
                                             : " of α: gate " + std::to_string(curves.unit[i]) +
                                                   ", α = " + number_text(curves.scale[i]));
    table.columns.push_back({columns[i], line.y});
    panel.lines.push_back(std::move(line));
  }
  const char* quantiles[] = {"kappa_p05", "kappa_p50", "kappa_p95"};
  for (std::size_t i = 0; i < 3; ++i) {
    table.columns.push_back({quantiles[i], std::vector<double>{curves.kappa[i]}});
  }
  const std::vector<double> counts(curves.counts.begin() + 1, curves.counts.end() - 1);
  const std::vector<double> edges = even_edges(-8, 8, counts.size());
  const FigureAxis x = panel.x;
  figure.panels.push_back(std::move(panel));
  figure.panels.push_back(counts_below(edges, counts, x, "Gate values"));
  figure.tables = {std::move(table), counts_table("z", edges, counts)};
  figure.notes.push_back(
      std::string(curves.unit[0] < 0
                      ? "Curves at the 5, 50 and 95 % quantile of the expert's κ."
                      : "Curves of the gate units at the 5, 50 and 95 % quantile of α.") +
      " Outside [−8, 8]: " + count_text(curves.counts.front()) + " values below, " +
      count_text(curves.counts.back()) + " above.");
  return figure;
}

}  // namespace kappascope::figures
