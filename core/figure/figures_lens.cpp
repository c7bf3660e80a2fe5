// What the residual stream after each layer predicts.
#include <algorithm>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/lens.h"

namespace kappascope::figures {
namespace {

constexpr double kLensRowHeight = 3.2, kLensLeast = 20, kLensMost = 160;  // mm

FigureAxis lens_axis(const Trace& trace) {
  FigureAxis axis = layer_axis(trace.lens_layer_index, trace.lens_pass_index);
  axis.subjects = recorded_rows_of_lens(trace);
  return axis;
}

std::string lens_text(const Trace& trace, std::size_t at) {
  const std::string text = token_label(trace.lens_token_text[at]);
  return text.empty() ? "id " + std::to_string(trace.lens_token_id[at]) : text;
}

Table lens_table(const Trace& trace) {
  const auto integers = [](std::span<const std::int32_t> values) {
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  Table table;
  table.rows = trace.lens_layers * trace.tokens;
  table.columns = {{"layer", integers(trace.lens_layer_index), trace.tokens},
                   {"pass", integers(trace.lens_pass_index), trace.tokens}};
  for (Column& column : token_columns(trace)) { table.columns.push_back(std::move(column)); }
  table.columns.push_back({"lens_token_id", integers(trace.lens_token_id)});
  table.columns.push_back({"lens_token_text", trace.lens_token_text});
  table.columns.push_back({"lens_probability", lens_probability(trace).values});
  const auto& logprob = trace.lens_logprob;
  table.columns.push_back({"lens_logprob", std::vector<float>(logprob.begin(), logprob.end())});
  table.columns.push_back({"lens_target_rank", integers(trace.lens_target_rank)});
  return table;
}

// Frames the cells that predict the token that follows.
void outline_right_ones(Figure& figure, const Trace& trace) {
  std::vector<std::uint32_t> right;
  for (std::size_t i = 0; i < trace.lens_target_rank.size(); ++i) {
    if (trace.lens_target_rank[i] == 0) { right.push_back(std::uint32_t(i)); }
  }
  if (right.size() > kMostOutlines) {
    figure.notes.push_back("Cells that predict the next token are too many to be marked.");
    return;
  }
  HeatMap& map = figure.panels[0].heat_map[0];
  map.outlined = std::move(right);
  map.outline_name = "predicts the token that follows";
}

}  // namespace

Figure logit_lens(Traces traces, const FigureChoices& choices) {
  const Trace& trace = *traces[0];
  Figure figure =
      start_figure(traces, "logit-lens", choices.by_rank ? ": rank of the token that follows" : "");
  if (trace.lens_layers == 0) {
    Panel panel = cell_panel(token_axis(trace), layer_axis(trace), {}, {});
    panel.empty = "nothing to show: a run with Lens (run --lens) records what it shows";
    figure.panels = {std::move(panel)};
    figure.tables = {
        empty_table({"layer", "pass", "token", "token_text", "lens_token_id", "lens_token_text",
                     "lens_probability", "lens_logprob", "lens_target_rank"})};
    return figure;
  }
  Panel panel = cell_panel(token_axis(trace), lens_axis(trace),
                           choices.by_rank ? lens_place(trace) : lens_probability(trace),
                           choices.by_rank ? lens_place_colours() : lens_probability_colours());
  panel.height_mm = std::clamp(kLensRowHeight * double(trace.lens_layers), kLensLeast, kLensMost);
  HeatMap& map = panel.heat_map[0];
  for (std::size_t i = 0; i < trace.lens_token_id.size(); ++i) {
    map.texts.push_back(lens_text(trace, i));
  }
  panel.empty = "nothing to show: one token has none that follows";
  figure.panels = {std::move(panel)};
  figure.tables = {lens_table(trace)};
  figure.notes.push_back(
      "In the cells: the likeliest next token where final norm and head are applied to the "
      "residual "
      "stream after the layer.");
  outline_right_ones(figure, trace);
  return figure;
}

}  // namespace kappascope::figures
