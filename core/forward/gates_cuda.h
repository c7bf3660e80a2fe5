// Every gate value of a layer, from the GPU to the host: a piece of rows is copied to pinned memory
// while the piece before finds its places.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/forward/copies_cuda.h"
#include "core/forward/feed_forward.h"

namespace kappascope {

// A value of type T in a block of bytes.
template <typename T>
T* part(const at::Tensor& block, std::int64_t offset) {
  return reinterpret_cast<T*>(static_cast<std::byte*>(block.mutable_data_ptr()) + offset);
}

// Gate values of a layer, [cells of the recorded tokens, I], NaN where dropped.
struct GateValues {
  std::vector<float> kappa, gate_pre, gate_act;
  void clear();
};

class GateFetch {
 public:
  // cell_row [T,K] on the device; cells before first_cell are context. Fills `to` with NaN.
  GateFetch(const at::Tensor& cell_row, std::int64_t first_cell, std::int64_t gates,
            HostCopies& copies, GateValues& to);
  ~GateFetch();
  GateFetch(const GateFetch&) = delete;
  GateFetch& operator=(const GateFetch&) = delete;
  // Starts the copy of κ, z and a, [3,n,I], of the rows from `first` on.
  void fetch(std::int64_t first, const at::Tensor& values);
  void finish();  // waits until the copies under way have arrived
  // Rows whose values fill the memory meant for a piece, a multiple of 4.
  static std::int64_t rows_at_once(std::int64_t gates);

 private:
  struct Copy {
    std::int64_t first = 0, rows = 0;
    at::Tensor host;
    CudaEvent done = nullptr;
    Copy() = default;
    ~Copy() {
      if (done) { cuda_destroy(done); }
    }
    Copy(const Copy&) = delete;
    Copy& operator=(const Copy&) = delete;
  };
  void place(Copy& copy);
  void read_rows();  // once they are on the host

  const std::int64_t first_cell_, gates_;
  HostCopies& started_;
  GateValues& to_;
  at::Tensor cell_row_;  // [T,K] on its way to the host
  CudaEvent rows_copied_ = nullptr;
  std::vector<std::int32_t> row_cell_;  // the cell of each row, −1 past the last; empty: not yet
  Copy copies_[2];
  int next_ = 0;
};

}  // namespace kappascope
