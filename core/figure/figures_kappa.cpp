#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/figure/empty_cells.h"
#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/bands.h"
#include "core/stats/each_layer.h"
#include "core/stats/kappa.h"
#include "core/stats/kappa_curves.h"
#include "core/stats/kappa_histogram.h"
#include "core/stats/maps.h"

namespace kappascope::figures {
namespace {

std::string mean_not_exact(const Trace& trace) {
  return approximate_because(trace) +
         "so the recorded mean of κ over gates takes the place of their geometric mean, which is "
         "never larger.";
}

void add_kappa_one(Panel& panel) {
  panel.references.push_back({1, false, "κ = 1: SiLU"});
}

// κ of every recorded layer as a line with its band.
struct DepthLine {
  Line line;
  bool exact = true;
  double rank_error = 0;
};

DepthLine depth_line(const Trace& trace, Progress* progress) {
  DepthLine result;
  result.line.x = relative_depth(trace);
  std::vector<KappaBand> bands(static_cast<std::size_t>(trace.layers));
  for_each_layer(trace.layers, progress, [&](std::int64_t row) {
    bands[row] = kappa_over_entries(TraceLayer(trace, row));
  });
  for (const KappaBand& band : bands) {
    result.line.y.push_back(band.band.mean);
    result.line.low.push_back(band.band.p05);
    result.line.high.push_back(band.band.p95);
    result.exact = result.exact && band.exact;
    result.rank_error = std::max(result.rank_error, band.rank_error);
  }
  return result;
}

Table depth_table(const Trace& trace, const Line& line) {
  Table table;
  table.rows = trace.layers;
  table.columns = layer_columns(trace, 1);
  table.columns.push_back({"relative_depth", line.x});
  table.columns.push_back({"kappa_geometric_mean", line.y});
  table.columns.push_back({"kappa_p05", line.low});
  table.columns.push_back({"kappa_p95", line.high});
  return table;
}

// Outline between the first and the last bin that holds anything.
Violin violin_of(const KappaDensity& density, const KappaBand& band, std::int64_t position) {
  Violin violin;
  violin.position = static_cast<double>(position);
  violin.low = band.band.p05;
  violin.middle = band.band.p50;
  violin.high = band.band.p95;
  std::size_t first = 0, last = density.counts.size();
  while (first < last && density.counts[first] == 0) { ++first; }
  while (last > first && density.counts[last - 1] == 0) { --last; }
  for (std::size_t i = first; i < last; ++i) {
    violin.value.push_back(std::sqrt(density.edges[i] * density.edges[i + 1]));
    violin.density.push_back(density.density[i]);
  }
  if (first < last) {  // ends are at the edges of their bins
    violin.value.insert(violin.value.begin(), density.edges[first]);
    violin.density.insert(violin.density.begin(), 0);
    violin.value.push_back(density.edges[last]);
    violin.density.push_back(0);
  }
  return violin;
}

// κ of one layer, or of one expert of it.
struct Distribution {
  KappaDensity density;
  KappaBand band;
  KappaBounds bounds;
  bool set_by_run = false;
};

Distribution distribution_of(const TraceLayer& layer, std::int64_t expert = -1) {
  const KappaFunction kappa = kappa_function(layer);
  return {kappa_density(layer, kappa, expert), kappa_band(layer, kappa, expert),
          kappa_bounds(layer, expert), kappa_set_by_run(layer, expert).has_value()};
}

// Violins side by side and the numbers behind them.
struct Distributions {
  std::vector<double> lower, upper, share, low, middle, high;
  std::vector<std::int64_t> counts;
  bool exact = true;
  double rank_error = 0;

  void add(Panel& panel, const Distribution& one) {
    const KappaDensity& density = one.density;
    const KappaBand& band = one.band;
    exact = exact && band.exact;
    rank_error = std::max(rank_error, band.rank_error);
    panel.violins.push_back(violin_of(density, band, std::ssize(panel.violins)));
    if (band.exact && band.band.p05 == band.band.p95 && one.set_by_run) {
      panel.violins.back().value.clear();  // a bin is wide, one number is not
      panel.violins.back().density.clear();
    }
    low.push_back(band.band.p05);
    middle.push_back(band.band.p50);
    high.push_back(band.band.p95);
    for (std::size_t i = 0; i < 64; ++i) {
      const bool there = i < density.counts.size();
      lower.push_back(there ? density.edges[i] : kNaN);
      upper.push_back(there ? density.edges[i + 1] : kNaN);
      counts.push_back(there ? density.counts[i] : 0);
      share.push_back(there ? density.density[i] : kNaN);
    }
  }

  // The columns that name the rows of bins (64 per violin) and of bands are the first.
  void add_tables(Figure& figure, std::vector<Column> of_bins, std::vector<Column> of_bands) {
    Table bins, bands;
    bins.rows = std::ssize(counts);
    bins.columns = std::move(of_bins);
    bins.columns.push_back({"kappa_from", std::move(lower)});
    bins.columns.push_back({"kappa_to", std::move(upper)});
    bins.columns.push_back({"count", std::move(counts)});
    bins.columns.push_back({"density", std::move(share)});
    bands.rows = std::ssize(low);
    bands.columns = std::move(of_bands);
    bands.columns.push_back({"kappa_p05", std::move(low)});
    bands.columns.push_back({"kappa_p50", std::move(middle)});
    bands.columns.push_back({"kappa_p95", std::move(high)});
    figure.tables = {std::move(bins), std::move(bands)};
  }
};

void add_accuracy(Figure& figure, const Distributions& rows, const Trace& trace) {
  const bool multiplied = !trace.kappa_factor.empty();
  if (!rows.exact && multiplied && trace.corpus) {
    figure.notes.push_back("Not shown where it is multiplied and κ of each gate is not known.");
  } else if (!rows.exact) {
    figure.notes.push_back(band_not_exact(trace));
    if (multiplied) {
      figure.notes.push_back("κ beyond [1/U, U] is counted in the outermost bins.");
    }
  }
  add_rank_error(figure, rows.rank_error);
}

// The one that the choices name, else all of the layer.
std::vector<std::int64_t> shown_experts(const TraceLayer& layer, const FigureChoices& choices) {
  if (choices.expert >= 0) { return {chosen_expert(layer, choices)}; }
  std::vector<std::int64_t> experts(static_cast<std::size_t>(layer.experts));
  std::iota(experts.begin(), experts.end(), 0);
  return experts;
}

}  // namespace

Figure kappa_tokens(Traces traces, const FigureChoices& choices) {
  Figure figure = start_figure(traces, "kappa-tokens");
  LayerMap map = layer_token_kappa(*traces[0], -1, choices.progress);
  if (!map.exact) { figure.notes.push_back(mean_not_exact(*traces[0])); }
  ColourScale colours = token_kappa_colours(map.exact);
  colours.no_value = empty_slot_cells(*traces[0], map);
  add_layer_tokens(figure, *traces[0], std::move(map), colours, "kappa_geometric_mean");
  return figure;
}

Figure kappa_experts(Traces traces, const FigureChoices& choices) {
  Figure figure = start_figure(traces, "kappa-experts");
  LayerMap map = layer_expert_kappa(*traces[0], choices.progress);
  if (!map.exact) { figure.notes.push_back(mean_not_exact(*traces[0])); }
  ColourScale colours =
      kappa_colours(map.exact ? "κ (geometric mean over tokens and gates)"
                              : "κ (geometric mean over tokens of the mean over gates)");
  colours.no_value = empty_expert_cells(*traces[0], map);
  add_layer_experts(figure, *traces[0], std::move(map), colours, "kappa_geometric_mean");
  return figure;
}

Figure kappa_depth(Traces traces, const FigureChoices& choices) {
  Figure figure = start_figure(traces, "kappa-depth");
  Panel panel;
  panel.x.name = "Relative depth";
  panel.y.name = "κ (geometric mean)";
  panel.y.scale = Scale::log;
  panel.empty = nothing_because(*traces[0]);
  add_kappa_one(panel);
  const Trace* inexact = nullptr;
  double first = 1, rank_error = 0;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    NoProgress none;
    PartOfProgress part(choices.progress ? *choices.progress : static_cast<Progress&>(none),
                        Stage::figures, i, traces.size());
    DepthLine depth = depth_line(*traces[i], &part);
    if (!depth.exact && inexact == nullptr) { inexact = traces[i]; }
    rank_error = std::max(rank_error, depth.rank_error);
    figure.tables.push_back(depth_table(*traces[i], depth.line));
    depth.line.colour = depth.line.dash = static_cast<int>(i);
    depth.line.marker = true;
    depth.line.layers = {traces[i]->layer_index.begin(), traces[i]->layer_index.end()};
    depth.line.name = choices.runs[i];
    for (const double x : depth.line.x) { first = std::min(first, x); }
    panel.lines.push_back(std::move(depth.line));
  }
  panel.x.low = first - 0.02;  // layers before the first one with κ would be a blank
  panel.x.high = 1.02;
  figure.panels.push_back(std::move(panel));
  figure.notes.push_back("Depth 0: first layer, 1: last.");
  figure.notes.push_back("Band: 5–95 % of κ over kept (token, slot, gate).");
  if (inexact) { figure.notes.push_back(band_not_exact(*inexact)); }
  add_rank_error(figure, rank_error);
  return figure;
}

Figure kappa_distribution(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "kappa-distribution");
  Panel panel;
  panel.y.name = "κ";
  panel.y.scale = Scale::log;
  panel.empty = nothing_because(trace);
  add_kappa_one(panel);
  Distributions rows;
  std::vector<Distribution> parts;  // at each position
  if (choices.by_expert && trace.layers > 0) {
    const TraceLayer layer(trace, chosen_layer(trace, choices));
    const std::vector<std::int64_t> experts = shown_experts(layer, choices);
    figure.row = layer.row;
    figure.expert = choices.expert;
    figure.title +=
        (choices.expert < 0 ? " of each expert, " : ", ") + layer_label(trace, layer.row);
    if (choices.expert >= 0) { figure.title += ", expert " + std::to_string(choices.expert); }
    panel.x = choices.expert < 0 ? expert_axis(layer.experts) : expert_axis(experts);
    parts.resize(experts.size());
    for_each_layer(std::ssize(experts), choices.progress,
                   [&](std::int64_t i) { parts[i] = distribution_of(layer, experts[i]); });
    for (const Distribution& one : parts) { rows.add(panel, one); }
    rows.add_tables(figure, {{"expert", experts, 64}}, {{"expert", experts, 1}});
  } else {
    figure.title += " in each layer";
    panel.x = layer_axis(trace);
    parts.resize(static_cast<std::size_t>(trace.layers));
    for_each_layer(trace.layers, choices.progress,
                   [&](std::int64_t row) { parts[row] = distribution_of(TraceLayer(trace, row)); });
    for (const Distribution& one : parts) { rows.add(panel, one); }
    const std::vector<Column> expert = {index_column("expert", 0)};
    rows.add_tables(figure, choices.by_expert ? expert : layer_columns(trace, 64),
                    choices.by_expert ? expert : layer_columns(trace, 1));
  }
  std::vector<KappaBounds> bounds;
  for (const Distribution& one : parts) { bounds.push_back(one.bounds); }
  add_bounds(panel, bounds);
  figure.panels.push_back(std::move(panel));
  figure.notes.push_back("Of all kept (token, slot, gate); dot: median, line: 5–95 %.");
  add_accuracy(figure, rows, trace);
  return figure;
}

}  // namespace kappascope::figures
