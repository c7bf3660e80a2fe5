#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/figure/colour.h"
#include "core/figure/empty_cells.h"
#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/maps.h"
#include "core/stats/router.h"

namespace kappascope::figures {
namespace {

constexpr std::int64_t kMostPairs = 64;  // experts shown in a matrix
constexpr double kLeastExpected = 5;     // tokens by chance: with fewer a ratio is chance itself

std::string ordinal(std::int64_t slot) {
  const char* names[] = {"first", "second", "third"};
  return slot < 3 ? names[slot] : std::to_string(slot + 1) + "th";
}

// `most`: the largest value that there can be.
ColourScale even_share(const std::string& label, double most) {
  ColourScale colours;
  colours.kind = ColourKind::diverging;
  colours.log = true;
  colours.centre = 1;
  colours.most = most;
  colours.label = label;
  colours.low_note = "less than even";
  colours.high_note = "more than even";
  colours.under = "none";
  return colours;
}

// K of a layer, whose part of the arrays may be wider.
double choices_per_token(const ExpertLoads& loads) {
  const std::int64_t all =
      std::accumulate(loads.assigned.begin(), loads.assigned.end(), std::int64_t{0});
  return loads.tokens > 0 ? static_cast<double>(all) / static_cast<double>(loads.tokens) : 0;
}

// Ratios of pairs that are expected often enough to say something; the others NaN and counted.
struct TellingPairs {
  std::vector<float> ratio;  // [n,n]
  double most = 1;           // of any of them: both are chosen by all tokens of the rarer one
  std::int64_t rare = 0, pairs = 0;
};

TellingPairs telling_pairs(const Coactivation& all) {
  TellingPairs result;
  const std::size_t n = all.experts.size();
  result.ratio.assign(n * n, kNaN);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      const double expected = all.expected[i * n + j];
      if (i == j) { continue; }
      if (j > i) { ++result.pairs; }
      if (!(expected >= kLeastExpected)) {
        if (j > i) { ++result.rare; }
        continue;
      }
      const std::int64_t rarer = std::min(all.count[i * n + i], all.count[j * n + j]);
      result.most = std::max(result.most, static_cast<double>(rarer) / expected);
      result.ratio[i * n + j] = static_cast<float>(all.ratio[i * n + j]);
    }
  }
  return result;
}

}  // namespace

Figure expert_choice(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  const std::int64_t slot = choices.slot;
  require(slot >= 0 && slot < std::max<std::int64_t>(1, trace.slots), ExitCode::usage,
          {trace.path.string()}, "slot ", slot, ": expected 0 to ", trace.slots - 1);
  Figure figure = start_figure(traces, "expert-choice", ", " + ordinal(slot) + " choice");
  LayerMap map;
  map.rows = trace.layers;
  map.columns = trace.tokens;
  std::vector<double> experts;
  std::vector<std::int16_t> subjects;
  ColourScale colours = expert_colours(trace);
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const TraceLayer layer(trace, row, LayerTokens::all);
    for (std::int64_t t = 0; t < trace.tokens; ++t) {
      const bool known = layer.router_finite(t);  // else NaN or Inf weights spoilt the choice
      if (!known) { colours.no_value = "no expert, or not known"; }
      const std::int64_t e = known ? layer.expert(t * trace.slots + slot) : -1;
      experts.push_back(e < 0 ? kNaN : double(e));
      subjects.push_back(static_cast<std::int16_t>(e));
      map.values.push_back(expert_value(e));
    }
  }
  add_layer_tokens(figure, trace, std::move(map), std::move(colours), "expert");
  figure.tables[0].columns.back().values = std::move(experts);
  figure.panels[0].heat_map[0].number_cells = true;
  figure.panels[0].heat_map[0].experts = std::move(subjects);
  if (figure.panels[0].heat_map[0].colours.has_bar()) {
    figure.notes.push_back(
        "An expert number in one layer has nothing to do with the same number in another, nor with "
        "its neighbours.");
  }
  return figure;
}

Figure expert_load(Traces traces, const FigureChoices&) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "expert-load");
  const LayerMap mass = relative_gate_mass(trace);
  double chosen_by_all = 1, all_mass = 1;  // of an expert: over the even share, over the mean
  std::int64_t unused = 0;
  double by_chance = 0;
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const ExpertLoads loads = expert_loads(TraceLayer(trace, row));
    const auto experts = static_cast<double>(loads.load.size());
    const double choices = choices_per_token(loads);
    if (choices > 0) { chosen_by_all = std::max(chosen_by_all, experts / choices); }
    all_mass = std::max(all_mass, experts);
    if (loads.tokens == 0) { continue; }  // NaN or Inf weights: no choice is known
    unused += loads.unused;
    by_chance += loads.unused_by_chance;
  }
  LayerMap load = relative_load(trace);
  ColourScale colours = even_share("Share of assignments over 1/E", chosen_by_all);
  colours.no_value = empty_load_cells(trace, load);
  add_layer_experts(figure, trace, std::move(load), std::move(colours), "load_over_even");
  figure.panels[0].title = "Load (kept and dropped)";
  figure.tables[0].columns.push_back({"gate_mass_over_mean", mass.values});
  ColourScale of_mass = even_share("Sum of combine weights over its mean", all_mass);
  of_mass.no_value = empty_load_cells(trace, mass);
  Panel panel = cell_panel(expert_axis(mass.columns), layer_axis(trace), mass, std::move(of_mass));
  panel.title = "Gate mass";
  panel.empty = nothing_because(trace);
  figure.panels.push_back(std::move(panel));
  figure.notes.push_back("Experts without a token: " + count_text(unused) + " over all layers; " +
                         number_text(std::round(10 * by_chance) / 10) +
                         " are expected by chance under even routing.");
  return figure;
}

Figure expert_drops(Traces traces, const FigureChoices&) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "expert-drops");
  add_layer_tokens(figure, trace, dropped_slots(trace),
                   dropped_colours(static_cast<double>(trace.slots)), "dropped");
  std::vector<double> rates;
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    rates.push_back(drop_rates(TraceLayer(trace, row)).all);
  }
  Panel side = rate_panel("Drop rate", rates, figure.panels[0].y);
  const std::string no_drops = no_drops_because(trace);
  Table table;
  table.rows = trace.layers;
  table.columns = layer_columns(trace, 1);
  table.columns.push_back({"drop_rate", std::move(rates)});
  figure.tables.push_back(std::move(table));
  if (no_drops.empty()) {
    figure.panels.push_back(std::move(side));
  } else {
    figure.panels.assign(1, Panel{});
    figure.panels[0].empty = no_drops;
  }
  return figure;
}

Figure expert_coactivation(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "expert-coactivation");
  ColourScale colours = even_share("Tokens with both over their number by chance", kNaN);
  colours.low_note = "avoid each other";
  colours.high_note = "seek each other";
  colours.under = "never together";
  colours.no_value = "same expert, or fewer than 5 tokens by chance";
  FigureAxis axis = expert_axis(std::vector<std::int64_t>{});
  LayerMap map;
  bool one_choice = trace.slots < 2, known = true;
  if (trace.layers > 0) {
    const TraceLayer layer(trace, chosen_layer(trace, choices));
    figure.title += ", " + layer_label(trace, layer.row);
    figure.row = layer.row;
    const ExpertLoads loads = expert_loads(layer);
    known = loads.tokens > 0;
    one_choice = choices_per_token(loads) <= 1;
    std::vector<std::int64_t> shown = most_loaded_experts(loads, kMostPairs);
    std::sort(shown.begin(), shown.end());
    const Coactivation pairs = coactivation(layer, shown);
    axis = expert_axis(shown);
    const auto n = static_cast<std::int64_t>(shown.size());
    map.rows = map.columns = n;
    TellingPairs telling = telling_pairs(pairs);
    map.values = std::move(telling.ratio);
    colours.most = telling.most;
    if (known) {
      figure.notes.push_back(count_text(telling.rare) + " of " + count_text(telling.pairs) +
                             " pairs are grey: fewer than 5 tokens with both are expected by "
                             "chance.");
    }
    Table table;
    table.rows = n * n;
    table.columns = {{"expert", shown, n},
                     {"other_expert", shown, 1},
                     {"tokens", pairs.count, 1},
                     {"expected", pairs.expected, 1},
                     {"ratio", pairs.ratio, 1}};
    figure.tables.push_back(std::move(table));
    if (n < layer.experts) {
      figure.notes.push_back("The " + std::to_string(n) + " most loaded of " +
                             count_text(layer.experts) + " experts.");
    }
  }
  if (figure.tables.empty()) {
    figure.tables = {empty_table({"expert", "other_expert", "tokens", "expected", "ratio"})};
  }
  Panel panel = cell_panel(axis, axis, std::move(map), std::move(colours));
  panel.square = true;
  panel.empty = !nothing_because(trace).empty() ? nothing_because(trace)
                : !known                        ? "nothing to show: the choice of no token is known"
                : one_choice
                    ? "nothing to show: every token has one expert"
                    : "nothing to show: too few tokens to expect any two experts together 5 times";
  figure.panels.push_back(std::move(panel));
  return figure;
}

}  // namespace kappascope::figures
