#include "core/trace/trace_meta.h"

#include <algorithm>
#include <filesystem>

#include "core/model/description.h"
#include "core/model/schedule.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

Json kappa_meta(const Architecture& architecture) {
  Json kappa{{"model", architecture.has_kappa()}};
  if (!architecture.has_kappa()) {
    const LayerSpec* first = architecture.first_moe();
    kappa["constant"] = first ? first->moe()->gate.kappa : 1.0;
    return kappa;
  }
  kappa["start_layer"] = architecture.kappa_start();
  if (const KappaSpec* experts = architecture.first_kappa(true)) {
    kappa["granularity"] = name(experts->granularity);
    kappa["bound_moe"] = experts->bound;
    kappa["multiplier"] = experts->multiplier;
    kappa["router"] = experts->router;
    kappa["bias"] = experts->bias;
  }
  if (const KappaSpec* dense = architecture.first_kappa(false)) {
    kappa["bound_dense"] = dense->bound;
  }
  if (const KappaScore* score = first_score(architecture)) {
    kappa["input"] = name(score->input);
    kappa["input_constant"] = score->constant;
    kappa["input_logit_norm_exponent"] = score->norm_exponent;
  }
  if (architecture.kappa_slots.count > 0) { kappa["slots"] = architecture.kappa_slots.count; }
  return kappa;
}

// κ of a model without a learned one, that of its first MoE layer.
double constant_in_force(const RunPlan& plan) {
  for (const LayerPlan& layer : plan.layers) {
    if (layer.spec->moe() == nullptr) { continue; }
    const std::vector<float>& factor = layer.kappa.front().factor;
    return factor.empty() ? 1 : double(factor.front());
  }
  return 1;
}

// How the checkpoint was read where it can be read in several ways.
void put_reading(Json& meta, const Architecture& architecture) {
  const KappaSlots& slots = architecture.kappa_slots;
  const bool kappa = architecture.has_kappa();
  meta["kappa_formula"] = kappa ? Json(name(architecture.kappa_formula)) : Json();
  meta["kappa_slot"] = slots.side ? Json(name(*slots.side)) : Json();
  meta["sft_kappa"] = slots.side == KappaSide::sft ? Json(name(slots.sft)) : Json();
}

// The layer whose rule stands for the model's: the first MoE layer that no intervention on the
// capacity of single layers names; else the first one.
std::int64_t layer_of_capacity(const Architecture& architecture, const RunPlan& plan) {
  std::int64_t first = -1;
  for (std::int64_t layer = 0; layer < std::ssize(architecture.layers); ++layer) {
    if (architecture.layers[layer].moe() == nullptr) { continue; }
    if (first < 0) { first = layer; }
    const bool named = std::any_of(
        plan.interventions.begin(), plan.interventions.end(), [&](const Intervention& edit) {
          return edit.edit == Edit::capacity &&
                 std::find(edit.layers.begin(), edit.layers.end(), layer) != edit.layers.end();
        });
    if (!named) { return layer; }
  }
  return first;
}

Json capacity_meta(const Model& model, const RunPlan& plan) {
  Json meta{{"in_force", false}, {"factor", nullptr}, {"minimum", nullptr}};
  const std::int64_t layer = layer_of_capacity(model.architecture, plan);
  if (layer < 0) { return meta; }
  const LayerPlan& planned = plan.layers[layer];
  const auto& rule =
      planned.capacity ? planned.capacity : model.architecture.layers[layer].moe()->router.capacity;
  meta["in_force"] = planned.capacity.has_value();
  if (rule) {
    meta["factor"] = rule->factor;
    meta["minimum"] = rule->minimum;
  }
  return meta;
}

Json dimensions_meta(const Extents& extents) {
  Json dimensions;
  for (const Axis axis : {Axis::token, Axis::moe_layer, Axis::expert, Axis::slot, Axis::gate,
                          Axis::dense_layer, Axis::dense_gate, Axis::vocabulary}) {
    dimensions[std::string(axis_name(axis))] = extents[axis];
  }
  return dimensions;
}

Json chunks_meta(const std::vector<TextChunk>& chunks) {
  Json list = Json::array();
  for (const TextChunk& chunk : chunks) {
    list.push_back(
        {{"begin", chunk.begin}, {"first_recorded", chunk.first_recorded}, {"end", chunk.end}});
  }
  return list;
}

// In its real folder, from which Model::name() is, too: names of runs tell folders apart by it,
// wherever and through whatever link the model was opened.
std::string real_path(const std::filesystem::path& file) {
  std::error_code gone;
  const std::filesystem::path whole = std::filesystem::absolute(file).lexically_normal();
  const std::filesystem::path folder = std::filesystem::canonical(whole.parent_path(), gone);
  return gone ? whole.string() : (folder / whole.filename()).string();
}

Json document_meta(const TextDocument& document) {
  return {{"source", display_text(document.source)},
          {"index", document.index},
          {"sha256", document.sha256}};
}

double near_tie_of(const Architecture& architecture) {
  const LayerSpec* first = architecture.first_moe();
  return first == nullptr ? kNearTieMargin : near_tie_margin(first->moe()->router);
}

// What p is of, and what the margin is measured in.
void put_router(Json& meta, const Architecture& architecture) {
  const LayerSpec* first = architecture.first_moe();
  const RouterSpec router = first == nullptr ? RouterSpec{} : first->moe()->router;
  const char* score = router.score == RouterScore::sigmoid ? "sigmoid" : "softmax";
  const char* unit = router.by_score ? "score" : "logit";
  meta["router_score"] = router.soft ? "lapsum" : score;
  meta["router_margin_unit"] = router.soft ? "weight" : unit;
  meta["near_tie"] = near_tie_of(architecture);
}

}  // namespace

std::vector<std::int64_t> TraceSettings::layers_of(const Architecture& architecture,
                                                   bool moe) const {
  std::vector<std::int64_t> chosen;
  for (const std::int64_t layer : layers) {
    require(layer >= 0 && layer < architecture.depth(), ExitCode::internal, {},
            "recorded layer out of range");
    const LayerSpec& spec = architecture.layers[layer];
    if (spec.gated() && (spec.moe() != nullptr) == moe) { chosen.push_back(layer); }
  }
  return chosen;
}

Json checkpoint_meta(const Model& model) {
  Json meta;
  meta["model"] = {{"name", display_text(model.name())},
                   {"family", model.architecture.family},
                   {"step", json_of(model.files.step)},
                   {"path", display_text(real_path(model.files.weights))}};
  meta["model_config"] = model.document;
  meta["n_layer"] = model.architecture.depth();
  meta["config_sha256"] = model.config_sha256;
  meta["tensor_directory_sha256"] = model.directory_sha256;
  meta["kappa"] = kappa_meta(model.architecture);
  if (const auto end = warm_up_end(model)) { meta["kappa"]["warm_up_end"] = *end; }
  return meta;
}

Json trace_meta(const Model& model, const RunPlan& plan, const TokenizedText& text,
                const TraceSettings& settings, const Extents& extents,
                std::span<const RecordedArray> arrays) {
  Json meta = checkpoint_meta(model);
  meta["schema"] = kTraceSchema;
  meta["tool_version"] = settings.tool_version;
  meta["torch_version"] = settings.torch_version;
  if (!settings.engine.empty()) { meta["engine"] = settings.engine; }
  meta["command"] = display_text(settings.command);
  if (!text.document.sha256.empty()) { meta["document"] = document_meta(text.document); }
  meta["dtype"] = settings.dtype;
  meta["device"] = settings.device;
  meta["threads"] = settings.threads;
  meta["dimensions"] = dimensions_meta(extents);
  meta["thresholds"] = {{"gate_active", model.architecture.gate_threshold},
                        {"gate_top", model.architecture.gate_top},
                        {"gate_linear", double(kLinearKz)},
                        {"gate_saturated", double(kSaturatedKz)},
                        {"near_tie", near_tie_of(model.architecture)}};
  meta["kappa"]["in_force"] = plan.kappa;
  if (!model.architecture.has_kappa()) { meta["kappa"]["constant"] = constant_in_force(plan); }
  put_reading(meta, model.architecture);
  meta["interventions"] = canonical_words(plan.interventions);
  if (!text.chat.empty()) { meta["chat"] = {{"format", text.chat}}; }
  if (!text.chat_sha256.empty()) { meta["chat"]["sha256"] = text.chat_sha256; }
  if (!text.generation.is_null()) { meta["generation"] = text.generation; }
  if (settings.only_assistant) { meta["only"] = kOnlyAssistant; }
  if (settings.against_logits) { meta["against"] = settings.against; }
  put_router(meta, model.architecture);
  const bool soft = meta["router_margin_unit"] == "weight";
  if (soft) {
    const ParameterCounts counts = count_parameters(model);
    meta["parameters"] = {{"always", counts.always}, {"per_expert", counts.per_expert}};
  }
  meta["capacity"] = capacity_meta(model, plan);
  meta["window"] = {{"sequence_len", model.architecture.context},
                    {"chunks", chunks_meta(text.chunks)}};
  meta["recorded"] = {{"layers", settings.layers},
                      {"gates", settings.record_gates},
                      {"logits", settings.record_logits}};
  if (settings.record_outputs) { meta["recorded"]["outputs"] = true; }
  if (settings.lens) { meta["recorded"]["lens"] = true; }
  if (!settings.patching.is_null()) { meta["patching"] = settings.patching; }
  for (const RecordedArray& array : arrays) {
    meta["arrays"][std::string(array.schema->name)] = describe_array(*array.schema, array.rank);
  }
  const auto margin = meta["arrays"].find("router_margin");
  if (margin != meta["arrays"].end()) {
    (*margin)["unit"] = meta["router_margin_unit"];
    if (soft) { (*margin)["long_name"] = "distance of the nearest weight from the threshold"; }
  }
  return meta;
}

Json corpus_meta(const Model& model, const RunPlan& plan, const TraceSettings& settings) {
  const Architecture& architecture = model.architecture;
  Extents extents;
  extents[Axis::expert] = architecture.most_experts();
  extents[Axis::gate] = architecture.most_gates(true);
  Json meta = trace_meta(model, plan, {}, settings, extents, {});
  meta.erase("window");
  meta.erase("recorded");
  meta["dimensions"] = {{"expert", extents[Axis::expert]}, {"gate", extents[Axis::gate]}};
  return meta;
}

}  // namespace kappascope
