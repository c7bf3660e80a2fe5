// What is read off output logits (SPEC §4), a vector at a time.
//
//   ln p(v) = logit_v − ln Σ exp(logit);  nll = −ln p(target)
#include <cmath>

#include "kernels/cpu/vector.h"
#include "kernels/kernels.h"

namespace kappascope::KAPPASCOPE_ISA {
namespace {

// Five highest, best first, equal ones lower id first; NaN is never among them.
struct Top {
  std::int32_t id[kTopTokens];
  float logit[kTopTokens];
  std::int64_t found = 0;

  void offer(float logit_, std::int64_t v) {
    if (logit_ != logit_ || (found == kTopTokens && logit_ <= logit[kTopTokens - 1])) { return; }
    std::int64_t at = found < kTopTokens ? found++ : kTopTokens - 1;
    for (; at > 0 && logit_ > logit[at - 1]; --at) {
      id[at] = id[at - 1];
      logit[at] = logit[at - 1];
    }
    id[at] = static_cast<std::int32_t>(v);
    logit[at] = logit_;
  }
};

Top top_tokens(const float* logits, std::int64_t vocab) {
  Top top;
  for (std::int64_t v = 0; v < vocab; v += kVector) {
    const std::int64_t lanes = vocab - v < kVector ? vocab - v : kVector;
    const float least = top.found == kTopTokens ? top.logit[kTopTokens - 1] : -kInfinity;
    const bool all = top.found < kTopTokens || lanes < kVector;
    std::uint32_t bits = all ? (1u << lanes) - 1 : lane_bits(load(logits + v) > splat(least));
    for (; bits != 0; bits &= bits - 1) {
      const std::int64_t at = v + __builtin_ctz(bits);
      top.offer(logits[at], at);
    }
  }
  return top;
}

// ln Σ exp(logit), as highest + ln Σ exp(logit − highest); NaN when a logit is.
double log_sum_exp(const float* logits, std::int64_t vocab, float highest) {
  DVec total = {};
  for (std::int64_t first = 0; first < vocab; first += kBlock) {
    const std::int64_t last = vocab - first < kBlock ? vocab : first + kBlock;
    Vec part = {};
    for (std::int64_t v = first; v < last; v += kVector) {
      const IVec lanes = last - v < kVector ? first_lanes(last - v) : ~IVec{};
      const Vec power = exp(load_strided(logits, v, vocab, 1) - highest);
      part += from_bits(bits_of(power) & lanes);
    }
    total += widen(part);
  }
  return highest + std::log(sum(total));
}

// Logits above the target's; of equal ones the lower id counts as above.
std::int32_t rank_of(const float* logits, std::int64_t vocab, std::int32_t target) {
  const Vec own = splat(logits[target]);
  IVec above = {};
  for (std::int64_t v = 0; v < vocab; v += kVector) {
    IVec counted = load_strided(logits, v, vocab, 1) > own;
    if (vocab - v < kVector) { counted &= first_lanes(vocab - v); }
    above += counted;
  }
  std::int64_t rank = count_set(above);
  for (std::int64_t v = 0; v < target; ++v) { rank += logits[v] == logits[target]; }
  return static_cast<std::int32_t>(rank);
}

}  // namespace

void next_token(const NextTokenArgs& args) {
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const float* logits = args.logits + r * args.vocab;
    const Top top = top_tokens(logits, args.vocab);
    const double normaliser = log_sum_exp(logits, args.vocab, top.found > 0 ? top.logit[0] : NAN);
    const std::int32_t target = args.target[r];
    args.nll[r] = target < 0 ? NAN : static_cast<float>(normaliser - logits[target]);
    const bool ranked = target >= 0 && args.nll[r] == args.nll[r];
    args.target_rank[r] = ranked ? rank_of(logits, args.vocab, target) : -1;
    for (std::int64_t k = 0; k < kTopTokens; ++k) {
      args.top_id[r * kTopTokens + k] = k < top.found ? top.id[k] : -1;
      args.top_logprob[r * kTopTokens + k] =
          k < top.found ? static_cast<float>(top.logit[k] - normaliser) : NAN;
    }
  }
}

}  // namespace kappascope::KAPPASCOPE_ISA
