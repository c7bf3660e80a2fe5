#include "core/forward/transformer.h"

#include <algorithm>
#include <vector>

#include "core/forward/attention.h"
#include "core/forward/device.h"
#include "core/forward/operations.h"

namespace kappascope {
namespace {

constexpr double kLogitCap = 15;                 // logits = 15·tanh(lm_head x / 15)
constexpr std::int64_t kLogitsAtOnce = 8 << 20;  // floats of [rows,V] in memory

void check_ids(const ModelConfig& config, const ForwardCall& call) {
  const auto tokens = std::int64_t(call.ids.size());
  require(tokens > 0, ExitCode::usage, {}, "no token to run");
  require(tokens <= config.sequence_len, ExitCode::unsupported, {}, "the text has ", tokens,
          " tokens; expected at most sequence_len = ", config.sequence_len);
  for (std::size_t t = 0; t < call.ids.size(); ++t) {
    require(call.ids[t] >= 0 && call.ids[t] < config.vocab_size, ExitCode::unsupported, {},
            "token ", t, " has id ", call.ids[t], "; expected 0 to ", config.vocab_size - 1);
  }
}

at::Tensor embed(const Weights& weights, const at::Tensor& ids) {
  return rms_norm(weights.wte.index_select(0, ids).to(at::kFloat));
}

void tap_hidden(const at::Tensor& x, std::int64_t layer, std::int64_t pass,
                const CallContext& context) {
  if (!context.wants.hidden || !context.probe.wants_layer(layer)) { return; }
  const auto width = x.size(1);
  finish_taps(context);
  const at::Tensor host = x.contiguous().cpu();
  const HiddenTap tap{layer,
                      pass,
                      context.first_token(),
                      context.recorded(),
                      width,
                      host.const_data_ptr<float>() + context.call.first_recorded * width};
  CallContext::require_going(context.probe.hidden(tap));
}

// One pass over the stack: x [T,H] → [T,H], normed at its end.
at::Tensor run_stack(at::Tensor x, const at::Tensor& x0, const at::Tensor& ids,
                     const Weights& weights, const Rotary& rotary, std::int64_t pass,
                     CallContext& context) {
  const Model& model = context.model;
  for (std::int64_t i = 0; i < model.config.n_layer; ++i) {
    const LayerWeights& layer = weights.layers[i];
    const LayerPlan& plan = model.layers[i];
    context.check();
    x = layer.resid_lambda * x + layer.x0_lambda * x0;
    x = x + attention(rms_norm(x), ids, layer.attention, rotary, model.config, plan.window);
    const at::Tensor normed = rms_norm(x).contiguous();
    x = x + (plan.moe ? moe_layer(normed, layer.moe, i, pass, context)
                      : dense_layer(normed, layer.dense, i, pass, context));
    tap_hidden(x, i, pass, context);
    context.done += std::uint64_t(context.tokens());
  }
  return rms_norm(x);
}

// The recorded rows' next-token numbers, a block of rows at a time: [T,V] never exists whole.
void predict(const at::Tensor& x, const Weights& weights, const CallContext& context) {
  const ModelConfig& config = context.model.config;
  const ForwardCall& call = context.call;
  const std::int64_t tokens = context.tokens(), vocab = config.vocab_size;
  const std::int64_t block = std::max<std::int64_t>(1, kLogitsAtOnce / vocab);
  const at::Tensor head = weights.lm_head.narrow(0, 0, vocab);
  std::vector<std::int32_t> target;
  for (std::int64_t first = call.first_recorded; first < tokens; first += block) {
    context.check();
    const std::int64_t rows = std::min(block, tokens - first);
    const at::Tensor logits =
        (project(x.narrow(0, first, rows), head).div_(kLogitCap).tanh_().mul_(kLogitCap))
            .contiguous();
    target.assign(std::size_t(rows), call.next_id);
    for (std::int64_t r = 0; r < rows && first + r + 1 < tokens; ++r) {
      target[r] = call.ids[first + r + 1];
    }
    const NextTokens read = read_next_tokens(logits, target);
    const at::Tensor host = context.wants.logits ? logits.cpu() : at::Tensor();
    const NextTokenTap tap{call.text_offset + first,
                           rows,
                           vocab,
                           read.nll.data(),
                           read.rank.data(),
                           read.top_id.data(),
                           read.top_logprob.data(),
                           host.defined() ? host.const_data_ptr<float>() : nullptr};
    CallContext::require_going(context.probe.next_token(tap));
  }
}

}  // namespace

void run_transformer(const Model& model, const Weights& weights, const ForwardCall& call,
                     const ForwardOptions& options, Probe& probe, Progress& progress) {
  check_ids(model.config, call);
  const at::InferenceMode no_gradients;
  const auto tokens = std::int64_t(call.ids.size());
  at::Tensor gate_memory;
  CallContext context{
      model,       call, options, probe, progress, probe.wants(), 0, 0, weights.state.get(),
      &gate_memory};
  context.total = std::uint64_t(tokens * model.config.n_layer * model.config.total_ut_steps);
  const at::Tensor ids =
      at::from_blob(const_cast<std::int32_t*>(call.ids.data()), {tokens}, at::kInt)
          .to(at::kLong)
          .to(weights.device);
  const Rotary rotary = rotary_table(tokens, model.config.head_width(), weights.device);
  begin_taps(context);
  const at::Tensor x0 = embed(weights, ids);
  at::Tensor x = x0;
  for (std::int64_t pass = 0; pass < model.config.total_ut_steps; ++pass) {
    x = run_stack(x, x0, ids, weights, rotary, pass, context);
  }
  finish_taps(context);
  if (context.wants.next_token || context.wants.logits) { predict(x, weights, context); }
  context.check();
}

}  // namespace kappascope
