// Makes model folders of any size: real files in the layout of torch.save, weights from a seed in
// the scale of trained ones, and, for tests of errors, faults on demand.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/checkpoint/tensor.h"
#include "core/checkpoint/torch_writer.h"
#include "core/model/architecture.h"

namespace kappascope::synthetic {

// The defaults make a small model of everything: dense and MoE layers, κ from router logits.
struct ModelSpec {
  std::int64_t hidden = 32;    // H ≥ 32; an expert has 4H gate units
  std::int64_t layers = 3;     // L
  std::int64_t heads = 2;      // divides H
  std::int64_t kv_heads = 1;   // divides heads
  std::int64_t experts = 4;    // E; 1: no MoE layer
  std::int64_t slots = 2;      // K
  std::int64_t vocab = 256;    // V
  std::int64_t sequence = 64;  // sequence_len
  std::int64_t moe_start = 1, moe_stride = 1, moe_count = -1;
  std::int64_t passes = 1;  // total_ut_steps

  bool kappa = true;
  std::int64_t kappa_start = 0;
  KappaInput kappa_input = KappaInput::top_logits;
  double kappa_exponent = 0.5;
  Granularity granularity = Granularity::per_gate;
  bool dense_kappa = false;    // constant_kappa_bias_dense_layers
  bool kappa_product = false;  // kappa_bias as the older outer product with residual
  bool gated_dense = true;     // use_qwen3_dense_mlp
  bool bilinear = false;
  bool expert_bias = false;   // use_aux_free_load_balancing
  bool lambda_steps = false;  // lambdas of two passes, [2,L]
  std::string window = "SL";
  double eval_capacity = 3.0;
  double soft_budget = 0;  // lapsum_budget_total of soft routing; 0: top-k routing

  DType dtype = DType::float32;  // or bfloat16
  std::uint64_t seed = 1;
  std::int64_t step = 100;
  bool compiled = false;  // names with "_orig_mod." in front
  bool sparse = false;    // holes for weights: the size of the file, not its content

  // Other layouts
  std::map<std::string, std::vector<std::int64_t>> extra;  // further tensors
  bool old_names = false;                                  // kappa_ as before it was renamed
  Json user_config;                                        // beside model_config; null: none

  // Faults
  std::vector<std::string> drop;                             // tensors left out
  std::map<std::string, std::vector<std::int64_t>> reshape;  // another shape
  std::vector<std::string> not_a_number;                     // first value NaN
  Json config = Json::object();  // merged over model_config; null removes the field
};

// A tensor of such a model and what its values are drawn from.
struct ModelTensor {
  TorchTensor tensor;
  double mean = 0;
  double deviation = 0;
};

std::vector<ModelTensor> model_tensors(const ModelSpec& spec);
Json model_config(const ModelSpec& spec);  // as it stands in meta_*.json

// The values of a tensor, the same on every machine: mean + deviation·n, n the sum of four uniform
// numbers scaled to variance 1 (near enough to a normal one, and free of the mathematical library,
// whose last digits differ).
class DrawnValues {
 public:
  DrawnValues(const ModelTensor& tensor, std::uint64_t seed);
  float operator[](std::uint64_t index) const;

 private:
  double mean_, deviation_;
  std::uint64_t seed_;
};

// Gives the values of a tensor of float32 or bfloat16 to `sink`, a mebibyte at a time; the first is
// NaN where `first_nan`.
void draw(const ModelTensor& tensor, std::uint64_t seed, const std::function<void(Bytes)>& sink,
          bool first_nan = false);

// Makes `folder` when it is absent and writes model_NNNNNN.pt and meta_NNNNNN.json into it.
void write_model(const std::filesystem::path& folder, const ModelSpec& spec);

}  // namespace kappascope::synthetic
