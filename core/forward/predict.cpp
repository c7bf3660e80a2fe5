#include "core/forward/predict.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "core/engine/memory_plan.h"
#include "core/forward/backend.h"
#include "core/forward/layer_source.h"
#include "core/forward/operations.h"

namespace kappascope {
namespace {

// cap · tanh(x / cap), which keeps one tensor for its derivative, 1 − tanh².
class SoftCap final : public torch::autograd::Function<SoftCap> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            double cap) {
    const at::Tensor tanh = (x / cap).tanh_();
    context->save_for_backward({tanh});
    return tanh * cap;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    return {at::tanh_backward(gradients[0], context->get_saved_variables()[0]), {}};
  }
};

at::Tensor capped(at::Tensor logits, const OutputSpec& spec) {
  if (logits.requires_grad()) {
    if (spec.divisor != 1) { logits = logits / spec.divisor; }
    return spec.cap ? SoftCap::apply(logits, *spec.cap) : logits;
  }
  if (spec.divisor != 1) { logits.div_(spec.divisor); }
  if (spec.cap) { logits.div_(*spec.cap).tanh_().mul_(*spec.cap); }
  return logits;
}

// The token after each of `rows` rows of the call, −1 where its sequence ends.
std::vector<std::int32_t> targets(const ForwardCall& call, std::int64_t first, std::int64_t rows) {
  std::vector<std::int32_t> target(std::size_t(rows), call.next_id);
  for (std::int64_t r = 0; r < rows && first + r + 1 < std::ssize(call.ids); ++r) {
    target[r] = call.ids[first + r + 1];
  }
  for (std::int64_t i = 0; i + 1 < call.sequence_count(); ++i) {
    const std::int64_t last = call.sequence_end(i) - 1;
    if (last >= first && last < first + rows) { target[last - first] = -1; }
  }
  return target;
}

// take(first row in the call, logits [rows,V], what is read off them), a block of the rows of x
// [T,H] from `begin` on at a time.
template <typename Take>
void read_rows(const at::Tensor& x, std::int64_t begin, const Weights& weights,
               const CallContext& context, Take take) {
  const std::int64_t tokens = context.tokens(), vocab = context.model.architecture.vocab;
  const std::int64_t floats = x.is_cpu() ? kLogitFloats : kGpuLogitFloats;
  const std::int64_t block = std::max<std::int64_t>(1, floats / vocab);
  for (std::int64_t first = begin; first < tokens; first += block) {
    context.check();
    const std::int64_t rows = std::min(block, tokens - first);
    const at::Tensor logits =
        output_logits(x.narrow(0, first, rows), weights, context.model.architecture);
    take(first, logits, context.backend.next_tokens(logits, targets(context.call, first, rows)));
  }
}

}  // namespace

at::Tensor output_logits(const at::Tensor& x, const Weights& weights,
                         const Architecture& architecture) {
  const at::Tensor head = weights.layers->head().narrow(0, 0, architecture.vocab);
  const at::Tensor bias = weights.head_bias.defined()
                              ? weights.head_bias.narrow(0, 0, architecture.vocab)
                              : at::Tensor();
  return capped(project(x, head, bias), architecture.output).contiguous();
}

void predict(const at::Tensor& x, const Weights& weights, const CallContext& context) {
  const ForwardCall& call = context.call;
  const std::int64_t begin =
      std::max(call.first_recorded, context.wants.next_token_from - call.text_offset);
  const auto give = [&](std::int64_t first, const at::Tensor& logits, const NextTokens& read) {
    const at::Tensor host = context.wants.logits ? logits.cpu() : at::Tensor();
    const NextTokenTap tap{
        call.text_offset + first, logits.size(0),
        logits.size(1),           read.nll.data(),
        read.rank.data(),         read.top_id.data(),
        read.top_logprob.data(),  host.defined() ? host.const_data_ptr<float>() : nullptr};
    CallContext::require_going(context.probe.next_token(tap));
  };
  read_rows(x, begin, weights, context, give);
}

void look_through_lens(const at::Tensor& x, std::int64_t layer, std::int64_t pass,
                       const Weights& weights, const CallContext& context) {
  if (!context.wants.lens || !context.probe.wants_layer(layer)) { return; }
  const ForwardCall& call = context.call;
  // All rows at once, as after the last layer: a row's sum may depend on how many there are.
  const at::Tensor out = normed(x, context.model.architecture.output.norm, weights.output_norm,
                                weights.output_norm_bias);
  std::vector<std::int32_t> top_id;
  std::vector<float> top_logprob;
  const auto give = [&](std::int64_t first, const at::Tensor& logits, const NextTokens& read) {
    const std::int64_t rows = logits.size(0);
    top_id.clear();
    top_logprob.clear();
    for (std::int64_t r = 0; r < rows; ++r) {
      top_id.push_back(read.top_id[r * kTopTokens]);
      top_logprob.push_back(read.top_logprob[r * kTopTokens]);
    }
    const LensTap tap{
        layer,           pass, call.text_offset + first, rows, top_id.data(), top_logprob.data(),
        read.rank.data()};
    CallContext::require_going(context.probe.lens(tap));
  };
  read_rows(out, call.first_recorded, weights, context, give);
}

}  // namespace kappascope
