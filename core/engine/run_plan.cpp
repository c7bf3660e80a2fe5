#include "core/engine/run_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/engine/output_plan.h"
#include "core/engine/routing_plan.h"
#include "core/error.h"

namespace kappascope {
namespace {

// Sets the parameters of some experts (none named: of all) to `value`.
void set_parameter(std::vector<float>& values, std::int64_t& expert_stride,
                   std::int64_t& gate_stride, const std::vector<std::int64_t>& named,
                   std::int64_t experts, std::int64_t gates, double value) {
  if (values.empty()) { return; }
  if (named.empty()) {
    values = {float(value)};
    expert_stride = gate_stride = 0;
    return;
  }
  if (expert_stride == 0) {  // one for all experts: now one for each
    std::vector<float> each;
    for (std::int64_t e = 0; e < experts; ++e) {
      each.insert(each.end(), values.begin(), values.end());
    }
    expert_stride = std::ssize(values);
    values = std::move(each);
  }
  const std::int64_t size = gate_stride == 0 ? 1 : gates;
  for (const std::int64_t e : named) {
    std::fill_n(values.begin() + e * expert_stride, size, float(value));
  }
}

class Resolver {
 public:
  Resolver(const Model& model, std::shared_ptr<const GivenRoutes> routes,
           std::vector<std::shared_ptr<const GivenOutputs>> outputs)
      : model_(model), routes_(std::move(routes)), outputs_(std::move(outputs)) {
    plan_.passes = model.architecture.recurrence.passes;
    for (std::size_t i = 0; i < model.architecture.layers.size(); ++i) {
      plan_.layers.push_back(layer_plan(model, i));
    }
  }

  void apply(const Intervention& edit) {
    if (edit.edit == Edit::loop) {
      plan_.passes = std::int64_t(*edit.value);
      return;
    }
    if (edit.edit == Edit::routes) { return apply_routes(edit); }
    if (edit.edit == Edit::patch) { return apply_patch(edit); }
    bool acted = false;
    std::string why = "no layer of its scope";
    const auto act_in = [&](std::int64_t layer) {
      LayerPlan& plan = plan_.layers[layer];
      const std::string reason = cannot_act(edit, plan);
      if (!reason.empty()) {
        why = reason;
        return;
      }
      check_experts(edit, plan, layer);
      act(edit, plan);
      check_choice(edit, plan, layer);
      acted = true;
    };
    for (const std::int64_t layer : edit.layers) {
      if (layer >= std::ssize(plan_.layers)) {
        refuse(edit, join_words("layer ", layer, ": expected 0 to ", plan_.layers.size() - 1));
      }
      act_in(layer);
    }
    if (edit.layers.empty()) {
      for (std::int64_t layer = 0; layer < std::ssize(plan_.layers); ++layer) { act_in(layer); }
    }
    if (!acted) { refuse(edit, "it cannot act: " + why); }
  }

  RunPlan finish(const std::vector<Intervention>& interventions) {
    plan_.interventions = interventions;
    plan_.identity = std::make_shared<const char>();
    for (const LayerPlan& layer : plan_.layers) {
      for (const KappaPlan& kappa : layer.kappa) {
        const bool learned = !kappa.bias.empty() || !kappa.scale.empty();
        plan_.kappa = plan_.kappa || learned || (layer.factor_edited && !kappa.factor.empty());
      }
    }
    return std::move(plan_);
  }

 private:
  [[noreturn]] void refuse(const Intervention& edit, const std::string& why) const {
    fail(ExitCode::unsupported, {.file = model_.files.weights.native()}, edit.text(), ": ", why);
  }

  // Why an edit has nothing to change in a layer; "" when it has.
  static std::string cannot_act(const Intervention& edit, const LayerPlan& plan) {
    const LayerSpec& layer = *plan.spec;
    const bool moe = layer.moe() != nullptr;
    const KappaSpec* kappa = layer.kappa();
    if (!moe && !edit.experts.empty()) { return "the layer has no experts"; }
    switch (edit.edit) {
      case Edit::kappa_bias:
        if (kappa == nullptr) { return "the layer has no learned κ"; }
        return kappa->bias ? "" : "the model has no b (kappa_bias)";
      case Edit::kappa_scale:
        if (kappa == nullptr) { return "the layer has no learned κ"; }
        return kappa->scale ? "" : "the model has no α (kappa_scale)";
      case Edit::kappa_mul:
      case Edit::kappa:
        if (kappa != nullptr) { return ""; }
        if (moe && layer.moe()->gate.activation == Activation::silu) { return ""; }
        return "the layer has no gate with κ";
      case Edit::top_k:
      case Edit::capacity:
      case Edit::route:
        if (plan.soft) { return "with soft routing each token runs as many experts as it needs"; }
        return moe ? "" : "the layer has no router";
      case Edit::ablate:
        if (plan.soft && edit.ablation == Ablation::reroute) {
          return "soft routing puts no other expert in the place of one (zero and mean act)";
        }
        if (moe && edit.ablation == Ablation::reroute &&
            layer.moe()->router.weight == CombineWeight::sparse_mixer) {
          return "SparseMixer weighs by experts that are not chosen, too (zero and mean act)";
        }
        return moe ? "" : "the layer has no experts";
      case Edit::gate_keep:
        return moe ? "" : "the layer has no experts";
      case Edit::budget:
      case Edit::threshold:
      case Edit::temperature:
        return plan.soft ? "" : "the layer has no soft routing";
      case Edit::loop:
      case Edit::routes:
      case Edit::patch:
        return "";
    }
    fail(ExitCode::internal, {}, "an edit of no kind");
  }

  void check_experts(const Intervention& edit, const LayerPlan& plan, std::int64_t layer) const {
    const MoeSpec* moe = plan.spec->moe();
    if (moe == nullptr) { return; }
    const std::int64_t experts = moe->router.experts;
    const auto highest = std::max_element(edit.experts.begin(), edit.experts.end());
    if (highest != edit.experts.end() && *highest >= experts) {
      refuse(edit,
             join_words("expert ", *highest, " of layer ", layer, ": expected 0 to ", experts - 1));
    }
    if (edit.edit == Edit::top_k && *edit.value > double(experts)) {
      refuse(edit, join_words("layer ", layer, " has ", experts, " experts"));
    }
    const std::optional<RouterGroups>& limit = moe->router.groups;
    if (edit.edit == Edit::top_k && limit &&
        *edit.value > double(experts / limit->groups * limit->kept)) {
      refuse(edit, join_words("layer ", layer, " chooses from ", limit->kept, " of ", limit->groups,
                              " groups of ", experts / limit->groups, " experts"));
    }
    if (edit.edit == Edit::budget && *edit.value >= double(experts)) {
      refuse(edit,
             join_words("layer ", layer, " has ", experts, " experts: expected less than that"));
    }
    const KappaSpec* kappa = moe->kappa ? &*moe->kappa : nullptr;
    if (edit.edit == Edit::kappa && !edit.experts.empty() && kappa && kappa->from_gate &&
        kappa->router) {
      refuse(edit,
             "where κ follows from z and a κ router it is set for all experts of a layer only");
    }
  }

  void apply_routes(const Intervention& edit) {
    if (plan_.most_slots() == 0) { refuse(edit, "it cannot act: no layer has a router"); }
    const auto soft = std::find_if(plan_.layers.begin(), plan_.layers.end(),
                                   [](const LayerPlan& layer) { return layer.soft.has_value(); });
    if (soft != plan_.layers.end()) {
      refuse(edit, "it cannot act: soft routing has no slots to give");
    }
    require(routes_ != nullptr, ExitCode::internal, {}, edit.text(), ": the file was not read");
    plan_.routes = routes_;
    const std::string problem = place_routes(plan_);
    require(problem.empty(), ExitCode::unsupported, {.file = routes_->file}, "routes: ", problem);
  }

  void apply_patch(const Intervention& edit) {
    const auto found = std::find_if(outputs_.begin(), outputs_.end(),
                                    [&](const auto& from) { return from->file == edit.file; });
    require(found != outputs_.end(), ExitCode::internal, {}, edit.text(),
            ": the file was not read");
    std::string problem = problem_of(model_, **found);
    const std::vector<std::int64_t> layers = edit.layers.empty() ? layers_of(**found) : edit.layers;
    for (const std::int64_t layer : layers) {
      if (problem.empty()) { problem = place_outputs(plan_, *found, layer, edit.tokens); }
    }
    require(problem.empty(), ExitCode::unsupported, {.file = (*found)->file}, "patch: ", problem);
  }

  // Experts that a token can choose from at least: with groups, those left in the kept ones.
  static std::int64_t least_left(const LayerPlan& plan) {
    const RouterSpec& router = plan.spec->moe()->router;
    const RouterGroups limit = router.groups.value_or(RouterGroups{});
    const std::int64_t width = router.experts / limit.groups;
    std::vector<std::int64_t> left(std::size_t(limit.groups), width);
    for (std::size_t e = 0; e < plan.modes.size(); ++e) {
      left[e / std::size_t(width)] -= plan.modes[e] == ExpertMode::reroute ? 1 : 0;
    }
    std::sort(left.begin(), left.end());
    return std::accumulate(left.begin(), left.begin() + limit.kept, std::int64_t{0});
  }

  // After it acted: whether every slot still has an expert, and no given one is out of the choice.
  void check_choice(const Intervention& edit, const LayerPlan& plan, std::int64_t layer) const {
    if (edit.edit == Edit::ablate) {
      const std::int64_t left = least_left(plan);
      if (left < plan.slots) {
        refuse(edit, join_words("layer ", layer, " chooses ", plan.slots, " experts a token, ",
                                left, left == 1 ? " is" : " are", " left"));
      }
    }
    if (edit.edit != Edit::route) { return; }
    if (std::ssize(edit.experts) > plan.slots) {
      refuse(edit, join_words(edit.experts.size(), " experts: layer ", layer, " has ", plan.slots,
                              plan.slots == 1 ? " slot" : " slots", " a token"));
    }
    for (const std::int64_t e : edit.experts) {
      if (plan.mode(e) == ExpertMode::reroute) {
        refuse(edit, join_words("expert ", e, " of layer ", layer,
                                ": ablate takes it out of the choice"));
      }
    }
  }

  // Sets the values of the experts that an edit names (none: of all).
  template <typename T>
  static void set_experts(const Intervention& edit, const LayerPlan& plan, std::vector<T>& values,
                          T before, T value) {
    values.resize(std::size_t(plan.spec->moe()->router.experts), before);
    for (const std::int64_t e : edit.experts) { values[e] = value; }
    if (edit.experts.empty()) { std::fill(values.begin(), values.end(), value); }
  }

  static ExpertMode mode_of(Ablation ablation) {
    switch (ablation) {
      case Ablation::zero:
        return ExpertMode::zero;
      case Ablation::reroute:
        return ExpertMode::reroute;
      case Ablation::mean:
        return ExpertMode::mean;
    }
    fail(ExitCode::internal, {}, "an ablation of no kind");
  }

  static void act(const Intervention& edit, LayerPlan& plan) {
    switch (edit.edit) {
      case Edit::top_k:
        plan.slots = std::int64_t(*edit.value);
        return;
      case Edit::capacity:
        if (!edit.value) {
          plan.capacity.reset();
        } else {
          plan.capacity = CapacityRule{*edit.value, plan.spec->moe()->router.capacity
                                                        ? plan.spec->moe()->router.capacity->minimum
                                                        : 0};
        }
        return;
      case Edit::loop:
      case Edit::routes:
      case Edit::patch:
        return;
      case Edit::ablate:
        return set_experts(edit, plan, plan.modes, ExpertMode::runs, mode_of(edit.ablation));
      case Edit::gate_keep:
        return set_experts(edit, plan, plan.gate_keep, 1.0, *edit.value);
      case Edit::route:
        plan.given.push_back({edit.tokens, {edit.experts.begin(), edit.experts.end()}});
        return;
      case Edit::budget:
        plan.soft->budget = *edit.value;
        return;
      case Edit::threshold:
        plan.soft->threshold = *edit.value;
        plan.soft->relative.reset();
        return;
      case Edit::temperature:
        plan.soft->temperature = *edit.value;
        return;
      default:
        for (KappaPlan& kappa : plan.kappa) { edit_kappa(edit, plan, kappa); }
    }
  }

  // A layer without learned κ has none to set: its κ is the factor alone.
  static void edit_kappa(const Intervention& edit, LayerPlan& plan, KappaPlan& kappa) {
    const MoeSpec* moe = plan.spec->moe();
    const std::int64_t experts = moe ? moe->router.experts : 1, gates = plan.spec->gates();
    const auto set_bias = [&](double value) {
      plan.bias_edited = plan.bias_edited || !kappa.bias.empty();
      set_parameter(kappa.bias, kappa.expert_stride, kappa.gate_stride, edit.experts, experts,
                    gates, value);
    };
    const auto set_scale = [&](double value) {
      plan.scale_edited = plan.scale_edited || !kappa.scale.empty();
      set_parameter(kappa.scale, kappa.scale_expert_stride, kappa.scale_gate_stride, edit.experts,
                    experts, gates, value);
    };
    if (edit.edit == Edit::kappa_bias) { return set_bias(kappa.multiplier * *edit.value); }
    if (edit.edit == Edit::kappa_scale) { return set_scale(kappa.multiplier * *edit.value); }
    const double value = edit.value.value_or(1);
    plan.factor_edited = true;
    if (edit.edit == Edit::kappa) {  // κ = U^tanh(0)·value
      set_bias(0);
      set_scale(0);
      if (edit.experts.empty()) {
        kappa.bias.clear();
        kappa.scale.clear();
        kappa.factor.clear();
        if (value == 1) { return; }
      }
    }
    if (kappa.factor.empty()) { kappa.factor.assign(std::size_t(experts), 1.0f); }
    const auto change = [&](float& factor) {
      const double product = edit.edit == Edit::kappa ? value : value * double(factor);
      factor = float(product);
      require(factor > 0 && std::isfinite(factor), ExitCode::usage, {},
              "interventions on κ: expected a factor over 0 within float32, together found ",
              product);
    };
    for (const std::int64_t e : edit.experts) { change(kappa.factor[e]); }
    if (edit.experts.empty()) {
      for (float& factor : kappa.factor) { change(factor); }
    }
  }

  const Model& model_;
  const std::shared_ptr<const GivenRoutes> routes_;
  const std::vector<std::shared_ptr<const GivenOutputs>> outputs_;
  RunPlan plan_;
};

}  // namespace

const KappaPlan& RunPlan::kappa_of(std::int64_t layer, std::int64_t pass) const {
  const std::vector<KappaPlan>& slots = layers[layer].kappa;
  return slots[std::min<std::int64_t>(pass, std::ssize(slots) - 1)];
}

std::int64_t RunPlan::most_slots() const {
  std::int64_t most = 0;
  for (const LayerPlan& layer : layers) { most = std::max(most, layer.slots); }
  return most;
}

RunPlan resolve(const Model& model, const std::vector<Intervention>& interventions,
                std::shared_ptr<const GivenRoutes> routes,
                std::vector<std::shared_ptr<const GivenOutputs>> outputs) {
  Resolver resolver(model, std::move(routes), std::move(outputs));
  const std::vector<Intervention> ordered = in_order(interventions);
  for (const Intervention& edit : ordered) { resolver.apply(edit); }
  return resolver.finish(ordered);
}

}  // namespace kappascope
