#include "core/trace/token_contexts.h"

#include <algorithm>

namespace kappascope {

void ExpertContexts::add(std::size_t expert, const TokenContext& context) {
  of_expert.resize(std::max(of_expert.size(), expert + 1));
  std::vector<TokenContext>& kept = of_expert[expert];
  const auto at = std::lower_bound(kept.begin(), kept.end(), context);
  if (at != kept.end() && *at == context) { return; }
  kept.insert(at, context);
  if (kept.size() > kContexts) { kept.pop_back(); }
}

void ExpertContexts::add(const ExpertContexts& other) {
  for (std::size_t e = 0; e < other.of_expert.size(); ++e) {
    for (const TokenContext& context : other.of_expert[e]) { add(e, context); }
  }
}

bool ExpertContexts::consistent(std::int64_t experts) const {
  return std::int64_t(of_expert.size()) <= experts &&
         std::all_of(of_expert.begin(), of_expert.end(), [](const auto& kept) {
           return kept.size() <= kContexts && std::is_sorted(kept.begin(), kept.end()) &&
                  std::all_of(kept.begin(), kept.end(), [](const TokenContext& context) {
                    return context.position >= 0 && context.ids[kContextBefore] >= 0;
                  });
         });
}

}  // namespace kappascope
