// Soft routing, reference (SPEC §3, SPEC-layouts §3a); soft_math.h has the formulas.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/route_math.h"
#include "kernels/soft_math.h"

namespace kappascope {
namespace {

// Room for one token.
struct Token {
  explicit Token(std::int64_t experts) : order(experts), sorted(experts), p(experts) {}
  std::vector<std::int32_t> order;
  std::vector<float> sorted;
  std::vector<double> p;
};

// The experts by falling p, and p of each in that order.
void weigh_softly(const SoftRouteArgs& args, const float* logits, Token& token) {
  std::iota(token.order.begin(), token.order.end(), 0);
  const bool finite = std::all_of(logits, logits + token.order.size(),
                                  [](float logit) { return std::isfinite(logit); });
  if (!finite) { return std::fill(token.p.begin(), token.p.end(), double(NAN)); }
  std::sort(token.order.begin(), token.order.end(), [&](std::int32_t a, std::int32_t b) {
    return chosen_before({logits[a], a}, {logits[b], b});
  });
  for (std::size_t i = 0; i < token.order.size(); ++i) { token.sorted[i] = logits[token.order[i]]; }
  const SoftRoot root =
      soft_root(Alone{}, token.sorted.data(), std::ssize(token.sorted), args.rule);
  for (std::size_t i = 0; i < token.p.size(); ++i) {
    token.p[i] = soft_weight(token.sorted[i], root, args.rule.temperature);
  }
  // Unequal logits may have equal p: those are in the order of the experts.
  for (std::size_t first = 0; first < token.p.size();) {
    std::size_t last = first + 1;
    while (last < token.p.size() && token.p[last] == token.p[first]) { ++last; }
    std::sort(token.order.begin() + std::ptrdiff_t(first),
              token.order.begin() + std::ptrdiff_t(last));
    first = last;
  }
}

void route_token(const SoftRouteArgs& args, std::int64_t t, Token& token) {
  const RoutingView& routing = args.route.routing;
  const std::int64_t experts = routing.experts;
  weigh_softly(args, routing.logits + t * experts, token);
  const SoftChoice choice = soft_choice(Alone{}, token.p.data(), experts, args.rule);
  for (std::int64_t i = 0; i < experts; ++i) {
    const std::int64_t cell = t * experts + i;
    const std::int32_t expert = token.order[i];
    const auto p = float(token.p[i]);
    const bool runs = i < choice.run;
    if (routing.soft_weight) { routing.soft_weight[t * experts + expert] = p; }
    routing.cells.expert[cell] = expert;
    routing.cells.kept[cell] = runs;
    routing.cells.weight[cell] = runs ? p : 0;
    routing.cells.score[cell] = runs ? kappa_score(args.route, p, t, expert) : NAN;
  }
  if (!routing.numbers.margin) { return; }
  describe_router(routing, t, choice.run);
  routing.numbers.margin[t] = float(choice.margin);
}

}  // namespace

void soft_route_ref(const SoftRouteArgs& args, std::int64_t first, std::int64_t last) {
  Token token(args.route.routing.experts);
  for (std::int64_t t = first; t < last; ++t) { route_token(args, t, token); }
}

void soft_route_ref(const SoftRouteArgs& args) {
  soft_route_ref(args, 0, args.route.routing.tokens);
  if (!args.route.queue_position) { return; }
  RouteArgs queues = args.route;
  queues.kept_is_given = true;
  route_capacity(queues);
}

}  // namespace kappascope
