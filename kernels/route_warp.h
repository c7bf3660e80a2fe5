// The choice of a token's experts by one warp, and what the router's numbers say of the token. For
// .cu files only.
#pragma once

#include "kernels/cuda_launch.h"
#include "kernels/route_math.h"

namespace kappascope {

inline __device__ Candidate warp_best(Candidate mine) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const Candidate other{__shfl_xor_sync(kAllLanes, mine.score, offset),
                          __shfl_xor_sync(kAllLanes, mine.index, offset)};
    if (chosen_before(other, mine)) { mine = other; }
  }
  return mine;
}

// score_base of softmax, by one warp.
inline __device__ ScoreBase warp_score_base(const float* logits, std::int64_t experts, int lane) {
  float highest = -INFINITY, sum = 0;
  for (std::int64_t e = lane; e < experts; e += kWarp) { highest = fmaxf(highest, logits[e]); }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, offset));
  }
  for (std::int64_t e = lane; e < experts; e += kWarp) { sum += std::exp(logits[e] - highest); }
  return {highest, warp_sum(sum)};
}

// The experts of a token, best first, one a call: the best of those that come after the last one.
// Scores are in registers, Held of them in each lane, of the experts lane, lane + 32, …; 0: they
// are read where they are needed, for more experts than registers.
// With All false the rule must not need all scores of a token.
template <int Held, bool All = true>
class Choice {
 public:
  __device__ Choice(const RouteArgs& args, std::int64_t t, int lane)
      : args_(args),
        t_(t),
        logits_(args.routing.logits + t * args.routing.experts),
        lane_(lane),
        selection_(select()) {
#pragma unroll
    for (int h = 0; h < Held; ++h) {
      const std::int64_t e = h * kWarp + lane;
      held_[h] = e < args.routing.experts ? score(e) : 0;
    }
  }

  __device__ float group_margin() const { return selection_.group_margin; }

  // The same in every lane; as often as there are experts.
  __device__ Candidate next() {
    Candidate mine{-INFINITY, INT32_MAX};
    const auto consider = [&](const Candidate& other) {
      if ((first_ || chosen_before(last_, other)) && chosen_before(other, mine)) { mine = other; }
    };
    if constexpr (Held > 0) {
#pragma unroll
      for (int h = 0; h < Held; ++h) {
        const int e = h * kWarp + lane_;
        if (e < args_.routing.experts) { consider({held_[h], e}); }
      }
    } else {
      for (std::int64_t e = lane_; e < args_.routing.experts; e += kWarp) {
        consider({score(e), std::int32_t(e)});
      }
    }
    first_ = false;
    return last_ = warp_best(mine);
  }

 private:
  __device__ float score(std::int64_t e) const { return selection_score(args_, t_, e, selection_); }

  // selection_of by one warp.
  __device__ Selection select() const {
    Selection selection;
    if constexpr (!All) { return selection; }
    if (args_.rule.by_score && args_.rule.score == ExpertScore::softmax) {
      selection.base = warp_score_base(logits_, args_.routing.experts, lane_);
    }
    if (args_.rule.groups == 1) { return selection; }
    const std::int64_t width = args_.routing.experts / args_.rule.groups;
    float mine = 0;  // of group number lane
    for (std::int32_t g = 0; g < args_.rule.groups; ++g) {
      BestTwo two;
      for (std::int64_t e = g * width + lane_; e < (g + 1) * width; e += kWarp) {
        two.consider({own_score(args_, t_, e, selection.base), std::int32_t(e)});
      }
      const Candidate best = warp_best(two.best);
      const Candidate second = warp_best(two.best.index == best.index ? two.second : two.best);
      const float score = args_.rule.two_best ? best.score + second.score : best.score;
      if (lane_ == g) { mine = score; }
    }
    const auto score_of = [&](std::int32_t g) { return __shfl_sync(kAllLanes, mine, g); };
    keep_groups(args_.rule, score_of, selection);
    return selection;
  }

  const RouteArgs& args_;
  const std::int64_t t_;
  const float* const logits_;
  const int lane_;
  const Selection selection_;
  bool first_ = true;
  Candidate last_{};
  float held_[Held > 0 ? Held : 1];
};

// `weigh` of token t by one warp. `mine`: the expert of slot number lane.
inline __device__ void weigh_warp(const RouteArgs& args, std::int64_t t, int lane,
                                  std::int32_t mine) {
  const int slots = int(args.routing.slots);
  if (args.rule.weight != RouteWeight::softmax_of_chosen || slots > kWarp) {
    __syncwarp();  // lane 0 reads its experts where they are written
    if (lane == 0) { weigh(args, t); }
    __syncwarp();
    return;
  }
  const bool inside = lane < slots;
  const float logit = inside ? args.routing.logits[t * args.routing.experts + mine] : -INFINITY;
  float highest = logit;
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, offset));
  }
  const float part = inside ? std::exp(logit - highest) : 0;
  float sum = 0;
  for (int k = 0; k < slots; ++k) { sum += __shfl_sync(kAllLanes, part, k); }
  if (inside) { args.routing.cells.weight[t * slots + lane] = part / sum; }
}

struct TopTwo {
  float best = -INFINITY, second = -INFINITY;
};

inline __device__ TopTwo top_two(const float* logits, std::int64_t experts, int lane) {
  TopTwo two;
  for (std::int64_t e = lane; e < experts; e += kWarp) {
    const float logit = logits[e];
    if (logit > two.best) {
      two.second = two.best;
      two.best = logit;
    } else if (logit > two.second) {
      two.second = logit;
    }
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const float best = __shfl_xor_sync(kAllLanes, two.best, offset);
    const float second = __shfl_xor_sync(kAllLanes, two.second, offset);
    two.second = fmaxf(fminf(two.best, best), fmaxf(two.second, second));
    two.best = fmaxf(two.best, best);
  }
  return two;
}

// p = q / Σ q: its maximum, its sum over the first `chosen` cells, its entropy / ln E with
// −Σ p ln p = ln Σ q − Σ q·ln q / Σ q; and the gap between the two highest logits. q is that of
// softmax without its denominator, exp(logit − highest), or sigmoid.
inline __device__ void describe_router(const RoutingView& routing, std::int64_t t,
                                       std::int64_t chosen, int lane,
                                       ExpertScore score = ExpertScore::softmax) {
  const float* logits = routing.logits + t * routing.experts;
  const TopTwo two = top_two(logits, routing.experts, lane);
  const bool sigmoid = score == ExpertScore::sigmoid;
  const auto q_of = [&](std::int64_t e) {
    return sigmoid ? 1 / (1 + expf(-logits[e])) : expf(logits[e] - two.best);
  };
  float sum = 0, weighted = 0;
  for (std::int64_t e = lane; e < routing.experts; e += kWarp) {
    const float q = q_of(e);
    sum += q;
    if (q != 0) { weighted += q * (sigmoid ? logf(q) : logits[e] - two.best); }
  }
  sum = warp_sum(sum);
  weighted = warp_sum(weighted);
  if (lane != 0) { return; }
  const float highest = sigmoid ? 1 / (1 + expf(-two.best)) : 1;
  float selected = 0;
  for (std::int64_t k = 0; k < chosen; ++k) {
    selected += q_of(routing.cells.expert[t * routing.slots + k]);
  }
  const bool valid = sum > 0;  // not NaN
  const float entropy =
      routing.experts > 1 ? (logf(sum) - weighted / sum) / logf(float(routing.experts)) : 0;
  const RouterNumbers& numbers = routing.numbers;
  numbers.top1_prob[t] = valid ? highest / sum : NAN;
  numbers.selected_mass[t] = valid ? selected / sum : NAN;
  numbers.top_gap[t] = valid && routing.experts > 1 ? two.best - two.second : NAN;
  numbers.entropy[t] = valid ? entropy : NAN;
}

// Of route_cuda and soft_route_cuda: starts what fills kept, score, queue_position and assigned
// from expert and weight, as route_capacity does. `memory` as theirs; 0 or a CUDA error.
int place_in_queues(const RouteArgs& args, std::int32_t* memory, CudaStream stream);

}  // namespace kappascope
