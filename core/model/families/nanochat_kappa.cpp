#include "core/model/families/nanochat_kappa.h"

#include <algorithm>

#include "core/model/families/nanochat_weights.h"

namespace kappascope::nanochat {
namespace {

// "kappa_bias [8, 384]": the last part of a name and its shape.
std::string origin_of(const TensorInfo& tensor) {
  const std::size_t dot = tensor.name.rfind('.');
  return tensor.name.substr(dot == std::string::npos ? 0 : dot + 1) + " " +
         shape_text(tensor.shape);
}

// b[e,i] = expert[e]·gate[i] (+ residual[e,i]), as older checkpoints store it.
std::vector<float> outer_product(const Model& model, std::int64_t layer) {
  const WeightTable& weights = model.weights;
  const TensorFile& file = *model.tensors;
  const std::vector<float> expert = file.floats(weights.required(Role::kappa_bias_expert, layer));
  const std::vector<float> gate = file.floats(weights.required(Role::kappa_bias_gate, layer));
  std::vector<float> bias;
  if (const TensorInfo* residual = weights.tensor(Role::kappa_bias_residual, layer)) {
    bias = file.floats(*residual);
  }
  bias.resize(expert.size() * gate.size());
  for (std::size_t e = 0; e < expert.size(); ++e) {
    for (std::size_t i = 0; i < gate.size(); ++i) {
      bias[e * gate.size() + i] += expert[e] * gate[i];
    }
  }
  return bias;
}

// Axes of κ's parameters without slots.
std::size_t kappa_rank(const Config& config, bool moe) {
  return moe && config.kappa_granularity == Granularity::per_gate ? 2 : 1;
}

// Length of the slot axis of a κ tensor; 0: it has none.
std::int64_t slots_of(const TensorInfo& tensor, std::size_t rank) {
  return tensor.shape.size() == rank + 1 ? tensor.shape[0] : 0;
}

bool has_old_tensor_names(const Model& model) {
  const auto& tensors = model.tensors->tensors();
  return std::any_of(tensors.begin(), tensors.end(), [](const TensorInfo& tensor) {
    return tensor.name.find("gate_proj_bias") != std::string::npos;
  });
}

// What marks the date of a checkpoint without kappa_input_logit_norm_exponent, and its formula.
struct DatedFormula {
  KappaFormula formula;
  std::string why;
};
DatedFormula dated_formula(const Model& model, const Config& config) {
  if (has_old_tensor_names(model)) {
    if (config.ema_fields) {
      return {KappaFormula::v2026_05, "old tensor names, with fields of 2026-05-23 and later"};
    }
    return {KappaFormula::v2026_05_20,
            "old tensor names; those of 2026-05-21 to 05-23 fit --kappa-formula 2026-05 as well"};
  }
  if (config.normalisation_given) {
    return {KappaFormula::v2026_05_31, "fields that normalise the logit, of 2026-06-01 to 06-07"};
  }
  if (config.kappa_input_constant_given && config.kappa_input_constant == 1) {
    return {KappaFormula::v2026_05_31, "kappa_input_constant is 1, the default since 2026-05-31"};
  }
  return {KappaFormula::v2026_05, "kappa_input_constant is not 1, the default since 2026-05-31"};
}

// What no formula that is offered fits.
void refuse_undated(const Model& model, const Config& config, Faults& faults) {
  if (config.normalize_top_logits) {
    faults.add(ExitCode::unsupported, "",
               "model_config.normalize_top_logits is true: the formula of ",
               "2026-06-01 to 06-07 is not offered; expected false or --kappa-formula");
  }
  if (has_old_tensor_names(model) && !config.bound_given) {
    faults.add(
        ExitCode::unsupported, "",
        "model_config.moe_gate_slope_max_scale is missing: the formula of before 2026-05-19 ",
        "22:46 (U = 4 in code) is not offered");
    return;
  }
  if (!config.has_scale() || config.kappa_granularity == Granularity::global) { return; }
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    if (!config.is_moe(layer) || !config.has_kappa(layer)) { continue; }
    const std::string head = join_words("transformer.h.", layer, ".mlp.experts.");
    if (find_tensor(*model.tensors, head + "kappa_scale")) { return; }
  }
  if (has_old_tensor_names(model)) {
    faults.add(ExitCode::unsupported, "",
               "no gate_proj_bias_scale: the formula of before 2026-05-19 ",
               "13:31 (κ without α) is not offered");
  }
}

// No code ever had an older formula with what came after it.
void refuse_mixed(const Config& config, KappaFormula formula, Faults& faults) {
  const bool later = config.kappa_input == KappaInput::gate_proj ||
                     config.independent_kappa_router || config.disable_kappa_bias ||
                     config.separate_base_sft_kappa;
  if (config.use_kappa_swiglu && later && formula != KappaFormula::v2026_06) {
    faults.add(ExitCode::unsupported, "", "unknown combination: the κ formula of ", name(formula),
               " with kappa_input gate_proj, independent_kappa_router, disable_kappa_bias or ",
               "separate_base_sft_kappa; expected --kappa-formula 2026-06");
  }
}

// Fields of two dates that each say how the logit is divided by norms: no code ever wrote both.
void refuse_two_norms(const Config& config, Faults& faults) {
  const double older = config.top_logit_norm_exponent, own = config.kappa_input_logit_norm_exponent;
  const bool other = older > 0 && older != own;
  if (!config.use_kappa_swiglu || (!config.normalize_top_logits && !other)) { return; }
  faults.add(ExitCode::unsupported, "", "two rules for the norms of the logit: model_config.",
             other ? join_words("top_logit_norm_exponent is ", older)
                   : std::string("normalize_top_logits is true"),
             " beside kappa_input_logit_norm_exponent ", own,
             "; expected one of them, or --kappa-formula 2026-06, which reads the latter");
}

// What the days of the first formula computed otherwise than this program does, which no mark tells.
void warn_of_first_days(Model& model, const Config& config) {
  const auto warn = [&](std::string_view text) {
    model.warnings.push_back(describe({.file = model.files.meta.native()}, text));
  };
  if (config.kappa_input == KappaInput::top_logits) {
    warn("written before 2026-05-20 13:12, it was trained with κ of the raw logit; 0.15·logit is "
         "computed");
  }
  for (std::int64_t layer = 0; layer < config.n_layer; ++layer) {
    if (!config.is_moe(layer) || config.has_kappa(layer)) { continue; }
    if (config.kappa_input == KappaInput::constant) { return; }
    warn("MoE layers before gate_proj_bias_start_layer are computed with κ = 1; the code of before "
         "2026-05-24 had α = 1, b = 0 there");
    return;
  }
}

}  // namespace

KappaFormula kappa_formula(Model& model, const Config& config, const KappaChoices& choices,
                           Faults& faults) {
  const bool certain = !config.use_kappa_swiglu || config.exponent_given;
  if (choices.formula) {
    refuse_mixed(config, *choices.formula, faults);
    model.findings.push_back(join_words("κ formula ", name(*choices.formula), ", as asked for"));
    return *choices.formula;
  }
  if (certain) { refuse_two_norms(config, faults); }
  if (certain && config.use_kappa_swiglu) {
    model.findings.push_back("κ formula 2026-06: kappa_input_logit_norm_exponent is given");
  }
  if (certain) { return KappaFormula::v2026_06; }
  refuse_undated(model, config, faults);
  const DatedFormula found = dated_formula(model, config);
  refuse_mixed(config, found.formula, faults);
  model.findings.push_back(join_words("κ formula ", name(found.formula), ": ", found.why));
  model.warnings.push_back(describe(
      {.file = model.files.meta.native()},
      join_words("kappa_input_logit_norm_exponent is absent: written before 2026-06-07; read with ",
                 "--kappa-formula ", name(found.formula), " (", found.why, ")")));
  if (config.top_logit_norm_exponent > 0) {
    model.warnings.push_back(describe(
        {.file = model.files.meta.native()},
        "top_logit_norm_exponent is read as kappa_input_logit_norm_exponent: right from 2026-06-06 "
        "21:50 on, other norms before"));
  }
  if (found.formula == KappaFormula::v2026_05_20) { warn_of_first_days(model, config); }
  return found.formula;
}

namespace {

// Rows of SPEC-layouts §1.5f: multiplier of u in experts, in dense layers, factors of s, constant.
struct FormulaRow {
  KappaFormula formula;
  double experts, dense, weight, logit, constant;
};
constexpr FormulaRow kFormulas[] = {{KappaFormula::v2026_06, 1, 1, 2, 0.3, 1},
                                    {KappaFormula::v2026_05_31, 2, 1, 2, 0.3, 1},
                                    {KappaFormula::v2026_05, 2, 2, 1, 0.15, 0.5},
                                    {KappaFormula::v2026_05_20, -2, -2, 1, 0.15, 0.5}};
constexpr double kNormedLogit = 6;  // factor of a logit over norms

const FormulaRow& row_of(KappaFormula formula) {
  const auto found = std::find_if(std::begin(kFormulas), std::end(kFormulas),
                                  [&](const FormulaRow& row) { return row.formula == formula; });
  require(found != std::end(kFormulas), ExitCode::internal, {}, "a formula of no row");
  return *found;
}

}  // namespace

KappaScore kappa_score(const Config& config, KappaFormula formula) {
  const FormulaRow& row = row_of(formula);
  KappaScore score;
  score.input = config.kappa_input;
  score.constant = config.kappa_input_constant_given ? config.kappa_input_constant : row.constant;
  score.norm_exponent = formula == KappaFormula::v2026_06 ? config.kappa_input_logit_norm_exponent
                                                          : config.top_logit_norm_exponent;
  if (score.input == KappaInput::router_probs) { score.factor = row.weight; }
  if (score.input == KappaInput::top_logits) {
    score.factor = score.norm_exponent > 0 ? kNormedLogit : row.logit;
  }
  return score;
}

std::optional<KappaSpec> kappa_spec(const Config& config, KappaFormula formula,
                                    std::int64_t layer) {
  if (!config.has_kappa(layer)) { return {}; }
  const FormulaRow& row = row_of(formula);
  const bool moe = config.is_moe(layer);
  KappaSpec kappa;
  kappa.granularity = config.kappa_granularity;
  kappa.multiplier = moe ? row.experts : row.dense;
  kappa.bound = moe ? config.moe_kappa_slope_max_scale : config.dense_kappa_slope_max_scale;
  kappa.bias = !moe || config.has_bias();
  kappa.scale = moe && config.has_scale();
  kappa.router = moe && config.independent_kappa_router;
  kappa.from_gate = moe && config.kappa_input == KappaInput::gate_proj;
  return kappa;
}

KappaParameters kappa_parameters(const Model& model, const Config& config, std::int64_t layer,
                                 bool values) {
  const WeightTable& weights = model.weights;
  const TensorFile& file = *model.tensors;
  const bool moe = config.is_moe(layer);
  const bool per_gate = config.kappa_granularity == Granularity::per_gate;
  const std::size_t rank = kappa_rank(config, moe);

  KappaParameters kappa;
  kappa.gate_stride = per_gate ? 1 : 0;
  if (moe && per_gate) { kappa.expert_stride = config.gate_units(); }
  if (moe && config.kappa_granularity == Granularity::per_expert) { kappa.expert_stride = 1; }
  const auto from = [&](const TensorInfo& tensor) {
    kappa.origin += (kappa.origin.empty() ? "" : ", ") + origin_of(tensor);
    kappa.slots = std::max(kappa.slots, slots_of(tensor, rank));
  };
  if (weights.tensor(Role::kappa_bias_expert, layer) != nullptr) {
    kappa.origin = origin_of(weights.required(Role::kappa_bias_expert, layer)) + " × " +
                   origin_of(weights.required(Role::kappa_bias_gate, layer));
    if (const TensorInfo* residual = weights.tensor(Role::kappa_bias_residual, layer)) {
      kappa.origin += " + " + origin_of(*residual);
    }
    if (values) { kappa.bias = outer_product(model, layer); }
  } else if (const TensorInfo* bias = weights.tensor(Role::kappa_bias, layer)) {
    from(*bias);
    kappa.bias_slots = std::max<std::int64_t>(1, slots_of(*bias, rank));
    if (values) { kappa.bias = file.floats(*bias); }
  }
  if (const TensorInfo* scale = weights.tensor(Role::kappa_scale, layer); moe && scale) {
    from(*scale);
    kappa.scale_slots = std::max<std::int64_t>(1, slots_of(*scale, rank));
    if (values) { kappa.scale = file.floats(*scale); }
  }
  if (const TensorInfo* router = weights.tensor(Role::kappa_router, layer)) {
    kappa.origin +=
        (kappa.origin.empty() ? "kappa_router." : ", kappa_router.") + origin_of(*router);
  }
  return kappa;
}

void check_kappa_layout(const Model& model, const Config& config, Faults& faults) {
  for (const TensorInfo& tensor : model.tensors->tensors()) {
    const std::string before = old_tensor_name(tensor.name);
    if (!before.empty() && model.tensors->find(before)) {
      faults.add(ExitCode::damaged, before, "two names of one tensor; the other is ", tensor.name);
    }
    if (!config.use_kappa_swiglu || tensor.name.find(".mlp.kappa_router.") == std::string::npos) {
      continue;
    }
    if (!config.independent_kappa_router) {
      faults.add(ExitCode::damaged, tensor.name,
                 "a κ router; expected none, as independent_kappa_router is not true");
    } else if (tensor.name.ends_with(".bias") &&
               (!config.disable_kappa_bias || config.kappa_input == KappaInput::gate_proj)) {
      faults.add(
          ExitCode::unsupported, tensor.name,
          "unknown combination: a bias of the κ router is for disable_kappa_bias and inputs ",
          "other than gate_proj");
    }
  }
}

std::vector<std::string> layout_findings(const Model& model, const Config& config) {
  std::vector<std::string> findings;
  if (has_old_tensor_names(model) || config.old_field_names) {
    findings.emplace_back("names of before 2026-05-29 (gate_proj_bias, gate_slope)");
  }
  if (!config.use_kappa_swiglu) { return findings; }
  if (config.independent_kappa_router) {
    findings.emplace_back("κ router: s is a linear score of its own (independent_kappa_router)");
  }
  if (config.kappa_input == KappaInput::gate_proj) {
    findings.emplace_back("κ follows the gate's own pre-activation z (kappa_input gate_proj)");
  }
  if (config.disable_kappa_bias) { findings.emplace_back("no static b (disable_kappa_bias)"); }
  if (model.architecture.kappa_slots.count == 1) {
    findings.emplace_back("κ slots: 1, the same in every pass (κ tensors have an axis more)");
  }
  return findings;
}

}  // namespace kappascope::nanochat
