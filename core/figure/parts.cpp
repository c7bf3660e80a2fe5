#include "core/figure/parts.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/figure/text.h"
#include "core/stats/router.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

bool several_passes(std::span<const std::int32_t> pass_index) {
  return std::any_of(pass_index.begin(), pass_index.end(),
                     [](std::int32_t pass) { return pass > 0; });
}

Table cell_table(std::vector<Column> columns, const LayerMap& map, const std::string& value) {
  Table table;
  table.rows = map.rows * map.columns;
  table.columns = std::move(columns);
  table.columns.push_back({value, map.values});
  return table;
}

}  // namespace

std::string layer_label(const Trace& trace, std::int64_t row) {
  const auto at = static_cast<std::size_t>(row);
  const std::string text = "layer " + std::to_string(trace.layer_index[at]);
  return several_passes(trace.pass_index) ? text + ", pass " + std::to_string(trace.pass_index[at])
                                          : text;
}

namespace {

void add_provenance(Figure& figure, const Trace& trace, const std::string& number) {
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) { figure.provenance.emplace_back(key + number, value); }
  };
  add("model", model_label(trace));
  const std::filesystem::path text = text_of(meta_at(trace, "document", "source"));
  add("text", text.filename().string());
  add("text_sha256", text_of(meta_at(trace, "document", "sha256")));
  for (const char* key : {"tool_version", "config_sha256", "tensor_directory_sha256"}) {
    add(key, text_of(meta_at(trace, key)));
  }
}

}  // namespace

Figure start_figure(Traces traces, std::string_view id, const std::string& about) {
  const FigureEntry& entry = figure_entry(id);
  Figure figure;
  figure.id = id;
  figure.title = std::string(entry.title) + about;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    add_provenance(figure, *traces[i], traces.size() == 1 ? "" : " " + std::to_string(i + 1));
  }
  return figure;
}

FigureAxis layer_axis(const Trace& trace) {
  return layer_axis(trace.layer_index, trace.pass_index);
}

FigureAxis layer_axis(std::span<const std::int32_t> layer_index,
                      std::span<const std::int32_t> pass_index) {
  FigureAxis axis;
  axis.scale = Scale::category;
  const bool passes = several_passes(pass_index);
  axis.name = passes ? "Pass : layer" : "Layer";
  axis.number_when_crowded = !passes;
  for (std::size_t row = 0; row < layer_index.size(); ++row) {
    const std::string layer = std::to_string(layer_index[row]);
    axis.names.push_back(passes ? std::to_string(pass_index[row]) + " : " + layer : layer);
    // Numbers may replace the names only where they are the same.
    axis.number_when_crowded &= layer_index[row] - layer_index[0] == static_cast<std::int32_t>(row);
  }
  if (!layer_index.empty()) { axis.first_number = layer_index[0]; }
  axis.subject = AxisSubject::recorded_layer;
  return axis;
}

FigureAxis token_axis(const Trace& trace) {
  FigureAxis axis{"Token", "", Scale::category};
  axis.number_when_crowded = true;
  for (std::int64_t t = 0; t < trace.tokens; ++t) {
    const auto at = static_cast<std::size_t>(t);
    axis.names.push_back(at < trace.token_text.size() ? token_label(trace.token_text[at])
                                                      : std::to_string(t));
  }
  axis.subject = AxisSubject::token;
  return axis;
}

FigureAxis expert_axis(std::int64_t experts) {
  FigureAxis axis{"Expert", "", Scale::category};
  axis.number_when_crowded = true;
  for (std::int64_t e = 0; e < experts; ++e) { axis.names.push_back(std::to_string(e)); }
  axis.subject = AxisSubject::expert;
  return axis;
}

FigureAxis expert_axis(const std::vector<std::int64_t>& experts) {
  FigureAxis axis{"Expert", "", Scale::category};
  for (const std::int64_t e : experts) { axis.names.push_back(std::to_string(e)); }
  axis.subject = AxisSubject::expert;
  axis.subjects = experts;
  return axis;
}

std::int64_t chosen_layer(const Trace& trace, const FigureChoices& choices) {
  if (choices.layer < 0 && choices.pass == 0) { return middle_row(trace); }
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const auto at = static_cast<std::size_t>(row);
    const bool layer = choices.layer < 0 || trace.layer_index[at] == choices.layer;
    if (layer && trace.pass_index[at] == choices.pass) { return row; }
  }
  require(choices.layer >= 0, ExitCode::usage, {trace.path.string()}, "pass ", choices.pass,
          ": none such was recorded");
  std::string recorded;
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    recorded += (row ? "; " : "") + layer_label(trace, row);
  }
  fail(ExitCode::usage, {trace.path.string()}, "layer ", choices.layer, ", pass ", choices.pass,
       ", is not a recorded MoE layer; expected one of ", recorded);
}

std::int64_t chosen_expert(const TraceLayer& layer, const FigureChoices& choices) {
  if (choices.expert >= 0) {
    require(choices.expert < layer.experts, ExitCode::usage, {layer.trace.path.string()}, "expert ",
            choices.expert, "; expected 0 to ", layer.experts - 1);
    return choices.expert;
  }
  const auto loads = expert_loads(layer);
  const auto most = most_loaded_experts(loads, 1);
  return most.empty() || loads.assigned[most[0]] == 0 ? -1 : most[0];
}

std::string nothing_because(const Trace& trace) {
  if (trace.layers == 0) { return "nothing to show: no MoE layer was recorded"; }
  if (trace.corpus) { return ""; }
  if (trace.tokens == 0) { return "nothing to show: the text has no tokens"; }
  const bool any = std::any_of(trace.expert_kept.begin(), trace.expert_kept.end(),
                               [](std::uint8_t kept) { return kept != 0; });
  return any ? "" : "nothing to show: every assignment was dropped";
}

std::string no_drops_because(const Trace& trace) {
  return without_capacity(trace)
             ? "nothing to show: without a capacity limit no assignment is dropped"
             : nothing_because(trace);
}

std::vector<Column> layer_columns(const Trace& trace, std::int64_t repeat) {
  const auto as_integers = [](std::span<const std::int32_t> values) {
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  return {{"layer", as_integers(trace.layer_index), repeat},
          {"pass", as_integers(trace.pass_index), repeat}};
}

std::vector<Column> token_columns(const Trace& trace) {
  return {index_column("token", trace.tokens), {"token_text", trace.token_text}};
}

Column index_column(std::string name, std::int64_t size, std::int64_t repeat) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < size; ++i) { values.push_back(i); }
  return {std::move(name), std::move(values), repeat};
}

Table empty_table(std::initializer_list<const char*> columns) {
  Table table;
  for (const char* name : columns) { table.columns.push_back({name, std::vector<double>{}}); }
  return table;
}

std::string approximate_because(const Trace& trace) {
  return kappa_follows_gate(trace)
             ? "Approximate: κ follows from the gates' own pre-activations z, "
             : "Approximate: model.npz is not beside the trace, ";
}

std::string band_not_exact(const Trace& trace) {
  return approximate_because(trace) + (trace.corpus ? "so the band is" : "so band and mean are") +
         " read off 64 bins of ln κ.";
}

Line bound_line(const std::vector<KappaBounds>& bounds, bool upper, bool steps,
                const std::string& name) {
  Line line;
  line.weight = Line::Weight::thin;
  line.colour = -1;
  line.dash = 2;
  line.name = name;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const auto at = static_cast<double>(i);
    const double value = upper ? bounds[i].upper : bounds[i].lower;
    if (!steps) {
      line.x.push_back(at);
      line.y.push_back(value);
      continue;
    }
    line.x.insert(line.x.end(), {at - 0.45, at + 0.45, at + 0.5});
    line.y.insert(line.y.end(), {value, value, kNaN});
  }
  return line;
}

void add_bounds(Panel& panel, const std::vector<KappaBounds>& bounds) {
  const auto same = [&](const KappaBounds& other) {
    return other.lower == bounds[0].lower && other.upper == bounds[0].upper;
  };
  const auto any = [](const KappaBounds& one) { return one.any(); };
  if (std::none_of(bounds.begin(), bounds.end(), any)) { return; }
  if (std::all_of(bounds.begin(), bounds.end(), same)) {
    const double factor = bounds[0].factor;
    const std::string times = number_text(factor);
    const char* most = "κ at most";
    const char* least = "κ at least";
    panel.references.push_back({bounds[0].upper, false,
                                factor == 1          ? "U"
                                : std::isnan(factor) ? most
                                                     : times + "·U"});
    panel.references.push_back({bounds[0].lower, false,
                                factor == 1          ? "1/U"
                                : std::isnan(factor) ? least
                                                     : times + "/U"});
    return;
  }
  panel.lines.push_back(bound_line(bounds, true, true, "bounds of κ in force"));
  panel.lines.push_back(bound_line(bounds, false, true, ""));
}

void add_rank_error(Figure& figure, double rank_error) {
  if (rank_error > 0) {
    figure.notes.push_back("Quantiles: ranks may be off by up to " + number_text(100 * rank_error) +
                           " % of the values.");
  }
}

Panel cell_panel(FigureAxis x, FigureAxis y, LayerMap map, ColourScale colours) {
  Panel panel;
  panel.x = std::move(x);
  panel.y = std::move(y);
  HeatMap cells;
  cells.rows = map.rows;
  cells.columns = map.columns;
  cells.cells = std::move(map.values);
  cells.colours = std::move(colours);
  panel.heat_map.push_back(std::move(cells));
  return panel;
}

Panel rate_panel(const std::string& name, const std::vector<double>& shares,
                 const FigureAxis& layers) {
  Panel panel;
  panel.beside = true;
  panel.share = 0.22;
  panel.x.name = name;
  panel.x.unit = "%";
  panel.x.low = 0;
  panel.y = layers;
  Bars bars;
  bars.horizontal = true;
  bool any = false;
  for (std::size_t row = 0; row < shares.size(); ++row) {
    bars.position.push_back(static_cast<double>(row));
    bars.value.push_back(100 * shares[row]);
    any = any || shares[row] > 0;
  }
  if (!any) { panel.x.high = 1; }
  panel.bars.push_back(std::move(bars));
  return panel;
}

void add_layer_tokens(Figure& figure, const Trace& trace, LayerMap map, ColourScale colours,
                      const std::string& value) {
  std::vector<Column> columns = layer_columns(trace, trace.tokens);
  for (Column& column : token_columns(trace)) { columns.push_back(std::move(column)); }
  figure.tables.push_back(cell_table(std::move(columns), map, value));
  Panel panel =
      cell_panel(token_axis(trace), layer_axis(trace), std::move(map), std::move(colours));
  panel.empty = nothing_because(trace);
  figure.panels.push_back(std::move(panel));
}

void add_layer_experts(Figure& figure, const Trace& trace, LayerMap map, ColourScale colours,
                       const std::string& value) {
  const std::int64_t experts = map.columns;
  std::vector<Column> columns = layer_columns(trace, experts);
  columns.push_back(index_column("expert", experts));
  figure.tables.push_back(cell_table(std::move(columns), map, value));
  Panel panel =
      cell_panel(expert_axis(experts), layer_axis(trace), std::move(map), std::move(colours));
  panel.empty = nothing_because(trace);
  figure.panels.push_back(std::move(panel));
}

void make_empty(Figure& figure, const std::string& why) {
  figure.panels.assign(1, Panel{});
  figure.panels[0].empty = why;
  figure.notes.clear();
  for (Table& table : figure.tables) { table.rows = 0; }
}

}  // namespace kappascope
