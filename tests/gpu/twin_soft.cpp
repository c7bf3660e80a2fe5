// Soft routing against its reference.
#include <limits>

#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct SoftCase {
  std::int64_t experts;
  SoftRule rule;
  RouteScore score;
  float spread;  // of the logits
  bool ties = false, hostile = false;
};

const SoftCase kSoftCases[] = {
    {8, {.budget = 1.7, .threshold = 0.05}, RouteScore::router_probs, 2},
    {64, {.budget = 2.5, .threshold = 0.1, .most = 5}, RouteScore::scaled_logit, 2},
    {6, {.budget = 1, .temperature = 1.5, .threshold = 0.2}, RouteScore::raw_logit, 2, true},
    {130, {.budget = 4, .relative = 1.8, .most = 8}, RouteScore::given, 1},
    {33, {.budget = 3, .relative = 1, .most = 1}, RouteScore::router_probs, 2, true, true},
    {1, {.budget = 0.4, .threshold = 0.3}, RouteScore::none, 2},
    {512, {.budget = 500, .threshold = 0.5}, RouteScore::constant, 3},
    {300, {.budget = 1e-5, .threshold = 0}, RouteScore::router_probs, 2},
    {7, {.budget = 3, .threshold = 0.2}, RouteScore::router_probs, 1e30f},  // p of 0 and 1
    {5, {.budget = 2, .threshold = 1}, RouteScore::router_probs, 2},        // none runs
};

std::vector<float> make_logits(const SoftCase& of, std::int64_t tokens) {
  Random random(std::uint64_t(tokens * 100 + of.experts));
  std::vector<float> logits = random.normals(tokens * of.experts, of.spread);
  for (float& logit : logits) {
    if (of.ties) { logit = std::round(logit * 2) / 2; }
    if (of.hostile && random.bits() % 200 == 0) { logit = random.bits() % 2 ? kInf : kInf - kInf; }
  }
  return logits;
}

void compare_case(const SoftCase& of, std::int64_t tokens, Check& check) {
  const auto cells = std::size_t(tokens * of.experts), rows = std::size_t(tokens);
  Random random(7);
  Values<float> logits(make_logits(of, tokens)), norm(random.normals(of.experts, 0.1f));
  Values<float> given(random.normals(tokens * of.experts));
  Values<std::int32_t> index(cells), position(cells), assigned(std::size_t(of.experts));
  Values<float> p(cells), weight(cells), input(cells),
      numbers[5]{Values<float>(rows), Values<float>(rows), Values<float>(rows), Values<float>(rows),
                 Values<float>(rows)};
  Values<std::uint8_t> kept(cells);
  const auto arguments = [&](auto at) {
    SoftRouteArgs args;
    args.rule = of.rule;
    RoutingView& routing = args.route.routing;
    routing.tokens = tokens;
    routing.experts = routing.slots = of.experts;
    routing.logits = at(logits);
    routing.soft_weight = at(p);
    routing.cells = {nullptr, at(index), at(weight), at(kept), at(input)};
    routing.numbers = {at(numbers[0]), at(numbers[1]), at(numbers[2]), at(numbers[3]),
                       at(numbers[4])};
    args.route.score = of.score;
    args.route.score_factor = 1.7f;
    args.route.score_constant = 0.7f;
    args.route.score_norm = at(norm);
    args.route.given_score = at(given);
    args.route.queue_position = at(position);
    args.route.assigned = at(assigned);
    return args;
  };
  const SoftRouteArgs host = arguments([](auto& values) { return values.host.data(); });
  const SoftRouteArgs device = arguments([](auto& values) { return values.device(); });
  Values<std::int32_t> memory(std::size_t(route_memory(host.route)));
  soft_route_ref(host);
  require_ok(soft_route_cuda(device, memory.device(), nullptr), "soft_route");
  require_ok(cuda_wait_all(), "soft_route");
  check.equal("expert_index", index.fetch(), index.host);
  check.equal("queue_position", position.fetch(), position.host);
  check.equal("assigned", assigned.fetch(), assigned.host);
  check.equal("expert_kept", kept.fetch(), kept.host);
  check.close("soft_weight", p.fetch(), p.host, 2e-7, 1e-30);
  check.close("expert_weight", weight.fetch(), weight.host, 2e-7, 1e-30);
  check.close("kappa_input", input.fetch(), input.host, 2e-7);
  const char* names[] = {"top1_prob", "selected_mass", "margin", "top_gap", "entropy"};
  for (int i = 0; i < 5; ++i) {
    check.close(names[i], numbers[i].fetch(), numbers[i].host, i < 4 ? 2e-6 : 4e-6);
  }
}

}  // namespace

void compare_soft_route(std::int64_t tokens, Check& check) {
  for (const SoftCase& of : kSoftCases) {
    check.begin("soft_route, " + std::to_string(tokens) + " tokens, " + std::to_string(of.experts) +
                " experts");
    compare_case(of, tokens, check);
  }
}

}  // namespace kappascope::twin
