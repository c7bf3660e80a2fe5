#include "core/forward/copies_cuda.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "core/forward/device_cuda.h"

namespace kappascope {

at::Tensor pinned(std::int64_t bytes, const at::Device& device) {
  return at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(device.is_cuda()));
}

HostCopies::~HostCopies() {
  if (computed_) { cuda_destroy(computed_); }
}

void HostCopies::start(const at::Tensor& from, const at::Tensor& to, CudaEvent& done) {
  if (!done) { require_launched(cuda_create(done), "event"); }
  const at::Device device = from.device();
  if (!device.is_cuda()) {  // the test that runs the kernels on the CPU
    to.copy_(from);
    return require_launched(cuda_record(done, nullptr), "event");
  }
  if (!stream_) {
    const c10::impl::VirtualGuardImpl guard(device.type());
    stream_ = guard.getStreamFromGlobalPool(device, /*isHighPriority=*/false);
    require_launched(cuda_create(computed_), "event");
  }
  const auto native = static_cast<CudaStream>(stream_->native_handle());
  require_launched(cuda_record(computed_, stream_of(device)), "event");
  require_launched(cuda_wait_on(native, computed_), "event");
  {
    const c10::StreamGuard on_copies(*stream_);
    to.copy_(from, /*non_blocking=*/true);
  }
  from.record_stream(*stream_);
  require_launched(cuda_record(done, native), "event");
}

at::Tensor HostCopies::start(const at::Tensor& from, CudaEvent& done) {
  const at::Tensor to = pinned(from.numel() * 4, from.device()).view(at::kFloat).view(from.sizes());
  start(from, to, done);
  return to;
}

}  // namespace kappascope
