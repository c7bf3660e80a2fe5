// What an MoE layer tells, on its way from the GPU to the probe: the copy of one layer runs while
// the next is computed, then the probe is told.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/forward/gates_cuda.h"

namespace kappascope {

// The numbers of one layer in one block of memory, laid out alike on the device and on the host:
// one copy takes them all.
struct MoeLayout {
  std::int64_t tokens, experts, slots;  // all of the call, context too
  std::int64_t told_cells;              // of the recorded tokens; 0: no gate statistics
  bool told_kappa;                      // κ statistics as well
  // Bytes from the block's start.
  std::int64_t logits, index, weight, kept, input, top1, mass, margin, gap, entropy;
  std::int64_t stats, kappa_stats, output_norm, kappa_hist, gate_pre_hist, effect, bytes;

  // `told_kappa`: κ follows from z, so its statistics come from the device as well.
  MoeLayout(std::int64_t tokens, std::int64_t experts, std::int64_t slots, std::int64_t told_cells,
            bool told_kappa);
  // The routing of all tokens in that block.
  RoutingView routing(const at::Tensor& block) const;
};

// A layer's numbers on the host, or on their way there.
struct PendingTap {
  bool waiting = false;
  MoeTap tap{};
  at::Tensor block;  // pinned
  GateValues gates;
  at::Tensor router_input, output;  // on the host, when wanted
  CudaEvent copied = nullptr;
};

class TapQueue {
 public:
  TapQueue() = default;
  ~TapQueue();
  TapQueue(const TapQueue&) = delete;
  TapQueue& operator=(const TapQueue&) = delete;

  void begin();  // forgets what a call that failed left
  // The place for the next layer: free, because its last tap was delivered.
  PendingTap& next();
  // Starts the copy of `block` to `next()`; then delivers the tap before it.
  void send(const at::Tensor& block, const MoeLayout& layout, const CallContext& context);
  void deliver(const CallContext& context);  // all that waits

 private:
  static void tell(PendingTap& pending, const CallContext& context);
  PendingTap places_[2];
  int next_ = 0;
};

}  // namespace kappascope
