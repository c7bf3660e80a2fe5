// How the experts of a layer share the domains of a corpus, and its tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/nan.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {

// Assignments of tokens of documents that have a domain.
struct DomainShares {
  std::int64_t domains = 0, experts = 0;  // D, E
  std::vector<std::int64_t> count;        // [D,E]
  std::vector<std::int64_t> of_domain;    // [D] its assignments to all experts
  std::vector<std::int64_t> of_expert;    // [E] of all domains
  std::int64_t all = 0;
  std::int64_t without = 0;  // assignments of documents without a domain

  double expected(std::int64_t d, std::int64_t e) const;     // if experts knew no domains
  double of_corpus(std::int64_t d) const;                    // share of all assignments
  double of_experts(std::int64_t d, std::int64_t e) const;   // share of those of the expert
  double over_corpus(std::int64_t d, std::int64_t e) const;  // the second over the first; NaN: 0/0
};
// Of row `row` of the totals.
DomainShares domain_shares(const CorpusTotals& totals, std::int64_t row);

// The most frequent tokens of an expert, by falling count.
struct ExpertToken {
  std::int32_t id = -1;
  std::string text;         // as shown to people; "": not known
  std::int64_t count = 0;   // assignments to the expert
  double of_expert = kNaN;  // share of the assignments of the expert
  double of_token = kNaN;   // share of the assignments of the token in this layer
};
// [E] lists of at most kTopExpertTokens, of row `row`.
std::vector<std::vector<ExpertToken>> expert_tokens(const CorpusTotals& totals, std::int64_t row);

}  // namespace kappascope
