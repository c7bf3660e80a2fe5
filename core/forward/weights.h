// The weights of an opened model as Torch tensors: views of the mapped file where the types agree.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/engine/memory_plan.h"
#include "core/model/model.h"

namespace kappascope {

// A table of which a call reads the rows of its tokens.
struct RowTable {
  at::Tensor all;                                          // [Vp,width]; undefined: in the file
  std::function<at::Tensor(const at::Tensor& ids)> fetch;  // then reads them

  bool defined() const { return all.defined() || fetch; }
  // ids [T] int64 → [T,width] float32.
  at::Tensor rows(const at::Tensor& ids) const {
    return (fetch ? fetch(ids) : all.index_select(0, ids)).to(at::kFloat);
  }
};

// Of LatentSpec; `query` undefined: q is projected from x.
struct LatentWeights {
  at::Tensor query, query_bias, query_norm;  // [query_rank,H], [query_rank] twice
  at::Tensor key, key_bias, key_norm;        // [rank + turned,H], [rank + turned], [rank]
  at::Tensor heads;                          // [heads·(D − turned + value_width), rank]
};

struct AttentionWeights {
  at::Tensor c_q;             // [n_head·D, H]
  at::Tensor c_k;             // [n_kv_head·D, H]
  at::Tensor c_v;             // [n_kv_head·D, H]
  at::Tensor c_proj;          // [H, n_head·D]
  at::Tensor ve_gate;         // [n_kv_head, 32], float32; undefined without value embedding
  RowTable value_embed;       // [Vp, n_kv_head·D], stored type; undefined without
  at::Tensor q_norm, k_norm;  // [D], or of the whole projection; undefined: none
  at::Tensor q_bias, k_bias, v_bias, o_bias;  // [rows]; undefined: none
  at::Tensor sinks;                           // [n_head]; undefined: none
  LatentWeights latent;                       // undefined: q, k and v are projected from x
};

// Of ConvolutionSpec; biases undefined: none.
struct ConvolutionWeights {
  at::Tensor in, out;                  // [3H,H], [H,H]
  at::Tensor taps;                     // [H,1,taps] float32
  at::Tensor in_bias, bias, out_bias;  // float32
};

// Of DeltaSpec; by key head `gate`, `beta` and `decay` are undefined, else `rates`.
struct DeltaWeights {
  at::Tensor in, gate, rates, beta, decay;  // as the roles say
  at::Tensor taps;                          // [channels,1,taps] float32
  at::Tensor decay_log, decay_bias;         // [value_heads] float32
  at::Tensor norm;                          // [value_width] float32
  at::Tensor out;                           // [H,values]
};

struct DenseWeights {
  at::Tensor gate_proj;                      // [4H, H]; undefined: relu² layer
  at::Tensor c_fc;                           // [4H, H]
  at::Tensor c_proj;                         // [H, 4H]
  at::Tensor gate_bias, up_bias, down_bias;  // [rows] float32; undefined: none
};

struct MoeWeights {
  at::Tensor w_g;                  // [E, H] float32 always
  std::vector<float> expert_bias;  // [E] added for selection; empty: none
  std::vector<float> score_norm;   // [E] √H · m_e^p · mean m^(1−p), m_e = √(‖w_g[e]‖² + 1e-4)
  at::Tensor kappa_router;         // [E, H] float32, of the side that is read; undefined: none
  at::Tensor kappa_router_bias;    // [E] float32; undefined: none
  at::Tensor router_bias;          // [E] float32, of the logit; undefined: none
  at::Tensor gate_proj;            // [E, H, I]; undefined: those of the experts are in the file
  at::Tensor c_fc;                 // [E, H, I]
  at::Tensor c_proj;               // [E, I, H]
  at::Tensor gate_bias, up_bias;   // [E, I] float32; undefined: none
  at::Tensor down_bias;            // [E, H] float32; undefined: none
  DenseWeights shared;             // of the shared expert; undefined: none
  at::Tensor shared_weight;        // [1, H] float32; undefined: its output counts once
  // Reads a matrix of one expert from the file. Safe from several threads.
  std::function<at::Tensor(Role role, std::int64_t expert)> read;
  at::ScalarType compute = at::kFloat;  // of the products; bfloat16 weights may be kept for float32

  bool in_file() const { return bool(read); }
  // expert_gate, expert_up or expert_down of one expert, [in,out]: as it is kept, or as multiplied.
  at::Tensor kept(Role role, std::int64_t expert) const;
  at::Tensor matrix(Role role, std::int64_t expert) const { return kept(role, expert).to(compute); }
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
  at::Tensor attention_norm_bias, feed_forward_norm_bias;
  AttentionWeights attention;
  ConvolutionWeights convolution;  // in its place
  DeltaWeights delta;              // likewise
  DenseWeights dense;              // of a dense layer
  MoeWeights moe;                  // of an MoE layer
};

struct Backend;      // core/forward/backend.h
struct DeviceState;  // core/forward/device_cuda.h
class LayerSource;   // core/forward/layer_source.h

struct Weights {
  at::Device device{at::kCPU};  // where the tensors are
  RowTable wte;                 // [Vp, H], stored type
  at::Tensor output_norm;       // [H] float32; undefined: none
  at::Tensor output_norm_bias;  // likewise
  at::Tensor head_bias;         // [Vp] float32; undefined: none
  PassFactors source_lambda;    // of a recurrence with a source
  std::shared_ptr<LayerSource> layers;
  at::ScalarType compute = at::kFloat;    // of the products
  std::uint64_t nonfinite = 0;            // NaN and Inf among all values
  std::vector<std::string> nonfinite_in;  // tensors that hold them
  const Backend* backend = nullptr;       // that runs them
  std::shared_ptr<DeviceState> state;     // what a GPU keeps beside them; nullptr on the CPU
};

// MoeWeights::score_norm of a router w_g [E,H], in float32 as the reference computes it (SPEC
// §1.5).
std::vector<float> score_norms(const at::Tensor& w_g, double exponent);

// Reads every weight once: counts what is not finite, widens what must be. Matrices of the layers
// come as options.dtype; on the CPU those stored so stay in the mapped file. With plan.streamed the
// layers stay in the file, and each is read when it runs. Throws Error (interrupted) when the
// progress says stop.
Weights read_weights(const Model& model, const LoadOptions& options, at::Device device,
                     const MemoryPlan& plan, Progress& progress);

}  // namespace kappascope
