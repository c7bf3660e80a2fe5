#include "core/forward/products_cuda.h"

#include <algorithm>
#include <cstdio>
#include <limits>

#include "core/forward/device_cuda.h"

namespace kappascope {
namespace {

constexpr std::int64_t kTrialRows = 2048;
constexpr int kTrials = 3;
constexpr double kNever = std::numeric_limits<double>::infinity();

// `rows` rows shared out evenly.
RowGroups even_groups(std::int64_t experts, std::int64_t rows, const at::Device& device) {
  RowGroups groups;
  for (std::int64_t e = 0; e <= experts; ++e) {
    groups.start.push_back(std::int32_t(rows * e / experts));
  }
  groups.ends = at::tensor(std::vector<std::int32_t>(groups.start.begin() + 1, groups.start.end()),
                           at::TensorOptions(at::kInt))
                    .to(device);
  return groups;
}

struct Event {
  CudaEvent event = nullptr;
  Event() { require_launched(cuda_create(event), "event"); }
  ~Event() { cuda_destroy(event); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
};

void require_product(int error) {
  require(error == 0, ExitCode::gpu, {}, "CUDA: grouped product: ", product_error_text(error));
}

std::string milliseconds(double time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g ms", time);
  return text;
}

}  // namespace

GroupedProducts::~GroupedProducts() {
  if (library_) { destroy_products(library_); }
}

std::string GroupedProducts::choose(const at::Tensor& weight) {
  require_product(create_products(library_));
  const std::int64_t experts = weight.size(0);
  pointers_ = at::empty({3 * experts}, weight.options().dtype(at::kLong));
  const RowGroups groups = even_groups(experts, kTrialRows, weight.device());
  const at::Tensor x = at::ones({kTrialRows, weight.size(1)}, weight.options());
  std::string torch_fault, cublas_fault;
  const double torch = time_of(false, x, weight, groups, torch_fault);
  const double cublas = time_of(true, x, weight, groups, cublas_fault);
  require(torch < kNever || cublas < kNever, ExitCode::gpu, {},
          "CUDA: no grouped product works: at::_grouped_mm: ", torch_fault, "; ", cublas_fault);
  cublas_ = cublas < torch;
  const std::string other = cublas_ ? "at::_grouped_mm" : "cuBLAS";
  const double slower = std::max(torch, cublas);
  return join_words("grouped products by ", cublas_ ? "cuBLAS" : "at::_grouped_mm", " (",
                    milliseconds(std::min(torch, cublas)), " against ",
                    slower < kNever ? milliseconds(slower) : "none", " of ", other, ")");
}

double GroupedProducts::time_of(bool cublas, const at::Tensor& x, const at::Tensor& weight,
                                const RowGroups& groups, std::string& fault) {
  cublas_ = cublas;
  const CudaStream stream = stream_of(weight.device());
  double best = kNever;
  try {
    Event from, to;
    for (int trial = -1; trial < kTrials; ++trial) {  // the first warms up
      require_launched(cuda_record(from.event, stream), "event");
      (void)run(x, weight, groups);
      require_launched(cuda_record(to.event, stream), "event");
      require_launched(cuda_wait(to.event), "grouped product");
      float time = 0;
      require_launched(cuda_milliseconds(from.event, to.event, time), "event");
      if (trial >= 0) { best = std::min(best, double(time)); }
    }
    return best;
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error& error) {  // this Torch, GPU or shape has it not
    fault = error.what_without_backtrace();
  } catch (const Error& error) { fault = error.what(); }
  return kNever;
}

at::Tensor GroupedProducts::run(const at::Tensor& x, const at::Tensor& weight,
                                const RowGroups& groups) {
  return cublas_ ? run_cublas(x, weight, groups) : at::_grouped_mm(x, weight, groups.ends);
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
