#include "core/engine/routing_plan.h"

#include <algorithm>

#include "core/engine/output_plan.h"
#include "core/error.h"

namespace kappascope {

std::vector<LayerAndPass> rows_of(const RunPlan& plan, const GivenRoutes& routes) {
  std::vector<LayerAndPass> rows;
  for (std::size_t r = 0; r < routes.layer.size(); ++r) {
    rows.push_back({routes.layer[r], routes.pass[r]});
  }
  if (!rows.empty()) { return rows; }
  for (std::int64_t pass = 0; pass < plan.passes; ++pass) {
    for (std::int64_t layer = 0; layer < std::ssize(plan.layers); ++layer) {
      if (plan.layers[layer].spec->moe()) { rows.push_back({layer, pass}); }
    }
  }
  return rows;
}

namespace {

// What is wrong with the experts of one token in a layer, "" when nothing is.
std::string problem_of(const LayerPlan& plan, const std::int32_t* experts, std::int64_t slots,
                       bool replayed) {
  const std::int64_t all = plan.spec->moe()->router.experts;
  for (std::int64_t k = 0; k < slots; ++k) {
    const std::int32_t e = experts[k];
    if (e == -1) { continue; }
    if (e < 0 || e >= all) {
      return join_words("slot ", k, " has expert ", e, "; expected -1 to ", all - 1);
    }
    if (k >= plan.slots) {
      return join_words("slot ", k, " has expert ", e, "; expected -1: the layer has ", plan.slots,
                        plan.slots == 1 ? " slot" : " slots");
    }
    if (std::find(experts, experts + k, e) != experts + k) {
      return join_words("expert ", e, " is there twice");
    }
    if (replayed && plan.mode(e) == ExpertMode::reroute) {
      return join_words("slot ", k, " has expert ", e, ", which ablate takes out of the choice");
    }
  }
  return "";
}

}  // namespace

std::string problem_of(const RunPlan& plan, const GivenRoutes& routes, bool replayed) {
  for (const LayerPlan& layer : plan.layers) {
    if (layer.soft) { return "soft routing has no number of experts that every token chooses"; }
  }
  const std::vector<LayerAndPass> rows = rows_of(plan, routes);
  if (std::ssize(rows) != routes.rows) {
    return join_words("rows (MoE layers × passes); expected ", rows.size(), ", found ",
                      routes.rows);
  }
  const std::int64_t most = plan.most_slots();
  if (routes.slots != most) {
    return join_words("experts of a token; expected K = ", most, ", found ", routes.slots,
                      "; --top-k K sets how many the run has");
  }
  for (std::int64_t r = 0; r < routes.rows; ++r) {
    const auto [layer, pass] = rows[r];
    const bool there = layer >= 0 && layer < std::ssize(plan.layers) && pass >= 0 &&
                       pass < plan.passes && plan.layers[layer].spec->moe();
    if (!there) {
      return join_words("row ", r, " is of layer ", layer, ", pass ", pass,
                        ", where this run has no experts");
    }
    for (std::int64_t t = 0; t < routes.tokens; ++t) {
      const std::int32_t* experts = routes.expert.data() + (r * routes.tokens + t) * routes.slots;
      const std::string problem = problem_of(plan.layers[layer], experts, routes.slots, replayed);
      if (!problem.empty()) {
        return join_words("row ", r, " (layer ", layer, "), token ", t, ": ", problem);
      }
    }
  }
  return "";
}

std::string place_routes(RunPlan& plan) {
  std::string problem = problem_of(plan, *plan.routes, true);
  if (!problem.empty()) { return problem; }
  std::int64_t row = 0;
  for (const auto [layer, pass] : rows_of(plan, *plan.routes)) {
    std::vector<std::int64_t>& rows = plan.layers[layer].routes_row;
    rows.resize(std::size_t(plan.passes), -1);
    rows[pass] = row++;
  }
  return "";
}

void check_tokens(const GivenRoutes& routes, std::span<const std::int32_t> ids) {
  const std::int64_t tokens = std::ssize(ids);
  require(routes.tokens == tokens || routes.tokens == tokens - 1, ExitCode::unsupported,
          {.file = routes.file}, "routing of tokens; expected ", tokens, " or ", tokens - 1,
          " (the text has ", tokens, "), found ", routes.tokens);
  for (std::size_t t = 0; t < routes.token_id.size() && t < ids.size(); ++t) {
    require(routes.token_id[t] == ids[t], ExitCode::unsupported, {.file = routes.file},
            "recorded of another text; expected id ", ids[t], " at token ", t, ", found ",
            routes.token_id[t]);
  }
}

bool LayerPlan::has(ExpertMode mode) const {
  return std::find(modes.begin(), modes.end(), mode) != modes.end();
}

std::vector<std::int32_t> RunPlan::given_experts(std::int64_t layer, std::int64_t pass,
                                                 const CallTokens& call) const {
  const LayerPlan& plan = layers[layer];
  const std::int64_t row = plan.routes_row.empty() ? -1 : plan.routes_row[pass];
  if (row < 0 && plan.given.empty()) { return {}; }
  const std::int64_t first = call.first, end = call.first + call.count;
  std::vector<std::int32_t> experts(std::size_t(call.count * plan.slots), -1);
  const std::int64_t ungiven = row < 0 ? end : call.text - routes->tokens;  // 0 or the first token
  for (std::int64_t t = std::max(call.recorded, ungiven); t < end; ++t) {
    const std::int32_t* from =
        routes->expert.data() + (row * routes->tokens + t - ungiven) * routes->slots;
    std::copy_n(from, plan.slots, experts.begin() + (t - first) * plan.slots);
  }
  const auto give = [&](const GivenExperts& given, std::int64_t t) {
    const auto to = experts.begin() + (t - first) * plan.slots;
    std::fill_n(to, plan.slots, -1);
    std::copy(given.experts.begin(), given.experts.end(), to);
  };
  for (const GivenExperts& given : plan.given) {
    for (const std::int64_t t : given.tokens) {
      if (t >= first && t < end) { give(given, t); }
    }
    for (std::int64_t t = first; given.tokens.empty() && t < end; ++t) { give(given, t); }
  }
  return experts;
}

void RunPlan::check_text(std::span<const std::int32_t> ids) const {
  const std::int64_t tokens = std::ssize(ids);
  for (const Intervention& edit : interventions) {
    if (edit.tokens.empty()) { continue; }
    require(edit.tokens.back() < tokens, ExitCode::unsupported, {}, edit.text(), ": token ",
            edit.tokens.back(), ": expected 0 to ", tokens - 1);
  }
  if (routes) { check_tokens(*routes, ids); }
  for (const LayerPlan& layer : layers) {
    for (const PatchedOutputs& patch : layer.patches) { check_tokens(*patch.from, tokens); }
  }
}

}  // namespace kappascope
