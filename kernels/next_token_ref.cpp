// What is read off output logits, reference (SPEC §4).
//
//   ln p(v) = logit_v − ln Σ exp(logit);  nll = −ln p(target)
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/kernels.h"

namespace kappascope {
namespace {

double log_sum_exp(const float* logits, std::int64_t vocab) {
  const float highest = *std::max_element(logits, logits + vocab);
  double sum = 0;
  for (std::int64_t v = 0; v < vocab; ++v) { sum += std::exp(double(logits[v]) - highest); }
  return highest + std::log(sum);
}

// The five highest of a row, best first, equal ones lower id first; NaN is never among them.
std::int64_t top_tokens(const float* logits, std::int64_t vocab, std::int32_t* ids) {
  std::int64_t found = 0;
  for (std::int64_t v = 0; v < vocab; ++v) {
    if (std::isnan(logits[v])) { continue; }
    if (found == kTopTokens && logits[v] <= logits[ids[kTopTokens - 1]]) { continue; }
    std::int64_t at = found < kTopTokens ? found++ : kTopTokens - 1;
    for (; at > 0 && logits[v] > logits[ids[at - 1]]; --at) { ids[at] = ids[at - 1]; }
    ids[at] = std::int32_t(v);
  }
  return found;
}

void describe_target(const NextTokenArgs& args, std::int64_t r, double normaliser) {
  const float* logits = args.logits + r * args.vocab;
  const std::int32_t target = args.target[r];
  args.nll[r] = NAN;
  args.target_rank[r] = -1;
  if (target < 0) { return; }
  args.nll[r] = float(normaliser - logits[target]);
  if (std::isnan(args.nll[r])) { return; }
  std::int32_t rank = 0;
  for (std::int64_t v = 0; v < args.vocab; ++v) {
    rank += logits[v] > logits[target] || (logits[v] == logits[target] && v < target);
  }
  args.target_rank[r] = rank;
}

}  // namespace

void next_token_ref(const NextTokenArgs& args) {
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const float* logits = args.logits + r * args.vocab;
    const double normaliser = log_sum_exp(logits, args.vocab);
    describe_target(args, r, normaliser);
    std::int32_t* ids = args.top_id + r * kTopTokens;
    const std::int64_t found = top_tokens(logits, args.vocab, ids);
    for (std::int64_t k = 0; k < kTopTokens; ++k) {
      if (k >= found) { ids[k] = -1; }
      args.top_logprob[r * kTopTokens + k] = k < found ? float(logits[ids[k]] - normaliser) : NAN;
    }
  }
}

}  // namespace kappascope
