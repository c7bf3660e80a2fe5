#include "core/forward/gates_cuda.h"

#include <algorithm>

#include "core/forward/device_cuda.h"
#include "core/nan.h"

namespace kappascope {
namespace {

constexpr std::int64_t kBytesAtOnce = 128 << 20;

}  // namespace

void GateValues::clear() {
  *this = {};
}

GateFetch::GateFetch(const at::Tensor& cell_row, std::int64_t first_cell, std::int64_t gates,
                     HostCopies& copies, GateValues& to)
    : first_cell_(first_cell),
      gates_(gates),
      started_(copies),
      to_(to),
      cell_row_(pinned(cell_row.numel() * 4, cell_row.device()).view(at::kInt)) {
  started_.start(cell_row, cell_row_, rows_copied_);
  const auto values = std::size_t((cell_row.numel() - first_cell) * gates);
  for (auto* all : {&to_.kappa, &to_.gate_pre, &to_.gate_act}) { all->assign(values, kNaN); }
}

GateFetch::~GateFetch() {
  if (rows_copied_) { cuda_destroy(rows_copied_); }
}

void GateFetch::read_rows() {
  require_launched(cuda_wait(rows_copied_), "recording of gates");
  row_cell_.assign(std::size_t(cell_row_.numel()), -1);
  const std::int32_t* rows = cell_row_.const_data_ptr<std::int32_t>();
  for (std::int64_t cell = 0; cell < cell_row_.numel(); ++cell) {
    if (rows[cell] >= 0) { row_cell_[rows[cell]] = std::int32_t(cell); }
  }
}

std::int64_t GateFetch::rows_at_once(std::int64_t gates) {
  return std::max<std::int64_t>(4, kBytesAtOnce / (3 * gates * 4) / 4 * 4);
}

void GateFetch::fetch(std::int64_t first, const at::Tensor& values) {
  Copy& copy = copies_[next_];
  place(copy);
  const std::int64_t bytes = values.numel() * 4;
  if (!copy.host.defined() || copy.host.numel() < bytes) {
    copy.host = pinned(bytes, values.device());
  }
  copy.first = first;
  copy.rows = values.size(1);
  const at::Tensor from = values.view({-1}).view(at::kByte);
  started_.start(from, copy.host.narrow(0, 0, bytes), copy.done);
  next_ = 1 - next_;
  place(copies_[next_]);
}

void GateFetch::finish() {
  place(copies_[next_]);
  place(copies_[1 - next_]);
}

void GateFetch::place(Copy& copy) {
  if (copy.rows == 0) { return; }
  if (row_cell_.empty()) { read_rows(); }
  require_launched(cuda_wait(copy.done), "recording of gates");
  float* const to[] = {to_.kappa.data(), to_.gate_pre.data(), to_.gate_act.data()};
  const float* from = part<float>(copy.host, 0);
  for (std::int64_t row = 0; row < copy.rows; ++row) {
    const std::int64_t cell = row_cell_[copy.first + row];
    if (cell < first_cell_) {
      continue;  // context, or no row
    }
    for (std::int64_t i = 0; i < 3; ++i) {
      std::copy_n(from + (i * copy.rows + row) * gates_, gates_,
                  to[i] + (cell - first_cell_) * gates_);
    }
  }
  copy.rows = 0;
}

}  // namespace kappascope
