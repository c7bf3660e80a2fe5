// What experts add to the stream, over how often they are chosen; after `kappascope ablate`, what
// the text loses without them, over both.
#include <cmath>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/importance.h"
#include "core/stats/router.h"

namespace kappascope::figures {
namespace {

// The experts of all recorded layers, one after another.
struct ExpertRows {
  std::vector<std::int64_t> layer, pass, expert;
  std::vector<double> load, saliency, contribution, depth;
  std::vector<double> ablation;  // NaN where it was not tried
  std::vector<Subject> subjects;
  std::int64_t unchosen = 0, dropped = 0;  // by any token; chosen, and every time over capacity
  std::int64_t untried = 0;                // chosen ones

  void add(const TraceLayer& of, double relative_depth) {
    const ExpertImportance importance = expert_importance(of);
    const ChoiceTotals choices = choice_totals(of);
    const ExpertLoads loads = expert_loads(choices);
    for (std::size_t e = 0; e < loads.load.size(); ++e) {
      layer.push_back(of.layer);
      pass.push_back(of.pass);
      expert.push_back(static_cast<std::int64_t>(e));
      load.push_back(loads.load[e] * static_cast<double>(of.experts));
      saliency.push_back(importance.saliency.empty() ? kNaN : importance.saliency[e]);
      contribution.push_back(importance.contribution.empty() ? kNaN : importance.contribution[e]);
      depth.push_back(relative_depth);
      ablation.push_back(of.trace.ablation_nll.empty()
                             ? kNaN
                             : of.trace.ablation_nll[of.row * of.trace.experts + std::int64_t(e)]);
      subjects.push_back({.row = int(of.row), .expert = int(e)});
      const bool chosen = load.back() > 0;
      unchosen += !chosen;
      dropped += chosen && choices.kept[e] == 0;
      untried += chosen && std::isnan(ablation.back());
    }
  }
};

// Of the experts that have a place on a log axis of x, and on that of y where it is one.
Points points_of(const ExpertRows& rows, const std::vector<double>& x, const std::vector<double>& y,
                 bool log_y) {
  Points points;
  points.colours = depth_colours();
  for (std::size_t i = 0; i < rows.saliency.size(); ++i) {
    if (!(x[i] > 0) || std::isnan(y[i]) || (log_y && !(y[i] > 0))) { continue; }
    points.x.push_back(x[i]);
    points.y.push_back(y[i]);
    points.value.push_back(static_cast<float>(rows.depth[i]));
    points.subjects.push_back(rows.subjects[i]);
  }
  return points;
}

constexpr const char* kLoad = "Load: share of assignments over 1/E (1: even)";
constexpr const char* kSaliency = "Saliency: mean of weight × output norm";

// Why there is no saliency; "" where there is.
std::string no_saliency_because(const Trace& trace) {
  const std::string nothing = nothing_because(trace);
  if (!nothing.empty() || !trace.expert_output_norm.empty()) { return nothing; }
  return "nothing to show: the norms of the experts' outputs were not recorded";
}

Panel saliency_panel(const Trace& trace, const ExpertRows& rows) {
  Panel panel;
  panel.x.name = kLoad;
  panel.x.scale = Scale::log;
  panel.y.name = kSaliency;
  panel.y.scale = Scale::log;
  panel.references.push_back({1, true, ""});
  panel.empty = no_saliency_because(trace);
  panel.points.push_back(points_of(rows, rows.load, rows.saliency, true));
  return panel;
}

// ΔNLL over load and, beside it, over saliency.
std::vector<Panel> ablation_panels(const Trace& trace, const ExpertRows& rows) {
  std::vector<Panel> panels(2);
  const std::vector<double>* x[] = {&rows.load, &rows.saliency};
  for (std::size_t i = 0; i < panels.size(); ++i) {
    Panel& panel = panels[i];
    panel.x.name = i == 0 ? kLoad : kSaliency;
    panel.x.scale = Scale::log;
    panel.y.name = "ΔNLL without the expert";
    panel.y.unit = "nats per token";
    panel.empty = i == 0 ? nothing_because(trace) : no_saliency_because(trace);
    if (panel.empty.empty()) { panel.empty = "nothing to show: no expert was tried"; }
    panel.references.push_back({0, false, ""});
    if (i == 0) { panel.references.push_back({1, true, ""}); }
    panel.points.push_back(points_of(rows, *x[i], rows.ablation, false));
    panel.beside = i == 1;
  }
  return panels;
}

std::string experts_text(std::int64_t count) {
  return count_text(count) + (count == 1 ? " expert" : " experts");
}

// Which experts have no point, and why.
std::string points_note(const ExpertRows& rows, bool ablation) {
  const std::string head = "One point per expert and layer";
  if (!ablation) {
    return head + ", over its kept tokens. Without a kept token, and so without a point: " +
           experts_text(rows.unchosen + rows.dropped) + " over all layers.";
  }
  std::string without;
  const auto add = [&](std::int64_t count, const char* why) {
    if (count > 0) { without += (without.empty() ? "" : ", ") + experts_text(count) + why; }
  };
  add(rows.unchosen, " that no token chose");
  add(rows.untried, " not tried");
  add(rows.dropped, " whose tokens were all dropped, over saliency");
  return without.empty() ? head + "." : head + ". Without a point: " + without + ".";
}

}  // namespace

Figure expert_importance(Traces traces, const FigureChoices&) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "expert-importance");
  ExpertRows rows;
  const std::vector<double> depth = relative_depth(trace);
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    rows.add(TraceLayer(trace, row), depth[row]);
  }
  if (trace.layers > 0 && !trace.ablation_nll.empty()) {
    figure.panels = ablation_panels(trace, rows);
  } else {
    figure.panels.push_back(saliency_panel(trace, rows));
  }
  Table table;
  table.rows = std::ssize(rows.expert);
  table.columns = {
      {"layer", std::move(rows.layer)},       {"pass", std::move(rows.pass)},
      {"expert", std::move(rows.expert)},     {"load_over_even", std::move(rows.load)},
      {"saliency", std::move(rows.saliency)}, {"contribution", std::move(rows.contribution)}};
  if (!trace.ablation_nll.empty()) {
    table.columns.push_back({"ablation_nll", std::move(rows.ablation)});
  }
  figure.tables.push_back(std::move(table));
  figure.notes.push_back(points_note(rows, !trace.ablation_nll.empty()));
  return figure;
}

}  // namespace kappascope::figures
