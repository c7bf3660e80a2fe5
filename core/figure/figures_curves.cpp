// κ of parameters in force: as functions of the score and of the gate.
#include <algorithm>
#include <cmath>
#include <optional>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/text.h"
#include "core/stats/kappa_curves.h"
#include "core/stats/kappa_histogram.h"

namespace kappascope::figures {
namespace {

constexpr std::int64_t kScoreBins = 40;
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

// Which gate units are drawn, and what multiplies their κ or sets it.
std::string gates_note(const OneExpert& one, const KappaView& view, const KappaCurves& curves,
                       const FigureChoices& choices) {
  if (const std::optional<double> set = kappa_set_by_run(one.layer, one.expert)) {
    return "The run set κ of every gate unit of the expert to " + number_text(*set) +
           ", whatever the score.";
  }
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

// What a silu curve is of: "κ = 1.5", or with κ from z "of α: gate 7, α = 0.5".
std::string silu_curve_name(const SiluCurves& curves, std::size_t i) {
  return curves.unit[i] < 0
             ? "κ = " + number_text(curves.kappa[i])
             : "gate " + std::to_string(curves.unit[i]) + ", α = " + number_text(curves.scale[i]);
}

// Curves at the three quantiles, those that are one and the same drawn once.
std::vector<Line> silu_lines(const SiluCurves& curves) {
  const char* names[] = {"5 %", "50 %", "95 %"};
  std::vector<Line> lines;
  for (std::size_t i = 0; i < 3; ++i) {
    const bool again = i > 0 && curves.value[i] == curves.value[i - 1];
    if (!again) {
      lines.push_back(curve(curves.z, curves.value[i]));
      lines.back().weight = Line::Weight::normal;
      lines.back().colour = i == 0 ? 0 : i == 1 ? 5 : 1;
      lines.back().dash = i == 1 ? 0 : i == 0 ? 1 : 2;
    }
    const bool last = i == 2 || curves.value[i] != curves.value[i + 1];
    std::string& name = lines.back().name;
    name += (again ? ", " : "") + std::string(names[i]);
    if (last) { name += (curves.unit[i] < 0 ? ": " : " of α: ") + silu_curve_name(curves, i); }
  }
  if (lines.size() == 1) {
    const bool of_all = curves.unit[0] >= 0;  // and not of one gate unit
    lines[0].name =
        of_all ? "α = " + number_text(curves.scale[0]) : "κ = " + number_text(curves.kappa[0], 4);
    lines[0].dash = 0;
  }
  return lines;
}

std::string silu_note(const SiluCurves& curves, std::size_t lines) {
  if (lines == 1) {
    return curves.unit[0] < 0 ? "One curve: κ is the same at the 5, 50 and 95 % quantile of the "
                                "expert's κ."
                              : "One curve: α and b are the same at the 5, 50 and 95 % quantile of "
                                "α.";
  }
  return curves.unit[0] < 0 ? "Curves at the 5, 50 and 95 % quantile of the expert's κ."
                            : "Curves of the gate units at the 5, 50 and 95 % quantile of α.";
}

}  // namespace

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
  figure.notes.push_back(gates_note(one, kappa.experts[one.expert], curves, choices));
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
  const KappaFunction kappa = kappa_function(one.layer);
  const bool of_z = kappa.source == KappaFunction::Source::gate_pre;
  if (trace.corpus && of_z && has_kappa_router(trace)) {
    return nothing(std::move(figure),
                   "nothing to show: κ follows from z and from scores, which are not kept of a "
                   "corpus",
                   none);
  }
  const SiluCurves curves = silu_curves(one.layer, kappa, one.expert, kCurvePoints);
  Panel panel;
  panel.x = {"Gate pre-activation z"};
  panel.x.low = -8;
  panel.x.high = 8;
  panel.y.name = "z·σ(κz)";
  if (curves.unit[0] >= 0) { figure.title = "The gate with κ from z, " + one.label; }
  Table table;
  table.rows = std::ssize(curves.z);
  table.columns = {{"z", curves.z}};
  const char* columns[] = {"silu_at_p05", "silu_at_p50", "silu_at_p95"};
  for (std::size_t i = 0; i < 3; ++i) { table.columns.push_back({columns[i], curves.value[i]}); }
  const bool known = of_z || kappa.by_gate();
  panel.lines = known ? silu_lines(curves) : std::vector<Line>();
  if (!known) { panel.empty = no_parameters_because(trace); }
  const std::string note = known ? silu_note(curves, panel.lines.size()) + " " : "";
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
  figure.notes.push_back(note + "Outside [−8, 8]: " + count_text(curves.counts.front()) +
                         " values below, " + count_text(curves.counts.back()) + " above.");
  add_rank_error(figure, curves.rank_error);
  return figure;
}

}  // namespace kappascope::figures
