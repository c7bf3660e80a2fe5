// What a corpus adds up to: the totals of its rows and of its losses, with resamples of its
// documents. Parts of a corpus merge by addition; a result file holds one (core/trace/stats_file).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/trace/effect_bins.h"
#include "core/trace/kappa_totals.h"
#include "core/trace/side_totals.h"
#include "core/trace/token_contexts.h"
#include "core/trace/totals.h"
#include "core/trace/trace.h"

namespace kappascope {

inline constexpr std::int64_t kResamples = 200;      // B
inline constexpr std::size_t kTopExpertTokens = 16;  // N
inline constexpr std::size_t kMostFailures = 1000;   // that are named; all are counted

// How often a document is in resample `resample`: Poisson with mean 1, which is what drawing as
// many documents as there are with replacement comes to when they are many (Hanley and MacGibbon
// 2006), and needs no list of documents. `document`: a number of its own, as of document_key().
std::int64_t resample_weight(std::uint64_t seed, std::uint64_t document, std::int64_t resample);
// A hash of where it is from, "FILE:LINE", so that results of several corpora can be joined.
std::uint64_t document_key(std::string_view source);

// A mean in each resample.
struct ResampledMean {
  std::vector<Sum> sum;             // [B]
  std::vector<std::int64_t> count;  // [B]

  void add(std::int64_t resample, std::int64_t weight, double part, std::int64_t values);
  void add(const ResampledMean& other);
  double value(std::int64_t resample) const;  // NaN without values
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(sum);
    archive(count);
  }
};

struct RowTotals {
  ChoiceTotals choices;
  std::array<NumberTotals, kRowNumbers.size()> numbers;
  ImportanceTotals importance;
  PairTotals pairs;
  KappaTotals kappa;
  std::vector<EffectTotals> effect;                     // [E]
  std::vector<std::int64_t> kappa_hist, gate_pre_hist;  // [E,kKappaBins], [E,kGatePreBins]
  // What each call had, added up: the reference's way of averaging.
  Sum call_load_entropy, call_load_cv;
  std::int64_t calls = 0;
  // Assignments that an expert can take in all calls together; 0: no limit, or calls overlapped.
  std::int64_t capacity = 0;
  // With soft routing: tokens with an expert that only the cap left out.
  std::int64_t tokens_at_cap = 0;
  TokenCounts tokens;
  std::vector<std::vector<std::int64_t>> domain_assigned;  // [D][E]; short: none
  std::vector<std::int64_t> resampled_assigned;            // [B,E]
  ResampledMean resampled_kappa;                           // of kappa_mean over kept slots
  ResampledMean resampled_effect;                          // of d over scalars; resamples of calls
  ExpertContexts contexts;                                 // where each expert was chosen

  void add(const RowTotals& other, const std::vector<std::size_t>& domain_places);
  double mean(std::string_view number) const { return numbers[row_number(number)].mean(); }
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(choices);
    for (NumberTotals& number : numbers) { archive(number); }
    archive(importance);
    archive(pairs);
    archive(kappa);
    archive(effect);
    archive(kappa_hist);
    archive(gate_pre_hist);
    archive(call_load_entropy);
    archive(call_load_cv);
    archive(calls);
    archive(capacity);
    archive(tokens_at_cap);
    archive(tokens);
    archive(domain_assigned);
    archive(resampled_assigned);
    archive(resampled_kappa);
    archive(resampled_effect);
    archive(contexts);
  }
};

struct CorpusTotals {
  std::int64_t experts = 0, gates = 0;  // E, I of the model, the largest of its layers
  std::vector<std::int32_t> layer_index, pass_index;  // [R]
  std::vector<RowTotals> rows;                        // [R]
  std::vector<SideTotals> dense, shared;  // by pass, then layer: dense layers, shared experts
  // What acted in every call alike, by the name of its array [R,…] in a trace: budget and threshold
  // of soft routing, and κ parameters that interventions changed. Of the cap: [R] or empty.
  std::map<std::string, std::vector<float>> rules;
  std::vector<std::int32_t> layer_cap;
  double u_multiplier = 0;  // that the formula of κ gives u; 0: no κ parameters acted
  std::int64_t documents = 0, failed_documents = 0, tokens = 0, bytes = 0;
  Sum nll;  // nats, over tokens that have one
  std::int64_t nll_count = 0;
  Sum nll_of_bytes;  // of those that are text, for bits per byte
  std::int64_t bytes_counted = 0;
  ResampledMean resampled_nll;
  EffectBins effect, effect_relative;  // of all layers, where asked for
  std::vector<std::string> domains;    // names, in the order of domain_assigned
  std::uint64_t seed = 0;              // of the resamples
  // Of shown_tokens(): a letter may be in parts.
  std::map<std::int32_t, std::string> token_bytes;
  // What kept documents from being used, and how many: the first in the order of the alphabet.
  std::map<std::string, std::int64_t> failures;

  // The most frequent tokens of an expert of a row.
  std::vector<TokenCounts::Top> top_tokens(std::int64_t row, std::int64_t expert) const {
    return rows[row].tokens.top(expert, kTopExpertTokens);
  }
  // Ids that top_tokens() and the contexts name, ascending.
  std::vector<std::int32_t> shown_tokens() const;
  // As shown to people; "": not known.
  std::string token_text(std::int32_t id) const;
  void add_failure(const std::string& message);
  // Place of a domain, added if new.
  std::size_t domain(const std::string& name);
  // The same rows, experts, gate units and seed.
  bool is_of_the_model_of(const CorpusTotals& other) const;
  // Totals of another part of the corpus, of the same model and seed: other rows are internal.
  void add(const CorpusTotals& other);
  // The greatest of the rank errors of all quantiles; and of those by which κ's tails are found.
  double quantile_error() const;
  double score_error() const;
  // Whether what exchange() has read can be read off: sizes that fit together.
  bool consistent() const;
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(experts);
    archive(gates);
    archive(layer_index);
    archive(pass_index);
    archive(rows);
    archive(dense);
    archive(shared);
    archive(rules);
    archive(layer_cap);
    archive(u_multiplier);
    archive(documents);
    archive(failed_documents);
    archive(tokens);
    archive(bytes);
    archive(nll);
    archive(nll_count);
    archive(nll_of_bytes);
    archive(bytes_counted);
    archive(resampled_nll);
    archive(effect);
    archive(effect_relative);
    archive(domains);
    archive(seed);
    archive(failures);
    archive(token_bytes);
  }
};

// Tokens that were run.
inline std::int64_t tokens_run(const Trace& trace) {
  return trace.corpus ? trace.corpus->tokens : trace.tokens;
}

// Tokens that the statistics of a trace are of: of its text, or counted in its corpus.
inline std::int64_t counted_tokens(const Trace& trace) {
  if (trace.corpus) { return trace.corpus->tokens; }
  return trace.only_assistant
             ? std::count(trace.token_mask.begin(), trace.token_mask.end(), std::uint8_t{1})
             : trace.tokens;
}

}  // namespace kappascope
