#include <cmath>

#include "core/figure/empty_cells.h"
#include "core/figure/figures.h"
#include "core/figure/parts.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/gates.h"
#include "core/stats/maps.h"
#include "core/trace/meta.h"

namespace kappascope::figures {
namespace {

Figure gate_map(Traces traces, const FigureChoices& choices, std::string_view id,
                std::span<const float> array, ColourScale colours, const std::string& value) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, id);
  if (choices.by_expert) {
    figure.title += ", by expert";
    LayerMap map = layer_expert_mean(trace, array);
    colours.no_value = empty_expert_cells(trace, map);
    add_layer_experts(figure, trace, std::move(map), std::move(colours), value);
  } else {
    LayerMap map = layer_token_mean(trace, array);
    colours.no_value = empty_slot_cells(trace, map);
    add_layer_tokens(figure, trace, std::move(map), std::move(colours), value);
  }
  return figure;
}

}  // namespace

Figure gate_sharpness(Traces traces, const FigureChoices& choices) {
  return gate_map(traces, choices, "gate-sharpness", traces[0]->gate_kz_rms, sharpness_colours(),
                  "gate_kz_rms");
}

Figure gate_active(Traces traces, const FigureChoices& choices) {
  const std::string limit = number_text(trace_threshold(*traces[0], "gate_active", 0.1));
  ColourScale colours;
  colours.label = "Share of gate units with |a| > " + limit;
  colours.low_note = "sparse";
  colours.high_note = "dense";
  return gate_map(traces, choices, "gate-active", traces[0]->gate_active_fraction, colours,
                  "gate_active_fraction");
}

Figure gate_top16(Traces traces, const FigureChoices& choices) {
  const std::string top = number_text(trace_threshold(*traces[0], "gate_top", 16));
  ColourScale colours;
  colours.label = "Share of the " + top + " largest |a| in the sum of |a|";
  colours.low_note = "spread out";
  colours.high_note = "concentrated";
  return gate_map(traces, choices, "gate-top16", traces[0]->gate_top16_share, colours,
                  "gate_top16_share");
}

Figure gate_saturation(Traces traces, const FigureChoices&) {
  const Trace& trace = *traces[0];
  Figure figure = start_figure(traces, "gate-saturation");
  Panel panel;
  panel.x = layer_axis(trace);
  panel.y.name = "Share of gate units";
  panel.y.low = 0;
  panel.y.high = 1;
  panel.empty = nothing_because(trace);
  StackedBars stack;
  stack.names = {"linear, |κz| < 1", "knee", "saturated, |κz| > 4"};
  stack.colours = {10, 2, 0};  // pale to dark: distinct in grey, too
  stack.values.resize(3);
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const GateShares shares = gate_shares(TraceLayer(trace, row));
    stack.position.push_back(static_cast<double>(row));
    stack.values[0].push_back(shares.linear);
    stack.values[1].push_back(shares.knee);
    stack.values[2].push_back(shares.saturated);
  }
  Table table;
  table.rows = trace.layers;
  table.columns = layer_columns(trace, 1);
  table.columns.push_back({"gate_linear_fraction", stack.values[0]});
  table.columns.push_back({"gate_knee_fraction", stack.values[1]});
  table.columns.push_back({"gate_saturated_fraction", stack.values[2]});
  figure.tables.push_back(std::move(table));
  panel.stacks.push_back(std::move(stack));
  figure.panels.push_back(std::move(panel));
  figure.notes.push_back("Means over kept (token, slot).");
  return figure;
}

}  // namespace kappascope::figures
