// The products of all experts in one call, by cuBLAS. No CUDA header.
#pragma once

#include <cstdint>

#include "kernels/cuda_device.h"
#include "kernels/element.h"

struct cublasContext;

namespace kappascope {

using ProductLibrary = cublasContext*;

struct GroupedProductArgs {
  std::int64_t experts = 0, in = 0, out = 0;
  Element element = Element::float32;
  const void* x = nullptr;                  // [rows,in] on the device, as the next two
  const void* weight = nullptr;             // [E,in,out]
  void* y = nullptr;                        // [rows,out]
  const std::int32_t* row_start = nullptr;  // [E+1] on the host
  void** pointers = nullptr;                // [3·E] scratch on the device
};

// Each returns 0 or a code for product_error_text: of CUDA, or of cuBLAS.
int create_products(ProductLibrary& library);
void destroy_products(ProductLibrary library);
int grouped_product_cuda(const GroupedProductArgs& args, ProductLibrary library, CudaStream stream);
const char* product_error_text(int error);

}  // namespace kappascope
