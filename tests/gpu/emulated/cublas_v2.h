// The one product of cuBLAS that kernels/grouped_product.cu calls, on the CPU, as its manual
// defines it: matrices whose columns lie one after another, C = α·A·B + β·C.
#pragma once

#include <cstdint>

#include "kernels/element.h"
#include "tests/gpu/emulated/cuda_runtime.h"

struct cublasContext;
using cublasHandle_t = cublasContext*;
enum cublasStatus_t { CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_NOT_SUPPORTED = 15 };
enum cublasOperation_t { CUBLAS_OP_N = 0 };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68 };
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_16BF = 14 };

inline cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  return *handle = nullptr, CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasDestroy(cublasHandle_t) {
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) {
  return CUBLAS_STATUS_SUCCESS;
}
inline const char* cublasGetStatusString(cublasStatus_t) {
  return "an error of emulated cuBLAS";
}

namespace emulated {

template <typename T>
void product(int m, int n, int k, float alpha, const void* a, int lda, const void* b, int ldb,
             float beta, void* c, int ldc) {
  for (int column = 0; column < n; ++column) {
    for (int row = 0; row < m; ++row) {
      float sum = 0;
      for (int i = 0; i < k; ++i) {
        sum += kappascope::widen(static_cast<const T*>(a)[row + std::int64_t(i) * lda]) *
               kappascope::widen(static_cast<const T*>(b)[i + std::int64_t(column) * ldb]);
      }
      T& to = static_cast<T*>(c)[row + std::int64_t(column) * ldc];
      const float before = beta == 0 ? 0 : beta * kappascope::widen(to);
      kappascope::narrow(alpha * sum + before, to);
    }
  }
}

}  // namespace emulated

inline cublasStatus_t cublasGemmGroupedBatchedEx(
    cublasHandle_t, const cublasOperation_t*, const cublasOperation_t*, const int* m, const int* n,
    const int* k, const void* alpha, const void* const* a, cudaDataType_t type, const int* lda,
    const void* const* b, cudaDataType_t, const int* ldb, const void* beta, void* const* c,
    cudaDataType_t, const int* ldc, int groups, const int* sizes, cublasComputeType_t) {
  ++emulated::launches;
  int problem = 0;
  for (int group = 0; group < groups; ++group) {
    for (int i = 0; i < sizes[group]; ++i, ++problem) {
      const auto product =
          type == CUDA_R_32F ? emulated::product<float> : emulated::product<kappascope::BFloat16>;
      product(m[group], n[group], k[group], static_cast<const float*>(alpha)[group], a[problem],
              lda[group], b[problem], ldb[group], static_cast<const float*>(beta)[group],
              c[problem], ldc[group]);
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}
