#include "core/stats/route_match.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/engine/routing_plan.h"
#include "core/stats/layer.h"

namespace kappascope {
namespace {

// The `most` experts of one token with the highest scores, by falling score; equal scores: the
// lower expert first.
std::vector<std::int32_t> ranked(std::span<const float> scores, std::int64_t most) {
  std::vector<std::int32_t> order(scores.size(), 0);
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min(most, std::ssize(order));
  std::partial_sort(order.begin(), end, order.end(), [&](std::int32_t a, std::int32_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  order.erase(end, order.end());
  return order;
}

// `given` [K] of one token of the layer.
void compare_token(const TraceLayer& layer, std::span<const float> scores, std::int64_t slots,
                   std::span<const std::int32_t> given, RouteMatch& match) {
  const bool any = std::any_of(given.begin(), given.end(), [](std::int32_t e) { return e >= 0; });
  if (!any || std::any_of(scores.begin(), scores.end(), [](float s) { return std::isnan(s); })) {
    return;
  }
  const std::vector<std::int32_t> order = ranked(scores, slots + 1);  // and the next one
  const auto last = order.begin() + slots;
  ++match.compared;
  const bool same = std::all_of(given.begin(), given.end(), [&](std::int32_t e) {
    return e < 0 || std::find(order.begin(), last, e) != last;
  });
  if (same) { return; }
  ++match.otherwise;
  const bool near = last != order.end() &&
                    layer.trace.is_near_tie(double(scores[last[-1]]) - double(scores[*last]));
  match.near_ties += near ? 1 : 0;
}

}  // namespace

std::vector<RouteMatch> match_routes(const Trace& trace, const RunPlan& plan,
                                     const GivenRoutes& routes) {
  const std::vector<LayerAndPass> rows = rows_of(plan, routes);
  const std::int64_t ungiven = trace.tokens - routes.tokens;  // 0, or the first token
  const auto scores = trace.selection_score.empty() ? trace.router_logits : trace.selection_score;
  std::vector<RouteMatch> matches;
  for (std::int64_t m = 0; m < trace.layers; ++m) {
    const TraceLayer layer(trace, m);
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const LayerAndPass& of) {
      return of.layer == layer.layer && of.pass == layer.pass;
    });
    if (row == rows.end()) { continue; }
    RouteMatch match{layer.layer, layer.pass};
    for (std::int64_t t = ungiven; t < trace.tokens; ++t) {
      if (!layer.counts(t)) { continue; }
      const auto at = std::size_t(((row - rows.begin()) * routes.tokens + t - ungiven));
      compare_token(layer,
                    scores.subspan(std::size_t((m * trace.tokens + t) * trace.experts),
                                   std::size_t(layer.experts)),
                    plan.layers[layer.layer].slots,
                    std::span(routes.expert)
                        .subspan(at * std::size_t(routes.slots), std::size_t(routes.slots)),
                    match);
    }
    matches.push_back(match);
  }
  return matches;
}

Json json_of(const std::vector<RouteMatch>& matches, const GivenRoutes& routes) {
  Json layers = Json::array();
  for (const RouteMatch& match : matches) {
    layers.push_back({{"layer", match.layer},
                      {"pass", match.pass},
                      {"compared", match.compared},
                      {"otherwise", match.otherwise},
                      {"near_ties", match.near_ties}});
  }
  return {{"file", printable(routes.file)}, {"layers", layers}};
}

}  // namespace kappascope
