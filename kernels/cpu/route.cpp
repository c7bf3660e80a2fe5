// Top-k routing of some tokens (SPEC §1.5, §5): who is chosen, with which weight, and the numbers
// of the probabilities over all experts. Capacity is for all tokens together: route_capacity.
//
//   p = softmax(logits);  −Σ p ln p = ln S − Σ e^(l−m)·(l−m) / S,  S = Σ e^(l−m),  m = max l
#include <cmath>

#include "kernels/cpu/scratch.h"
#include "kernels/cpu/vector.h"
#include "kernels/kernels.h"
#include "kernels/route_math.h"

namespace kappascope::KAPPASCOPE_ISA {
namespace {

// NaN comes first, as in torch.topk; of equal scores the one met first stays ahead.
KAPPASCOPE_INLINE bool better(float a, float b) {
  return a > b || (a != a && b == b);
}

// The K + 1 (or E) best, best first, by insertion: most scores do not reach the last of them.
void choose(const RouteArgs& args, std::int64_t t, float* scores, std::int32_t* best) {
  const RoutingView& routing = args.routing;
  const std::int64_t experts = routing.experts, slots = routing.slots;
  const Selection selection = selection_of(args, t);
  for (std::int64_t e = 0; e < experts; ++e) { scores[e] = selection_score(args, t, e, selection); }
  const std::int64_t ranked = slots < experts ? slots + 1 : experts;
  std::int64_t found = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    if (found == ranked && !better(scores[e], scores[best[ranked - 1]])) { continue; }
    std::int64_t at = found < ranked ? found++ : ranked - 1;
    for (; at > 0 && better(scores[e], scores[best[at - 1]]); --at) { best[at] = best[at - 1]; }
    best[at] = static_cast<std::int32_t>(e);
  }
  for (std::int64_t k = 0; k < slots; ++k) { routing.cells.expert[t * slots + k] = best[k]; }
  if (routing.numbers.margin) {
    const float margin =
        slots < experts ? margin_of(scores[best[slots - 1]], scores[best[slots]]) : NAN;
    routing.numbers.margin[t] = smaller_margin(margin, selection.group_margin);
  }
}

void describe(const RoutingView& routing, std::int64_t t, float* powers) {
  const std::int64_t experts = routing.experts;
  const float* logits = routing.logits + t * experts;
  float best = -kInfinity, second = -kInfinity;
  for (std::int64_t e = 0; e < experts; ++e) {
    if (logits[e] > best) {
      second = best;
      best = logits[e];
    } else if (second < logits[e]) {
      second = logits[e];
    }
  }
  DVec total = {}, weighted = {};
  for (std::int64_t e = 0; e < experts; e += kVector) {
    const IVec lanes = experts - e < kVector ? first_lanes(experts - e) : ~IVec{};
    const Vec below = load_strided(logits, e, experts, 1) - best;
    const Vec power = from_bits(bits_of(exp(below)) & lanes);
    store(powers + e, power);
    total += widen(power);
    weighted += widen(power == splat(0) ? splat(0) : power * below);
  }
  const double all = sum(total), n = static_cast<double>(experts);
  double selected = 0;
  for (std::int64_t k = 0; k < routing.slots; ++k) {
    selected += powers[routing.cells.expert[t * routing.slots + k]];
  }
  const bool valid = all == all;
  const double entropy = experts > 1 ? (std::log(all) - sum(weighted) / all) / std::log(n) : 0;
  const RouterNumbers& numbers = routing.numbers;
  numbers.top1_prob[t] = valid ? static_cast<float>(1 / all) : NAN;
  numbers.selected_mass[t] = valid ? static_cast<float>(selected / all) : NAN;
  numbers.top_gap[t] = valid && experts > 1 ? best - second : NAN;
  numbers.entropy[t] = valid ? static_cast<float>(entropy) : NAN;
}

}  // namespace

void route_tokens(const RouteArgs& args, std::int64_t first, std::int64_t last) {
  const std::int64_t experts = args.routing.experts;
  const Scratch scratch(3 * (experts + kVector) + 1);
  float* powers = scratch.data;
  float* scores = powers + experts + kVector;
  auto* best = reinterpret_cast<std::int32_t*>(scores + experts);
  for (std::int64_t t = first; t < last; ++t) {
    if (args.given_expert) {
      const float margin = choose_given(args, t);
      if (args.routing.numbers.margin) { args.routing.numbers.margin[t] = margin; }
    } else {
      choose(args, t, scores, best);
    }
    weigh(args, t);
    if (!args.routing.numbers.top1_prob) { continue; }
    if (args.rule.score == ExpertScore::sigmoid) {
      describe_router(args.routing, t, args.routing.slots, args.rule.score);
    } else {
      describe(args.routing, t, powers);
    }
  }
}

}  // namespace kappascope::KAPPASCOPE_ISA
