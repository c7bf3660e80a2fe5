// Copies between host and GPU that run beside the computation.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Stream.h>

#include <optional>

#include "core/forward/layer_source.h"
#include "kernels/cuda_device.h"

namespace kappascope {

// Memory of the host that a GPU copies to without waiting, in bytes.
at::Tensor pinned(std::int64_t bytes, const at::Device& device);

// A stream of its own, so that the next layer does not wait for the copy of the one before.
class HostCopies {
 public:
  HostCopies() = default;
  ~HostCopies();
  HostCopies(const HostCopies&) = delete;
  HostCopies& operator=(const HostCopies&) = delete;

  // Starts the copy of `from` to `to`, of one size in bytes, `to` pinned, behind all that was
  // started on the device so far; `done` is made at first use and marks its end.
  void start(const at::Tensor& from, const at::Tensor& to, CudaEvent& done);
  // The same to new memory, of the shape of `from`, which is float32.
  at::Tensor start(const at::Tensor& from, CudaEvent& done);

 private:
  std::optional<c10::Stream> stream_;
  CudaEvent computed_ = nullptr;
};

// Layers are copied by a stream of its own; their memory belongs to it.
class CopyLane final : public LayerLane {
 public:
  explicit CopyLane(const at::Device& device);
  ~CopyLane() override;
  CopyLane(const CopyLane&) = delete;
  CopyLane& operator=(const CopyLane&) = delete;
  void mark_used() override;
  void read(const std::function<void()>& work) override;
  void await() override;

 private:
  const at::Device device_;
  const c10::Stream stream_;
  CudaEvent used_ = nullptr, copied_ = nullptr;
};

}  // namespace kappascope
