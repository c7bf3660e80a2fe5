#include <algorithm>
#include <cmath>

#include "core/figure/empty_cells.h"
#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/layer.h"
#include "core/stats/maps.h"
#include "core/stats/router.h"
#include "core/stats/summary.h"

namespace kappascope::figures {
namespace {

std::string with_mean_loss(const std::string& run, const Trace& trace) {
  const char* const of = trace.only_assistant ? " (mean of the assistant's tokens " : " (mean ";
  return run + of + number_text(mean_nll_of(trace).value()) + " nats)";
}

}  // namespace

Figure loss(Traces traces, const FigureChoices& choices) {
  std::int64_t longest = 0;
  for (const Trace* trace : traces) { longest = std::max(longest, trace->tokens); }
  const std::int64_t window = std::clamp<std::int64_t>(longest / 20, 5, 101) | 1;
  Figure figure = start_figure(traces, "loss");
  Panel panel;
  panel.x = token_axis(*traces[0]);
  panel.x.name = "Token position";
  panel.x.scale = Scale::linear;
  panel.x.integer = true;
  for (const Trace* trace : traces) {  // positions alone, of the longest
    if (trace->token_text != traces[0]->token_text) {
      panel.x.names.assign(static_cast<std::size_t>(longest), "");
    }
  }
  panel.y.name = "Negative log-likelihood";
  panel.y.unit = "nats";
  panel.empty = "nothing to show: no token has a predecessor";
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const Trace& trace = *traces[i];
    Line each, mean;
    each.colour = mean.colour = static_cast<int>(i);
    mean.dash = static_cast<int>(i);
    each.weight = Line::Weight::faint;
    mean.name = with_mean_loss(choices.runs[i], trace);
    for (std::int64_t t = 0; t < trace.tokens; ++t) { each.x.push_back(static_cast<double>(t)); }
    mean.x = each.x;
    each.y.assign(trace.nll.begin(), trace.nll.end());
    mean.y = running_mean(trace.nll, window);
    for (Line* line : {&each, &mean}) { line->y.resize(line->x.size(), kNaN); }
    Table table;
    table.rows = trace.tokens;
    table.columns = token_columns(trace);
    table.columns.push_back({"nll", std::vector<float>(trace.nll.begin(), trace.nll.end())});
    table.columns.push_back({"nll_running_mean", mean.y});
    figure.tables.push_back(std::move(table));
    if (traces.size() <= 2) { panel.lines.push_back(std::move(each)); }
    panel.lines.push_back(std::move(mean));
  }
  figure.panels.push_back(std::move(panel));
  figure.notes.push_back(
      std::string(traces.size() <= 2 ? "Pale: each token. Strong: " : "Lines: ") + "mean over " +
      std::to_string(window) + " tokens around it.");
  return figure;
}

Figure router_confidence(Traces traces, const FigureChoices&) {
  Figure figure = start_figure(traces, "router-confidence");
  add_layer_tokens(figure, *traces[0], layer_token_values(*traces[0], traces[0]->router_top1_prob),
                   confidence_colours(), "router_top1_prob");
  return figure;
}

// "1 of 360": the near ties among the choices with a margin in these layers and of these tokens; ""
// where none has one.
std::string near_ties_text(const Trace& trace, const FigureChoices& shown) {
  const TokenRange part = shown.tokens.all() ? TokenRange{0, trace.tokens - 1} : shown.tokens;
  std::int64_t ties = 0, choices = 0;
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    if (!shown.layers.empty() &&
        !std::binary_search(shown.layers.begin(), shown.layers.end(), trace.layer_index[row])) {
      continue;
    }
    for (std::int64_t t = part.first; t <= std::min(part.last, trace.tokens - 1); ++t) {
      const float margin = trace.router_margin[row * trace.tokens + t];
      ties += trace.is_near_tie(margin);
      choices += std::isnan(margin) ? 0 : 1;
    }
  }
  return choices == 0 ? "" : count_text(ties) + " of " + count_text(choices);
}

Figure router_margin(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "router-margin");
  LayerMap map = layer_token_values(trace, trace.router_margin);
  ColourScale colours = margin_colours(trace);
  colours.no_value = empty_margin_cells(trace, map);
  add_layer_tokens(figure, trace, std::move(map), std::move(colours), "router_margin");
  if (const std::string ties = near_ties_text(trace, choices); !ties.empty()) {
    figure.notes.push_back(ties + " choices are near ties (margin < " +
                           number_text(trace.near_tie) +
                           ", all in the palest colour): rounding may flip them.");
  }
  return figure;
}

Figure router_entropy(Traces traces, const FigureChoices&) {
  Figure figure = start_figure(traces, "router-entropy");
  add_layer_tokens(figure, *traces[0], layer_token_values(*traces[0], traces[0]->router_entropy),
                   entropy_colours(), "router_entropy");
  return figure;
}

Figure router_probability(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  if (trace.layers == 0) {
    Figure figure = start_figure(traces, "router-probability");
    Panel panel = cell_panel(token_axis(trace), expert_axis(0), {}, {});
    panel.empty = nothing_because(trace);
    figure.panels.push_back(std::move(panel));
    figure.tables = {
        empty_table({"expert", "token", "token_text", "router_probability", "chosen"})};
    return figure;
  }
  const TraceLayer layer(trace, chosen_layer(trace, choices), LayerTokens::all);
  Figure figure = start_figure(traces, "router-probability", ", " + layer_label(trace, layer.row));
  figure.row = layer.row;
  LayerMap map;
  map.rows = layer.experts;
  map.columns = layer.tokens;
  map.values = router_probability(layer);
  ColourScale colours;
  colours.label = "Routing probability";
  std::vector<std::uint32_t> chosen;
  std::vector<std::int64_t> is_chosen(map.values.size(), 0);
  for (std::int64_t i = 0; i < layer.tokens * layer.slots; ++i) {
    if (layer.expert(i) < 0) { continue; }
    const std::int64_t cell = layer.expert(i) * layer.tokens + i / layer.slots;
    chosen.push_back(static_cast<std::uint32_t>(cell));
    is_chosen[cell] = 1;
  }
  Table table;
  table.rows = map.rows * map.columns;
  table.columns = {index_column("expert", map.rows, map.columns)};
  for (Column& column : token_columns(trace)) { table.columns.push_back(std::move(column)); }
  table.columns.push_back({"router_probability", map.values});
  table.columns.push_back({"chosen", std::move(is_chosen)});
  figure.tables.push_back(std::move(table));
  Panel panel = cell_panel(token_axis(trace), expert_axis(layer.experts), std::move(map), colours);
  panel.empty = trace.tokens == 0 ? nothing_because(trace) : "";
  if (!trace.router_score) {
    panel.empty = "nothing to show: the trace does not say what the router's probability is of";
  }
  if (chosen.size() <= kMostOutlines) {
    panel.heat_map[0].outlined = std::move(chosen);
    panel.heat_map[0].outline_name = "chosen";
  } else {
    figure.notes.push_back("Chosen cells are too many to be marked; the CSV names them.");
  }
  figure.panels.push_back(std::move(panel));
  return figure;
}

}  // namespace kappascope::figures
