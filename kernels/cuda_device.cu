#include "kernels/cuda_device.h"

#include <cuda_runtime.h>

#include "kernels/cuda_launch.h"

namespace kappascope {
namespace {

// The driver's codes are the runtime's.
int read_name(int device, DeviceFacts& facts) {
  int (*get_device)(int*, int) = nullptr;
  int (*get_name)(char*, int, int) = nullptr;
  int handle = 0, error = driver_function("cuDeviceGet", get_device);
  if (!error) { error = driver_function("cuDeviceGetName", get_name); }
  if (!error) { error = get_device(&handle, device); }
  return error ? error : get_name(facts.name, int(sizeof facts.name), handle);
}

}  // namespace

const char* cuda_error_text(int error) {
  return cudaGetErrorString(cudaError_t(error));
}

int cuda_device_count(int& count) {
  count = 0;
  return reported(cudaGetDeviceCount(&count));
}

int cuda_describe(int device, DeviceFacts& facts) {
  // Not cudaGetDeviceProperties, which is another symbol in every major version of CUDA.
  const auto read = [device](cudaDeviceAttr attribute, int& to) {
    return reported(cudaDeviceGetAttribute(&to, attribute, device));
  };
  int error = read(cudaDevAttrComputeCapabilityMajor, facts.major);
  if (!error) { error = read(cudaDevAttrComputeCapabilityMinor, facts.minor); }
  if (!error) { error = read(cudaDevAttrMultiProcessorCount, facts.multiprocessors); }
  if (!error) { error = reported(cudaDeviceGetPCIBusId(facts.bus, int(sizeof facts.bus), device)); }
  return error ? error : read_name(device, facts);
}

int cuda_memory(std::int64_t& free, std::int64_t& total) {
  std::size_t free_bytes = 0, total_bytes = 0;
  const cudaError_t error = cudaMemGetInfo(&free_bytes, &total_bytes);
  free = std::int64_t(free_bytes);
  total = std::int64_t(total_bytes);
  return reported(error);
}

int cuda_create(CudaEvent& event) {
  return reported(cudaEventCreate(&event));
}
int cuda_record(CudaEvent event, CudaStream stream) {
  return reported(cudaEventRecord(event, stream));
}
int cuda_wait(CudaEvent event) {
  return reported(cudaEventSynchronize(event));
}
int cuda_reached(CudaEvent event, bool& reached) {
  const int error = reported(cudaEventQuery(event));
  reached = error == 0;
  return error == int(cudaErrorNotReady) ? 0 : error;
}
int cuda_wait_on(CudaStream stream, CudaEvent event) {
  return reported(cudaStreamWaitEvent(stream, event, 0));
}
void cuda_destroy(CudaEvent event) {
  (void)cudaEventDestroy(event);
}
int cuda_milliseconds(CudaEvent from, CudaEvent to, float& milliseconds) {
  return reported(cudaEventElapsedTime(&milliseconds, from, to));
}

int cuda_allocate(void** memory, std::int64_t bytes) {
  return reported(cudaMalloc(memory, std::size_t(bytes)));
}
void cuda_release(void* memory) {
  (void)cudaFree(memory);
}
int cuda_copy(void* to, const void* from, std::int64_t bytes) {
  return reported(cudaMemcpy(to, from, std::size_t(bytes), cudaMemcpyDefault));
}
int cuda_fill(void* memory, int byte, std::int64_t bytes) {
  return reported(cudaMemset(memory, byte, std::size_t(bytes)));
}
int cuda_wait_all() {
  return reported(cudaDeviceSynchronize());
}

}  // namespace kappascope
