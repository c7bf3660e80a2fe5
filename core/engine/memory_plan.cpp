#include "core/engine/memory_plan.h"

#include <algorithm>
#include <vector>

#include "core/memory.h"
#include "core/threads.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kProgram = 300'000'000;   // bytes of the program and Torch, measured
constexpr std::int64_t kUnknownTokens = 1024;     // of a call, where that is not known yet
constexpr std::int64_t kOutputFloats = 16 << 20;  // of the experts' outputs in memory
constexpr std::int64_t kScoreRows = 128;          // of attention at once
constexpr std::int64_t kGpuScores = 64 << 20;     // floats of attention scores at once, on a GPU
constexpr std::uint64_t kGateBytes = 128 << 20;   // of gate values on their way from a GPU

bool of_experts(Role role) {
  return role == Role::expert_gate || role == Role::expert_up || role == Role::expert_down;
}

bool looked_up(Role role) {
  return role == Role::embedding || role == Role::value_embedding;
}

// Bytes that a weight takes as it is multiplied; on the CPU those of experts are widened by parts.
std::uint64_t bytes_of(const Stored& weight, const LoadOptions& options) {
  if (looked_up(weight.role) && weight.as_it_is()) { return weight.tensor->bytes; }
  const bool by_parts = of_experts(weight.role) && options.device == ComputeDevice::cpu;
  if (by_parts && weight.is_bfloat16()) { return std::uint64_t(weight.elements()) * 2; }
  return std::uint64_t(weight.elements()) * (options.dtype == ComputeType::bfloat16 ? 2 : 4);
}

struct Sizes {
  std::uint64_t all = 0;
  std::uint64_t head = 0;
  std::uint64_t expert = 0;           // a matrix of the largest expert
  std::uint64_t experts = 0;          // of the matrices of experts of one layer the largest
  std::vector<std::uint64_t> layers;  // but for experts and tables
  std::vector<std::uint64_t> whole;   // but for tables
};

Sizes sizes_of(const Model& model, const LoadOptions& options) {
  Sizes sizes;
  sizes.layers.resize(std::size_t(model.architecture.depth()));
  sizes.whole.resize(sizes.layers.size());
  for (const Stored& weight : model.weights.all()) {
    if (weight.tensor == nullptr) { continue; }
    const std::uint64_t bytes = bytes_of(weight, options);
    sizes.all += bytes;
    if (weight.layer >= 0 && !looked_up(weight.role)) { sizes.whole[weight.layer] += bytes; }
    if (weight.role == Role::head) {
      sizes.head = bytes;
    } else if (of_experts(weight.role)) {
      sizes.expert = std::max(sizes.expert, bytes / std::uint64_t(weight.shape[0]));
      sizes.experts = std::max({sizes.experts, bytes, weight.tensor->bytes});
    } else if (weight.layer >= 0 && !looked_up(weight.role)) {
      sizes.layers[weight.layer] += bytes;
    }
  }
  const Stored* head = model.weights.find(Role::head);
  if (head != nullptr && head->role != Role::head) {  // the embedding, multiplied
    sizes.head = std::uint64_t(head->elements()) * (options.dtype == ComputeType::bfloat16 ? 2 : 4);
    sizes.all += sizes.head;
  }
  return sizes;
}

// A layer and the next one, the largest two.
std::uint64_t most_of_two(const std::vector<std::uint64_t>& layers) {
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    most = std::max(most, layers[i] + layers[(i + 1) % layers.size()]);
  }
  return most;
}

// The head and the layer after it: the first, or with a lens any.
std::uint64_t with_head(const Sizes& sizes, const std::vector<std::uint64_t>& layers, bool lens) {
  return sizes.head + (lens ? *std::max_element(layers.begin(), layers.end()) : layers.front());
}

// One layer, the next one, and an expert's matrix for each thread, as stored and as multiplied.
std::uint64_t streamed_bytes(const Sizes& sizes, std::uint64_t threads, bool lens) {
  return std::max(most_of_two(sizes.layers) + 2 * threads * sizes.expert,
                  with_head(sizes, sizes.layers, lens));
}

// On a GPU: one layer and the next one, of which a tensor is there as it is stored, too.
std::uint64_t streamed_gpu_bytes(const Sizes& sizes, bool lens) {
  return std::max(most_of_two(sizes.whole), with_head(sizes, sizes.whole, lens)) + sizes.experts;
}

// Takes the head into memory beside the layers of a lens, where it fits.
void keep_head(MemoryPlan& plan, const Sizes& sizes, std::uint64_t layers) {
  const std::uint64_t resident = std::min(plan.weights, layers + sizes.head);
  plan.keeps_head = resident + plan.work <= plan.bound;
  if (plan.keeps_head) { plan.resident = std::max(plan.resident, resident); }
}

// Floats that a layer's mixing of so many tokens holds at its largest, but for attention scores.
std::int64_t mixing_floats(const LayerSpec& layer, std::int64_t tokens, std::int64_t width) {
  if (layer.convolution) { return tokens * 10 * width; }
  if (layer.delta) {
    // Projected, convolved, and q, k, v of each value head by sequence.
    const std::int64_t heads = layer.delta->value_heads * layer.delta->key_width;
    return tokens * (5 * layer.delta->channels() + 6 * layer.delta->values() + 5 * heads);
  }
  const AttentionSpec& a = layer.attention;
  const std::int64_t queries = a.heads * std::max(a.head_width, a.value_width());
  return tokens * queries * (a.latent ? 10 : a.gated ? 9 : 6);
}

// Heads whose scores are in memory at once.
std::int64_t scored_heads(const LayerSpec& layer) {
  return layer.attends() ? layer.attention.heads : 0;
}

// Of a token in the shared expert: gate, up, what becomes of them, and the output.
std::int64_t shared_floats(const MoeSpec* moe, std::int64_t width) {
  return moe && moe->shared ? 3 * moe->shared->gates + width : 0;
}

// What a call of so many tokens computes, at its largest.
std::uint64_t call_bytes(const Architecture& architecture, std::int64_t tokens, bool gates) {
  std::int64_t attention = 0, experts = 0;
  for (const LayerSpec& layer : architecture.layers) {
    const std::int64_t scores = tokens * 2 * kScoreRows * scored_heads(layer);
    attention = std::max(attention, mixing_floats(layer, tokens, architecture.width) + scores);
    const MoeSpec* moe = layer.moe();
    const std::int64_t rows = tokens * (moe ? moe->router.slots : 1);
    const std::int64_t outputs = std::min(rows * architecture.width, kOutputFloats);
    const std::int64_t recorded = gates && moe ? 3 * rows * layer.gates() : 0;
    experts = std::max(experts, outputs + 2 * rows * layer.gates() + recorded +
                                    tokens * shared_floats(moe, architecture.width));
  }
  const std::int64_t stream = 8 * tokens * architecture.width;
  const std::int64_t logits = 2 * std::min(tokens * architecture.vocab, kLogitFloats);
  return 4 * std::uint64_t(std::max(stream + std::max(attention, experts), stream + logits));
}

// The same on a GPU, where pieces of the experts' rows may be smaller when memory is short.
std::uint64_t gpu_call_bytes(const Architecture& architecture, std::int64_t tokens, bool gates) {
  std::int64_t attention = 0, experts = 0;
  for (const LayerSpec& layer : architecture.layers) {
    const std::int64_t heads = scored_heads(layer), all = tokens * tokens * heads;
    const std::int64_t scores = std::max(tokens * kScoreRows * heads, kGpuScores);
    attention = std::max(
        attention, mixing_floats(layer, tokens, architecture.width) + 3 * std::min(all, scores));
    const MoeSpec* moe = layer.moe();
    const std::int64_t rows = tokens * (moe ? moe->router.slots : 1);
    experts = std::max(experts, rows * (2 * architecture.width + 3 * layer.gates()) +
                                    tokens * shared_floats(moe, architecture.width));
  }
  const std::int64_t stream = 8 * tokens * architecture.width;
  const std::int64_t logits = 2 * std::min(tokens * architecture.vocab, kGpuLogitFloats);
  const auto floats = std::uint64_t(stream + std::max({attention, experts, logits}));
  return 4 * floats + (gates ? kGateBytes : 0);
}

[[noreturn]] void too_little_on_gpu(const Model& model, const MemoryPlan& plan) {
  fail(ExitCode::memory, Remedy::more_gpu_memory, {.file = model.files.weights.native()},
       "GPU memory; expected at least ", plan.resident + plan.work, " bytes (",
       bytes_text(plan.resident), " of weights, one layer at a time, and ", bytes_text(plan.work),
       " to compute), found ", plan.bound, " (--gpu-memory)");
}

const char* found_words(const LoadOptions& options) {
  return options.memory ? " (--memory)" : " available";
}

[[noreturn]] void too_little(const Model& model, const MemoryPlan& plan,
                             const LoadOptions& options) {
  const std::uint64_t needed = plan.resident + plan.work;
  fail(ExitCode::memory, options.memory ? Remedy::more_memory : Remedy::end_programs,
       {.file = model.files.weights.native()}, "memory; expected at least ", needed, " bytes (",
       bytes_text(plan.resident), " of weights, one layer at a time, and ", bytes_text(plan.work),
       " to compute), found ", plan.bound, found_words(options));
}

}  // namespace

MemoryPlan plan_memory(const Model& model, const LoadOptions& options) {
  const Sizes sizes = sizes_of(model, options);
  MemoryPlan plan;
  plan.weights = plan.resident = sizes.all;
  plan.cache = options.cache;
  const std::int64_t tokens =
      std::min(options.tokens > 0 ? options.tokens : kUnknownTokens, model.architecture.context);
  plan.gpu = options.device != ComputeDevice::cpu;
  if (plan.gpu) {
    plan.work = gpu_call_bytes(model.architecture, tokens, options.gates) + plan.cache;
    plan.bound = options.gpu_memory;
    plan.streamed = plan.bound > 0 && plan.weights + plan.work > plan.bound;
    if (!plan.streamed) { return plan; }
    plan.resident = std::min(plan.weights, streamed_gpu_bytes(sizes, options.lens));
    if (options.lens) { keep_head(plan, sizes, most_of_two(sizes.whole) + sizes.experts); }
    if (plan.resident + plan.work > plan.bound) { too_little_on_gpu(model, plan); }
    return plan;
  }
  plan.work =
      kProgram + call_bytes(model.architecture, tokens, options.gates) + plan.cache + options.kept;
  plan.bound = options.memory > 0 ? options.memory : resident_memory() + available_memory();
  // Weights in memory have the mapped files beside them.
  const std::uint64_t resident = plan.weights + plan.work;
  plan.streamed =
      resident > plan.bound || resident + model.tensors->size() > available_address_space();
  if (!plan.streamed) { return plan; }
  const int threads = options.threads > 0 ? options.threads : usable_threads();
  const auto at_once = 2 * std::uint64_t(threads) * sizes.expert;
  plan.resident =
      std::min(plan.weights, streamed_bytes(sizes, std::uint64_t(threads), options.lens));
  if (options.lens) { keep_head(plan, sizes, most_of_two(sizes.layers) + at_once); }
  if (plan.resident + plan.work > plan.bound) { too_little(model, plan, options); }
  return plan;
}

void require_room(const Model& model, const LoadOptions& options) {
  const MemoryPlan plan = plan_memory(model, options);
  require(!plan.streamed, ExitCode::memory,
          options.memory ? Remedy::more_memory : Remedy::end_programs,
          {.file = model.files.weights.native()}, "memory; expected at least ",
          plan.weights + plan.work, " bytes (", bytes_text(plan.weights), " of weights, and ",
          bytes_text(plan.work), " to compute and to keep the text), found ", plan.bound,
          found_words(options));
}

std::string memory_text(const MemoryPlan& plan) {
  const std::string weights = "weights " + bytes_text(plan.weights);
  const std::string cache = plan.cache > 0 ? "; cache " + bytes_text(plan.cache) : "";
  if (!plan.streamed) {
    return weights + (plan.gpu ? ", all in GPU memory" : ", all resident") + cache;
  }
  return join_words(weights, ", streamed a layer at a time; ", bytes_text(plan.resident),
                    plan.gpu ? " in GPU memory" : " resident", cache);
}

}  // namespace kappascope
