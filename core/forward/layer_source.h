// Where the weights of a layer come from when the stack reaches it: memory that holds all of them,
// or the file, a layer at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/forward/weights.h"

namespace kappascope {

class LayerSource {
 public:
  virtual ~LayerSource() = default;
  // For a call of so many tokens; valid until the next call of this object. Layers are asked for in
  // running order, the first again after the last. Throws Error (io, damaged, memory) where the
  // file cannot be read.
  virtual const LayerWeights& layer(std::int64_t layer, std::int64_t tokens) = 0;
  // [Vp,H], once a layer has run, which may no longer be there then. Valid until the next call of
  // layer().
  virtual const at::Tensor& head() = 0;
};

// All in memory.
std::shared_ptr<LayerSource> resident_layers(std::vector<LayerWeights> layers, at::Tensor head);

// What reads the weights of one model; safe from two threads.
class WeightReader {
 public:
  virtual ~WeightReader() = default;
  virtual std::int64_t layers() const = 0;
  // All of a layer; on the CPU but the matrices of its experts, which MoeWeights::matrix reads.
  virtual LayerWeights layer(std::int64_t layer) const = 0;
  virtual at::Tensor head() const = 0;
  // Lets the system fetch what the experts of a layer will read in a call of so many tokens.
  virtual void prefetch(std::int64_t layer, std::int64_t tokens) const = 0;
};

// How layers come to a device beside the computation there. This one is the CPU's, where what was
// started is done.
class LayerLane {
 public:
  virtual ~LayerLane() = default;
  // On the thread that computes: what it has started so far uses what it was given.
  virtual void mark_used() {}
  // On any thread: after what was last marked, beside what was started since.
  virtual void read(const std::function<void()>& work) { work(); }
  // On the thread that computes: what it starts from now on comes after what was read.
  virtual void await() {}
};

// One layer in memory, the next one read meanwhile by a thread of its own. `keeps_head`: once the
// head was asked for it stays; else it is read each time, and no layer is there beside it but the
// next one.
std::shared_ptr<LayerSource> streamed_layers(std::shared_ptr<const WeightReader> reader,
                                             std::unique_ptr<LayerLane> lane, bool keeps_head);

}  // namespace kappascope
