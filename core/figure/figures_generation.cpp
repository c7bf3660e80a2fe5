// What routing has in common from token to token, in a prompt and in what was generated after it.
#include <cmath>

#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/text.h"
#include "core/stats/phases.h"

namespace kappascope::figures {
namespace {

// One part of the text over depth.
struct PhaseLines {
  std::vector<double> overlap, chance, hot_share;  // [M]
  std::vector<std::int64_t> hot_set;
  std::int64_t tokens = 0;

  void add(const PhaseStatistics& of, std::int64_t experts) {
    overlap.push_back(of.neighbour_overlap);
    chance.push_back(of.neighbour_chance);
    hot_set.push_back(of.hot_set);
    hot_share.push_back(of.tokens > 0 ? double(of.hot_set) / double(experts) : kNaN);
    tokens = of.tokens;
  }
};

Line line_of(const Trace& trace, const std::vector<double>& y, const char* name, int colour) {
  Line line;
  line.marker = true;
  line.x = relative_depth(trace);
  line.layers = {trace.layer_index.begin(), trace.layer_index.end()};
  line.y = y;
  line.colour = colour;
  line.name = name;
  return line;
}

Panel panel_of(const Trace& trace, const char* name) {
  Panel panel;
  panel.x.name = "Relative depth";
  panel.y.name = name;
  panel.y.low = 0;
  panel.y.high = 1;
  panel.empty = nothing_because(trace);
  if (panel.empty.empty() && trace.phase.empty()) {
    panel.empty = "nothing to show: nothing of the text was generated (kappascope generate)";
  }
  return panel;
}

Table table_of(const Trace& trace, const PhaseLines& prompt, const PhaseLines& generated) {
  Table table;
  table.rows = trace.phase.empty() ? 0 : trace.layers;
  if (table.rows == 0) {
    return empty_table({"layer", "pass", "relative_depth", "prompt_overlap", "prompt_by_chance",
                        "prompt_hot_set", "generated_overlap", "generated_by_chance",
                        "generated_hot_set"});
  }
  table.columns = layer_columns(trace, 1);
  table.columns.push_back({"relative_depth", relative_depth(trace)});
  table.columns.push_back({"prompt_overlap", prompt.overlap});
  table.columns.push_back({"prompt_by_chance", prompt.chance});
  table.columns.push_back({"prompt_hot_set", prompt.hot_set});
  table.columns.push_back({"generated_overlap", generated.overlap});
  table.columns.push_back({"generated_by_chance", generated.chance});
  table.columns.push_back({"generated_hot_set", generated.hot_set});
  return table;
}

}  // namespace

Figure decode_overlap(Traces traces, const FigureChoices&) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "decode-overlap");
  PhaseLines prompt, generated;
  for (std::int64_t row = 0; row < trace.layers && !trace.phase.empty(); ++row) {
    const TraceLayer layer(trace, row);
    const std::optional<PhasesOfLayer> phases = phase_statistics(layer);
    prompt.add(phases->prompt, layer.experts);
    generated.add(phases->generated, layer.experts);
  }
  Panel overlap = panel_of(trace, "Chosen by the next token, too (share)");
  Panel hot = panel_of(trace, "Hot set (share of experts)");
  hot.below = true;
  hot.share = 0.6;
  const bool shown = overlap.empty.empty();
  if (shown) {
    overlap.lines = {line_of(trace, prompt.overlap, "prompt", 0),
                     line_of(trace, generated.overlap, "generated", 1),
                     line_of(trace, prompt.chance, "prompt, by chance", 0),
                     line_of(trace, generated.chance, "generated, by chance", 1)};
    overlap.lines[2].dash = overlap.lines[3].dash = 1;
    hot.lines = {line_of(trace, prompt.hot_share, "prompt", 0),
                 line_of(trace, generated.hot_share, "generated", 1)};
    figure.notes.push_back("Of " + count_text(prompt.tokens) + " tokens of the prompt and " +
                           count_text(generated.tokens) +
                           " generated; pairs of tokens are within one of the two. Hot set: the "
                           "experts with 90 % of the assignments.");
  }
  figure.tables = {table_of(trace, prompt, generated)};
  figure.panels = {std::move(overlap)};
  if (shown) { figure.panels.push_back(std::move(hot)); }  // else the same reason twice
  return figure;
}

}  // namespace kappascope::figures
