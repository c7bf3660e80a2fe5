#include "core/train/initial_weights.h"

#include <cmath>
#include <set>
#include <utility>

#include "core/model/families/nanochat_weights.h"
#include "core/train/random.h"

namespace kappascope {
namespace {

// Values are 0, 1, normal of a deviation, or uniform within ± a bound.
struct Rule {
  enum class Kind : std::uint8_t { constant, normal, uniform } kind = Kind::constant;
  double size = 0;
};

Rule rule_of(Role role, double width) {
  const Rule uniform{Rule::Kind::uniform, std::sqrt(3 / width)};  // deviation 1/√H
  switch (role) {
    case Role::embedding:
      return {Rule::Kind::normal, 1};
    case Role::head:
      return {Rule::Kind::normal, 0.001};
    case Role::value_embedding:
    case Role::attention_query:
    case Role::attention_key:
    case Role::attention_value:
    case Role::dense_gate:
    case Role::dense_up:
    case Role::expert_gate:
    case Role::expert_up:
      return uniform;
    case Role::router:
      return {Rule::Kind::uniform, 1 / std::sqrt(width)};
    case Role::resid_lambdas:
      return {Rule::Kind::constant, 1};
    case Role::x0_lambdas:
    case Role::soft_budgets:
    case Role::value_gate:
    case Role::attention_output:
    case Role::dense_down:
    case Role::expert_down:
    case Role::selection_bias:
    case Role::kappa_bias:
    case Role::kappa_scale:
    case Role::kappa_router:
    case Role::kappa_router_bias:
      return {};
    default:
      fail(ExitCode::internal, {}, "no initial values for role ", int(role));
  }
}

NamedValues drawn(std::string name, std::vector<std::int64_t> shape, const Rule& rule,
                  std::int64_t seed) {
  NamedValues result{std::move(name), std::move(shape), {}};
  std::int64_t count = 1;
  for (const std::int64_t extent : result.shape) { count *= extent; }
  result.values.reserve(std::size_t(count));
  Random random(seed, result.name);
  for (std::int64_t i = 0; i < count; ++i) {
    switch (rule.kind) {
      case Rule::Kind::constant:
        result.values.push_back(float(rule.size));
        break;
      case Rule::Kind::normal:
        result.values.push_back(float(rule.size * random.normal()));
        break;
      case Rule::Kind::uniform:
        result.values.push_back(float(rule.size * (2 * random.uniform() - 1)));
        break;
    }
  }
  return result;
}

}  // namespace

std::vector<NamedValues> initial_weights(const TrainSettings& settings, const Json& meta,
                                         const std::filesystem::path& file) {
  std::vector<NamedValues> result;
  std::set<std::int64_t> gated;  // layers with a gate of the value embedding
  for (const Stored& weight : nanochat::expected_weights(meta, file)) {
    if (weight.role == Role::ut_source_lambdas) { continue; }  // of several passes
    if (weight.role == Role::value_gate) { gated.insert(weight.layer); }
    result.push_back(drawn(weight.name, weight.shape, rule_of(weight.role, double(settings.width)),
                           settings.seed));
  }
  // The reference implementation has one in every layer, used or not, and loads no file without.
  for (std::int64_t i = 0; i < settings.layers; ++i) {
    if (gated.count(i) > 0) { continue; }
    result.push_back(drawn(join_words("transformer.h.", i, ".attn.ve_gate.weight"),
                           {settings.kv_head_count(), kValueGateInputs}, {}, settings.seed));
  }
  return result;
}

}  // namespace kappascope
