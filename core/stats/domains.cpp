#include "core/stats/domains.h"

#include <map>

namespace kappascope {
namespace {

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : kNaN;
}

}  // namespace

double DomainShares::expected(std::int64_t d, std::int64_t e) const {
  return ratio(double(of_domain[d]) * double(of_expert[e]), double(all));
}

double DomainShares::of_corpus(std::int64_t d) const {
  return ratio(double(of_domain[d]), double(all));
}

double DomainShares::of_experts(std::int64_t d, std::int64_t e) const {
  return ratio(double(count[d * experts + e]), double(of_expert[e]));
}

double DomainShares::over_corpus(std::int64_t d, std::int64_t e) const {
  return ratio(of_experts(d, e), of_corpus(d));
}

DomainShares domain_shares(const CorpusTotals& totals, std::int64_t row) {
  const RowTotals& of = totals.rows[row];
  DomainShares shares;
  shares.domains = std::ssize(totals.domains);
  shares.experts = std::ssize(of.choices.assigned);
  shares.count.resize(std::size_t(shares.domains * shares.experts));
  shares.of_domain.resize(std::size_t(shares.domains));
  shares.of_expert.resize(std::size_t(shares.experts));
  for (std::int64_t d = 0; d < std::ssize(of.domain_assigned); ++d) {
    for (std::int64_t e = 0; e < std::ssize(of.domain_assigned[d]); ++e) {
      const std::int64_t count = of.domain_assigned[d][e];
      shares.count[d * shares.experts + e] = count;
      shares.of_domain[d] += count;
      shares.of_expert[e] += count;
      shares.all += count;
    }
  }
  shares.without = -shares.all;
  for (const std::int64_t assigned : of.choices.assigned) { shares.without += assigned; }
  return shares;
}

std::vector<std::vector<ExpertToken>> expert_tokens(const CorpusTotals& totals, std::int64_t row) {
  const RowTotals& of = totals.rows[row];
  std::map<std::int32_t, std::int64_t> of_token;
  for (const auto& [key, count] : of.tokens.pairs) { of_token[std::int32_t(key)] += count; }
  std::vector<std::vector<ExpertToken>> all;
  for (std::int64_t e = 0; e < std::ssize(of.choices.assigned); ++e) {
    std::vector<ExpertToken>& tokens = all.emplace_back();
    for (const TokenCounts::Top& top : totals.top_tokens(row, e)) {
      tokens.push_back({top.token, totals.token_text(top.token), top.count,
                        ratio(double(top.count), double(of.choices.assigned[e])),
                        ratio(double(top.count), double(of_token[top.token]))});
    }
  }
  return all;
}

}  // namespace kappascope
