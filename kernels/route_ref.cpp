// Top-k routing with capacity, reference (SPEC §1.5, §5).
//
//   chosen = the K highest of logits + selection_bias     (equal scores: lower expert first)
//   weight = softmax over the chosen *logits*
//   an expert's queue takes every token's 1st choice in token order, then every 2nd, …; what stands
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

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct BetterScore {
  const float* scores;
  bool operator()(std::int32_t a, std::int32_t b) const {
    return chosen_before({scores[a], a}, {scores[b], b});
  }
};

void choose(const RouteArgs& args, std::int64_t t, std::vector<float>& scores,
            std::vector<std::int32_t>& order) {
  const float* logits = args.logits + t * args.experts;
  for (std::int64_t e = 0; e < args.experts; ++e) {
    scores[e] = logits[e] + (args.selection_bias ? args.selection_bias[e] : 0.0f);
  }
  std::iota(order.begin(), order.end(), 0);
  // One more than K, for the margin.
  const auto ranked = std::min(args.slots + 1, args.experts);
  std::partial_sort(order.begin(), order.begin() + ranked, order.end(), BetterScore{scores.data()});
  std::copy_n(order.begin(), args.slots, args.expert_index + t * args.slots);
  args.margin[t] =
      args.slots < args.experts ? scores[order[args.slots - 1]] - scores[order[args.slots]] : kNaN;
}

}  // namespace

void route_capacity(const RouteArgs& args) {
  std::vector<std::int64_t> queued(args.experts, 0);
  for (std::int64_t k = 0; k < args.slots; ++k) {
    for (std::int64_t t = 0; t < args.tokens; ++t) {
      const std::int64_t at = t * args.slots + k;
      const std::int32_t e = args.expert_index[at];
      const bool kept = args.capacity < 0 || queued[e] < args.capacity;
      if (args.queue_position) { args.queue_position[at] = std::int32_t(queued[e]); }
      ++queued[e];
      args.expert_kept[at] = kept;
      args.kappa_input[at] =
          kept ? kappa_score(args, args.expert_weight[at], args.logits[t * args.experts + e], e)
               : kNaN;
      if (!kept) { args.expert_weight[at] = 0; }
    }
  }
  if (args.assigned) { std::copy(queued.begin(), queued.end(), args.assigned); }
}

namespace {

// p = softmax over all E: its maximum, its sum over the chosen, its entropy / ln E; and the gap
// between the two highest logits.
void describe_router(const RouteArgs& args, std::int64_t t, std::vector<double>& p) {
  const float* logits = args.logits + t * args.experts;
  float best = -std::numeric_limits<float>::infinity(), second = best;
  for (std::int64_t e = 0; e < args.experts; ++e) {
    if (logits[e] > best) {
      second = best;
      best = logits[e];
    } else {
      second = std::max(second, logits[e]);
    }
  }
  double sum = 0;
  for (std::int64_t e = 0; e < args.experts; ++e) {
    sum += p[e] = std::exp(double(logits[e]) - best);
  }
  double highest = 0, entropy = 0, selected = 0;
  for (std::int64_t e = 0; e < args.experts; ++e) {
    p[e] /= sum;
    highest = std::max(highest, p[e]);
    if (p[e] != 0) { entropy -= p[e] * std::log(p[e]); }
  }
  for (std::int64_t k = 0; k < args.slots; ++k) {
    selected += p[args.expert_index[t * args.slots + k]];
  }
  const bool valid = !std::isnan(sum);
  args.top1_prob[t] = valid ? float(highest) : kNaN;
  args.selected_mass[t] = valid ? float(selected) : kNaN;
  args.top_gap[t] = valid && args.experts > 1 ? best - second : kNaN;
  args.entropy[t] = valid ? (args.experts > 1 ? float(entropy / std::log(args.experts)) : 0) : kNaN;
}

}  // namespace

void route_ref(const RouteArgs& args) {
  std::vector<float> scores(args.experts);
  std::vector<std::int32_t> order(args.experts);
  std::vector<double> probabilities(args.experts);
  for (std::int64_t t = 0; t < args.tokens; ++t) {
    choose(args, t, scores, order);
    weigh(args, t);
    describe_router(args, t, probabilities);
  }
  route_capacity(args);
}

}  // namespace kappascope
