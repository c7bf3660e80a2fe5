#include "core/engine/memory_plan.h"

#include <algorithm>
#include <vector>

#include "core/memory.h"
#include "core/threads.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kProgram = 300'000'000;   // bytes of the program and Torch, measured
constexpr std::int64_t kUnknownTokens = 1024;     // of a call, where that is not known yet
constexpr std::int64_t kLogitFloats = 8 << 20;    // of a block of rows, twice in memory
constexpr std::int64_t kOutputFloats = 16 << 20;  // of the experts' outputs in memory
constexpr std::int64_t kScoreRows = 128;          // of attention at once

bool of_experts(Role role) {
  return role == Role::expert_gate || role == Role::expert_up || role == Role::expert_down;
}

bool looked_up(Role role) {
  return role == Role::embedding || role == Role::value_embedding;
}

// Bytes that a weight takes as it is multiplied.
std::uint64_t bytes_of(const Stored& weight, ComputeType compute) {
  if (looked_up(weight.role) && weight.as_it_is()) { return weight.tensor->bytes; }
  const auto narrow = [](const TensorInfo* tensor) { return tensor->dtype == DType::bfloat16; };
  if (of_experts(weight.role) && narrow(weight.tensor) &&
      std::all_of(weight.experts.begin(), weight.experts.end(), narrow)) {
    return std::uint64_t(weight.elements()) * 2;
  }
  return std::uint64_t(weight.elements()) * (compute == ComputeType::bfloat16 ? 2 : 4);
}

struct Sizes {
  std::uint64_t all = 0;
  std::uint64_t head = 0;
  std::uint64_t expert = 0;           // a matrix of the largest expert
  std::vector<std::uint64_t> layers;  // but for experts and tables
};

Sizes sizes_of(const Model& model, ComputeType compute) {
  Sizes sizes;
  sizes.layers.resize(std::size_t(model.architecture.depth()));
  for (const Stored& weight : model.weights.all()) {
    if (weight.tensor == nullptr) { continue; }
    const std::uint64_t bytes = bytes_of(weight, compute);
    sizes.all += bytes;
    if (weight.role == Role::head) {
      sizes.head = bytes;
    } else if (of_experts(weight.role)) {
      sizes.expert = std::max(sizes.expert, bytes / std::uint64_t(weight.shape[0]));
    } else if (weight.layer >= 0 && !looked_up(weight.role)) {
      sizes.layers[weight.layer] += bytes;
    }
  }
  const Stored* head = model.weights.find(Role::head);
  if (head != nullptr && head->role != Role::head) {  // the embedding, multiplied
    sizes.head = std::uint64_t(head->elements()) * (compute == ComputeType::bfloat16 ? 2 : 4);
    sizes.all += sizes.head;
  }
  return sizes;
}

// One layer, the next one, and an expert's matrix for each thread, as stored and as multiplied.
std::uint64_t streamed_bytes(const Sizes& sizes, std::uint64_t threads) {
  std::uint64_t most = 0;
  const std::size_t count = sizes.layers.size();
  for (std::size_t i = 0; i < count; ++i) {
    most = std::max(most, sizes.layers[i] + sizes.layers[(i + 1) % count]);
  }
  return std::max(most + 2 * threads * sizes.expert, sizes.head + sizes.layers.front());
}

// What a call of so many tokens computes, at its largest.
std::uint64_t call_bytes(const Architecture& architecture, std::int64_t tokens, bool gates) {
  std::int64_t attention = 0, experts = 0;
  for (const LayerSpec& layer : architecture.layers) {
    const AttentionSpec& a = layer.attention;
    const std::int64_t queries = a.heads * a.head_width;
    attention = std::max(attention, tokens * (6 * queries + 2 * kScoreRows * a.heads));
    const MoeSpec* moe = layer.moe();
    const std::int64_t rows = tokens * (moe ? moe->router.slots : 1);
    const std::int64_t outputs = std::min(rows * architecture.width, kOutputFloats);
    const std::int64_t recorded = gates && moe ? 3 * rows * layer.gates() : 0;
    experts = std::max(experts, outputs + 2 * rows * layer.gates() + recorded);
  }
  const std::int64_t stream = 8 * tokens * architecture.width;
  const std::int64_t logits = 2 * std::min(tokens * architecture.vocab, kLogitFloats);
  return 4 * std::uint64_t(std::max(stream + std::max(attention, experts), stream + logits));
}

[[noreturn]] void too_little(const Model& model, const MemoryPlan& plan,
                             const LoadOptions& options) {
  const std::uint64_t needed = plan.resident + plan.work;
  fail(ExitCode::memory, {.file = model.files.weights.native()}, "memory; expected at least ",
       needed, " bytes (", bytes_text(plan.resident), " of weights, one layer at a time, and ",
       bytes_text(plan.work), " to compute), found ", plan.bound,
       options.memory ? " (--memory)" : " available", "; ",
       options.memory ? "give --memory more" : "end other programs",
       ", or run fewer tokens at once (--max-tokens, --window)");
}

}  // namespace

MemoryPlan plan_memory(const Model& model, const LoadOptions& options) {
  const Sizes sizes = sizes_of(model, options.dtype);
  MemoryPlan plan;
  plan.weights = plan.resident = sizes.all;
  if (options.device != ComputeDevice::cpu) { return plan; }
  const std::int64_t tokens =
      std::min(options.tokens > 0 ? options.tokens : kUnknownTokens, model.architecture.context);
  plan.work = kProgram + call_bytes(model.architecture, tokens, options.gates);
  plan.bound = options.memory > 0 ? options.memory : resident_memory() + available_memory();
  // Weights in memory have the mapped files beside them.
  const std::uint64_t resident = plan.weights + plan.work;
  plan.streamed =
      resident > plan.bound || resident + model.tensors->size() > available_address_space();
  if (!plan.streamed) { return plan; }
  const int threads = options.threads > 0 ? options.threads : usable_threads();
  plan.resident = std::min(plan.weights, streamed_bytes(sizes, std::uint64_t(threads)));
  if (plan.resident + plan.work > plan.bound) { too_little(model, plan, options); }
  return plan;
}

std::string memory_text(const MemoryPlan& plan) {
  const std::string weights = "weights " + bytes_text(plan.weights);
  if (!plan.streamed) { return weights + ", all resident"; }
  return join_words(weights, ", streamed a layer at a time; ", bytes_text(plan.resident),
                    " resident");
}

}  // namespace kappascope
