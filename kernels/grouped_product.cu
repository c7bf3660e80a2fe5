// y = x·W[e] over the rows of all experts, by cuBLAS's grouped product.
//
//   rows of expert e: [row_start[e], row_start[e+1]);  y[r] = x[r]·W[e]
//
// cuBLAS expects column-major matrices: row-major x, W and y are their transposes to it, and
// yᵀ = Wᵀ·xᵀ needs no transposition.
#include "kernels/grouped_product.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <vector>

namespace kappascope {
namespace {

constexpr int kProductError = 1 << 20;  // above every CUDA error code

int product_error(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? 0 : kProductError + int(status);
}

// One entry of each for every expert that has rows.
struct Problems {
  std::vector<int> rows, columns, depth, ones;
  std::vector<const void*> weight, x, y;
  std::vector<cublasOperation_t> as_is;
  std::vector<float> alpha, beta;
};

Problems problems_of(const GroupedProductArgs& args) {
  Problems problems;
  const std::int64_t bytes = element_bytes(args.element);
  for (std::int64_t e = 0; e < args.experts; ++e) {
    const std::int64_t first = args.row_start[e], rows = args.row_start[e + 1] - first;
    if (rows <= 0) { continue; }
    problems.columns.push_back(int(args.out));
    problems.rows.push_back(int(rows));
    problems.depth.push_back(int(args.in));
    problems.weight.push_back(static_cast<const char*>(args.weight) +
                              e * args.in * args.out * bytes);
    problems.x.push_back(static_cast<const char*>(args.x) + first * args.in * bytes);
    problems.y.push_back(static_cast<char*>(args.y) + first * args.out * bytes);
  }
  const std::size_t count = problems.rows.size();
  problems.ones.assign(count, 1);
  problems.as_is.assign(count, CUBLAS_OP_N);
  problems.alpha.assign(count, 1.0f);
  problems.beta.assign(count, 0.0f);
  return problems;
}

// The pointers of `problems` into args.pointers, [3,count]; they may leave the host's memory at
// once, because a copy from pageable memory has read them when it returns.
int upload(const Problems& problems, void** pointers, cudaStream_t stream) {
  std::vector<const void*> all = problems.weight;
  all.insert(all.end(), problems.x.begin(), problems.x.end());
  all.insert(all.end(), problems.y.begin(), problems.y.end());
  return int(cudaMemcpyAsync(pointers, all.data(), all.size() * sizeof(void*),
                             cudaMemcpyHostToDevice, stream));
}

}  // namespace

int create_products(ProductLibrary& library) {
  return product_error(cublasCreate(reinterpret_cast<cublasHandle_t*>(&library)));
}
void destroy_products(ProductLibrary library) {
  (void)cublasDestroy(reinterpret_cast<cublasHandle_t>(library));
}

const char* product_error_text(int error) {
  if (error < kProductError) { return cuda_error_text(error); }
  return cublasGetStatusString(cublasStatus_t(error - kProductError));
}

int grouped_product_cuda(const GroupedProductArgs& args, ProductLibrary library,
                         CudaStream stream) {
  const auto handle = reinterpret_cast<cublasHandle_t>(library);
  const Problems of = problems_of(args);
  if (of.rows.empty()) { return 0; }
  const std::size_t count = of.rows.size();
  int error = product_error(cublasSetStream(handle, stream));
  if (!error) { error = upload(of, args.pointers, stream); }
  if (error) { return error; }
  const cudaDataType_t type = args.element == Element::float32 ? CUDA_R_32F : CUDA_R_16BF;
  const void* const* weight = args.pointers;
  const void* const* x = args.pointers + count;
  void* const* y = args.pointers + 2 * count;
  return product_error(cublasGemmGroupedBatchedEx(
      handle, of.as_is.data(), of.as_is.data(), of.columns.data(), of.rows.data(), of.depth.data(),
      of.alpha.data(), weight, type, of.columns.data(), x, type, of.depth.data(), of.beta.data(), y,
      type, of.columns.data(), int(count), of.ones.data(), CUBLAS_COMPUTE_32F));
}

}  // namespace kappascope
