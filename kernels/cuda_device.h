// The GPU as the host sees it: which there are, their memory, and waiting for them. No CUDA header.
// Every function returns 0 or a CUDA error code.
#pragma once

#include <cstdint>

#include "kernels/device_ops.h"

struct CUevent_st;

namespace kappascope {

// One line for a person, of any code that the functions here and in device_ops.h return.
const char* cuda_error_text(int error);

int cuda_device_count(int& count);

struct DeviceFacts {
  char name[256] = {};
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  char bus[32] = {};  // where it is on its machine's PCI bus
};
int cuda_describe(int device, DeviceFacts& facts);

// Of the current device, bytes.
int cuda_memory(std::int64_t& free, std::int64_t& total);

// A mark in a stream that the host can wait for.
using CudaEvent = CUevent_st*;
int cuda_create(CudaEvent& event);
int cuda_record(CudaEvent event, CudaStream stream);
int cuda_wait(CudaEvent event);
int cuda_reached(CudaEvent event, bool& reached);
// What is started on the stream from now on waits for the event.
int cuda_wait_on(CudaStream stream, CudaEvent event);
void cuda_destroy(CudaEvent event);
int cuda_milliseconds(CudaEvent from, CudaEvent to, float& milliseconds);

// For programs without Torch: memory of the current device, blocking copies to and from it, and the
// wait for all that was started, which reports errors while it ran.
int cuda_allocate(void** memory, std::int64_t bytes);
void cuda_release(void* memory);
int cuda_copy(void* to, const void* from, std::int64_t bytes);
int cuda_fill(void* memory, int byte, std::int64_t bytes);
int cuda_wait_all();

}  // namespace kappascope
