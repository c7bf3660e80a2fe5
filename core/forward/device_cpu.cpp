#include "core/forward/device.h"
#include "core/forward/workers.h"
#include "core/threads.h"

namespace kappascope {

at::Device open_device(const LoadOptions& options) {
  const int threads = options.threads > 0 ? options.threads : usable_threads();
  require_threads(threads);  // Torch's pool would end the process
  set_torch_threads(threads);
  return at::kCPU;
}

void require_memory(const Model&, const MemoryPlan&, const at::Device&) {}

std::unique_ptr<LayerLane> layer_lane(const at::Device&) {
  return std::make_unique<LayerLane>();
}

std::int64_t device_number(const at::Device&) {
  return 0;
}

std::unique_ptr<DeviceRanks> join_devices(Ranks&, const at::Device&) {
  fail(ExitCode::internal, {}, "the CPU has nothing to join");
}

std::string prepare_device(const Model&, Weights&) {
  return {};
}

void finish_taps(const CallContext&) {}

namespace {

std::int64_t attention_rows(const at::Device&, std::int64_t, std::int64_t) {
  return 128;
}

NextTokens read_next_tokens(const at::Tensor& logits, const std::vector<std::int32_t>& target) {
  const std::int64_t rows = logits.size(0), vocab = logits.size(1);
  NextTokens read(rows);
  const float* values = logits.const_data_ptr<float>();
  at::parallel_for(0, rows, 4, [&](std::int64_t begin, std::int64_t end) {
    cpu_kernels().next_token({end - begin, vocab, values + begin * vocab, target.data() + begin,
                              read.nll.data() + begin, read.rank.data() + begin,
                              read.top_id.data() + begin * kTopTokens,
                              read.top_logprob.data() + begin * kTopTokens});
  });
  return read;
}

}  // namespace

const Backend& native_backend() {
  static const Backend kBackend{delta_rule_cpu, moe_layer,   dense_layer,   read_next_tokens,
                                finish_taps,    finish_taps, attention_rows};
  return kBackend;
}

}  // namespace kappascope
