// The weights of an opened model as Torch tensors: views of the mapped file where the types agree.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/model/model.h"

namespace kappascope {

struct AttentionWeights {
  at::Tensor c_q;             // [n_head·D, H]
  at::Tensor c_k;             // [n_kv_head·D, H]
  at::Tensor c_v;             // [n_kv_head·D, H]
  at::Tensor c_proj;          // [H, n_head·D]
  at::Tensor ve_gate;         // [n_kv_head, 32], float32; undefined without value embedding
  at::Tensor value_embed;     // [Vp, n_kv_head·D], stored type; undefined without
  at::Tensor q_norm, k_norm;  // [D], or of the whole projection; undefined: none
  at::Tensor q_bias, k_bias, v_bias, o_bias;  // [rows]; undefined: none
  at::Tensor sinks;                           // [n_head]; undefined: none
};

struct DenseWeights {
  at::Tensor gate_proj;  // [4H, H]; undefined: relu² layer
  at::Tensor c_fc;       // [4H, H]
  at::Tensor c_proj;     // [H, 4H]
};

struct MoeWeights {
  at::Tensor w_g;                  // [E, H] float32 always
  std::vector<float> expert_bias;  // [E] added for selection; empty: none
  std::vector<float> score_norm;   // [E] √H · m_e^p · mean m^(1−p), m_e = √(‖w_g[e]‖² + 1e-4)
  at::Tensor kappa_router;         // [E, H] float32, of the side that is read; undefined: none
  at::Tensor kappa_router_bias;    // [E] float32; undefined: none
  at::Tensor router_bias;          // [E] float32, of the logit; undefined: none
  at::Tensor gate_proj;            // [E, H, I]
  at::Tensor c_fc;                 // [E, H, I]
  at::Tensor c_proj;               // [E, I, H]
  at::Tensor gate_bias, up_bias;   // [E, I] float32; undefined: none
  at::Tensor down_bias;            // [E, H] float32; undefined: none
  DenseWeights shared;             // of the shared expert; undefined: none
  at::Tensor shared_weight;        // [1, H] float32; undefined: its output counts once
};

// A factor of every pass: the last one goes on for the passes that have none of their own.
struct PassFactors {
  std::vector<float> values{1};
  float of(std::int64_t pass) const {
    return values[std::min<std::size_t>(std::size_t(pass), values.size() - 1)];
  }
};

struct LayerWeights {
  PassFactors resid_lambda, x0_lambda;
  at::Tensor attention_norm, feed_forward_norm;  // [H] float32; undefined: none
  AttentionWeights attention;
  DenseWeights dense;  // of a dense layer
  MoeWeights moe;      // of an MoE layer
};

struct Backend;      // core/forward/backend.h
struct DeviceState;  // core/forward/device_cuda.h

struct Weights {
  at::Device device{at::kCPU};  // where the tensors are
  at::Tensor wte;               // [Vp, H], stored type
  at::Tensor lm_head;           // [Vp, H]
  at::Tensor output_norm;       // [H] float32; undefined: none
  PassFactors source_lambda;    // of a recurrence with a source
  std::vector<LayerWeights> layers;
  std::uint64_t nonfinite = 0;            // NaN and Inf among all values
  std::vector<std::string> nonfinite_in;  // tensors that hold them
  const Backend* backend = nullptr;       // that runs them
  std::shared_ptr<DeviceState> state;     // what a GPU keeps beside them; nullptr on the CPU
};

// Reads every weight once: counts what is not finite, widens what must be. Matrices of the layers
// come as `dtype`; on the CPU those stored so stay in the mapped file. Throws Error (interrupted)
// when the progress says stop.
Weights read_weights(const Model& model, ComputeType dtype, at::Device device, Progress& progress);

}  // namespace kappascope
