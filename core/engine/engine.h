// What the app sees of the forward pass: an interface whose implementation, with Torch inside, is a
// library of its own, opened at the first use and never closed. Failures cross as values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>

#include "core/engine/probe.h"
#include "core/engine/progress.h"
#include "core/engine/run_plan.h"
#include "core/error.h"
#include "core/model/model.h"

namespace kappascope {

enum class ComputeType : std::uint8_t { float32, bfloat16 };  // of the matrix products only
enum class ComputeDevice : std::uint8_t { cpu, cuda };

struct LoadOptions {
  ComputeType dtype = ComputeType::float32;
  int threads = 0;  // on the CPU; 0: usable_threads()
  ComputeDevice device = ComputeDevice::cpu;
  int device_index = 0;  // which of the GPUs
  bool plain = false;    // Torch's own operations alone: slow, the judge of the kernels
  // Bytes that the process may take, on the CPU: with more needed the layers stay in the file, and
  // each is read when it runs (memory_plan.h). 0: what the machine, the control group and the
  // limits of the process leave.
  std::uint64_t memory = 0;
  // Bytes of a GPU's memory that the model may take, likewise; 0: all weights are there.
  std::uint64_t gpu_memory = 0;
  std::int64_t tokens = 0;  // of the longest call, for that plan; 0: not known yet
  bool gates = false;       // every gate value will be recorded, likewise
  std::uint64_t cache = 0;  // bytes of the cache that calls will use (CachePlan), likewise
  std::uint64_t kept = 0;   // bytes that the caller keeps of what calls give, likewise
  bool lens = false;        // the head will be applied after every layer, likewise
};

// What a call has computed when it reaches a layer of the first pass; the engine knows what it is.
struct StackState {
  virtual ~StackState() = default;
};
struct StackPlace {
  std::int64_t layer = 0;
  std::shared_ptr<const StackState> state;
};

// What the layers keep of the tokens that were run, so that calls go on after them (cache_plan.h).
// A call on T tokens after P gives what a call on all P + T gives for the last T, but for the order
// of sums and for what follows the tokens of a call: capacity, and means of ablated experts. The
// same calls give the same bits.
class TokenCache {
 public:
  virtual ~TokenCache() = default;
  virtual std::int64_t tokens() const noexcept = 0;  // P
  virtual void clear() noexcept = 0;                 // P = 0, also after a call that failed
};

// One call of the model. Rows before `first_recorded` are context: they run, no tap sees them.
struct ForwardCall {
  std::span<const std::int32_t> ids;  // the call's tokens; of one sequence ≤ sequence_len
  std::int64_t text_offset = 0;       // index of ids[0] in the whole text
  std::int64_t first_recorded = 0;    // in ids
  std::int32_t next_id = -1;          // token after the last one when the text goes on, for its NLL
  std::int64_t text_tokens = 0;       // of the whole text; 0: the call's are all
  // A batch: where each sequence begins in ids, ascending from 0; empty: one. Positions restart
  // with a sequence, attention and targets stay within it; the capacity of experts is that of the
  // call.
  std::span<const std::int64_t> sequences = {};
  // Of several calls with the same ids whose plans differ from some layer on: the first keeps what
  // it has before keep->layer, the others go on from there. Layers before it give no taps then.
  StackPlace from = {};
  StackPlace* keep = nullptr;
  // The tokens go on after those that it keeps, and are kept; of this model and as many passes.
  // Not with several sequences, `from` or `keep`.
  TokenCache* cache = nullptr;

  std::int64_t past() const { return cache ? cache->tokens() : 0; }
  std::int64_t sequence_count() const { return std::max<std::int64_t>(1, std::ssize(sequences)); }
  std::int64_t sequence_begin(std::int64_t i) const { return sequences.empty() ? 0 : sequences[i]; }
  std::int64_t sequence_end(std::int64_t i) const {
    return i + 1 < sequence_count() ? sequences[i + 1] : std::ssize(ids);
  }
};

// A loaded model. Not safe to use from several threads at once.
class EngineModel {
 public:
  virtual ~EngineModel() = default;
  // `plan`: of the same model. Codes: usage (no ids), unsupported (too many or out-of-vocabulary
  // ids), memory, gpu, interrupted (the progress or the probe said stop), damaged (the file changed
  // meanwhile), internal. Steps of the progress "prefill" are layers run × tokens.
  virtual Failure forward(const ForwardCall& call, const RunPlan& plan, Probe& probe,
                          Progress& progress) noexcept = 0;
  // For texts of up to `tokens`, of runs with so many passes. Where there is a cache already, of
  // this model and as many passes, it grows to that and keeps what it has. Codes: memory, gpu.
  virtual Failure make_cache(std::int64_t passes, std::int64_t tokens,
                             std::unique_ptr<TokenCache>& cache) noexcept = 0;
  // NaN and Inf among the weights, counted at load, and the tensors they are in.
  virtual std::uint64_t nonfinite_weights() const noexcept = 0;
  virtual const char* nonfinite_tensors() const noexcept = 0;  // "a, b"
  // How it runs, in one line for -v: "NVIDIA H200, …"; "" on the CPU.
  virtual const char* description() const noexcept = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // Steps of the progress "load" are bytes. `model` must outlive the result.
  virtual Failure load(const Model& model, const LoadOptions& options, Progress& progress,
                       std::unique_ptr<EngineModel>& loaded) noexcept = 0;
  // Whether the device of `options` can be used: gpu where there is none such.
  virtual Failure check_device(const LoadOptions& options) noexcept = 0;
  virtual const char* torch_version() const noexcept = 0;
};

inline constexpr std::uint32_t kEngineVersion = 13;  // of this header

// The engine library of a device, beside the program, opened at the first call (thread-safe).
// Throws Error naming the library when it is missing, does not open or is of another version:
// internal for the CPU; gpu for CUDA, whose libraries a machine without a GPU seldom has. One does
// not spoil the other.
Engine& engine(ComputeDevice device = ComputeDevice::cpu);

}  // namespace kappascope

// The library's one symbol: nullptr when `version` is not its own.
extern "C" kappascope::Engine* kappascope_engine(std::uint32_t version);
