// What training puts into a call of the model: parameters that are learned where a plan has
// numbers, and losses of the routers. Of the plain backend, on any device.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "core/engine/run_plan.h"
#include "core/forward/plain_route.h"
#include "core/forward/weights.h"

namespace kappascope {

class Learning {
 public:
  virtual ~Learning() = default;
  // λ·x + λ0·x0 in front of a layer.
  virtual at::Tensor with_embedding(const at::Tensor& x, const at::Tensor& x0,
                                    std::int64_t layer) = 0;
  // The budget k of soft routing, a float64 number.
  virtual at::Tensor budget(std::int64_t layer) = 0;
  // Of a call of which this process has `tokens`, how many all ranks have.
  virtual std::int64_t tokens_of_call(std::int64_t tokens) const = 0;
  // How many assignments of other ranks are before this rank's in an expert's queue, [K,E] of its
  // own counts [K,E] by slot; undefined where there are no others.
  virtual at::Tensor queued_before(const at::Tensor& counts) = 0;
  // After an MoE layer of input x [T,H] was routed: s [T,K] of a κ router is put in its place.
  virtual void routed(std::int64_t layer, const at::Tensor& x, const MoeWeights& weights,
                      PlainRouting& routing) = 0;
  // The output [T,H] of an MoE layer of input x [T,H], routed as given.
  virtual at::Tensor experts(std::int64_t layer, const at::Tensor& x, const PlainRouting& routing,
                             const KappaPlan& plan, const CallContext& context) = 0;
  // a ∘ up of a dense layer, whose κ is 1.
  virtual at::Tensor dense_hidden(const at::Tensor& z, const at::Tensor& up) = 0;
};

}  // namespace kappascope
