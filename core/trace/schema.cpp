#include "core/trace/schema.h"

#include <algorithm>

#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr std::array<Axis, 4> axes(Axis a, Axis b = Axis::none, Axis c = Axis::none,
                                   Axis d = Axis::none) {
  return {a, b, c, d};
}

constexpr auto kToken = axes(Axis::token);
constexpr auto kTokenTop = axes(Axis::token, Axis::top);
constexpr auto kMoe = axes(Axis::moe_layer);
constexpr auto kMoeToken = axes(Axis::moe_layer, Axis::token);
constexpr auto kMoeTokenExpert = axes(Axis::moe_layer, Axis::token, Axis::expert);
constexpr auto kMoeTokenSlot = axes(Axis::moe_layer, Axis::token, Axis::slot);
constexpr auto kMoeTokenSlotGate = axes(Axis::moe_layer, Axis::token, Axis::slot, Axis::gate);
constexpr auto kMoeExpert = axes(Axis::moe_layer, Axis::expert);
constexpr auto kMoeExpertGate = axes(Axis::moe_layer, Axis::expert, Axis::gate);
constexpr auto kDense = axes(Axis::dense_layer);
constexpr auto kDenseToken = axes(Axis::dense_layer, Axis::token);
constexpr auto kSharedToken = axes(Axis::shared_layer, Axis::token);
constexpr auto kLens = axes(Axis::lens_layer);
constexpr auto kLensToken = axes(Axis::lens_layer, Axis::token);

using enum NpyType;

constexpr ArraySchema kSchemas[] = {
    {"token_id", int32, kToken, ArrayGroup::tokens, "", "token id"},
    {"char_start", int32, kToken, ArrayGroup::tokens, "code point",
     "first code point of the token in the text"},
    {"char_end", int32, kToken, ArrayGroup::tokens, "code point",
     "code point after the token in the text"},
    {"token_text", text, kToken, ArrayGroup::tokens, "", "token as shown to people"},
    {"token_bytes_hex", text, kToken, ArrayGroup::tokens, "",
     "exact bytes of the token, hexadecimal"},
    {"nll", float32, kToken, ArrayGroup::tokens, "nat",
     "negative log-likelihood of the token given the ones before"},
    {"target_rank", int32, kToken, ArrayGroup::tokens, "",
     "rank of the token among the predictions, 0 the likeliest"},
    {"top_token_id", int32, kTokenTop, ArrayGroup::tokens, "", "likeliest next tokens"},
    {"top_token_logprob", float32, kTokenTop, ArrayGroup::tokens, "nat",
     "log-probability of the likeliest next tokens"},
    {"token_mask", boolean, kToken, ArrayGroup::chat, "", "true: a token of the assistant"},
    {"phase", int8, kToken, ArrayGroup::generated, "", "0: a token of the prompt, 1: generated"},
    {"layer_index", int32, kMoe, ArrayGroup::moe, "", "layer of the model, from 0"},
    {"pass_index", int32, kMoe, ArrayGroup::moe, "", "pass over the stack of layers, from 0"},
    {"router_logits", float32, kMoeTokenExpert, ArrayGroup::moe, "logit",
     "router logits before any bias"},
    {"expert_index", int16, kMoeTokenSlot, ArrayGroup::moe, "", "chosen expert, best first"},
    {"expert_weight", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "combine weight, 0 where dropped"},
    {"expert_kept", boolean, kMoeTokenSlot, ArrayGroup::moe, "", "false: over capacity"},
    {"kappa_input", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "score s of kappa = U^tanh(alpha s + b)"},
    {"kappa_mean", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "mean of kappa over the gate units"},
    {"kappa_min", float32, kMoeTokenSlot, ArrayGroup::moe, "1", "smallest kappa of the gate units"},
    {"kappa_max", float32, kMoeTokenSlot, ArrayGroup::moe, "1", "largest kappa of the gate units"},
    {"kappa_p05", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "5 % quantile of kappa over the gate units"},
    {"kappa_p95", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "95 % quantile of kappa over the gate units"},
    {"gate_mean_abs", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "mean |a| of the gate activations a"},
    {"gate_active_fraction", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "share of |a| above the threshold"},
    {"gate_top16_share", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "share of the largest |a| in the sum of |a|"},
    {"gate_entropy", float32, kMoeTokenSlot, ArrayGroup::moe, "nat",
     "entropy of |a| over the gate units"},
    {"gate_kz_rms", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "root mean square of kappa z, the effective sharpness"},
    {"gate_linear_fraction", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "share of |kappa z| below 1"},
    {"gate_saturated_fraction", float32, kMoeTokenSlot, ArrayGroup::moe, "1",
     "share of |kappa z| above 4"},
    {"router_top1_prob", float32, kMoeToken, ArrayGroup::moe, "1", "largest router probability"},
    {"router_selected_mass", float32, kMoeToken, ArrayGroup::moe, "1",
     "router probability of the chosen experts"},
    {"router_margin", float32, kMoeToken, ArrayGroup::moe, "logit",
     "lowest chosen less highest unchosen selection score"},
    {"router_top_gap", float32, kMoeToken, ArrayGroup::moe, "logit", "best less second best logit"},
    {"router_entropy", float32, kMoeToken, ArrayGroup::moe, "1",
     "entropy of the router probabilities over ln E"},
    {"kappa_hist", int64, axes(Axis::moe_layer, Axis::expert, Axis::kappa_bin), ArrayGroup::moe, "",
     "kept (token, gate) by ln kappa / ln U in 64 equal bins of [-1, 1]"},
    {"gate_pre_hist", int64, axes(Axis::moe_layer, Axis::expert, Axis::z_bin), ArrayGroup::moe, "",
     "kept (token, gate) by z: underflow, 64 equal bins of [-8, 8], overflow"},
    {"effect_mean", float64, kMoeExpert, ArrayGroup::moe, "1",
     "mean of d = z sigma(kappa z) - z sigma(z)"},
    {"effect_abs", float64, kMoeExpert, ArrayGroup::moe, "1", "mean |d|"},
    {"effect_rms", float64, kMoeExpert, ArrayGroup::moe, "1", "root mean square of d"},
    {"effect_positive", float64, kMoeExpert, ArrayGroup::moe, "1", "share of d > 0"},
    {"effect_rel_mean", float64, kMoeExpert, ArrayGroup::moe, "1", "mean of d / silu(z)"},
    {"effect_rel_abs", float64, kMoeExpert, ArrayGroup::moe, "1", "mean |d / silu(z)|"},
    {"effect_rel_rms", float64, kMoeExpert, ArrayGroup::moe, "1",
     "root mean square of d / silu(z)"},
    {"effect_rel_positive", float64, kMoeExpert, ArrayGroup::moe, "1", "share of d / silu(z) > 0"},
    {"effect_count", float64, kMoeExpert, ArrayGroup::moe, "",
     "scalars (kept token, gate) behind the effect"},
    {"expert_output_norm", float32, kMoeTokenSlot, ArrayGroup::moe_optional, "1",
     "Euclidean norm of the expert's output before its combine weight"},
    {"gate_clamped_fraction", float32, kMoeTokenSlot, ArrayGroup::moe_optional, "1",
     "share of gate units at the limit of z"},
    {"selection_score", float32, kMoeTokenExpert, ArrayGroup::moe_optional, "1",
     "score by which experts are chosen, where it is not the router logit"},
    {"soft_weight", float32, kMoeTokenExpert, ArrayGroup::moe_optional, "1",
     "weight of every expert by soft routing, before the threshold"},
    {"layer_budget", float32, kMoe, ArrayGroup::moe_optional, "1",
     "sum of the weights of a token by soft routing"},
    {"layer_threshold", float32, kMoe, ArrayGroup::moe_optional, "1",
     "weight from which an expert runs by soft routing"},
    {"layer_cap", int32, kMoe, ArrayGroup::moe_optional, "",
     "most experts of a token by soft routing, 0: no cap"},
    {"kappa_u_square", float64, kMoeExpert, ArrayGroup::moe_optional, "1",
     "mean of u^2, u = alpha s + b, over kept (token, gate)"},
    {"kappa_bias_in_force", float32, kMoeExpertGate, ArrayGroup::moe_optional, "1",
     "b as it acted, where an intervention changed it", 1},
    {"kappa_scale_in_force", float32, kMoeExpertGate, ArrayGroup::moe_optional, "1",
     "alpha as it acted, where an intervention changed it", 1},
    {"kappa_factor", float32, kMoeExpert, ArrayGroup::moe_optional, "1",
     "factor on kappa of an intervention"},
    {"dense_layer_index", int32, kDense, ArrayGroup::dense, "", "layer of the model, from 0"},
    {"dense_pass_index", int32, kDense, ArrayGroup::dense, "",
     "pass over the stack of layers, from 0"},
    {"dense_kappa", float32, axes(Axis::dense_layer, Axis::dense_gate), ArrayGroup::dense, "1",
     "kappa of the gate units, the same for all tokens"},
    {"dense_gate_mean_abs", float32, kDenseToken, ArrayGroup::dense, "1",
     "mean |a| of the gate activations a"},
    {"dense_gate_active_fraction", float32, kDenseToken, ArrayGroup::dense, "1",
     "share of |a| above the threshold"},
    {"dense_gate_top16_share", float32, kDenseToken, ArrayGroup::dense, "1",
     "share of the largest |a| in the sum of |a|"},
    {"dense_gate_entropy", float32, kDenseToken, ArrayGroup::dense, "nat",
     "entropy of |a| over the gate units"},
    {"dense_gate_kz_rms", float32, kDenseToken, ArrayGroup::dense, "1",
     "root mean square of kappa z, the effective sharpness"},
    {"dense_gate_linear_fraction", float32, kDenseToken, ArrayGroup::dense, "1",
     "share of |kappa z| below 1"},
    {"dense_gate_saturated_fraction", float32, kDenseToken, ArrayGroup::dense, "1",
     "share of |kappa z| above 4"},
    {"shared_layer_index", int32, axes(Axis::shared_layer), ArrayGroup::shared, "",
     "layer of the model, from 0"},
    {"shared_pass_index", int32, axes(Axis::shared_layer), ArrayGroup::shared, "",
     "pass over the stack of layers, from 0"},
    {"shared_weight", float32, kSharedToken, ArrayGroup::shared, "1",
     "factor on the output of the shared expert"},
    {"shared_output_norm", float32, kSharedToken, ArrayGroup::shared, "1",
     "Euclidean norm of the shared expert's output before its factor"},
    {"shared_gate_mean_abs", float32, kSharedToken, ArrayGroup::shared, "1",
     "mean |a| of the gate activations a"},
    {"shared_gate_active_fraction", float32, kSharedToken, ArrayGroup::shared, "1",
     "share of |a| above the threshold"},
    {"shared_gate_top16_share", float32, kSharedToken, ArrayGroup::shared, "1",
     "share of the largest |a| in the sum of |a|"},
    {"shared_gate_entropy", float32, kSharedToken, ArrayGroup::shared, "nat",
     "entropy of |a| over the gate units"},
    {"shared_gate_kz_rms", float32, kSharedToken, ArrayGroup::shared, "1",
     "root mean square of kappa z, the effective sharpness"},
    {"shared_gate_linear_fraction", float32, kSharedToken, ArrayGroup::shared, "1",
     "share of |kappa z| below 1"},
    {"shared_gate_saturated_fraction", float32, kSharedToken, ArrayGroup::shared, "1",
     "share of |kappa z| above 4"},
    {"kappa", float32, kMoeTokenSlotGate, ArrayGroup::gates, "1", "kappa of every gate unit"},
    {"gate_pre", float32, kMoeTokenSlotGate, ArrayGroup::gates, "1", "gate pre-activation z"},
    {"gate_act", float32, kMoeTokenSlotGate, ArrayGroup::gates, "1", "gate activation a"},
    {"logits", float32, axes(Axis::token, Axis::vocabulary), ArrayGroup::logits, "logit",
     "output logits after the token"},
    {"kl_against", float32, kToken, ArrayGroup::against, "nat",
     "KL(p of the run compared with || p) of the prediction after the token"},
    {"ablation_nll", float64, kMoeExpert, ArrayGroup::moe_optional, "nat",
     "change of the mean NLL without the expert"},
    {"patch_logprob", float64, kMoeToken, ArrayGroup::moe_optional, "nat",
     "change of a token's log-probability with the layer's output at this token of another run"},
    {"moe_output", float32, axes(Axis::moe_layer, Axis::token, Axis::width), ArrayGroup::outputs,
     "1", "output of the layer's experts, shared ones included"},
    {"lens_layer_index", int32, kLens, ArrayGroup::lens, "", "layer of the model, from 0"},
    {"lens_pass_index", int32, kLens, ArrayGroup::lens, "",
     "pass over the stack of layers, from 0"},
    {"lens_token_id", int32, kLensToken, ArrayGroup::lens, "",
     "likeliest next token by the residual stream after the layer"},
    {"lens_token_text", text, kLensToken, ArrayGroup::lens, "",
     "that token as shown to people, cut after 16 characters"},
    {"lens_logprob", float32, kLensToken, ArrayGroup::lens, "nat", "log-probability of that token"},
    {"lens_target_rank", int32, kLensToken, ArrayGroup::lens, "",
     "rank of the token that follows among these predictions, 0 the likeliest"},
};

constexpr std::array<std::string_view, kAxes> kAxisNames{
    "token",      "top",          "moe_layer",    "expert",      "slot",
    "gate",       "kappa_bin",    "gate_pre_bin", "dense_layer", "dense_gate",
    "vocabulary", "shared_layer", "lens_layer",   "width"};

}  // namespace

std::string_view axis_name(Axis axis) {
  require(axis < Axis::none, ExitCode::internal, Place{}, "name of an unknown axis");
  return kAxisNames[int(axis)];
}

std::size_t ArraySchema::rank() const {
  return static_cast<std::size_t>(std::find(axes.begin(), axes.end(), Axis::none) - axes.begin());
}

std::vector<std::int64_t> ArraySchema::shape(const Extents& extents, std::size_t rank) const {
  std::vector<std::int64_t> result;
  for (std::size_t i = 0; i < std::min(rank, this->rank()); ++i) {
    result.push_back(extents[axes[i]]);
  }
  return result;
}

std::span<const ArraySchema> array_schemas() {
  return kSchemas;
}

Json describe_array(std::string_view unit, std::string_view long_name,
                    std::span<const std::string_view> dimensions) {
  Json names = Json::array();
  for (const std::string_view dimension : dimensions) { names.push_back(dimension); }
  return {{"_ARRAY_DIMENSIONS", std::move(names)}, {"unit", unit}, {"long_name", long_name}};
}

Json describe_array(const ArraySchema& schema, std::size_t rank) {
  std::vector<std::string_view> dimensions;
  for (std::size_t i = 0; i < std::min(rank, schema.rank()); ++i) {
    dimensions.push_back(axis_name(schema.axes[i]));
  }
  return describe_array(schema.unit, schema.long_name, dimensions);
}

NpyArray meta_array(const std::string& text) {
  return {std::string(kMetaArray), NpyType::text, {}, text_width(std::span(&text, 1))};
}

std::string meta_text(const Json& meta) {
  return meta.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json read_meta(const NpzReader& file, std::string_view schema) {
  const Place place{file.file().path(), kMetaArray};
  const NpyArray* array = file.find(kMetaArray);
  require(array != nullptr && array->type == NpyType::text && array->shape.empty(),
          ExitCode::damaged, place, "not a kappascope file: expected a text of JSON");
  Json meta = parse_json(file.text(kMetaArray).front(), join_words(place.file, ": ", kMetaArray));
  const bool named = meta.is_object() && meta.contains("schema") && meta["schema"].is_string();
  const std::string found = named ? meta["schema"].get<std::string>() : "none";
  if (found == schema) { return meta; }
  const std::string_view family = schema.substr(0, schema.find('/') + 1);
  fail(found.starts_with(family) ? ExitCode::unsupported : ExitCode::damaged, place,
       "schema; expected ", schema, ", found ", found);
}

std::int64_t text_width(std::span<const std::string> items) {
  std::int64_t width = 1;
  for (const std::string& item : items) {
    width = std::max<std::int64_t>(width, std::count_if(item.begin(), item.end(), [](char unit) {
                                     return (static_cast<unsigned char>(unit) & 0xc0) != 0x80;
                                   }));
  }
  return width;
}

}  // namespace kappascope
