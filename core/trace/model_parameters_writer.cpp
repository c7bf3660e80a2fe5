// model.npz: what a checkpoint learned, free of any text. α and b keep the granularity they are
// stored in: [L,E,I] per-gate, [L,E] per-expert, [L] per-layer, [1] global; NaN in layers without
// κ.
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
  for (const LayerPlan& layer : model.layers) {
    if (!layer.moe || !layer.kappa) { continue; }
    per_gate = per_gate || layer.kappa_parameters.gate_stride != 0;
    per_expert = per_expert || layer.kappa_parameters.expert_stride != 0;
  }
  if (per_gate) { return Granularity::per_gate; }
  if (per_expert) { return Granularity::per_expert; }
  const bool global = model.config.kappa_granularity == Granularity::global;
  return global ? Granularity::global : Granularity::per_layer;
}

struct ParameterWriter {
  const Model& model;
  std::int64_t layers = model.config.n_layer, experts = model.config.n_exp,
               gates = model.config.gate_units();
  Granularity granularity = granularity_of(model);
  bool moe = has([](const LayerPlan& layer) { return layer.moe; });
  bool bias = has([](const LayerPlan& layer) { return layer.moe && layer.kappa; });
  bool scale = has([](const LayerPlan& layer) {
    return layer.moe && layer.kappa && !layer.kappa_parameters.scale.empty();
  });

  template <typename Test>
  bool has(Test test) const {
    return std::any_of(model.layers.begin(), model.layers.end(), test);
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
    meta["kappa"]["granularity"] = bias ? Json(name(granularity)) : Json();
    for (const DescribedArray& entry : list) {
      meta["arrays"][entry.array.name] =
          describe_array(entry.unit, entry.long_name, entry.dimensions);
    }
    return meta_text(meta);
  }

  // Layer after layer, so that a large model's parameters are never in memory twice.
  void write_parameter(NpzWriter& writer, const char* array,
                       std::vector<float> KappaParameters::* values) const {
    const bool per_gate = granularity == Granularity::per_gate;
    const bool per_expert = per_gate || granularity == Granularity::per_expert;
    const std::int64_t rows = per_expert ? experts : 1, columns = per_gate ? gates : 1;
    for (std::int64_t l = 0; l < layers; ++l) {
      const LayerPlan& layer = model.layers[l];
      const KappaParameters& kappa = layer.kappa_parameters;
      const std::vector<float>& stored = kappa.*values;
      const bool present = layer.moe && layer.kappa && !stored.empty();
      if (granularity == Granularity::global && !present) { continue; }
      std::vector<float> block(static_cast<std::size_t>(rows * columns), kNaN);
      for (std::int64_t i = 0; present && i < rows * columns; ++i) {
        block[i] = stored[i / columns * kappa.expert_stride + i % columns * kappa.gate_stride];
      }
      writer.write(array, granularity == Granularity::global ? 0 : l * rows * columns,
                   std::as_bytes(std::span(block)));
      if (granularity == Granularity::global) { return; }
    }
  }

  void write_layers(NpzWriter& writer) const {
    std::vector<std::string> kind;
    std::vector<std::int32_t> layer_experts, slots, layer_gates;
    std::vector<float> bound;
    for (const LayerPlan& layer : model.layers) {
      const bool gated = layer.moe || model.config.use_qwen3_dense_mlp;
      const auto number = [](bool present, std::int64_t value) {
        return present ? static_cast<std::int32_t>(value) : kNoSize;
      };
      kind.emplace_back(layer.moe ? "moe" : "dense");
      layer_experts.push_back(number(layer.moe, experts));
      slots.push_back(number(layer.moe, model.config.moe_top_k));
      layer_gates.push_back(number(gated, gates));
      bound.push_back(layer.kappa ? static_cast<float>(layer.kappa_parameters.bound) : kNaN);
    }
    writer.write_text("layer_kind", 0, kind);
    writer.write("layer_experts", layer_experts);
    writer.write("layer_slots", slots);
    writer.write("layer_gates", layer_gates);
    writer.write("kappa_u", bound);
  }

  void write_start(NpzWriter& writer) const {
    std::int32_t start = kNoSize;
    for (std::int64_t l = layers - 1; l >= 0; --l) {
      if (model.layers[l].kappa) { start = static_cast<std::int32_t>(l); }
    }
    writer.write("kappa_start_layer", std::vector<std::int32_t>{start});
  }

  void write_alignment(NpzWriter& writer) const {
    const std::vector<float> none(static_cast<std::size_t>(experts), kNaN);
    for (std::int64_t l = 0; l < layers; ++l) {
      const bool routed = model.layers[l].moe;
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
  if (parameters.bias) { parameters.write_parameter(writer, "kappa_bias", &KappaParameters::bias); }
  if (parameters.scale) {
    parameters.write_parameter(writer, "kappa_scale", &KappaParameters::scale);
  }
  parameters.write_start(writer);
  parameters.write_layers(writer);
  writer.finish();
}

}  // namespace kappascope
