// How the weights of a model come into memory, decided from sizes alone before one is read.
#pragma once

#include <cstdint>
#include <string>

#include "core/engine/engine.h"

namespace kappascope {

// Floats of a block of logits, of which two are in memory. Each block reads the whole head, which
// on a GPU takes longer than multiplying a few rows by it.
inline constexpr std::int64_t kLogitFloats = 8 << 20, kGpuLogitFloats = 32 << 20;

struct MemoryPlan {
  std::uint64_t weights = 0;   // bytes of all weights, as they are multiplied
  std::uint64_t resident = 0;  // bytes of weights in memory at once
  std::uint64_t work = 0;      // bytes of all else: the program, what a call computes, the cache
  std::uint64_t cache = 0;     // of these, what calls keep for the next
  std::uint64_t bound = 0;     // bytes that the process may take
  bool streamed = false;       // layers stay in the file, and each is read when it runs
  bool keeps_head = false;     // the head stays in memory beside the layers that are streamed
  bool gpu = false;            // all of this is about a GPU's memory
};

// On the CPU: resident where the weights and the work fit into the bound, else streamed. The bound
// is options.memory, or what the process has and may still take. Throws (memory) naming the bytes
// needed when not even one layer fits. On a GPU likewise with options.gpu_memory, without it
// resident.
MemoryPlan plan_memory(const Model& model, const LoadOptions& options);

// Throws (memory) where the CPU's memory has too little for a call by these options beside a model
// all of whose weights are there.
void require_room(const Model& model, const LoadOptions& options);

// "weights 31.2 GB, streamed a layer at a time; 1.3 GB resident", "weights 98.5 MB, all resident";
// of a GPU "weights 98.5 MB, all in GPU memory"; with a cache "…; cache 12.5 MB".
std::string memory_text(const MemoryPlan& plan);

}  // namespace kappascope
