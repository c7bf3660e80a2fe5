// What the engine keeps on a GPU beside the weights.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/forward/device.h"
#include "core/forward/feed_forward.h"
#include "core/forward/products_cuda.h"
#include "core/forward/taps_cuda.h"
#include "kernels/device_ops.h"

namespace kappascope {

// Throws Error (gpu) when `error`, as returned by kernels/, is not 0.
void require_launched(int error, const char* what);

// Throws Error (memory): "GPU memory: WHAT N bytes, F of T are free" and what helps.
[[noreturn]] void fail_for_device_memory(const std::string& what, std::int64_t needed);

// The stream that Torch's own work on the device goes through.
CudaStream stream_of(const at::Device& device);

Element element_of(const at::Tensor& tensor);

// What kernels read of a layer that the CPU engine keeps on the host.
struct LayerNumbers {
  at::Tensor expert_bias;  // [E]; undefined: none
  at::Tensor score_norm;   // [E]; undefined: none
};

// κ of one layer in one slot of a plan, on the device.
struct KappaNumbers {
  at::Tensor bias, scale, factor;  // as KappaPlan; undefined: none
};

struct DeviceState {
  int multiprocessors = 1;
  bool overlap = false;   // a kernel may start while the one before it ends
  at::Tensor few_memory;  // of the layers of a few tokens, kept between them; bytes
  std::vector<std::optional<LayerNumbers>> layers;  // [L] of those that ran
  at::Device device{at::kCPU};
  // Of the plan that ran last: [L][slots of κ].
  std::vector<std::vector<KappaNumbers>> kappa;
  std::shared_ptr<const char> kappa_plan;
  // The layer's κ with pointers to the device; brings a new plan's there first.
  KappaView kappa_of(const RunPlan& plan, std::int64_t layer, std::int64_t pass);
  const LayerNumbers& numbers_of(std::int64_t layer, const MoeWeights& weights);
  // What is added to the logits for the choice, [E]; undefined: nothing.
  at::Tensor selection_bias(std::int64_t layer, const MoeWeights& weights, const LayerPlan& plan);
  GroupedProducts products;
  bool fuses_swiglu = true;  // where products can; not, to compare the kernel with its parts
  HostCopies copies;
  TapQueue taps;
  std::int64_t piece_rows = 0;    // rows in memory at once, since memory was short; 0: all
  std::int64_t short_piece = -1;  // pieces until memory is short, for a test; −1: it is not
};

// RouteArgs::given_expert of a call, [T,K] int32; undefined: none is given.
at::Tensor device_given_experts(std::int64_t layer, std::int64_t pass, const CallContext& context);

// Whether a call has so few rows an expert that the time is that of reading the weights.
bool few_rows_an_expert(std::int64_t tokens, std::int64_t slots, std::int64_t experts);

// The shared expert's part of a layer's output: x [T,H] → [T,H].
at::Tensor shared_output(const at::Tensor& x, const MoeWeights& weights, const CallContext& context,
                         const SharedRecord& record);

// The MoE layer of a few tokens that nothing is recorded of, in four launches: [T,H]. Undefined
// where it is not for this call: moe_layer does it.
at::Tensor few_moe_layer(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                         std::int64_t pass, const CallContext& context);

}  // namespace kappascope
