// How a router's logits r [E] become each expert's score q, its selection score c, and the weights
// of those chosen (SPEC-families §1, §3, §8).
#pragma once

#include <cstdint>

namespace kappascope {

// q of an expert. The router's probability is p = q / Σ q.
enum class ExpertScore : std::uint8_t {
  softmax,  // over all E
  sigmoid   // of its own logit
};

enum class RouteWeight : std::uint8_t {
  softmax_of_chosen,  // softmax over the logits of the chosen
  score,              // scale·q
  normalised,         // scale·q / max(Σ q + added, least), Σ over the chosen
  // Of a slot whose expert has the logit m: softmax at it, over the experts that are in no earlier
  // slot and have (m − r)/max(|r|, m) ≤ 2·jitter.
  sparse_mixer
};

inline constexpr std::int32_t kMostRouterGroups = 32;

struct RouterRule {
  ExpertScore score = ExpertScore::softmax;
  bool by_score = false;  // c = q + selection_bias; false: c = r + selection_bias
  RouteWeight weight = RouteWeight::softmax_of_chosen;
  float scale = 1, added = 0, least = 0, jitter = 0;
  // Experts are in `groups` equal runs, of which the `kept_groups` best may be chosen from: by
  // their largest c, or by the sum of their two largest.
  std::int32_t groups = 1, kept_groups = 1;
  bool two_best = false;

  // Whether c is the logit, but for a bias.
  constexpr bool chosen_by_logit() const { return !by_score && groups == 1; }
};

}  // namespace kappascope
