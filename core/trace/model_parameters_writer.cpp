// model.npz: what a checkpoint learned, free of any text. α and b keep the granularity they are
// stored in: [L,E,I] per-gate, [L,E] per-expert, [L] per-layer, [1] global, with an axis of slots
// in front where there are several; NaN in layers without κ.
#include <algorithm>
#include <cmath>

#include "core/nan.h"
#include "core/trace/recorder.h"
#include "core/trace/schema.h"
#include "core/trace/trace.h"
#include "core/trace/trace_meta.h"

namespace kappascope {
namespace {

constexpr std::int32_t kNoSize = -1;

struct DescribedArray {
  NpyArray array;
  std::vector<std::string_view> dimensions;
  std::string_view unit, long_name;
};

// The finest granularity among the layers' parameters; per-layer ones that all layers share are
// global.
Granularity granularity_of(const Model& model) {
  bool per_gate = false, per_expert = false;
  for (std::size_t i = 0; i < model.kappa.size(); ++i) {
    if (!model.architecture.layers[i].moe() || !model.architecture.layers[i].kappa()) { continue; }
    per_gate = per_gate || model.kappa[i].gate_stride != 0;
    per_expert = per_expert || model.kappa[i].expert_stride != 0;
  }
  if (per_gate) { return Granularity::per_gate; }
  if (per_expert) { return Granularity::per_expert; }
  const KappaSpec* kappa = model.architecture.first_kappa(true);
  const bool global = kappa != nullptr && kappa->granularity == Granularity::global;
  return global ? Granularity::global : Granularity::per_layer;
}

struct ParameterWriter {
  const Model& model;
  const Architecture& architecture = model.architecture;
  std::int64_t layers = architecture.depth(), experts = architecture.most_experts(),
               gates = architecture.most_gates(true);
  std::int64_t slots = std::max<std::int64_t>(1, architecture.kappa_slots.count);
  Granularity granularity = granularity_of(model);
  bool moe = architecture.first_moe() != nullptr;
  bool bias = has(&KappaParameters::bias);
  bool scale = has(&KappaParameters::scale);

  // Whether an MoE layer has parameters of this kind.
  bool has(std::vector<float> KappaParameters::* values) const {
    for (std::size_t i = 0; i < model.kappa.size(); ++i) {
      if (architecture.layers[i].moe() && !(model.kappa[i].*values).empty()) { return true; }
    }
    return false;
  }

  DescribedArray parameter(const char* name, std::string_view long_name) const {
    std::vector<std::int64_t> shape{layers, experts, gates};
    std::vector<std::string_view> dimensions{"layer", "expert", "gate"};
    if (granularity == Granularity::global) {
      shape = {1};
      dimensions = {"all"};
    } else {
      const std::size_t rank = granularity == Granularity::per_gate     ? 3
                               : granularity == Granularity::per_expert ? 2
                                                                        : 1;
      shape.resize(rank);
      dimensions.resize(rank);
    }
    if (slots > 1) {
      shape.insert(shape.begin(), slots);
      dimensions.insert(dimensions.begin(), "slot");
    }
    return {{name, NpyType::float32, std::move(shape)}, std::move(dimensions), "1", long_name};
  }

  // Sorted by name.
  std::vector<DescribedArray> arrays() const {
    std::vector<DescribedArray> list;
    const auto add = [&](const char* name, NpyType type, std::vector<std::int64_t> shape,
                         std::string_view unit, std::string_view long_name) {
      std::vector<std::string_view> dimensions{"layer", "expert"};
      dimensions.resize(shape.size());
      list.push_back({{name, type, std::move(shape)}, std::move(dimensions), unit, long_name});
    };
    if (moe) {
      add("alignment_energy", NpyType::float32, {layers, experts}, "1",
          "energy-weighted cosine of router row and columns of gate_proj");
      add("alignment_mean", NpyType::float32, {layers, experts}, "1",
          "cosine of router row and mean column of gate_proj");
    }
    if (bias) { list.push_back(parameter("kappa_bias", "b of kappa = U^tanh(alpha s + b)")); }
    if (scale) { list.push_back(parameter("kappa_scale", "alpha of kappa = U^tanh(alpha s + b)")); }
    add("kappa_start_layer", NpyType::int32, {}, "", "first layer with kappa, -1 for none");
    add("kappa_u", NpyType::float32, {layers}, "1",
        "bound U: 1/U < kappa < U; NaN in layers without kappa");
    add("layer_experts", NpyType::int32, {layers}, "", "experts, -1 in dense layers");
    add("layer_gates", NpyType::int32, {layers}, "",
        "gate units of an expert or a dense layer, -1 without gate");
    add("layer_kind", NpyType::text, {layers}, "", "moe or dense");
    list.back().array.text_width = 5;
    add("layer_slots", NpyType::int32, {layers}, "", "chosen experts a token, -1 in dense layers");
    return list;
  }

  std::string document(const std::vector<DescribedArray>& list) const {
    Json meta = checkpoint_meta(model);
    meta["schema"] = kModelSchema;
    meta["kappa"]["granularity"] = bias || scale ? Json(name(granularity)) : Json();
    if (slots > 1) { meta["kappa_slots"] = slots; }
    for (const DescribedArray& entry : list) {
      meta["arrays"][entry.array.name] =
          describe_array(entry.unit, entry.long_name, entry.dimensions);
    }
    return meta_text(meta);
  }

  // Layer after layer, so that a large model's parameters are never in memory twice.
  void write_parameter(NpzWriter& writer, const char* array,
                       std::vector<float> KappaParameters::* values,
                       std::int64_t KappaParameters::* slots_of) const {
    const bool per_gate = granularity == Granularity::per_gate;
    const bool per_expert = per_gate || granularity == Granularity::per_expert;
    const bool global = granularity == Granularity::global;
    const std::int64_t rows = per_expert ? experts : 1, columns = per_gate ? gates : 1;
    for (std::int64_t slot = 0; slot < slots; ++slot) {
      for (std::int64_t l = 0; l < layers; ++l) {
        const KappaParameters& kappa = model.kappa[l];
        const std::vector<float>& stored = kappa.*values;
        const bool present = architecture.layers[l].moe() && !stored.empty();
        if (global && !present) { continue; }
        std::vector<float> block(static_cast<std::size_t>(rows * columns), kNaN);
        const std::int64_t in_slot = std::ssize(stored) / kappa.*slots_of;
        const std::int64_t begin = std::min(slot, kappa.*slots_of - 1) * in_slot;
        for (std::int64_t i = 0; present && i < rows * columns; ++i) {
          block[i] =
              stored[begin + i / columns * kappa.expert_stride + i % columns * kappa.gate_stride];
        }
        const std::int64_t first = global ? slot : (slot * layers + l) * rows * columns;
        writer.write(array, first, std::as_bytes(std::span(block)));
        if (global) { break; }
      }
    }
  }

  void write_layers(NpzWriter& writer) const {
    std::vector<std::string> kind;
    std::vector<std::int32_t> layer_experts, layer_slots, layer_gates;
    std::vector<float> bound;
    for (const LayerSpec& layer : architecture.layers) {
      const MoeSpec* spec = layer.moe();
      kind.emplace_back(spec ? "moe" : "dense");
      layer_experts.push_back(spec ? std::int32_t(spec->router.experts) : kNoSize);
      layer_slots.push_back(spec ? std::int32_t(spec->router.slots) : kNoSize);
      layer_gates.push_back(layer.gated() ? std::int32_t(layer.gates()) : kNoSize);
      bound.push_back(layer.kappa() ? static_cast<float>(layer.kappa()->bound) : kNaN);
    }
    writer.write_text("layer_kind", 0, kind);
    writer.write("layer_experts", layer_experts);
    writer.write("layer_slots", layer_slots);
    writer.write("layer_gates", layer_gates);
    writer.write("kappa_u", bound);
  }

  void write_start(NpzWriter& writer) const {
    writer.write("kappa_start_layer",
                 std::vector<std::int32_t>{std::int32_t(architecture.kappa_start())});
  }

  void write_alignment(NpzWriter& writer) const {
    const std::vector<float> none(static_cast<std::size_t>(experts), kNaN);
    for (std::int64_t l = 0; l < layers; ++l) {
      const bool routed = architecture.layers[l].moe() != nullptr;
      const Alignment alignment = routed ? router_alignment(model, l) : Alignment{none, none};
      writer.write("alignment_mean", l * experts, std::as_bytes(std::span(alignment.mean)));
      writer.write("alignment_energy", l * experts, std::as_bytes(std::span(alignment.energy)));
    }
  }
};

}  // namespace

void write_model_parameters(const std::filesystem::path& path, const Model& model) {
  const ParameterWriter parameters{model};
  const std::vector<DescribedArray> described = parameters.arrays();
  const std::string document = parameters.document(described);
  std::vector<NpyArray> arrays;
  arrays.reserve(described.size() + 1);
  for (const DescribedArray& entry : described) { arrays.push_back(entry.array); }
  arrays.push_back(meta_array(document));
  std::sort(arrays.begin(), arrays.end(),
            [](const NpyArray& a, const NpyArray& b) { return a.name < b.name; });
  NpzWriter writer(path, std::move(arrays));
  writer.write_text(kMetaArray, 0, std::span(&document, 1));
  if (parameters.moe) { parameters.write_alignment(writer); }
  if (parameters.bias) {
    parameters.write_parameter(writer, "kappa_bias", &KappaParameters::bias,
                               &KappaParameters::bias_slots);
  }
  if (parameters.scale) {
    parameters.write_parameter(writer, "kappa_scale", &KappaParameters::scale,
                               &KappaParameters::scale_slots);
  }
  parameters.write_start(writer);
  parameters.write_layers(writer);
  writer.finish();
}

}  // namespace kappascope
