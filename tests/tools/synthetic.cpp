#include "tests/tools/synthetic.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <set>

#include "core/model/families/nanochat_config.h"

namespace kappascope::synthetic {
namespace {

constexpr double kKappaDeviation = 0.5;
constexpr double kLambdaDeviation = 0.1;

std::uint64_t hash(std::string_view text) {  // FNV-1a
  std::uint64_t state = 0xcbf29ce484222325;
  for (const char c : text) { state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3; }
  return state;
}

// Output `index` of SplitMix64 from `seed` (Steele, Lea, Flood 2014).
std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// A number of mean 0 and variance 1: the sum of four uniform ones.
double random_number(std::uint64_t seed, std::uint64_t index) {
  constexpr double kMiddle = 2.0 * 65535;
  constexpr double kScale = 1.7320508075688772 / 65536;  // √3: the sum's variance is 65536²/3
  const std::uint64_t bits = random_bits(seed, index);
  const auto sum = static_cast<double>((bits & 0xffff) + (bits >> 16 & 0xffff) +
                                       (bits >> 32 & 0xffff) + (bits >> 48));
  return (sum - kMiddle) * kScale;
}

std::uint64_t tensor_seed(const ModelTensor& tensor, std::uint64_t seed) {
  return hash(tensor.tensor.name) ^ (seed * 0x9e3779b97f4a7c15);
}

// Upper half of a float, rounded to nearest, ties to even.
std::uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) { return static_cast<std::uint16_t>(bits >> 16 | 0x40); }
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

class TensorList {
 public:
  explicit TensorList(const ModelSpec& spec) : spec_(spec) {}

  void add(const std::string& name, std::vector<std::int64_t> shape, double mean,
           double deviation) {
    if (std::find(spec_.drop.begin(), spec_.drop.end(), name) != spec_.drop.end()) { return; }
    const auto other = spec_.reshape.find(name);
    if (other != spec_.reshape.end()) { shape = other->second; }
    tensors.push_back({{spelled(name), spec_.dtype, std::move(shape)}, mean, deviation});
  }
  // A matrix whose outputs have the variance of its inputs: deviation 1/√fan_in.
  void matrix(const std::string& name, std::vector<std::int64_t> shape, std::int64_t fan_in) {
    add(name, std::move(shape), 0, 1 / std::sqrt(static_cast<double>(fan_in)));
  }

  std::vector<ModelTensor> tensors;

 private:
  std::string spelled(const std::string& name) const {
    const std::string before = spec_.old_names ? nanochat::old_tensor_name(name) : "";
    return before.empty() ? name : before;
  }

  const ModelSpec& spec_;
};

std::vector<std::int64_t> kappa_shape(const ModelSpec& spec, bool moe) {
  const std::int64_t gates = 4 * spec.hidden;
  if (spec.granularity == Granularity::per_gate) {
    return moe ? std::vector{spec.experts, gates} : std::vector{gates};
  }
  return {moe && spec.granularity == Granularity::per_expert ? spec.experts : 1};
}

void add_expert_kappa(TensorList& list, const ModelSpec& spec, const std::string& head) {
  const std::int64_t gates = 4 * spec.hidden;
  if (spec.kappa_product) {
    const double part = std::sqrt(kKappaDeviation);
    list.add(head + "kappa_bias_expert", {spec.experts}, 0, part);
    list.add(head + "kappa_bias_intermediate", {gates}, 0, part);
    list.add(head + "kappa_bias_residual", {spec.experts, gates}, 0, kLambdaDeviation);
  } else {
    list.add(head + "kappa_bias", kappa_shape(spec, true), 0, kKappaDeviation);
  }
  if (spec.kappa_input != KappaInput::constant) {
    list.add(head + "kappa_scale", kappa_shape(spec, true), 0, kKappaDeviation);
  }
}

void add_moe(TensorList& list, const ModelSpec& spec, const std::string& head, bool kappa) {
  const std::int64_t hidden = spec.hidden, gates = 4 * hidden, experts = spec.experts;
  list.add(head + "router.expert_bias", {experts}, 0, spec.expert_bias ? kLambdaDeviation : 0);
  list.matrix(head + "router.w_g.weight", {experts, hidden}, hidden);
  list.matrix(head + "experts.gate_proj", {experts, hidden, gates}, hidden);
  if (kappa && spec.granularity != Granularity::global) {
    add_expert_kappa(list, spec, head + "experts.");
  }
  list.matrix(head + "experts.c_fc", {experts, hidden, gates}, hidden);
  list.matrix(head + "experts.c_proj", {experts, gates, hidden}, gates);
}

void add_dense(TensorList& list, const ModelSpec& spec, const std::string& head, bool kappa) {
  const std::int64_t hidden = spec.hidden, gates = 4 * hidden;
  if (kappa && spec.granularity != Granularity::global) {
    list.add(head + "kappa_bias", kappa_shape(spec, false), 0, kKappaDeviation);
  }
  if (spec.gated_dense) { list.matrix(head + "gate_proj.weight", {gates, hidden}, hidden); }
  list.matrix(head + "c_fc.weight", {gates, hidden}, hidden);
  list.matrix(head + "c_proj.weight", {hidden, gates}, gates);
}

void add_layer(TensorList& list, const ModelSpec& spec, const nanochat::Config& layout,
               std::int64_t layer) {
  const std::string head = "transformer.h." + std::to_string(layer) + ".";
  const std::int64_t hidden = spec.hidden, width = spec.kv_heads * (hidden / spec.heads);
  list.matrix(head + "attn.c_q.weight", {hidden, hidden}, hidden);
  list.matrix(head + "attn.c_k.weight", {width, hidden}, hidden);
  list.matrix(head + "attn.c_v.weight", {width, hidden}, hidden);
  list.matrix(head + "attn.c_proj.weight", {hidden, hidden}, hidden);
  list.matrix(head + "attn.ve_gate.weight", {spec.kv_heads, 32}, 32);
  const bool kappa = layout.has_kappa(layer);
  if (layout.is_moe(layer)) {
    add_moe(list, spec, head + "mlp.", kappa);
  } else {
    add_dense(list, spec, head + "mlp.", kappa);
  }
}

// Which layers are what: the config's own rules.
nanochat::Config layout_of(const ModelSpec& spec) {
  nanochat::Config layout;
  layout.n_layer = spec.layers;
  layout.n_exp = spec.experts;
  layout.moe_start_layer = spec.moe_start;
  layout.moe_layer_stride = spec.moe_stride;
  layout.num_moe_layers = spec.moe_count;
  layout.use_kappa_swiglu = spec.kappa;
  layout.kappa_bias_start_layer = spec.kappa_start;
  layout.constant_kappa_bias_dense_layers = spec.dense_kappa;
  layout.use_qwen3_dense_mlp = spec.gated_dense;
  return layout;
}

void add_global_kappa(TensorList& list, const ModelSpec& spec, const nanochat::Config& layout) {
  if (!spec.kappa || spec.granularity != Granularity::global) { return; }
  bool bias = false, scale = false;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    bias = bias || layout.has_kappa(layer);
    scale = scale || (layout.has_kappa(layer) && layout.is_moe(layer));
  }
  if (bias) { list.add("global_kappa_bias", {1}, 0, kKappaDeviation); }
  if (scale && spec.kappa_input != KappaInput::constant) {
    list.add("global_kappa_scale", {1}, 0, kKappaDeviation);
  }
}

}  // namespace

std::vector<ModelTensor> model_tensors(const ModelSpec& spec) {
  const nanochat::Config layout = layout_of(spec);
  const std::int64_t vocab = (spec.vocab + 63) / 64 * 64, hidden = spec.hidden;
  const std::vector<std::int64_t> lambdas =
      spec.lambda_steps ? std::vector<std::int64_t>{2, spec.layers} : std::vector{spec.layers};
  TensorList list(spec);
  add_global_kappa(list, spec, layout);
  list.add("resid_lambdas", lambdas, 1, kLambdaDeviation);
  list.add("x0_lambdas", lambdas, 0, kLambdaDeviation);
  if (spec.soft_budget > 0) { list.add("softmoe_eta", {layout.moe_layers()}, 0, kKappaDeviation); }
  list.add("transformer.wte.weight", {vocab, hidden}, 0, 1);
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    add_layer(list, spec, layout, layer);
  }
  list.matrix("lm_head.weight", {vocab, hidden}, hidden);
  for (const auto& [name, shape] : spec.extra) { list.add(name, shape, 0, kKappaDeviation); }
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    if (!layout.has_value_embedding(layer)) { continue; }
    list.add("value_embeds." + std::to_string(layer) + ".weight",
             {vocab, spec.kv_heads * (hidden / spec.heads)}, 0, 1);
  }
  return list.tensors;
}

Json model_config(const ModelSpec& spec) {
  Json config = {
      {"sequence_len", spec.sequence},
      {"vocab_size", spec.vocab},
      {"n_layer", spec.layers},
      {"n_head", spec.heads},
      {"n_kv_head", spec.kv_heads},
      {"n_embd", spec.hidden},
      {"n_exp", spec.experts},
      {"moe_top_k", spec.slots},
      {"moe_start_layer", spec.moe_start},
      {"moe_layer_stride", spec.moe_stride},
      {"num_moe_layers", spec.moe_count},
      {"use_kappa_swiglu", spec.kappa},
      {"kappa_bias_start_layer", spec.kappa_start},
      {"kappa_input", name(spec.kappa_input)},
      {"kappa_input_constant", 1.0},
      {"kappa_input_logit_norm_exponent", spec.kappa_exponent},
      {"moe_kappa_slope_max_scale", 4.0},
      {"dense_kappa_slope_max_scale", 2.0},
      {"constant_kappa_bias_dense_layers", spec.dense_kappa},
      {"global_kappa_bias_granularity", name(spec.granularity)},
      {"use_aux_free_load_balancing", spec.expert_bias},
      {"use_qwen3_dense_mlp", spec.gated_dense},
      {"bilinear_mlp_moe", spec.bilinear},
      {"window_pattern", spec.window},
      {"eval_capacity", spec.eval_capacity},
      {"min_capacity", 4},
      {"total_ut_steps", spec.passes},
  };
  if (spec.soft_budget > 0) {
    config.update({{"router_type", "lapsum"},
                   {"lapsum_budget_total", spec.soft_budget},
                   {"lapsum_threshold", 0.2}});
  }
  config.merge_patch(spec.config);
  return config;
}

DrawnValues::DrawnValues(const ModelTensor& tensor, std::uint64_t seed)
    : mean_(tensor.mean), deviation_(tensor.deviation), seed_(tensor_seed(tensor, seed)) {}

float DrawnValues::operator[](std::uint64_t index) const {
  return static_cast<float>(mean_ + deviation_ * random_number(seed_, index));
}

void draw(const ModelTensor& tensor, std::uint64_t seed, const std::function<void(Bytes)>& sink,
          bool first_nan) {
  std::int64_t count = 1;
  for (const std::int64_t extent : tensor.tensor.shape) { count *= extent; }
  constexpr std::int64_t kPiece = 1 << 18;
  const DrawnValues values(tensor, seed);
  std::vector<float> wide;
  std::vector<std::uint16_t> narrow;
  for (std::int64_t begin = 0; begin < count; begin += kPiece) {
    wide.resize(static_cast<std::size_t>(std::min(kPiece, count - begin)));
    for (std::size_t i = 0; i < wide.size(); ++i) {
      wide[i] = values[static_cast<std::uint64_t>(begin) + i];
    }
    if (begin == 0 && first_nan) { wide[0] = std::numeric_limits<float>::quiet_NaN(); }
    if (tensor.tensor.dtype == DType::float32) {
      sink(std::as_bytes(std::span(wide)));
      continue;
    }
    narrow.resize(wide.size());
    std::transform(wide.begin(), wide.end(), narrow.begin(), to_bfloat16);
    sink(std::as_bytes(std::span(narrow)));
  }
}

void write_model(const std::filesystem::path& folder, const ModelSpec& spec) {
  std::filesystem::create_directories(folder);
  char number[32];
  std::snprintf(number, sizeof number, "%06lld", static_cast<long long>(spec.step));

  const std::vector<ModelTensor> tensors = model_tensors(spec);
  std::vector<TorchTensor> listed;
  for (const ModelTensor& tensor : tensors) {
    listed.push_back(tensor.tensor);
    if (spec.compiled) { listed.back().name = "_orig_mod." + tensor.tensor.name; }
  }
  const std::set<std::string> broken(spec.not_a_number.begin(), spec.not_a_number.end());
  std::size_t next = 0;  // storages are asked for in the order of the list
  TensorBytes bytes = [&](const TorchTensor&, const std::function<void(Bytes)>& sink) {
    const ModelTensor& tensor = tensors[next++];
    draw(tensor, spec.seed, sink, broken.count(tensor.tensor.name) > 0);
  };
  if (spec.sparse) { bytes = nullptr; }
  write_torch_pt(folder / ("model_" + std::string(number) + ".pt"), listed, bytes);

  const std::filesystem::path meta = folder / ("meta_" + std::string(number) + ".json");
  std::ofstream out(meta, std::ios::binary);
  Json document{{"step", spec.step}, {"model_config", model_config(spec)}};
  if (!spec.user_config.is_null()) { document["user_config"] = spec.user_config; }
  out << document.dump(2) << "\n";
  out.close();
  require(out.good(), ExitCode::io, Place{meta.string(), {}, -1}, "cannot be written");
}

}  // namespace kappascope::synthetic
