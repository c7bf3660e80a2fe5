#include "core/forward/device_cuda.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdlib>

#include "core/forward/layer_source.h"
#include "core/forward/operations.h"
#include "core/forward/workers.h"

// Where the tensors are. The test that runs the kernels on the CPU says CPU. It also says how many
// rows are in memory at once, and at which piece memory is first short.
#ifdef KAPPASCOPE_DEVICE_TYPE
#define KAPPASCOPE_EMULATED(name) std::getenv(name)
#else
#define KAPPASCOPE_DEVICE_TYPE at::kCUDA
#define KAPPASCOPE_EMULATED(name) static_cast<const char*>(nullptr)
#endif

namespace kappascope {
namespace {

at::Tensor to_device(const std::vector<float>& values, const at::Device& device) {
  if (values.empty()) { return {}; }
  return at::tensor(values, at::TensorOptions(at::kFloat)).to(device);
}

}  // namespace

void require_launched(int error, const char* what) {
  require(error == 0, ExitCode::gpu, {}, "CUDA: ", what, ": ", cuda_error_text(error));
}

void fail_for_device_memory(const std::string& what, std::int64_t needed) {
  std::int64_t free = 0, total = 0;
  require_launched(cuda_memory(free, total), "memory");
  fail(ExitCode::memory, Remedy::stream_or_use_cpu, {}, "GPU memory: ", what, " ", needed,
       " bytes, ", free, " of ", total, " are free");
}

CudaStream stream_of(const at::Device& device) {
  if (!device.is_cuda()) { return nullptr; }
  const c10::impl::VirtualGuardImpl guard(device.type());
  return static_cast<CudaStream>(guard.getStream(device).native_handle());
}

Element element_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return Element::float32;
    case at::kBFloat16:
      return Element::bfloat16;
    default:
      fail(ExitCode::internal, {}, "a tensor of type ", at::toString(tensor.scalar_type()),
           "; expected float32 or bfloat16");
  }
}

const LayerNumbers& DeviceState::numbers_of(std::int64_t layer, const MoeWeights& weights) {
  std::optional<LayerNumbers>& numbers = layers[layer];
  if (!numbers) {
    numbers = {to_device(weights.expert_bias, device), to_device(weights.score_norm, device)};
  }
  return *numbers;
}

at::Tensor DeviceState::selection_bias(std::int64_t layer, const MoeWeights& weights,
                                       const LayerPlan& plan) {
  if (!plan.has(ExpertMode::reroute)) { return numbers_of(layer, weights).expert_bias; }
  return to_device(kappascope::selection_bias(weights, plan), device);
}

at::Tensor device_given_experts(std::int64_t layer, std::int64_t pass, const CallContext& context) {
  const std::vector<std::int32_t> given = given_experts(layer, pass, context);
  if (given.empty()) { return {}; }
  return at::tensor(given, at::TensorOptions(at::kInt)).to(context.state->device);
}

KappaView DeviceState::kappa_of(const RunPlan& plan, std::int64_t layer, std::int64_t pass) {
  if (kappa_plan != plan.identity) {
    kappa.clear();
    for (const LayerPlan& planned : plan.layers) {
      std::vector<KappaNumbers>& slots = kappa.emplace_back();
      for (const KappaPlan& slot : planned.kappa) {
        slots.push_back({to_device(slot.bias, device), to_device(slot.scale, device),
                         to_device(slot.factor, device)});
      }
    }
    kappa_plan = plan.identity;
  }
  const std::vector<KappaNumbers>& slots = kappa[layer];
  const KappaNumbers& numbers = slots[std::min<std::int64_t>(pass, std::ssize(slots) - 1)];
  KappaView view = plan.kappa_of(layer, pass).view();
  view.bias = data_or_null(numbers.bias);
  view.scale = data_or_null(numbers.scale);
  view.factor = data_or_null(numbers.factor);
  return view;
}

at::Device open_device(const LoadOptions& options) {
  int count = 0;
  const int error = cuda_device_count(count);
  require(error == 0 && count > 0, ExitCode::gpu, Remedy::use_cpu, {},
          "--device cuda: no GPU is usable: ", error ? cuda_error_text(error) : "CUDA finds none");
  require(options.device_index < count, ExitCode::gpu, {}, "--device cuda:", options.device_index,
          "; expected cuda:0 to cuda:", count - 1);
  DeviceFacts facts;
  require_launched(cuda_describe(options.device_index, facts), "device");
  require(facts.major >= 8, ExitCode::gpu, {}, facts.name, " has compute capability ", facts.major,
          ".", facts.minor, "; expected 8.0 or newer");
  if (options.threads > 0) { set_torch_threads(options.threads); }
  const at::DeviceType type = KAPPASCOPE_DEVICE_TYPE;
  if (type == at::kCPU) { return type; }
  return at::Device(type, at::DeviceIndex(options.device_index));
}

void require_memory(const Model& model, const MemoryPlan& plan, const at::Device& device) {
  if (device.is_cuda()) { at::getDeviceAllocator(device.type())->emptyCache(); }
  std::int64_t free = 0, total = 0;
  require_launched(cuda_memory(free, total), "memory");
  if (const char* emulated = KAPPASCOPE_EMULATED("EMULATED_FREE")) { free = std::atoll(emulated); }
  require(std::int64_t(plan.resident) <= free, ExitCode::memory, Remedy::stream_or_use_cpu,
          {.file = model.files.weights.native()}, "GPU memory; expected at least ", plan.resident,
          " bytes for the weights, found ", free, " of ", total, " free");
}

std::unique_ptr<LayerLane> layer_lane(const at::Device& device) {
  if (!device.is_cuda()) { return std::make_unique<LayerLane>(); }
  return std::make_unique<CopyLane>(device);
}

std::string prepare_device(const Model& model, Weights& weights) {
  const Architecture& architecture = model.architecture;
  const std::int64_t gates =
      std::max({architecture.most_gates(true), architecture.most_gates(false),
                architecture.most_shared_gates()});
  require(gates <= kMostRecordedGates, ExitCode::unsupported, {},
          "gate units of a layer: expected at most ", kMostRecordedGates, " on a GPU, found ",
          gates);
  const LayerSpec* moe = architecture.first_moe();
  const bool soft = moe != nullptr && moe->moe()->router.soft.has_value();
  require(!soft || architecture.most_experts() <= kMostSoftExperts, ExitCode::unsupported,
          Remedy::use_cpu, {}, "experts of a layer with soft routing: expected at most ",
          kMostSoftExperts, " on a GPU, found ", architecture.most_experts());
  auto state = std::make_shared<DeviceState>();
  state->device = weights.device;
  DeviceFacts facts;
  require_launched(cuda_describe(std::max<int>(0, weights.device.index()), facts), "device");
  state->multiprocessors = facts.multiprocessors;
  state->overlap = facts.major >= 9;
  if (const char* rows = KAPPASCOPE_EMULATED("EMULATED_PIECE_ROWS")) {
    state->piece_rows = std::atoll(rows);
  }
  if (const char* piece = KAPPASCOPE_EMULATED("EMULATED_SHORT_PIECE")) {
    state->short_piece = std::atoll(piece);
  }
  std::string description =
      join_words(facts.name, ", compute capability ", facts.major, ".", facts.minor);
  state->layers.resize(architecture.layers.size());
  if (const LayerSpec* layer = architecture.first_moe()) {
    const std::int64_t experts = layer->moe()->router.experts;
    const ProductShape weight{experts, architecture.width, layer->gates(), weights.compute};
    description +=
        "; " + state->products.open(product_way(weight, facts), experts, facts, weights.device);
  }
  weights.state = std::move(state);
  return description;
}

namespace {

std::int64_t attention_rows(const at::Device&, std::int64_t tokens, std::int64_t heads) {
  return many_attention_rows(tokens, heads);
}

void begin_taps(const CallContext& context) {
  for (const LayerPlan& layer : context.plan.layers) {
    require(layer.gate_keep.empty(), ExitCode::unsupported, Remedy::use_cpu, {},
            "gate-keep: it does not act on a GPU");
  }
  context.state->taps.begin();
}

NextTokens read_next_tokens(const at::Tensor& logits, const std::vector<std::int32_t>& target) {
  const std::int64_t rows = logits.size(0);
  const auto whole = logits.options().dtype(at::kInt);
  const at::Tensor targets = at::tensor(target, at::TensorOptions(at::kInt)).to(logits.device());
  const at::Tensor rank = at::empty({rows}, whole), top_id = at::empty({rows, kTopTokens}, whole);
  const at::Tensor nll = at::empty({rows}, logits.options());
  const at::Tensor top_logprob = at::empty({rows, kTopTokens}, logits.options());
  require_launched(
      next_token_cuda(
          {rows, logits.size(1), logits.const_data_ptr<float>(),
           targets.const_data_ptr<std::int32_t>(), nll.mutable_data_ptr<float>(),
           rank.mutable_data_ptr<std::int32_t>(), top_id.mutable_data_ptr<std::int32_t>(),
           top_logprob.mutable_data_ptr<float>()},
          stream_of(logits.device())),
      "next_token");
  NextTokens read(rows);
  const auto fetch = [](const at::Tensor& from, auto& to) {
    using T = typename std::decay_t<decltype(to)>::value_type;
    const at::Tensor host = from.cpu();
    std::copy_n(host.const_data_ptr<T>(), to.size(), to.begin());
  };
  fetch(nll, read.nll);
  fetch(rank, read.rank);
  fetch(top_id, read.top_id);
  fetch(top_logprob, read.top_logprob);
  return read;
}

}  // namespace

void finish_taps(const CallContext& context) {
  context.state->taps.deliver(context);
}

const Backend& native_backend() {
  static const Backend kBackend{delta_rule, moe_layer,   dense_layer,   read_next_tokens,
                                begin_taps, finish_taps, attention_rows};
  return kBackend;
}

}  // namespace kappascope
