// What the two engine libraries do differently: *_cuda.cpp are in the one, device_cpu.cpp and their
// namesakes in the other.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>

#include "core/engine/memory_plan.h"
#include "core/engine/ranks.h"
#include "core/forward/backend.h"
#include "core/forward/layer_source.h"

namespace kappascope {

// The device asked for, ready to use. Throws Error (gpu) when there is none such.
at::Device open_device(const LoadOptions& options);

// Throws Error (memory) where the device does not have what the plan takes, naming both.
void require_memory(const Model& model, const MemoryPlan& plan, const at::Device& device);

// How layers come to the device while it computes.
std::unique_ptr<LayerLane> layer_lane(const at::Device& device);

// Sets weights.state, once the weights are there; returns the text of EngineModel::description.
std::string prepare_device(const Model& model, Weights& weights);

// Sums over ranks of values that are in the memory of their GPUs.
class DeviceRanks {
 public:
  virtual ~DeviceRanks() = default;
  // values (float32, contiguous) become their sums: the same bits on every rank. Throws Error: what
  // the ranks fail with, or gpu.
  virtual void sum(at::Tensor& values) = 0;
};

// A hash of the machine's name and of where the GPU is on its bus, which tells the GPUs of all
// machines apart (not the parts of one, by MIG); 0: no GPU, or none whose values can be summed
// where they are (no NCCL, or KAPPASCOPE_NCCL=off).
std::int64_t device_number(const at::Device& device);
// All ranks call it, each with another GPU that has a number. The ranks must outlive the result.
std::unique_ptr<DeviceRanks> join_devices(Ranks& ranks, const at::Device& device);

// The members of native_backend().
at::Tensor moe_layer(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                     std::int64_t pass, const CallContext& context);
at::Tensor dense_layer(const at::Tensor& x, const DenseWeights& weights, std::int64_t layer,
                       std::int64_t pass, const CallContext& context);
void finish_taps(const CallContext& context);

}  // namespace kappascope
