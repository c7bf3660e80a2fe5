// nanochat with κ-SwiGLU experts (askerlee/kappa-swiglu), of every date (SPEC §1, SPEC-layouts).
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/model/families/family.h"
#include "core/model/families/nanochat_config.h"
#include "core/model/families/nanochat_kappa.h"
#include "core/model/families/nanochat_weights.h"

namespace kappascope {
namespace nanochat {
namespace {

constexpr double kLogitCap = 15;  // logits = 15·tanh(lm_head x / 15)

// Budgets of the MoE layers in turn: k_l = softmax(η)_l·(Kt − Lm) + 1 (SPEC §3).
std::vector<double> soft_budgets(const Model& model, const Config& config) {
  const TensorInfo* eta = model.weights.tensor(Role::soft_budgets);
  if (eta == nullptr) { return {}; }
  std::vector<double> shares;
  for (const float value : model.tensors->floats(*eta)) { shares.push_back(value); }
  const double highest = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double& share : shares) { sum += share = std::exp(share - highest); }
  require(std::isfinite(sum), ExitCode::unsupported,
          {.file = model.files.weights.native(), .tensor = eta->name},
          "a budget that is not finite; expected finite numbers");
  for (double& share : shares) {
    share = share / sum * (config.soft_total - double(shares.size())) + 1;
  }
  return shares;
}

// `budget`: of soft routing, where the model has it.
LayerSpec layer_spec(const Config& config, KappaFormula formula, std::int64_t layer,
                     double budget) {
  LayerSpec spec;
  AttentionSpec& attention = spec.attention;
  attention.heads = config.n_head;
  attention.kv_heads = config.n_kv_head;
  attention.head_width = config.head_width();
  attention.window = config.window(layer);
  attention.value_embedding = config.has_value_embedding(layer);
  attention.scale = 1 / std::sqrt(double(config.head_width()));
  attention.rotary.width = config.head_width();
  attention.rotary.nanochat = true;
  const std::optional<KappaSpec> kappa = kappa_spec(config, formula, layer);
  if (!config.is_moe(layer)) {
    spec.feed_forward =
        DenseSpec{config.gate_units(),
                  config.use_qwen3_dense_mlp ? Activation::silu : Activation::relu_squared, kappa,
                  kappa_score(config, formula).constant};
    return spec;
  }
  // As in the reference, a layer with κ is never bilinear, not even with κ off.
  const bool bilinear = config.bilinear_mlp_moe && !kappa;
  std::optional<KappaScore> score = kappa_score(config, formula);
  score->router = kappa && kappa->router;
  if (config.independent_kappa_router && !kappa) { score.reset(); }  // below the start layer
  MoeSpec moe;
  moe.router.experts = config.n_exp;
  moe.router.slots = config.moe_top_k;
  moe.router.selection_bias = config.use_aux_free_load_balancing;
  if (config.soft) {
    moe.router.slots = config.n_exp;
    moe.router.soft = config.soft;
    moe.router.soft->budget = budget;
  } else {
    moe.router.capacity = CapacityRule{config.eval_capacity, config.min_capacity};
  }
  moe.gates = config.gate_units();
  moe.gate.activation = bilinear ? Activation::identity : Activation::silu;
  moe.score = score;
  moe.kappa = kappa;
  spec.feed_forward = moe;
  return spec;
}

// "per-gate κ as the meta says, from layer 2 on; there kappa_bias [8,384], …"
std::string granularity_finding(const Model& model, const Config& config) {
  if (!config.use_kappa_swiglu) {
    return config.use_kappa_swiglu_inferred
               ? "no κ: the meta is silent and no tensor is named kappa_bias"
               : "no κ: use_kappa_swiglu is false";
  }
  const std::int64_t layer = model.architecture.kappa_start();
  if (layer < 0) {
    return join_words("no κ: no layer at or above kappa_bias_start_layer ",
                      config.kappa_bias_start_layer, " can have it");
  }
  const auto& layers = model.architecture.layers;
  std::int64_t experts = layer;  // the first layer whose experts have κ
  while (experts < std::ssize(layers) && !(layers[experts].moe() && layers[experts].kappa())) {
    ++experts;
  }
  const bool dense_alone = experts == std::ssize(layers);
  const std::string places =
      experts == layer
          ? join_words("there ", model.kappa[layer].origin)
          : join_words(dense_alone ? ""
                                   : join_words("in the experts of layer ", experts, " ",
                                                model.kappa[experts].origin, "; "),
                       "in the dense layer ", layer, " ", model.kappa[layer].origin);
  return join_words(name(config.kappa_granularity), " κ ",
                    config.kappa_granularity_given ? "as the meta says" : "by default",
                    ", from layer ", layer, " on; ", places,
                    config.use_kappa_swiglu_inferred ? " (κ inferred from tensor names)" : "");
}

// Passes with a source when the tensor of its factors is there (SPEC-layouts §1.4a).
RecurrenceSpec recurrence(Model& model, const Config& config, Faults& faults) {
  RecurrenceSpec spec;
  spec.passes = config.total_ut_steps;
  const auto place = Place{.file = model.files.weights.native()};
  const TensorInfo* factors = model.weights.tensor(Role::ut_source_lambdas);
  if (factors != nullptr) {
    const auto from_end = [&](std::int64_t layer) {
      return (layer % config.n_layer + config.n_layer) % config.n_layer;
    };
    spec.anchored = true;
    spec.source = from_end(config.ut_source);
    spec.destination = from_end(config.ut_destination);
    if (spec.passes > 1) {
      model.findings.push_back(join_words("passes begin at the embedding; layer ", spec.destination,
                                          " adds the output of layer ", spec.source,
                                          " of the pass before (ut_source_lambdas)"));
    }
    if (factors->shape.size() == 2) {
      model.warnings.push_back(describe(
          place,
          join_words("ut_source_lambdas: column ", spec.destination, " of ",
                     shape_text(factors->shape), " is used, as the reference's loader does")));
    }
    return spec;
  }
  if (config.ut_layers_given && spec.passes > 1) {
    faults.add(ExitCode::damaged, "ut_source_lambdas", "missing; expected [", spec.passes,
               "], as ut_source or ut_destination is given");
  }
  const auto rows = [&](Role role) {
    const TensorInfo* lambdas = model.weights.tensor(role);
    return lambdas != nullptr && lambdas->shape.size() == 2;
  };
  if (spec.passes > 1) {
    model.findings.push_back("each pass continues from the one before (no ut_source_lambdas)");
    if (rows(Role::resid_lambdas) || rows(Role::x0_lambdas)) {
      model.warnings.push_back(describe(
          place,
          "resid_lambdas and x0_lambdas with one row per pass, without ut_source_lambdas: averaged "
          "over the passes, as the reference's loader of 2026-08-22 does; the code that wrote such "
          "files ran them by pass"));
    }
  }
  return spec;
}

void read(Model& model, const Json& meta, const OpenOptions& options) {
  const Config config = read_config(meta, model.tensors->tensors(), model.files.meta.string());
  Faults meta_faults(model.files.meta.string());
  const KappaFormula formula = kappa_formula(model, config, options.kappa, meta_faults);
  meta_faults.throw_if_any();

  Faults faults(model.files.weights.string());
  check_kappa_layout(model, config, faults);
  assign_roles(model, config, faults);
  faults.throw_if_any();

  Architecture& architecture = model.architecture;
  architecture.width = config.n_embd;
  architecture.vocab = config.vocab_size;
  architecture.padded_vocab = config.padded_vocab();
  architecture.context = config.sequence_len;
  architecture.embedding.norm = NormSpec{};
  architecture.residual.lambdas = true;
  architecture.output.cap = kLogitCap;
  architecture.gate_threshold = config.gate_stats_threshold;
  architecture.gate_top = config.gate_stats_topk;
  architecture.kappa_formula = formula;
  const std::vector<double> budgets = soft_budgets(model, config);
  auto budget = budgets.begin();
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    const bool soft = config.is_moe(layer) && budget != budgets.end();
    architecture.layers.push_back(layer_spec(config, formula, layer, soft ? *budget++ : 0));
    model.kappa.push_back(architecture.layers.back().kappa()
                              ? kappa_parameters(model, config, layer, options.kappa_values)
                              : KappaParameters{});
  }
  architecture.recurrence = recurrence(model, config, faults);
  architecture.kappa_slots = kappa_slots(model, config, options.kappa, faults);
  faults.throw_if_any();

  model.document = config.document;
  model.unknown_fields = config.unknown_fields;
  model.unknown_tensors = unknown_tensors(model, config);
  model.findings.insert(model.findings.begin(), granularity_finding(model, config));
  for (std::string& finding : layout_findings(model, config)) {
    model.findings.push_back(std::move(finding));
  }
}

}  // namespace
}  // namespace nanochat

const Family kNanochat{"kappa-swiglu", nullptr, "transformer.wte.weight", nanochat::read};

}  // namespace kappascope
