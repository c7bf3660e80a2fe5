// Routing, grouping and what is read off the logits against their references.
#include <array>
#include <limits>

#include "tests/gpu/twin.h"

namespace kappascope::twin {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct RouteCase {
  std::int64_t experts, slots, capacity;
  RouteScore score;
  bool biased, ties, hostile;
  bool given = false;  // some slots have their expert; with `biased` the last one is never chosen
  RouterRule rule = {};
};

constexpr RouterRule kSigmoid{.score = ExpertScore::sigmoid,
                              .by_score = true,
                              .weight = RouteWeight::normalised,
                              .scale = 2.5f,
                              .added = 1e-20f};
constexpr RouterRule kBiasedSoftmax{
    .by_score = true, .weight = RouteWeight::normalised, .least = 1e-12f};
constexpr RouterRule kSparseMixer{.weight = RouteWeight::sparse_mixer, .jitter = 0.1f};
constexpr RouterRule in_groups(RouterRule rule, std::int32_t groups, std::int32_t kept,
                               bool two_best) {
  rule.groups = groups;
  rule.kept_groups = kept;
  rule.two_best = two_best;
  return rule;
}
constexpr RouterRule kOfAll{.weight = RouteWeight::score, .scale = 3};

constexpr RouteCase kRouteCases[] = {
    {4, 2, -1, RouteScore::router_probs, false, false, false},
    {64, 2, 5, RouteScore::scaled_logit, false, false, false},
    {6, 3, 4, RouteScore::raw_logit, true, true, false},
    {130, 8, 3, RouteScore::constant, true, false, false},
    {1, 1, 2, RouteScore::none, false, false, false},
    {5, 5, 9, RouteScore::router_probs, false, true, false},
    {33, 4, 6, RouteScore::scaled_logit, false, true, true},
    {64, 3, 5, RouteScore::given, true, false, false},
    {6, 3, 4, RouteScore::router_probs, true, true, false, true},
    {130, 8, 9, RouteScore::scaled_logit, false, false, false, true},
    {5, 5, -1, RouteScore::raw_logit, false, true, false, true},
    {33, 4, -1, RouteScore::none, true, false, false, false, kSigmoid},
    {64, 3, -1, RouteScore::none, false, true, true, false, kSigmoid},
    {33, 4, -1, RouteScore::none, true, false, false, true, kSigmoid},
    {40, 4, -1, RouteScore::none, true, false, false, false, in_groups(kSigmoid, 4, 2, true)},
    {36, 3, -1, RouteScore::none, true, false, false, true, in_groups(kSigmoid, 4, 3, true)},
    {384, 8, -1, RouteScore::none, true, false, false, false, in_groups(kSigmoid, 8, 4, true)},
    {60, 6, -1, RouteScore::none, false, true, true, false, in_groups(kOfAll, 5, 2, false)},
    {8, 2, -1, RouteScore::none, false, false, false, true, in_groups(kOfAll, 4, 2, false)},
    {8, 2, -1, RouteScore::none, false, false, false, false, kOfAll},
    {65, 6, -1, RouteScore::none, true, false, false, false, kBiasedSoftmax},
    {65, 6, -1, RouteScore::none, true, false, true, true, kBiasedSoftmax},
    {16, 2, -1, RouteScore::none, false, false, false, false, kSparseMixer},
    {16, 3, -1, RouteScore::none, false, true, true, true, kSparseMixer},
};

// For each slot an expert or −1; no expert twice in a token.
std::vector<std::int32_t> make_given(const RouteCase& of, std::int64_t tokens) {
  Random random(11);
  std::vector<std::int32_t> given;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::uint32_t first = random.bits();
    for (std::int64_t k = 0; k < of.slots; ++k) {
      const bool left = random.bits() % 2 == 0 || t % 4 == 0;
      given.push_back(left ? -1 : std::int32_t((first + std::uint32_t(k)) % of.experts));
    }
  }
  return given;
}

std::vector<float> make_logits(const RouteCase& of, std::int64_t tokens) {
  Random random(std::uint64_t(tokens * 100 + of.experts));
  std::vector<float> logits = random.normals(tokens * of.experts, 2);
  for (float& logit : logits) {
    if (of.ties) { logit = std::round(logit * 2) / 2; }
    if (!of.hostile) { continue; }
    const std::uint32_t dice = random.bits() % 60;
    if (dice < 3) { logit = dice == 0 ? kNaN : dice == 1 ? kInf : -kInf; }
  }
  return logits;
}

// Everything a routing writes.
struct RouteOutputs {
  Values<std::int32_t> index, position, assigned;
  Values<float> weight, input, top1, mass, margin, gap, entropy;
  Values<std::uint8_t> kept;
  RouteOutputs(std::size_t cells, std::size_t tokens, std::size_t experts)
      : index(cells),
        position(cells),
        assigned(experts),
        weight(cells),
        input(cells),
        top1(tokens),
        mass(tokens),
        margin(tokens),
        gap(tokens),
        entropy(tokens),
        kept(cells) {}
  void put(RouteArgs& args, bool device) {
    const auto at = [device](auto& values) {
      return device ? values.device() : values.host.data();
    };
    args.routing.cells = {nullptr, at(index), at(weight), at(kept), at(input)};
    args.routing.numbers = {at(top1), at(mass), at(margin), at(gap), at(entropy)};
    args.queue_position = at(position);
    args.assigned = at(assigned);
  }
};

void compare_case(const RouteCase& of, std::int64_t tokens, Check& check) {
  const auto cells = std::size_t(tokens * of.slots);
  Random random(7);
  Values<float> logits(make_logits(of, tokens));
  std::vector<float> added = random.normals(of.experts);
  if (of.given) { added.back() = -kInf; }
  Values<float> bias(added), norm(random.normals(of.experts, 0.1f));
  Values<float> given(random.normals(tokens * of.experts));
  RouteArgs args;
  args.routing.tokens = tokens;
  args.routing.experts = of.experts;
  args.routing.slots = of.slots;
  args.capacity = of.capacity;
  args.score = of.score;
  args.score_factor = 1.7f;
  args.score_constant = 0.7f;
  args.rule = of.rule;
  RouteOutputs out(cells, std::size_t(tokens), std::size_t(of.experts));
  RouteArgs host = args, device = args;
  host.routing.logits = logits.host.data();
  device.routing.logits = logits.device();
  host.given_score = given.host.data();
  device.given_score = given.device();
  host.score_norm = norm.host.data();
  device.score_norm = norm.device();
  if (of.biased) {
    host.selection_bias = bias.host.data();
    device.selection_bias = bias.device();
  }
  Values<std::int32_t> experts(make_given(of, tokens));
  if (of.given) {
    host.given_expert = experts.host.data();
    device.given_expert = experts.device();
  }
  out.put(host, false);
  out.put(device, true);
  Values<std::int32_t> memory(std::size_t(route_memory(args)));
  route_ref(host);
  RouteArgs without_numbers = device;
  without_numbers.routing.numbers = {};
  require_ok(route_cuda(without_numbers, memory.device(), nullptr), "route");
  require_ok(cuda_wait_all(), "route");
  const std::vector<std::int32_t> index = out.index.fetch(), position = out.position.fetch();
  const std::vector<float> weight = out.weight.fetch(), input = out.input.fetch();
  require_ok(route_cuda(device, memory.device(), nullptr), "route");
  require_ok(cuda_wait_all(), "route");
  check.equal("expert_index without numbers", index, out.index.fetch());
  check.equal("queue_position without numbers", position, out.position.fetch());
  check.close("expert_weight without numbers", weight, out.weight.fetch(), 0);
  check.close("kappa_input without numbers", input, out.input.fetch(), 0);
  check.equal("expert_index", out.index.fetch(), out.index.host);
  check.equal("queue_position", out.position.fetch(), out.position.host);
  check.equal("assigned", out.assigned.fetch(), out.assigned.host);
  check.equal("expert_kept", out.kept.fetch(), out.kept.host);
  check.close("expert_weight", out.weight.fetch(), out.weight.host, 1e-6);
  check.close("kappa_input", out.input.fetch(), out.input.host, 1e-6);
  check.close("top1_prob", out.top1.fetch(), out.top1.host, 2e-6);
  check.close("selected_mass", out.mass.fetch(), out.mass.host, 2e-6);
  // A score is rounded otherwise than the reference's, and so is the sum of two.
  check.close("margin", out.margin.fetch(), out.margin.host, of.rule.by_score ? 1e-6 : 0);
  check.close("top_gap", out.gap.fetch(), out.gap.host, 0);
  check.close("entropy", out.entropy.fetch(), out.entropy.host, 4e-6);
}

}  // namespace

void compare_route(std::int64_t tokens, Check& check) {
  for (const RouteCase& of : kRouteCases) {
    check.begin("route, " + std::to_string(tokens) + " tokens, " + std::to_string(of.experts) +
                " experts");
    compare_case(of, tokens, check);
  }
}

Routed make_routing(std::int64_t tokens, std::int64_t slots, std::int64_t experts,
                    std::int64_t capacity) {
  Routed routed{tokens, slots, experts, capacity, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  const auto cells = std::size_t(tokens * slots), rows = std::size_t(tokens);
  for (auto* values :
       {&routed.expert_index, &routed.queue_position, &routed.cell_row, &routed.row_cell,
        &routed.tile_expert, &routed.tile_row, &routed.tile_rows}) {
    values->assign(cells, -1);
  }
  routed.assigned.resize(std::size_t(experts));
  routed.row_start.resize(std::size_t(experts) + 1);
  routed.kept.resize(cells);
  routed.weight.resize(cells);
  routed.score.resize(cells);
  std::vector<float> numbers[5];
  for (auto& values : numbers) { values.resize(rows); }
  const std::vector<float> logits = Random(std::uint64_t(tokens)).normals(tokens * experts, 2);
  RouteArgs args;
  args.routing = {tokens,
                  experts,
                  slots,
                  logits.data(),
                  {nullptr, routed.expert_index.data(), routed.weight.data(), routed.kept.data(),
                   routed.score.data()},
                  {numbers[0].data(), numbers[1].data(), numbers[2].data(), numbers[3].data(),
                   numbers[4].data()}};
  args.capacity = capacity;
  args.score = RouteScore::router_probs;
  args.score_factor = 2;
  args.queue_position = routed.queue_position.data();
  args.assigned = routed.assigned.data();
  route_ref(args);
  group_ref({tokens, slots, experts, capacity, routed.assigned.data(), routed.expert_index.data(),
             routed.queue_position.data(), routed.kept.data(), routed.row_start.data(),
             routed.cell_row.data(), routed.row_cell.data(), routed.tile_expert.data(),
             routed.tile_row.data(), routed.tile_rows.data()});
  return routed;
}

void compare_group(std::int64_t tokens, Check& check) {
  for (const auto& [slots, experts, capacity] :
       {std::array<std::int64_t, 3>{2, 4, -1}, {3, 600, 4}, {2, 64, 5}, {8, 130, 3}, {1, 1, 2}}) {
    check.begin("group, " + std::to_string(tokens) + " tokens, " + std::to_string(experts) +
                " experts");
    const Routed routed = make_routing(tokens, slots, experts, capacity);
    const auto cells = std::size_t(tokens * slots);
    Values<std::int32_t> assigned(routed.assigned), index(routed.expert_index);
    Values<std::int32_t> position(routed.queue_position), start(std::size_t(experts) + 1);
    Values<std::int32_t> cell_row(cells), row_cell(cells);
    Values<std::int32_t> tile_expert(cells), tile_row(cells), tile_rows(cells);
    Values<std::uint8_t> kept(routed.kept);
    require_ok(
        group_cuda({tokens, slots, experts, capacity, assigned.device(), index.device(),
                    position.device(), kept.device(), start.device(), cell_row.device(),
                    row_cell.device(), tile_expert.device(), tile_row.device(), tile_rows.device()},
                   nullptr),
        "group");
    require_ok(cuda_wait_all(), "group");
    check.equal("row_start", start.fetch(), routed.row_start);
    check.equal("cell_row", cell_row.fetch(), routed.cell_row);
    check.equal("row_cell", row_cell.fetch(), routed.row_cell);
    check.equal("tile_expert", tile_expert.fetch(), routed.tile_expert);
    check.equal("tile_row", tile_row.fetch(), routed.tile_row);
    check.equal("tile_rows", tile_rows.fetch(), routed.tile_rows);
    std::vector<bool> used(std::size_t(routed.rows()), false);  // every row has one cell
    for (const std::int32_t row : routed.cell_row) {
      if (row >= 0) { used[row] = true; }
    }
    for (const bool row : used) { check.holds("every row has a cell", row); }
  }
}

void compare_next_token(std::int64_t tokens, Check& check) {
  for (const std::int64_t vocab : {1, 3, 100, 1000, 5000}) {
    check.begin("next_token, " + std::to_string(tokens) + " rows, " + std::to_string(vocab));
    Random random(std::uint64_t(tokens + vocab));
    std::vector<float> drawn = random.normals(tokens * vocab, 3);
    std::vector<std::int32_t> follows;
    for (std::int64_t r = 0; r < tokens; ++r) {
      follows.push_back(r % 5 == 4 ? -1 : std::int32_t(random.bits() % std::uint32_t(vocab)));
    }
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      if (i / std::size_t(vocab) % 3 == 1) {
        drawn[i] = std::round(drawn[i]);  // equal logits
      }
      // The best five in the order of one thread, then of one warp.
      const std::size_t at = i % std::size_t(vocab);
      if (i / std::size_t(vocab) % 7 == 4 && at % 256 == 9) { drawn[i] = 50.0f - float(at) / 256; }
      if (i / std::size_t(vocab) % 7 == 5 && at < 32) { drawn[i] = 50.0f + float(at % 7); }
      if (i / std::size_t(vocab) % 7 == 6 && i % 11 == 0) { drawn[i] = i % 2 ? kNaN : -kInf; }
    }
    const auto rows = std::size_t(tokens);
    Values<float> logits(drawn), nll(rows), logprob(rows * kTopTokens);
    Values<std::int32_t> target(follows), rank(rows), ids(rows * kTopTokens);
    next_token_ref({tokens, vocab, logits.host.data(), target.host.data(), nll.host.data(),
                    rank.host.data(), ids.host.data(), logprob.host.data()});
    require_ok(next_token_cuda({tokens, vocab, logits.device(), target.device(), nll.device(),
                                rank.device(), ids.device(), logprob.device()},
                               nullptr),
               "next_token");
    require_ok(cuda_wait_all(), "next_token");
    check.close("nll", nll.fetch(), nll.host, 2e-6);
    check.equal("target_rank", rank.fetch(), rank.host);
    check.equal("top_id", ids.fetch(), ids.host);
    check.close("top_logprob", logprob.fetch(), logprob.host, 2e-6);
  }
}

}  // namespace kappascope::twin
