#include "core/forward/learned_weights.h"

#include <utility>

#include "core/forward/plain_route.h"

namespace kappascope {

class LearnedWeights::Layers final : public LayerSource {
 public:
  const LayerWeights& layer(std::int64_t layer, std::int64_t /*tokens*/) override {
    return all[layer];
  }
  const at::Tensor& head() override { return output; }

  std::vector<LayerWeights> all;
  at::Tensor output;
};

namespace {

// What there is no training for.
void check(const Model& model) {
  const Architecture& architecture = model.architecture;
  Faults faults(model.files.meta.string());
  const auto refuse = [&](bool found, const char* what) {
    if (found) { faults.add(ExitCode::unsupported, {}, "cannot be trained: ", what); }
  };
  refuse(architecture.family != "kappa-swiglu", "another family than kappa-swiglu");
  refuse(architecture.recurrence.passes > 1, "total_ut_steps above 1");
  refuse(architecture.kappa_slots.count > 0, "several slots of κ");
  bool gates = true, biased = false, dense_kappa = false, multiplied = false;
  for (const LayerSpec& layer : architecture.layers) {
    const KappaSpec* kappa = layer.kappa();
    dense_kappa = dense_kappa || (layer.dense() && kappa);
    multiplied = multiplied || (kappa && kappa->multiplier != 1);
    if (!layer.moe()) { continue; }
    gates = gates && layer.moe()->gate.activation == Activation::silu;
    biased = biased || layer.moe()->router.selection_bias;
  }
  refuse(!gates, "bilinear experts");
  refuse(biased, "use_aux_free_load_balancing");
  refuse(dense_kappa, "κ of dense layers");
  refuse(multiplied, "κ by an older formula");
  faults.throw_if_any();
}

// Views of the experts' parameters, [I] or [1]; empty: none. Coarser ones serve several experts.
std::vector<at::Tensor> of_experts(const at::Tensor& values, std::int64_t experts) {
  if (!values.defined()) { return {}; }
  if (values.dim() == 2) { return values.unbind(0); }
  if (values.size(0) == 1) {
    return std::vector<at::Tensor>(std::size_t(experts), values.view({1}));
  }
  return values.split(1, 0);
}

}  // namespace

LearnedWeights::LearnedWeights(const Model& model, at::Device device, Progress& progress)
    : model_(model), layers_(std::make_shared<Layers>()) {
  check(model);
  const ComputeDevice kind = device.is_cpu() ? ComputeDevice::cpu : ComputeDevice::cuda;
  weights_ = read_weights(model, {.device = kind}, device, /*plan: all resident*/ {}, progress);
  learn(weights_.wte.all, Role::embedding, -1, LearnedKind::embedding);
  for (std::int64_t i = 0; i < model.architecture.depth(); ++i) {
    LayerWeights layer = weights_.layers->layer(i, 1);
    learn_layer(layer, i);
    layers_->all.push_back(std::move(layer));
  }
  layers_->output = weights_.layers->head();
  learn(layers_->output, Role::head, -1, LearnedKind::head);
  resid_lambdas_ = leaf(Role::resid_lambdas, -1, LearnedKind::residual);
  x0_lambdas_ = leaf(Role::x0_lambdas, -1, LearnedKind::input);
  const LayerSpec* moe = model.architecture.first_moe();
  if (moe && moe->moe()->router.soft) { eta_ = leaf(Role::soft_budgets, -1, LearnedKind::budget); }
  weights_.layers = layers_;
}

// The leaf of a tensor of the checkpoint; the same one for all who share it.
at::Tensor LearnedWeights::leaf(Role role, std::int64_t layer, LearnedKind kind) {
  const Stored* stored = model_.weights.find(role, layer);
  require(stored && stored->tensor, ExitCode::unsupported,
          {.file = model_.files.weights.native(), .tensor = stored ? stored->name : ""},
          "absent; expected every weight in a model that is trained");
  const auto [place, fresh] = places_.emplace(stored->name, leaves_.size());
  if (fresh) {
    const std::vector<float> values = model_.tensors->floats(*stored->tensor);
    at::Tensor tensor = at::tensor(values, at::kFloat)
                            .view(stored->shape)
                            .to(weights_.device, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    leaves_.push_back({stored->name, kind, tensor.set_requires_grad(true)});
  }
  return leaves_[place->second].values;
}

void LearnedWeights::learn(at::Tensor& place, Role role, std::int64_t layer, LearnedKind kind) {
  if (place.defined()) { place = leaf(role, layer, kind); }
}

void LearnedWeights::learn_layer(LayerWeights& weights, std::int64_t layer) {
  constexpr LearnedKind kMatrix = LearnedKind::matrix, kKappa = LearnedKind::kappa;
  AttentionWeights& attention = weights.attention;
  learn(attention.c_q, Role::attention_query, layer, kMatrix);
  learn(attention.c_k, Role::attention_key, layer, kMatrix);
  learn(attention.c_v, Role::attention_value, layer, kMatrix);
  learn(attention.c_proj, Role::attention_output, layer, kMatrix);
  learn(attention.ve_gate, Role::value_gate, layer, kMatrix);
  learn(attention.value_embed.all, Role::value_embedding, layer, LearnedKind::embedding);
  learn(weights.dense.gate_proj, Role::dense_gate, layer, kMatrix);
  learn(weights.dense.c_fc, Role::dense_up, layer, kMatrix);
  learn(weights.dense.c_proj, Role::dense_down, layer, kMatrix);
  learn(weights.moe.w_g, Role::router, layer, kMatrix);
  learn(weights.moe.kappa_router, Role::kappa_router, layer, kKappa);
  learn(weights.moe.kappa_router_bias, Role::kappa_router_bias, layer, kKappa);
  Experts experts;
  if (model_.architecture.layers[layer].moe()) {
    experts.gate = leaf(Role::expert_gate, layer, kMatrix);
    experts.up = leaf(Role::expert_up, layer, kMatrix);
    experts.down = leaf(Role::expert_down, layer, kMatrix);
    weights.moe.gate_proj = weights.moe.c_fc = weights.moe.c_proj = at::Tensor();
  }
  if (const KappaSpec* kappa = model_.architecture.layers[layer].kappa()) {
    if (kappa->bias) { experts.bias = leaf(Role::kappa_bias, layer, kKappa); }
    if (kappa->scale) { experts.scale = leaf(Role::kappa_scale, layer, kKappa); }
    if (kappa->router && !kappa->scale) {
      experts.scale = at::ones({1}, weights_.device);
    }  // u = b + s
  }
  experts_.push_back(std::move(experts));
}

double LearnedWeights::total_budget(const LearningCall& call) const {
  if (call.rules().total_budget > 0) { return call.rules().total_budget; }
  double total = 0;
  for (const LayerSpec& layer : model_.architecture.layers) {
    if (layer.moe()) { total += layer.moe()->router.soft->budget; }
  }
  return total;
}

void LearnedWeights::prepare(LearningCall& call) {
  call.resid_lambdas = resid_lambdas_;
  call.x0_lambdas = x0_lambdas_;
  call.parameters.assign(experts_.size(), {});
  call.budgets.assign(experts_.size(), {});
  std::vector<at::Tensor> budgets;  // of the MoE layers, in turn
  if (eta_.defined()) { budgets = soft_budgets(eta_, total_budget(call)).unbind(0); }
  auto budget = budgets.begin();
  for (std::size_t i = 0; i < experts_.size(); ++i) {
    const MoeSpec* spec = model_.architecture.layers[i].moe();
    if (!spec) { continue; }
    if (budget != budgets.end()) { call.budgets[i] = *budget++; }
    const Experts& from = experts_[i];
    MoeWeights& moe = layers_->all[i].moe;
    if (!moe.score_norm.empty()) {
      moe.score_norm = score_norms(moe.w_g.detach().cpu(), spec->score->norm_exponent);
    }
    const std::int64_t experts = spec->router.experts;
    // The κ router keeps its own derivative; that by its input is cut where it is computed.
    call.parameters[i] = {from.gate,
                          from.up,
                          from.down,
                          {of_experts(from.bias, experts), of_experts(from.scale, experts),
                           moe.kappa_router.defined() ? 1 : call.rules().score_gradient}};
  }
}

at::Tensor LearnedWeights::kappa_l2() const {
  at::Tensor sum = at::zeros({});
  for (const Experts& experts : experts_) {
    for (const at::Tensor& values : {experts.bias, experts.scale}) {
      if (values.defined() && values.requires_grad()) { sum = sum + values.square().mean(); }
    }
  }
  return sum;
}

}  // namespace kappascope
