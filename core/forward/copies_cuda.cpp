#include "core/forward/copies_cuda.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "core/forward/device_cuda.h"

namespace kappascope {
namespace {

c10::Stream further_stream(const at::Device& device) {
  const c10::impl::VirtualGuardImpl guard(device.type());
  return guard.getStreamFromGlobalPool(device, /*isHighPriority=*/false);
}

CudaStream native(const c10::Stream& stream) {
  return static_cast<CudaStream>(stream.native_handle());
}

}  // namespace

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
    stream_ = further_stream(device);
    require_launched(cuda_create(computed_), "event");
  }
  const CudaStream copies = native(*stream_);
  require_launched(cuda_record(computed_, stream_of(device)), "event");
  require_launched(cuda_wait_on(copies, computed_), "event");
  {
    const c10::StreamGuard on_copies(*stream_);
    to.copy_(from, /*non_blocking=*/true);
  }
  from.record_stream(*stream_);
  require_launched(cuda_record(done, copies), "event");
}

CopyLane::CopyLane(const at::Device& device) : device_(device), stream_(further_stream(device)) {
  require_launched(cuda_create(used_), "event");
  require_launched(cuda_create(copied_), "event");
}

CopyLane::~CopyLane() {
  cuda_destroy(used_);
  cuda_destroy(copied_);
}

void CopyLane::mark_used() {
  require_launched(cuda_record(used_, stream_of(device_)), "event");
}

void CopyLane::read(const std::function<void()>& work) {
  require_launched(cuda_wait(used_), "computation");
  const c10::StreamGuard on_copies(stream_);
  work();
  require_launched(cuda_record(copied_, native(stream_)), "event");
}

void CopyLane::await() {
  require_launched(cuda_wait_on(stream_of(device_), copied_), "event");
}

at::Tensor HostCopies::start(const at::Tensor& from, CudaEvent& done) {
  const at::Tensor to = pinned(from.numel() * 4, from.device()).view(at::kFloat).view(from.sizes());
  start(from, to, done);
  return to;
}

}  // namespace kappascope
