#include "core/forward/products_cuda.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/forward/device_cuda.h"

namespace kappascope {
namespace {

void require_product(int error) {
  require(error == 0, ExitCode::gpu, {}, "CUDA: grouped product: ", product_error_text(error));
}

// All but y.
WgmmaProductArgs wgmma_args(const at::Tensor& x, const at::Tensor& weight,
                            const RowGroups& groups) {
  WgmmaProductArgs args{weight.size(0), weight.size(1), weight.size(2), x.size(0)};
  args.x = x.const_data_ptr();
  args.weight = weight.const_data_ptr();
  args.ends = groups.ends.const_data_ptr<std::int32_t>();
  return args;
}

}  // namespace

RowGroups groups_of_piece(const at::Tensor& row_start, const std::vector<std::int32_t>& host_start,
                          std::int64_t first, std::int64_t last, std::int64_t rows) {
  RowGroups groups;
  groups.ends = row_start.narrow(0, 1, row_start.size(0) - 1);
  if (first > 0 || last < rows) {
    groups.ends = (groups.ends - first).clamp(0, last - first).to(at::kInt);
  }
  for (const std::int64_t row : host_start) {
    groups.start.push_back(std::int32_t(std::clamp<std::int64_t>(row - first, 0, last - first)));
  }
  return groups;
}

GroupedProducts::~GroupedProducts() {
  if (library_) { destroy_products(library_); }
}

ProductWay product_way(const ProductShape& weight, const DeviceFacts& facts) {
  const bool aligned = weight.in % 8 == 0 && weight.out % 8 == 0;
  const bool fast = weight.type == at::kBFloat16 && aligned;
  const bool has_wgmma = fast && facts.major == 9 && facts.minor == 0 && has_wgmma_product() &&
                         weight.experts <= kMostWgmmaExperts;
  if (const char* asked = std::getenv("KAPPASCOPE_GPU_PRODUCTS"); asked && *asked) {
    const std::string_view way = asked;
    if (way == "cublas") { return ProductWay::cublas; }
    if (way == "torch") { return ProductWay::torch; }
    require(way == "wgmma" && has_wgmma, ExitCode::usage, {}, "KAPPASCOPE_GPU_PRODUCTS=", way,
            "; expected cublas, torch", has_wgmma ? " or wgmma" : "; this weight is not for wgmma");
    return ProductWay::wgmma;
  }
  if (!fast) { return ProductWay::cublas; }
  if (has_wgmma) { return ProductWay::wgmma; }
  return facts.major == 9 || facts.major == 10 ? ProductWay::torch : ProductWay::cublas;
}

std::string GroupedProducts::open(ProductWay way, std::int64_t experts, const DeviceFacts& facts,
                                  const at::Device& device) {
  way_ = way;
  multiprocessors_ = facts.multiprocessors;
  if (way == ProductWay::wgmma) { return "grouped products by wgmma"; }
  if (way == ProductWay::torch) { return "grouped products by at::_grouped_mm"; }
  require_product(create_products(library_));
  pointers_ = at::empty({3 * experts}, at::TensorOptions(at::kLong).device(device));
  return "grouped products by cuBLAS";
}

at::Tensor GroupedProducts::run(const at::Tensor& x, const at::Tensor& weight,
                                const RowGroups& groups) {
  if (way_ == ProductWay::cublas) { return run_cublas(x, weight, groups); }
  if (way_ == ProductWay::wgmma) { return run_wgmma(x, weight, groups); }
  return at::_grouped_mm(x, weight, groups.ends);
}

at::Tensor GroupedProducts::run_wgmma(const at::Tensor& x, const at::Tensor& weight,
                                      const RowGroups& groups) {
  const at::Tensor y = at::empty({x.size(0), weight.size(2)}, x.options());
  WgmmaProductArgs args = wgmma_args(x, weight, groups);
  args.y = y.mutable_data_ptr();
  require_launched(wgmma_product_cuda(args, multiprocessors_, stream_of(x.device())),
                   "grouped product");
  return y;
}

void GroupedProducts::run_swiglu(const at::Tensor& x, const at::Tensor& weight,
                                 const RowGroups& groups, const GroupedSwigluArgs& swiglu) {
  require_launched(wgmma_swiglu_cuda(wgmma_args(x, weight, groups), swiglu, multiprocessors_,
                                     stream_of(x.device())),
                   "κ-SwiGLU with its product");
}

at::Tensor GroupedProducts::run_cublas(const at::Tensor& x, const at::Tensor& weight,
                                       const RowGroups& groups) {
  const at::Tensor y = at::empty({x.size(0), weight.size(2)}, x.options());
  GroupedProductArgs args;
  args.experts = weight.size(0);
  args.in = weight.size(1);
  args.out = weight.size(2);
  args.element = element_of(weight);
  args.x = x.const_data_ptr();
  args.weight = weight.const_data_ptr();
  args.y = y.mutable_data_ptr();
  args.row_start = groups.start.data();
  args.pointers = static_cast<void**>(pointers_.mutable_data_ptr());
  require_product(grouped_product_cuda(args, library_, stream_of(x.device())));
  return y;
}

}  // namespace kappascope
