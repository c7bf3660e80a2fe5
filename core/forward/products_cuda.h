// The matrix products of all experts over their rows, [rows,in]·[E,in,out] → [rows,out].
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/grouped_product.h"
#include "kernels/wgmma_product.h"

namespace kappascope {

// How the rows of a piece belong to the experts.
struct RowGroups {
  at::Tensor ends;                  // [E] int32 on the device: rows of the experts up to this one
  std::vector<std::int32_t> start;  // [E+1] on the host; empty unless reads_host_counts
};

// Of the rows [first, last) of `rows`; row_start [E+1] on the device, and on the host or empty.
RowGroups groups_of_piece(const at::Tensor& row_start, const std::vector<std::int32_t>& host_start,
                          std::int64_t first, std::int64_t last, std::int64_t rows);

enum class ProductWay : std::uint8_t { cublas, torch, wgmma };

// Of a weight [E,in,out].
struct ProductShape {
  std::int64_t experts = 0, in = 0, out = 0;
  at::ScalarType type = at::kFloat;
};

// The faster way for such a weight on a GPU, by rule, so that the same model gives the same
// numbers in every run. In bfloat16 with rows of whole 16 bytes: wgmma_product at compute
// capability 9.0, where this build has it, else at::_grouped_mm at 9 and 10, where it has a kernel
// of its own; elsewhere that runs one expert after another, and cuBLAS is faster.
// KAPPASCOPE_GPU_PRODUCTS=wgmma|torch|cublas chooses another. Throws Error (usage) for what is none
// of these, or cannot multiply this weight.
ProductWay product_way(const ProductShape& weight, const DeviceFacts& facts);

class GroupedProducts {
 public:
  GroupedProducts() = default;
  ~GroupedProducts();
  GroupedProducts(const GroupedProducts&) = delete;
  GroupedProducts& operator=(const GroupedProducts&) = delete;

  // Makes ready for such weights; returns what EngineModel::description says:
  // "grouped products by cuBLAS".
  std::string open(ProductWay way, std::int64_t experts, const DeviceFacts& facts,
                   const at::Device& device);
  // Whether run needs RowGroups::start, for which the host must wait for the routing.
  bool reads_host_counts() const { return way_ == ProductWay::cublas; }
  // x in the type of the weight. Rows past the last expert's are undefined.
  at::Tensor run(const at::Tensor& x, const at::Tensor& weight, const RowGroups& groups);
  // Whether run_swiglu takes this: then the product of `up` and κ-SwiGLU are one kernel.
  bool fuses(const GroupedSwigluArgs& swiglu) const {
    return way_ == ProductWay::wgmma && wgmma_swiglu_takes(swiglu);
  }
  // hidden of κ-SwiGLU with up = x·weight, to where `swiglu` says.
  void run_swiglu(const at::Tensor& x, const at::Tensor& weight, const RowGroups& groups,
                  const GroupedSwigluArgs& swiglu);

 private:
  at::Tensor run_wgmma(const at::Tensor& x, const at::Tensor& weight, const RowGroups& groups);
  at::Tensor run_cublas(const at::Tensor& x, const at::Tensor& weight, const RowGroups& groups);

  ProductWay way_ = ProductWay::cublas;
  int multiprocessors_ = 1;
  ProductLibrary library_ = nullptr;
  at::Tensor pointers_;  // [3·E] int64: scratch
};

}  // namespace kappascope
