// The matrix products of all experts over their rows, [rows,in]·[E,in,out] → [rows,out].
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/grouped_product.h"

namespace kappascope {

// How the rows of a piece belong to the experts.
struct RowGroups {
  at::Tensor ends;                  // [E] int32 on the device: rows of the experts up to this one
  std::vector<std::int32_t> start;  // [E+1] on the host; empty unless reads_host_counts
};

class GroupedProducts {
 public:
  GroupedProducts() = default;
  ~GroupedProducts();
  GroupedProducts(const GroupedProducts&) = delete;
  GroupedProducts& operator=(const GroupedProducts&) = delete;

  // Times both ways on this weight [E,in,out], keeps the faster and says so: "grouped products by
  // cuBLAS (0.21 ms against 0.35 ms of at::_grouped_mm)". A way that does not work is left out;
  // neither: Error (gpu).
  std::string choose(const at::Tensor& weight);
  // Whether run needs RowGroups::start, for which the host must wait for the routing.
  bool reads_host_counts() const { return cublas_; }
  // x in the type of the weight. Rows past the last expert's come undefined.
  at::Tensor run(const at::Tensor& x, const at::Tensor& weight, const RowGroups& groups);

 private:
  at::Tensor run_cublas(const at::Tensor& x, const at::Tensor& weight, const RowGroups& groups);
  double time_of(bool cublas, const at::Tensor& x, const at::Tensor& weight,
                 const RowGroups& groups, std::string& fault);

  bool cublas_ = false;
  ProductLibrary library_ = nullptr;
  at::Tensor pointers_;  // [3·E] int64: scratch
};

}  // namespace kappascope
