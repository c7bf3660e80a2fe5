#include "core/trace/kappa_in_force.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace kappascope {
namespace {

constexpr float kOne = 1;  // α of a κ router

const Json* kappa_member(const Trace& trace, const char* key) {
  const Json* kappa = value_at(trace.meta, "kappa");
  return kappa == nullptr ? nullptr : value_at(*kappa, key);
}

[[noreturn]] void refuse(const Trace& trace, std::string_view key, std::string_view expected) {
  fail(ExitCode::damaged, {trace.path.string(), "kappascope_meta"}, key, "; expected ", expected);
}

bool truth(const Trace& trace, const char* key, bool otherwise) {
  const Json* value = kappa_member(trace, key);
  if (value == nullptr) { return otherwise; }
  if (!value->is_boolean()) { refuse(trace, join_words("kappa.", key), "true or false"); }
  return value->get<bool>();
}

// A word of the meta; "" where it is absent or null.
std::string word(const Trace& trace, const Json* value, std::string_view key) {
  if (value == nullptr) { return ""; }
  if (!value->is_string()) { refuse(trace, key, "a text"); }
  return value->get<std::string>();
}

std::int64_t layer_of(const Trace& trace, std::int64_t row) {
  return trace.layer_index.empty() ? -1 : trace.layer_index[row];
}

// Some intervention sets κ itself.
bool sets_kappa(const Trace& trace) {
  const Json* words = value_at(trace.meta, "interventions");
  return words != nullptr && words->is_array() &&
         std::any_of(words->begin(), words->end(), [](const Json& word) {
           return word.is_string() && word.get_ref<const std::string&>().starts_with("kappa=");
         });
}

// U of a layer: from model.npz, else from the trace's meta; NaN where the layer has no κ.
double bound_of(const Trace& trace, std::int64_t layer) {
  if (const ModelParameters* model = trace.model.get()) {
    return layer >= 0 && layer < std::ssize(model->kappa_u) ? model->kappa_u[layer] : kNaN;
  }
  const auto number = [&](const char* key) {
    const Json* value = kappa_member(trace, key);
    return value && value->is_number() ? value->get<double>() : kNaN;
  };
  return static_cast<double>(layer) >= number("start_layer") ? number("bound_moe") : kNaN;
}

}  // namespace

void KappaInForce::read_meta(const Trace& trace) {
  router_ = truth(trace, "router", false);
  has_bias_ = truth(trace, "bias", true);
  const std::string input = word(trace, kappa_member(trace, "input"), "kappa.input");
  from_gate_ = input == "gate_proj";
  constant_ = input == "constant";
  if (const Json* value = kappa_member(trace, "multiplier")) {
    multiplier_ = value->is_number() ? value->get<double>() : kNaN;
    if (!std::isfinite(multiplier_) || multiplier_ == 0) {
      refuse(trace, "kappa.multiplier", "a number other than 0");
    }
  }
  const std::string slot = word(trace, value_at(trace.meta, "kappa_slot"), "kappa_slot");
  const std::string sft = word(trace, value_at(trace.meta, "sft_kappa"), "sft_kappa");
  if (slot == "base") {
    side_ = Side::base;
  } else if (slot == "sft") {
    if (sft != "residual" && sft != "independent") {
      refuse(trace, "sft_kappa", "residual or independent");
    }
    side_ = sft == "residual" ? Side::sft_residual : Side::sft_independent;
  } else if (!slot.empty()) {
    refuse(trace, "kappa_slot", "base or sft");
  }
}

KappaInForce::KappaInForce(const Trace& trace) {
  read_meta(trace);
  for (const float factor : trace.kappa_factor) {
    if (std::isnan(factor) || (factor > 0 && std::isfinite(factor))) { continue; }
    fail(ExitCode::damaged, {trace.path.string(), "kappa_factor"},
         "factor; expected a number over 0, found ", factor);
  }
  for (std::int64_t row = 0; row < trace.layers; ++row) { rows_.push_back(resolve(trace, row)); }
}

KappaInForce::Parameter KappaInForce::changed(Parameter parameter, const float* residual) {
  if (parameter.values == nullptr || (multiplier_ == 1 && residual == nullptr)) {
    return parameter;
  }
  std::vector<float>& values = changed_[parameter.values];
  if (values.empty()) {
    for (std::int64_t i = 0; i < parameter.size; ++i) {
      const float value = residual ? parameter.values[i] + residual[i] : parameter.values[i];
      values.push_back(multiplier_ == 1 ? value : static_cast<float>(multiplier_ * value));
    }
  }
  parameter.values = values.data();
  return parameter;
}

// The array of the trace: its granularity is that of its size.
KappaInForce::Parameter KappaInForce::in_force(const Trace& trace, std::span<const float> array,
                                               std::int64_t row) {
  if (array.empty()) { return {}; }
  Parameter parameter;
  parameter.size = std::ssize(array) / trace.layers;
  parameter.values = array.data() + row * parameter.size;
  const bool per_gate = parameter.size == trace.experts * trace.gates && trace.gates > 1;
  parameter.gate_stride = per_gate ? 1 : 0;
  parameter.expert_stride = per_gate ? trace.gates : parameter.size == trace.experts ? 1 : 0;
  return changed(parameter, nullptr);
}

KappaInForce::Parameter KappaInForce::stored(const Trace& trace, const KappaArray& array,
                                             std::int64_t row) {
  if (array.values.empty()) { return {}; }
  const std::int64_t layer = layer_of(trace, row), pass = trace.pass_index[row];
  const bool two = array.slots > 1;
  const bool sft = side_ == Side::sft_residual || side_ == Side::sft_independent;
  const std::int64_t slot = side_ == Side::by_pass ? std::min(pass, array.slots - 1)
                            : two && sft           ? 1
                                                   : 0;
  const float* own = array.values.data() + slot * array.slot_stride + layer * array.layer_stride;
  const Parameter parameter{own, array.expert_stride, array.gate_stride, array.layer_size};
  const bool residual = two && side_ == Side::sft_residual;
  return changed(parameter, residual ? own - array.slot_stride : nullptr);
}

bool KappaInForce::is_zero(const Parameter& parameter) {
  return parameter.values == nullptr ||
         std::all_of(parameter.values, parameter.values + parameter.size,
                     [](float value) { return value == 0 || std::isnan(value); });
}

KappaInForce::Row KappaInForce::resolve(const Trace& trace, std::int64_t row) {
  Row result;
  const auto factors = trace.kappa_factor.empty()
                           ? trace.kappa_factor
                           : trace.kappa_factor.subspan(row * trace.experts, trace.experts);
  const auto acts = [](float factor) { return factor != 1 && !std::isnan(factor); };
  if (std::any_of(factors.begin(), factors.end(), acts)) { result.view.factor = factors.data(); }
  if (trace.kappa) { result.bound = bound_of(trace, layer_of(trace, row)); }
  if (std::isnan(result.bound)) { return result; }
  const ModelParameters* model = trace.model.get();
  Parameter scale = in_force(trace, trace.kappa_scale_in_force, row);
  Parameter bias = in_force(trace, trace.kappa_bias_in_force, row);
  if (bias.values == nullptr && model != nullptr) { bias = stored(trace, model->bias, row); }
  if (scale.values == nullptr && router_ && !from_gate_) {
    scale = changed({&kOne, 0, 0, 1}, nullptr);
  } else if (scale.values == nullptr && model != nullptr) {
    scale = stored(trace, model->scale, row);
  }
  // κ := V: neither z nor a score acts. (Where α and b alone are 0 a κ router's score does.)
  if (from_gate_ && (!router_ || sets_kappa(trace)) && !trace.kappa_scale_in_force.empty() &&
      is_zero(scale) && is_zero(bias)) {
    return result;
  }
  const bool without_scale = constant_ || (model != nullptr && !from_gate_);
  result.source = from_gate_ ? KappaSource::gate_pre : KappaSource::score;
  const bool complete = (bias.values != nullptr || !has_bias_ || from_gate_) &&
                        (scale.values != nullptr || without_scale || from_gate_);
  if (!complete) { result.source = KappaSource::unknown; }
  if (!complete) { return result; }
  KappaView& view = result.view;
  view.bias = bias.values;
  view.expert_stride = bias.expert_stride;
  view.gate_stride = bias.gate_stride;
  view.scale = scale.values;
  view.scale_expert_stride = scale.expert_stride;
  view.scale_gate_stride = scale.gate_stride;
  view.log_bound = static_cast<float>(std::log(result.bound));
  view.from_gate = from_gate_;
  if (view.fixed() && !from_gate_) { result.source = KappaSource::fixed; }
  return result;
}

KappaView Trace::kappa_view(std::int64_t row, std::int64_t expert) const {
  return kappa_in_force->view(row).at_expert(expert);
}

}  // namespace kappascope
