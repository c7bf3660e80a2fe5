// What the figures of a trace share: titles, axes of layers, tokens and experts, tables.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/figure/catalogue.h"
#include "core/figure/figure.h"
#include "core/stats/layer.h"
#include "core/stats/maps.h"
#include "core/trace/trace.h"

namespace kappascope {

std::string model_label(const Trace& trace);     // "d8-kappa, step 4,000"
std::string settings_label(const Trace& trace);  // κ, capacity, dtype, tokens
// Which of several readings of the checkpoint was run: "SFT slot (residual), formula 2026-05".
std::string reading_label(const Trace& trace);
// What interventions changed, as words: "kappa-mul=2@3:1, top-k=1"; not κ or capacity off, of which
// the settings speak.
std::string intervention_label(const Trace& trace);
std::string layer_label(const Trace& trace, std::int64_t row);  // "layer 5", "layer 5, pass 1"

// Id, the catalogue's title and `about` behind it (", layer 5"), "model · settings", provenance. A
// figure of one trace names the first trace alone.
Figure start_figure(Traces traces, std::string_view id, const std::string& about = "");

FigureAxis layer_axis(const Trace& trace);
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

bool lacks_kappa(const Trace& trace);  // the model has no κ and the run set none

// Why there are no drops to show: nothing_because, or there is no capacity limit.
std::string no_drops_because(const Trace& trace);

// Why there is no κ to show: the model has none, or the run had it turned off; "" otherwise.
std::string no_kappa_because(const Trace& trace);

// κ follows from the gates' own pre-activations z, not from a score (kappa_input "gate_proj").
bool kappa_follows_gate(const Trace& trace);
// The score of κ comes from a linear router of its own, with α = 1.
bool has_kappa_router(const Trace& trace);

// Columns "layer", "pass" of a table whose rows run over recorded layers, each `repeat` times.
std::vector<Column> layer_columns(const Trace& trace, std::int64_t repeat);
// Columns "token", "token_text" that run over tokens.
std::vector<Column> token_columns(const Trace& trace);
Column index_column(std::string name, std::int64_t size, std::int64_t repeat = 1);
// A table without rows, so that a figure that has nothing to show has the columns that it always
// has.
Table empty_table(std::initializer_list<const char*> columns);

// A panel of rows × columns cells.
Panel cell_panel(FigureAxis x, FigureAxis y, LayerMap map, ColourScale colours);

// Adds a panel layer × token (layer × expert) and the table behind it, whose value column is called
// `value`.
void add_layer_tokens(Figure& figure, const Trace& trace, LayerMap map, ColourScale colours,
                      const std::string& value);
void add_layer_experts(Figure& figure, const Trace& trace, LayerMap map, ColourScale colours,
                       const std::string& value);

}  // namespace kappascope
