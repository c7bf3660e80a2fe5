#include "core/model/description.h"

#include <set>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace kappascope {
namespace {

// The parts of a model, in the order of Role: each up to its last one.
struct Part {
  Role last;
  std::string_view name;
};
constexpr Part kParts[] = {{Role::embedding, "embedding"},
                           {Role::head_bias, "output"},
                           {Role::ut_source_lambdas, "other"},
                           {Role::soft_budgets, "router"},
                           {Role::value_embedding, "values"},
                           {Role::latent_heads, "attention"},
                           {Role::convolution_out_bias, "convolutions"},
                           {Role::delta_out, "linear attention"},
                           {Role::feed_forward_norm_bias, "other"},
                           {Role::dense_down_bias, "dense layers"},
                           {Role::selection_bias, "router"},
                           {Role::expert_down_bias, "experts"},
                           {Role::shared_down_bias, "shared experts"},
                           {Role::kappa_router_bias, "kappa"}};

std::string_view part_of(Role role) {
  for (const Part& part : kParts) {
    if (role <= part.last) { return part.name; }
  }
  fail(ExitCode::internal, {}, "a weight of no part");
}

std::string layer_kind(const LayerSpec& layer) {
  std::string kind;
  if (const MoeSpec* moe = layer.moe()) {
    kind = moe->router.soft ? join_words("MoE, soft routing with budget ", moe->router.soft->budget)
                            : join_words("MoE, ", moe->router.slots);
    kind += join_words(" of ", moe->router.experts, " experts, ", moe->gates, " gate units each");
    if (moe->shared) {
      kind += join_words(", a shared one of ", moe->shared->gates, " gate units");
    }
  } else {
    kind = join_words(layer.gated() ? "dense, " : "dense, relu², ", layer.gates(),
                      layer.gated() ? " gate units" : " units");
  }
  const KappaSpec* kappa = layer.kappa();
  if (kappa == nullptr) {
    return join_words(kind, ", κ = ", layer.moe() ? layer.moe()->gate.kappa : 1.0);
  }
  return join_words(kind, ", κ within 1/", kappa->bound, " … ", kappa->bound);
}

bool is_of_kappa(Role role) {
  return role == Role::kappa_bias || role == Role::kappa_scale || role == Role::kappa_bias_expert ||
         role == Role::kappa_bias_residual;
}

// Whether a weight is one set of κ parameters after the other.
bool has_slots(const Stored& row, const KappaSlots& slots) {
  return slots.count > 0 && is_of_kappa(row.role) && row.shape.size() > 1 &&
         row.shape[0] == slots.count;
}

// How many of the sets a token meets: that of its side, or one in each pass.
std::int64_t slots_met(const Architecture& architecture) {
  const KappaSlots& slots = architecture.kappa_slots;
  if (!slots.side) { return std::min(slots.count, architecture.recurrence.passes); }
  return *slots.side == KappaSide::sft && slots.sft == SftKappa::residual ? 2 : 1;
}

// Whether every expert has its own part of a weight: its first axis, behind that of the slots, is
// the experts.
bool is_per_expert(const Stored& row, std::int64_t experts, const KappaSlots& slots) {
  switch (row.role) {
    case Role::expert_gate:
    case Role::expert_up:
    case Role::expert_down:
    case Role::expert_gate_bias:
    case Role::expert_up_bias:
    case Role::expert_down_bias:
      return true;
    default: {
      const std::size_t axis = has_slots(row, slots) ? 1 : 0;
      return is_of_kappa(row.role) && row.layer >= 0 && row.shape.size() > axis &&
             row.shape[axis] == experts;
    }
  }
}

}  // namespace

ParameterCounts count_parameters(const Model& model) {
  ParameterCounts counts;
  counts.per_expert.resize(model.architecture.layers.size());
  std::set<const TensorInfo*> seen;  // gate and up may be one tensor
  for (const Stored& row : model.weights.all()) {
    if (row.tensor == nullptr) { continue; }
    const std::int64_t elements = row.elements();
    const MoeSpec* moe = row.layer < 0 ? nullptr : model.architecture.layers[row.layer].moe();
    const KappaSlots& slots = model.architecture.kappa_slots;
    const bool shared_out = moe != nullptr && is_per_expert(row, moe->router.experts, slots);
    counts.total += elements;
    double in_use = double(elements);
    if (has_slots(row, slots)) {
      in_use *= double(slots_met(model.architecture)) / double(slots.count);
    }
    if (shared_out) {
      const double one = in_use / double(moe->router.experts);
      counts.per_expert[row.layer] += one;
      counts.of_budgets = counts.of_budgets || moe->router.soft;
      counts.active +=
          one * (moe->router.soft ? moe->router.soft->budget : double(moe->router.slots));
    } else {
      counts.always += in_use;
      counts.active += in_use;
    }
    counts.parts[std::string(part_of(row.role))] += elements;
    for (const TensorInfo* tensor : row.tensors()) {
      if (seen.insert(tensor).second) {
        counts.tensors_of[std::string(dtype_name(tensor->dtype))] += 1;
      }
    }
  }
  return counts;
}

std::string active_condition(const ParameterCounts& counts) {
  return counts.of_budgets ? " with as many experts as the budgets say" : "";
}

std::vector<LayerRange> layer_ranges(const Model& model) {
  std::vector<LayerRange> ranges;
  for (std::size_t i = 0; i < model.architecture.layers.size(); ++i) {
    std::string text = layer_kind(model.architecture.layers[i]);
    const auto layer = static_cast<std::int64_t>(i);
    if (ranges.empty() || ranges.back().text != text) { ranges.push_back({layer, layer, text}); }
    ranges.back().last = layer;
  }
  return ranges;
}

const KappaScore* first_score(const Architecture& architecture) {
  for (const LayerSpec& layer : architecture.layers) {
    if (layer.moe() && layer.moe()->score) { return &*layer.moe()->score; }
  }
  return nullptr;
}

}  // namespace kappascope
