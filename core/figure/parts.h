// What the figures of a trace share: titles, axes of layers, tokens and experts, tables.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/figure/caption.h"
#include "core/figure/catalogue.h"
#include "core/figure/figure.h"
#include "core/stats/kappa.h"
#include "core/stats/layer.h"
#include "core/stats/maps.h"
#include "core/trace/trace.h"

namespace kappascope {

inline constexpr std::int64_t kCurvePoints = 201;    // of a smooth curve
inline constexpr std::size_t kMostOutlines = 20000;  // of cells; more are not marked

std::string layer_label(const Trace& trace, std::int64_t row);  // "layer 5", "layer 5, pass 1"

// Id, the catalogue's title and `about` behind it (", layer 5"), provenance. A figure of one trace
// names the first trace alone.
Figure start_figure(Traces traces, std::string_view id, const std::string& about = "");

FigureAxis layer_axis(const Trace& trace);
// Of other rows: layer of the model and pass of each.
FigureAxis layer_axis(std::span<const std::int32_t> layer, std::span<const std::int32_t> pass);
FigureAxis token_axis(const Trace& trace);
FigureAxis expert_axis(std::int64_t experts);
FigureAxis expert_axis(const std::vector<std::int64_t>& experts);  // some of them

// Row of the recorded layer that the choices name; not recorded: usage.
std::int64_t chosen_layer(const Trace& trace, const FigureChoices& choices);
// The expert that the choices name, else the most loaded one of the layer; −1: no expert has a
// token. Beyond the layer's experts: usage.
std::int64_t chosen_expert(const TraceLayer& layer, const FigureChoices& choices);

// Why a figure of this trace has nothing to show: no MoE layer, no token, all dropped; ""
// otherwise.
std::string nothing_because(const Trace& trace);

// Why there are no drops to show: nothing_because, or there is no capacity limit.
std::string no_drops_because(const Trace& trace);

// Columns "layer", "pass" of a table whose rows run over recorded layers, each `repeat` times.
std::vector<Column> layer_columns(const Trace& trace, std::int64_t repeat);
// Columns "token", "token_text" that run over tokens.
std::vector<Column> token_columns(const Trace& trace);
Column index_column(std::string name, std::int64_t size, std::int64_t repeat = 1);
// A table without rows, so that a figure that has nothing to show has the columns that it always
// has.
Table empty_table(std::initializer_list<const char*> columns);

// What κ can be at each position of the x axis, as dashed lines: across where it is the same
// everywhere, else at each position, none where nothing bounds it.
void add_bounds(Panel& panel, const std::vector<KappaBounds>& bounds);
// The upper or the lower ones as a line through the positions, or in steps of their own.
Line bound_line(const std::vector<KappaBounds>& bounds, bool upper, bool steps,
                const std::string& name);

// Why the κ of single gate units is not known, as notes begin.
std::string approximate_because(const Trace& trace);
// The note of a figure whose κ is not exact: of a KappaBand.
std::string band_not_exact(const Trace& trace);

// Notes by how much the ranks of quantiles from sketches may be off, a share of the values; 0:
// nothing.
void add_rank_error(Figure& figure, double rank_error);

// A panel of rows × columns cells.
Panel cell_panel(FigureAxis x, FigureAxis y, LayerMap map, ColourScale colours);

// A narrow panel beside one whose y axis has layers: a share of each in %, called `name`.
Panel rate_panel(const std::string& name, const std::vector<double>& shares,
                 const FigureAxis& layers);

// Adds a panel layer × token (layer × expert) and the table behind it, whose value column is called
// `value`.
void add_layer_tokens(Figure& figure, const Trace& trace, LayerMap map, ColourScale colours,
                      const std::string& value);
void add_layer_experts(Figure& figure, const Trace& trace, LayerMap map, ColourScale colours,
                       const std::string& value);

// Leaves one panel that says why there is nothing to show, and tables without rows.
void make_empty(Figure& figure, const std::string& why);

}  // namespace kappascope
