// What a layer records, copied from the GPU to the probe: the copy of one layer runs while
// the next is computed, then the probe is called.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "core/forward/gates_cuda.h"

namespace kappascope {

// What is recorded of a shared expert, in memory of the device; nullptr, all three: nothing.
struct SharedRecord {
  GateStats* stats = nullptr;  // [recorded tokens]
  float* norm = nullptr;       // [T] of its output before the weight
  float* weight = nullptr;     // [T]
};

// The numbers of one layer in one block of memory, laid out alike on the device and on the host:
// one copy takes them all.
struct MoeLayout {
  // Which statistics there are beside those of the gates.
  struct Further {
    bool kappa = false;    // κ follows from z, so its statistics come from the device as well
    bool clamped = false;  // the layer's z has a limit
    bool shared = false;   // the layer has a shared expert
    bool soft = false;     // soft routing: p of every expert, also without statistics
  };

  std::int64_t tokens, experts, slots;  // all of the call, context too
  std::int64_t recorded_cells;          // of the recorded tokens; 0: no statistics at all
  Further further;
  // Bytes from the block's start.
  std::int64_t logits, soft_weight, index, weight, kept, input, top1, mass, margin, gap, entropy;
  std::int64_t stats, kappa_stats, clamped, output_norm;
  std::int64_t shared_stats, shared_norm, shared_weight;  // [T] of the recorded tokens, all, all
  std::int64_t kappa_hist, gate_pre_hist, effect, bytes;

  MoeLayout(std::int64_t tokens, std::int64_t experts, std::int64_t slots,
            std::int64_t recorded_cells, Further further);
  // The routing of all tokens in that block.
  RoutingView routing(const at::Tensor& block) const;
  // Before the first piece: what pieces add to is 0, and NaN what they leave out, which is that of
  // dropped cells.
  void clear(const at::Tensor& block) const;
  // Statistics that κ-SwiGLU writes there.
  void record(const at::Tensor& block, GroupedSwigluArgs& args) const;
  SharedRecord shared_record(const at::Tensor& block) const;
};

// A layer's numbers on the host, or on their way there.
struct PendingTap {
  bool waiting = false;
  MoeTap tap{};
  at::Tensor block;  // pinned
  GateValues gates;
  at::Tensor router_input, output;  // on the host, when wanted
  SelectionRule selection;
  std::vector<float> selection_score;  // [T,E]; empty: by the logit
  std::optional<SharedTap> shared;
  std::optional<DenseTap> dense;  // in place of `tap`
  std::vector<float> kappa;       // [I] of a dense layer
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
  // The same of a dense layer: the bytes of its [T] statistics, and κ [I]; `tap` says the rest.
  void send(const at::Tensor& stats, DenseTap tap, std::vector<float> kappa,
            const CallContext& context);
  void deliver(const CallContext& context);  // all that is pending

 private:
  // Starts the copy of a block to the next place.
  PendingTap& start(const at::Tensor& block, const CallContext& context);
  void started(PendingTap& pending, const CallContext& context);
  static void hand_over(PendingTap& pending, const CallContext& context);
  PendingTap places_[2];
  int next_ = 0;
};

}  // namespace kappascope
