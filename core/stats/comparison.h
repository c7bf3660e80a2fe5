// Runs of the same texts beside each other: what of their configurations differs, and paired
// differences of every statistic over the texts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/stats/difference.h"
#include "core/stats/paired.h"
#include "core/stats/summary.h"
#include "core/trace/trace.h"

namespace kappascope {

// Fields of the configurations in which traces differ: of model_config, those inside objects as
// "rope_scaling.factor". A field whose values are those of one before it (n_layer and
// num_hidden_layers) is left out; what says most of a model is first.
struct DifferentField {
  std::string name;
  std::vector<std::string> values;  // of each trace, as JSON; "" where it has none
};
std::vector<DifferentField> different_fields(std::span<const Trace* const> traces);

// "n_layer 8, n_embd 96": those values that a legend has room for; "" where nothing differs.
std::vector<std::string> field_labels(const std::vector<DifferentField>& fields,
                                      std::size_t traces);

// One side of a comparison: runs of the same texts in the same order.
struct RunOfTexts {
  std::string name;
  std::vector<const Trace*> texts;                // [D]
  std::vector<std::vector<LayerSummary>> layers;  // [D] of each
};

// One number of side A less that of side B, text by text: each the mean over the side's runs.
struct PairedStatistic {
  std::string name;
  std::vector<double> of_text;  // [D]
  double mean = kNaN;           // over the texts that have one
  Interval interval;            // of the mean; like the tests none where texts make no difference
  SignTest sign;
  WilcoxonTest wilcoxon;
};

struct PairedLayer {
  std::int64_t layer = -1, pass = -1;
  std::vector<PairedStatistic> statistics;  // those that both sides have
  // Share of tokens routed otherwise, over all texts and pairs of runs; only of the same tokens.
  std::int64_t compared = 0, otherwise = 0, near_ties = 0;
};

struct SideComparison {
  std::vector<std::size_t> a, b;  // runs of each side
  // Nats a token: Σ ΔNLL over Σ tokens of side B. Of results of a corpus the interval is over
  // resamples of its documents.
  PairedStatistic nll;
  std::int64_t tokens = 0;
  PairedStatistic bits_per_byte;  // Σ over Σ bytes; empty where bytes are not known
  std::int64_t bytes = 0;
  // With as many runs on either side, more than one: the first of A with the first of B, and so on,
  // as if each pair were a text.
  PairedStatistic nll_of_pairs;
  bool same_tokens = false;
  std::string rows_differ;          // why layers cannot be compared one by one; ""
  std::vector<PairedLayer> layers;  // of models of one shape
};

// A less B. `resamples` is for D texts.
SideComparison compare_sides(std::span<const RunOfTexts> runs, std::vector<std::size_t> a,
                             std::vector<std::size_t> b, const Resamples& resamples);

// Why rows of the traces are not of the same layers; "" where they are.
std::string rows_differ_because(const Trace& a, const Trace& b);

}  // namespace kappascope
