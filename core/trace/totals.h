// What tokens add up to in one MoE layer and pass: integer counts, and sums that come out alike in
// any order. Totals of parts merge by addition; statistics are read off them (core/stats).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/trace/quantile_sketch.h"
#include "core/trace/row_tokens.h"
#include "core/trace/sum.h"

namespace kappascope {

// Pairs of experts are counted in layers of at most so many: E² counts take memory.
inline constexpr std::int64_t kMostPairExperts = 512;

// Which experts tokens were given to. Tokens that NaN or Inf weights spoilt are left out.
struct ChoiceTotals {
  std::int64_t tokens = 0, spoilt_tokens = 0;
  std::int64_t near_ties = 0;  // tokens with 0 ≤ margin < Trace::near_tie
  std::vector<std::int64_t> assigned, kept, first_choice;       // [E]
  std::vector<Sum> gate_mass;                                   // [E] Σ combine weight
  std::vector<std::int64_t> assigned_by_slot, dropped_by_slot;  // [K]
  std::vector<std::int64_t> tokens_by_assigned, tokens_by_run;  // [K+1] tokens with 0 … K of them

  void add(const RowTokens& row);
  void add(const ChoiceTotals& other);
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(tokens);
    archive(spoilt_tokens);
    archive(near_ties);
    for (auto* counts : {&assigned, &kept, &first_choice}) { archive(*counts); }
    archive(gate_mass);
    for (auto* counts : {&assigned_by_slot, &dropped_by_slot}) { archive(*counts); }
    for (auto* counts : {&tokens_by_assigned, &tokens_by_run}) { archive(*counts); }
  }
};

// One of kRowNumbers: over tokens, or over the slots that ran; what is not finite is left out.
struct NumberTotals {
  Sum sum, sum_square;
  std::int64_t count = 0;
  QuantileSketch quantiles;

  void add(float value);
  void add(const NumberTotals& other);
  double mean() const;  // NaN without values
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(sum);
    archive(sum_square);
    archive(count);
    archive(quantiles);
  }
};

// What each expert adds to the residual stream, and what the router's logits were where it was
// chosen. Empty where that is not recorded.
struct ImportanceTotals {
  std::vector<Sum> saliency;                 // [E] Σ w·‖o‖ over kept
  std::vector<std::int64_t> saliency_count;  // [E]
  std::vector<Sum> selected_logit;           // [E] over assigned
  std::vector<std::int64_t> selected_count;  // [E]

  void add(const RowTokens& row);
  void add(const ImportanceTotals& other);
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(saliency);
    archive(saliency_count);
    archive(selected_logit);
    archive(selected_count);
  }
};

// A stretch of tokens that belong to one text, [begin, end).
struct TokenSpan {
  std::int64_t begin = 0, end = 0;
};

// Experts that go together: in a token, in tokens next to each other, in the row before. Empty
// where E > kMostPairExperts.
struct PairTotals {
  std::vector<std::int64_t> coactivation;  // [E,E] tokens with both, diagonal: tokens with e
  // [E,E] first choice in the row before × in this one; empty in the first row. The second pairs
  // each token with another one of its call that counts.
  std::vector<std::int64_t> transition, transition_shuffled;
  Sum neighbour_share;  // share of a token's experts that the next token of its text has, too
  std::int64_t neighbours = 0;

  // `texts`: of the row's tokens. `before`: first choices [T] in the row before, −1: none; empty in
  // the first row.
  void add(const RowTokens& row, const std::vector<TokenSpan>& texts,
           const std::vector<std::int32_t>& before);
  void add(const PairTotals& other);
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(coactivation);
    archive(transition);
    archive(transition_shuffled);
    archive(neighbour_share);
    archive(neighbours);
  }

 private:
  void add_transitions(const RowTokens& row, const std::vector<std::int32_t>& before);
};

// The κ effect of one expert, and u² (EffectSums of the kernels).
struct EffectTotals {
  std::array<Sum, 9> sums;  // in the order of EffectSums, up to slope_square
  std::int64_t count = 0;

  void add(const EffectSums& sums);
  void add(const EffectTotals& other);
  EffectSums value() const;
  template <typename Archive>
  void exchange(Archive& archive) {
    for (Sum& sum : sums) { archive(sum); }
    archive(count);
  }
};

// Tokens by the experts that they chose: exact while the pairs are few, else the most frequent ones
// (Misra and Gries 1982), each short by at most `missing`.
struct TokenCounts {
  static constexpr std::size_t kMostPairs = std::size_t{1} << 16;
  struct Pair {
    std::uint64_t key;  // expert · 2^32 + token id
    std::int64_t count;

    template <typename Archive>
    void exchange(Archive& archive) {
      archive(key);
      archive(count);
    }
  };
  std::vector<Pair> pairs;  // ascending: a call is merged in one pass over both
  std::int64_t missing = 0;

  static std::uint64_t key(std::int64_t expert, std::int32_t token) {
    return std::uint64_t(expert) << 32 | std::uint32_t(token);
  }
  // Of assignments, one key each, in any order.
  static TokenCounts of(std::vector<std::uint64_t> keys);
  void add(const TokenCounts& other);
  bool consistent() const;  // no key twice, ascending
  struct Top {
    std::int32_t token;
    std::int64_t count;
  };
  std::vector<Top> top(std::int64_t expert, std::size_t most) const;  // by falling count, then id
  template <typename Archive>
  void exchange(Archive& archive) {
    archive(pairs);
    archive(missing);
  }

 private:
  void prune();
};

// [first choices] of the tokens of a row; −1: none, or its router is spoilt.
std::vector<std::int32_t> first_choices(const RowTokens& row);

// to[i] += from[i]; an empty `to` is one that nothing was added to yet, and an empty `from` too.
void add_counts(std::vector<std::int64_t>& to, const std::vector<std::int64_t>& from);
void add_sums(std::vector<Sum>& to, const std::vector<Sum>& from);

}  // namespace kappascope
