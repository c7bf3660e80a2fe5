// Every figure of a trace by its id. To add one: a function of the form below in a figures_*.cpp,
// its declaration in figures.h and a line in the table of catalogue.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine/progress.h"
#include "core/figure/figure.h"
#include "core/figure/token_range.h"
#include "core/trace/trace.h"

namespace kappascope {

// What a figure shows of a trace where one of several must be chosen; −1: as the figure's text
// says.
struct FigureChoices {
  std::int64_t layer = -1;   // of the model; −1: the middle recorded MoE layer
  std::int64_t pass = 0;     // of that layer
  std::int64_t expert = -1;  // −1: the most loaded expert of the layer
  std::int64_t slot = 0;     // 0: first choice
  std::int64_t gates = 16;   // curves of gate units
  // layer × expert instead of layer × token, experts of the layer instead of layers; an expert that
  // is chosen, too, is shown alone.
  bool by_expert = false;
  bool by_rank = false;                   // the logit lens by the rank of the token that follows
  TokenRange tokens;                      // of figures along tokens
  std::vector<std::int64_t> layers = {};  // of figures along layers, ascending; empty: all
  // What the traces are called, one name for each, where it is not what run_names() calls them or
  // where more are plotted than these; a figure of one trace is then headed by its name.
  std::vector<std::string> runs = {};
  // Of the call: figures of much work report every layer to it and stop when it says so
  // (interrupted). Null: nobody watches. What is kept or compared has none.
  Progress* progress = nullptr;
  auto operator<=>(const FigureChoices&) const = default;
};

// Which of the choices a figure heeds, as a set.
enum ChoiceSet : unsigned {
  kNoChoice = 0,
  kLayerChoice = 1,   // layer and pass
  kExpertChoice = 2,  // of that layer
  kSlotChoice = 4,
  kGatesChoice = 8,
  kByExpertChoice = 16,
  kLayerIfByExpert = 32,  // the layer, but by expert only
  kTokensChoice = 64,     // but not by expert
  kByRankChoice = 128,
};

using Traces = std::span<const Trace* const>;  // one or more

// What a figure makes of several traces.
enum class Several : std::uint8_t {
  one_each,         // it shows one: each has a figure of its own, or a panel beside the others'
  overlay,          // all of them between the same axes
  small_multiples,  // all of them, each in panels of its own that the figure arranges itself
  difference        // what each of them changes from the first: a figure for each but the first
};

enum class FigureGroup : std::uint8_t { router, experts, kappa, gates };  // where menus list it

// What a trace has only where a run was asked for it.
enum class FigureNeeds : std::uint8_t { nothing, lens, patching, generation };

struct FigureEntry {
  std::string_view id;
  std::string_view title;  // what a person calls it, and the heading of the figure
  std::string_view what;   // one line for a person
  FigureGroup group;
  Several several;
  std::string_view metric;  // section of docs/metrics.md that defines what is shown
  unsigned choices;         // ChoiceSet
  Figure (*draw)(Traces traces, const FigureChoices& choices);  // which name the runs
  bool of_kappa = false;        // nothing to show of a model without κ
  bool series = false;          // of two traces or more
  bool of_corpus = false;       // shows no single token: also of the result of a corpus
  bool of_corpus_only = false;  // and of nothing else
  FigureNeeds needs = FigureNeeds::nothing;

  // Whether the trace is of the kind, text or corpus, that it shows, and has what it needs.
  bool shows(const Trace& trace) const;

  // The choices that are heeded beside `chosen`: `choices`, or more by expert.
  unsigned heeded(const FigureChoices& chosen) const;

  // The tokens that it then shows; all where it heeds no such choice.
  TokenRange tokens_of(const FigureChoices& chosen) const;

  // Name of its files without ending: the id, and what was chosen other than the usual
  // ("router-probability-layer3"), so that one choice never takes the place of another.
  std::string file_name(const FigureChoices& chosen) const;

  // All traces of a call are in one picture.
  bool shows_all() const {
    return several == Several::overlay || several == Several::small_multiples;
  }

  // The figure with the name of its files, and with the columns in all its tables that say whose
  // numbers these are: run, model, and layer, pass, expert and slot where one was chosen. Every
  // trace given is in it, or a note says why it is not: one trace for one_each, two for difference.
  Figure make(Traces traces, const FigureChoices& chosen) const;

  // What it makes of any number of traces, at least one: one figure of them all, or one for each
  // with the run's name behind its own; `panels`: these side by side in one. A difference or a
  // series of one trace alone, and single tokens of corpora, or what
  // only a corpus has: nothing.
  std::vector<Figure> make_all(Traces traces, const FigureChoices& chosen, bool panels) const;
  // Why that is nothing: "compares traces; …".
  const char* absent_because(Traces traces) const;
};

std::span<const FigureEntry> figure_catalogue();

// The entry called `id`; unknown: usage, naming all ids.
const FigureEntry& figure_entry(std::string_view id);

}  // namespace kappascope
