// What κ changes in the gate: by layer, and as the router's score grows.
#include <algorithm>
#include <cmath>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/text.h"
#include "core/stats/gates.h"
#include "core/stats/kappa_curves.h"

namespace kappascope::figures {
namespace {

// The effect of each recorded layer, with its tops where gates were recorded.
struct EffectRows {
  std::vector<double> mean, mean_abs, rms, positive;
  std::vector<double> top[kEffectTops.size()];
  std::vector<std::int64_t> count;

  EffectRows(const Trace& trace, EffectKind kind) {
    for (std::int64_t row = 0; row < trace.layers; ++row) {
      const TraceLayer layer(trace, row);
      const EffectSummary effect = layer_effect(layer, kind);
      mean.push_back(effect.mean);
      mean_abs.push_back(effect.mean_abs);
      rms.push_back(effect.rms);
      positive.push_back(effect.positive_share);
      count.push_back(effect.count);
      const auto tails = effect_tails(layer, kind, kEffectTops);
      for (std::size_t k = 0; k < kEffectTops.size(); ++k) {
        top[k].push_back(tails.empty() ? kNaN : tails[k].effect.mean);
      }
    }
  }

  void add_columns(Table& table, const std::string& head) const {
    table.columns.push_back({head + "_mean", mean});
    table.columns.push_back({head + "_abs", mean_abs});
    table.columns.push_back({head + "_rms", rms});
    table.columns.push_back({head + "_positive", positive});
    table.columns.push_back({head + "_top10_mean", top[0]});
    table.columns.push_back({head + "_top2_mean", top[1]});
  }
};

Line effect_line(const std::string& name, const std::vector<double>& values, int colour) {
  Line line;
  line.name = name;
  line.colour = line.dash = colour;
  line.marker = true;
  line.y = values;
  for (std::size_t row = 0; row < values.size(); ++row) {
    line.x.push_back(static_cast<double>(row));
  }
  return line;
}

Panel effect_panel(const Trace& trace, const EffectRows& rows, const std::string& title,
                   const std::string& name, bool gates) {
  Panel panel;
  panel.title = title;
  panel.x = layer_axis(trace);
  panel.y.name = name;
  panel.references.push_back({0, false, ""});
  panel.lines = {effect_line("mean", rows.mean, 0), effect_line("mean size", rows.mean_abs, 1),
                 effect_line("root mean square", rows.rms, 2)};
  if (gates) {
    panel.lines.push_back(effect_line("mean of the top 10 %", rows.top[0], 3));
    panel.lines.push_back(effect_line("mean of the top 2 %", rows.top[1], 4));
  }
  panel.empty = nothing_because(trace);
  return panel;
}

std::vector<Table> no_curves() {
  return {empty_table({"gate", "kappa_scale", "kappa_bias", "z", "silu_at_input_p05",
                       "silu_at_input_p50", "silu_at_input_p95", "kappa_input_p05",
                       "kappa_input_p50", "kappa_input_p95", "kappa_at_input_p05",
                       "kappa_at_input_p50", "kappa_at_input_p95"})};
}

// SiLU_κ of one gate unit at three quantiles of the score.
struct GateAtScores {
  std::int64_t gate = -1;
  double scale = kNaN, bias = kNaN;
  double score[3] = {kNaN, kNaN, kNaN}, kappa[3] = {kNaN, kNaN, kNaN};
  std::vector<double> z, value[3];
};

// The gate unit whose ln κ differs most between two scores; equal ones: the first.
std::int64_t most_changed(const KappaView& view, std::int64_t gates, double low, double high) {
  std::int64_t unit = 0;
  double most = -1;
  for (std::int64_t i = 0; i < gates; ++i) {
    const double change = std::abs(std::log(kappa_at(view, i, high) / kappa_at(view, i, low)));
    if (change > most) {
      most = change;
      unit = i;
    }
  }
  return unit;
}

GateAtScores gate_at_scores(const TraceLayer& layer, const KappaFunction& kappa,
                            std::int64_t expert) {
  GateAtScores result;
  std::vector<float> scores = kept_scores(layer, expert);
  const KappaView& view = kappa.experts[expert];
  if (scores.empty() || view.fixed()) { return result; }
  std::sort(scores.begin(), scores.end());
  result.gate = most_changed(view, kappa.gates, sorted_quantile(scores, kSiluQuantiles[0]),
                             sorted_quantile(scores, kSiluQuantiles[2]));
  const KappaCurves curve = kappa_curves(kappa, expert, {result.gate}, 0, 0, 1);
  result.scale = curve.scale[0];
  result.bias = curve.bias[0];
  for (std::int64_t j = 0; j < kCurvePoints; ++j) {
    result.z.push_back(-4 + 8 * static_cast<double>(j) / static_cast<double>(kCurvePoints - 1));
  }
  for (std::size_t q = 0; q < 3; ++q) {
    result.score[q] = sorted_quantile(scores, kSiluQuantiles[q]);
    result.kappa[q] = kappa_at(view, result.gate, result.score[q]);
    for (const double z : result.z) { result.value[q].push_back(silu(z, result.kappa[q])); }
  }
  return result;
}

Table curve_table(const GateAtScores& curves) {
  Table table = no_curves()[0];
  table.rows = std::ssize(curves.z);
  table.columns[0].values = std::vector<std::int64_t>{curves.gate};
  table.columns[1].values = std::vector<double>{curves.scale};
  table.columns[2].values = std::vector<double>{curves.bias};
  table.columns[3].values = curves.z;
  for (std::size_t q = 0; q < 3; ++q) {
    table.columns[4 + q].values = curves.value[q];
    table.columns[7 + q].values = std::vector<double>{curves.score[q]};
    table.columns[10 + q].values = std::vector<double>{curves.kappa[q]};
  }
  return table;
}

Panel curve_panel(const GateAtScores& curves) {
  const char* words[] = {"low", "median", "high"};
  const int colours[] = {0, 5, 1}, dashes[] = {1, 0, 2};
  Panel panel;
  panel.x = {"Gate pre-activation z"};
  panel.x.low = -4;
  panel.x.high = 4;
  panel.y.name = "z·σ(κz)";
  for (std::size_t q = 0; q < 3 && curves.gate >= 0; ++q) {
    Line line;
    line.name = join_words(words[q], " score ", number_text(curves.score[q]),
                           ": κ = ", number_text(curves.kappa[q]));
    line.x = curves.z;
    line.y = curves.value[q];
    line.colour = colours[q];
    line.dash = dashes[q];
    panel.lines.push_back(std::move(line));
  }
  return panel;
}

}  // namespace

Figure effect(Traces traces, const FigureChoices&) {
  const Trace& trace = *traces[0];
  const bool gates = !trace.kappa_values.empty();
  Figure figure = start_figure(traces, "effect");
  const EffectRows absolute(trace, EffectKind::absolute), relative(trace, EffectKind::relative);
  Table table;
  table.rows = trace.layers;
  table.columns = layer_columns(trace, 1);
  absolute.add_columns(table, "effect");
  relative.add_columns(table, "effect_rel");
  table.columns.push_back({"effect_count", absolute.count});
  figure.tables.push_back(std::move(table));
  figure.panels = {
      effect_panel(trace, absolute, "What κ adds to the gate", "d = z·σ(κz) − z·σ(z)", gates),
      effect_panel(trace, relative, "Relative to the plain gate", "d / (z·σ(z))", gates)};
  figure.notes.push_back(
      gates ? "Over kept (token, slot, gate). Top 10 and 2 %: the layer's largest, with their sign."
      : trace.corpus
          ? "Over kept (token, slot, gate). The top 10 and 2 % need single gates, not kept here."
          : "Over kept (token, slot, gate). The top 10 and 2 % need the gates (--record gates).");
  return figure;
}

Figure sharpness_by_confidence(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  const char* id = "sharpness-by-confidence";
  const auto nothing = [&](Figure figure, const std::string& why) {
    figure.panels.assign(1, Panel{});
    figure.panels[0].empty = why;
    figure.tables = no_curves();
    return figure;
  };
  if (trace.layers == 0) { return nothing(start_figure(traces, id), nothing_because(trace)); }
  const TraceLayer layer(trace, chosen_layer(trace, choices));
  const std::int64_t expert = chosen_expert(layer, choices);
  std::string about = ", " + layer_label(trace, layer.row);
  if (expert >= 0) { about += ", expert " + std::to_string(expert); }
  Figure figure = start_figure(traces, id, about);
  figure.row = layer.row;
  figure.expert = expert;
  const KappaFunction kappa = kappa_function(layer);
  if (kappa.source != KappaFunction::Source::parameters) {
    const std::string no_score = no_score_because(trace);
    return nothing(std::move(figure), no_score.empty() ? no_parameters_because(trace) : no_score);
  }
  if (expert < 0) { return nothing(std::move(figure), nothing_because(trace)); }
  const GateAtScores curves = gate_at_scores(layer, kappa, expert);
  if (curves.gate < 0) {
    return nothing(std::move(figure), kappa_set_by_run(layer, expert)
                                          ? "nothing to show: the run set κ, whatever the score"
                                          : "nothing to show: no token of the expert has a score");
  }
  figure.panels = {curve_panel(curves)};
  figure.tables = {curve_table(curves)};
  figure.notes.push_back(
      join_words("Gate unit ", curves.gate,
                 ", the one of the expert whose κ changes most with the score (α = ",
                 number_text(curves.scale), ", b = ", number_text(curves.bias),
                 "), at the 5, 50 and 95 % quantile of the expert's scores s."));
  return figure;
}

}  // namespace kappascope::figures
