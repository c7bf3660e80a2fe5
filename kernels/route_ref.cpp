// Top-k routing with capacity, reference (SPEC §1.5, §5, SPEC-families §1).
//
//   chosen = the K highest of c = logits + selection_bias, or c = q + selection_bias, among the
//            groups that are kept                          (equal scores: lower expert first);
//            a given expert takes its slot, the best ones left take the others
//   weight = softmax over the chosen *logits*, or what RouterRule says
//   an expert's queue takes every token's 1st choice in token order, then every 2nd, …; what is
//   at position C or later is dropped: its weight becomes 0, the others keep theirs
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/route_math.h"

namespace kappascope {
namespace {

struct BetterScore {
  const float* scores;
  bool operator()(std::int32_t a, std::int32_t b) const {
    return chosen_before({scores[a], a}, {scores[b], b});
  }
};

// The same with given experts: `order` is all experts, best first. The margin is of the experts
// alone.
void choose_beside_given(const RouteArgs& args, std::int64_t t, const std::vector<float>& scores,
                         const std::vector<std::int32_t>& order, const Selection& selection) {
  const std::int64_t slots = args.routing.slots;
  const std::int32_t* given = args.given_expert + t * slots;
  std::vector<std::int32_t> left;
  for (const std::int32_t e : order) {
    if (std::find(given, given + slots, e) == given + slots) { left.push_back(e); }
  }
  std::size_t next = 0;
  Candidate last{std::numeric_limits<float>::infinity(), -1};  // of the chosen, by its own score
  for (std::int64_t k = 0; k < slots; ++k) {
    const std::int32_t e = given[k] < 0 ? left[next++] : given[k];
    args.routing.cells.expert[t * slots + k] = e;
    const Candidate here{own_score(args, t, e, selection.base), e};
    if (k == 0 || chosen_before(last, here)) { last = here; }
  }
  args.routing.numbers.margin[t] =
      next < left.size() ? margin_of(last.score, scores[left[next]]) : NAN;
}

bool any_given(const RouteArgs& args, std::int64_t t) {
  const std::int64_t slots = args.routing.slots;
  const auto given = [](std::int32_t expert) { return expert >= 0; };
  return args.given_expert &&
         std::any_of(args.given_expert + t * slots, args.given_expert + (t + 1) * slots, given);
}

void choose(const RouteArgs& args, std::int64_t t, std::vector<float>& scores,
            std::vector<std::int32_t>& order) {
  const RoutingView& routing = args.routing;
  const std::int64_t experts = routing.experts, slots = routing.slots;
  const Selection selection = selection_of(args, t);
  for (std::int64_t e = 0; e < experts; ++e) { scores[e] = selection_score(args, t, e, selection); }
  std::iota(order.begin(), order.end(), 0);
  const bool given = any_given(args, t);
  // One more than K, for the margin.
  const auto ranked = given ? experts : std::min(slots + 1, experts);
  std::partial_sort(order.begin(), order.begin() + ranked, order.end(), BetterScore{scores.data()});
  if (given) { return choose_beside_given(args, t, scores, order, selection); }
  std::copy_n(order.begin(), slots, routing.cells.expert + t * slots);
  const float margin =
      slots < experts ? margin_of(scores[order[slots - 1]], scores[order[slots]]) : NAN;
  routing.numbers.margin[t] = smaller_margin(margin, selection.group_margin);
}

}  // namespace

void route_capacity(const RouteArgs& args) {
  const RoutingView& routing = args.routing;
  const Assignments& cells = routing.cells;
  std::vector<std::int64_t> queued(routing.experts, 0);
  for (std::int64_t k = 0; k < routing.slots; ++k) {
    for (std::int64_t t = 0; t < routing.tokens; ++t) {
      const std::int64_t at = t * routing.slots + k;
      const std::int32_t e = cells.expert[at];
      const bool waits = !args.kept_is_given || cells.kept[at];
      const bool kept = args.kept_is_given ? waits : args.capacity < 0 || queued[e] < args.capacity;
      if (args.queue_position) { args.queue_position[at] = waits ? std::int32_t(queued[e]) : 0; }
      queued[e] += waits;
      cells.kept[at] = kept;
      cells.score[at] = kept ? kappa_score(args, cells.weight[at], t, e) : NAN;
      if (!kept) { cells.weight[at] = 0; }
    }
  }
  if (args.assigned) { std::copy(queued.begin(), queued.end(), args.assigned); }
}

void describe_router(const RoutingView& routing, std::int64_t t, std::int64_t chosen,
                     ExpertScore score) {
  const std::int64_t experts = routing.experts;
  const float* logits = routing.logits + t * experts;
  float best = -std::numeric_limits<float>::infinity(), second = best;
  for (std::int64_t e = 0; e < experts; ++e) {
    if (logits[e] > best) {
      second = best;
      best = logits[e];
    } else {
      second = std::max(second, logits[e]);
    }
  }
  const auto unscaled = [&](std::int64_t e) {
    return score == ExpertScore::sigmoid ? 1 / (1 + std::exp(-double(logits[e])))
                                         : std::exp(double(logits[e]) - best);
  };
  double sum = 0;
  for (std::int64_t e = 0; e < experts; ++e) { sum += unscaled(e); }
  double highest = 0, entropy = 0, selected = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    const double p = unscaled(e) / sum;
    highest = std::max(highest, p);
    if (p != 0) { entropy -= p * std::log(p); }
  }
  for (std::int64_t k = 0; k < chosen; ++k) {
    selected += unscaled(routing.cells.expert[t * routing.slots + k]) / sum;
  }
  const bool valid = sum > 0;  // not NaN
  const RouterNumbers& numbers = routing.numbers;
  numbers.top1_prob[t] = valid ? float(highest) : NAN;
  numbers.selected_mass[t] = valid ? float(selected) : NAN;
  numbers.top_gap[t] = valid && experts > 1 ? best - second : NAN;
  numbers.entropy[t] = valid ? (experts > 1 ? float(entropy / std::log(experts)) : 0) : NAN;
}

void put_selection_scores(const RouteArgs& args, float* scores) {
  const std::int64_t experts = args.routing.experts;
  for (std::int64_t t = 0; t < args.routing.tokens; ++t) {
    const Selection selection = selection_of(args, t);
    for (std::int64_t e = 0; e < experts; ++e) {
      scores[t * experts + e] = selection_score(args, t, e, selection);
    }
  }
}

void route_ref(const RouteArgs& args) {
  std::vector<float> scores(args.routing.experts);
  std::vector<std::int32_t> order(args.routing.experts);
  for (std::int64_t t = 0; t < args.routing.tokens; ++t) {
    choose(args, t, scores, order);
    weigh(args, t);
    describe_router(args.routing, t, args.routing.slots, args.rule.score);
  }
  route_capacity(args);
}

}  // namespace kappascope
