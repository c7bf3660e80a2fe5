#include "core/forward/transformer.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/forward/attention.h"
#include "core/forward/backend.h"
#include "core/forward/layer_record.h"
#include "core/forward/layer_source.h"
#include "core/forward/learning.h"
#include "core/forward/operations.h"
#include "core/forward/patched_outputs.h"
#include "core/forward/predict.h"
#include "core/forward/token_cache.h"
#include "core/forward/token_mixers.h"

namespace kappascope {
namespace {

void check_ids(const Architecture& architecture, const ForwardCall& call) {
  const auto tokens = std::int64_t(call.ids.size());
  require(tokens > 0, ExitCode::usage, {}, "no token to run");
  for (std::int64_t i = 0; i < call.sequence_count(); ++i) {
    const std::int64_t begin = call.sequence_begin(i), length = call.sequence_end(i) - begin;
    require(length > 0 && (i > 0 || begin == 0), ExitCode::usage, {}, "sequence ", i,
            " of the call is empty, or the first does not begin at 0");
    require(call.past() + length <= architecture.context, ExitCode::unsupported, {},
            "the text has ", call.past() + length,
            " tokens; expected at most sequence_len = ", architecture.context);
  }
  for (std::size_t t = 0; t < call.ids.size(); ++t) {
    require(call.ids[t] >= 0 && call.ids[t] < architecture.vocab, ExitCode::unsupported, {},
            "token ", t, " has id ", call.ids[t], "; expected 0 to ", architecture.vocab - 1);
  }
}

at::Tensor embed(const Weights& weights, const at::Tensor& ids, const EmbeddingSpec& spec) {
  at::Tensor x = weights.wte.rows(ids);
  if (spec.multiplier != 1) { x = x * spec.multiplier; }
  return spec.norm ? rms_norm(x, *spec.norm, {}) : x;
}

void tap_hidden(const at::Tensor& x, std::int64_t layer, std::int64_t pass,
                const CallContext& context) {
  if (context.wants.hidden) { give_rows_to_probe(x, layer, pass, &Probe::hidden, context); }
}

// The stack over the tokens of one call, pass after pass.
class Stack {
 public:
  Stack(const at::Tensor& ids, const Weights& weights, const RotaryTables& rotary,
        CallContext& context)
      : ids_(ids),
        weights_(weights),
        rotary_(rotary),
        context_(context),
        recurrence_(context.model.architecture.recurrence),
        architecture_(context.model.architecture),
        cache_(static_cast<StackCache*>(context.call.cache)),
        masks_(context.learning != nullptr && c10::GradMode::is_enabled()),
        x0_(embed(weights, ids, architecture_.embedding)) {}

  // [T,H], normed.
  at::Tensor run() {
    const auto* before = static_cast<const State*>(context_.call.from.state.get());
    at::Tensor x = before ? before->x : x0_;
    if (before) { source_ = before->source; }
    for (std::int64_t pass = 0; pass < context_.plan.passes; ++pass) {
      // With a source only its output passes on; else the normed stream does.
      x = normed(run_pass(recurrence_.anchored && pass > 0 ? x0_ : x, pass),
                 architecture_.output.norm, weights_.output_norm, weights_.output_norm_bias);
    }
    return x;
  }

 private:
  struct State final : StackState {
    at::Tensor x, source;
    State(at::Tensor x_, at::Tensor source_) : x(std::move(x_)), source(std::move(source_)) {}
  };

  // SPEC §1.4, SPEC-layouts §1.4a.
  at::Tensor run_pass(at::Tensor x, std::int64_t pass) {
    const at::Tensor before = source_;  // of the pass before
    const std::vector<LayerSpec>& layers = context_.model.architecture.layers;
    const StackPlace& from = context_.call.from;
    StackPlace* const keep = context_.call.keep;
    const std::int64_t first = pass == 0 && from.state ? from.layer : 0;
    context_.done += std::uint64_t(first * context_.tokens());
    for (std::int64_t i = first; i < std::ssize(layers); ++i) {
      if (keep && pass == 0 && i == keep->layer) {
        keep->state = std::make_shared<const State>(x, source_);
      }
      const LayerWeights& layer = weights_.layers->layer(i, context_.tokens());
      context_.check();
      const LayerSpec& spec = layers[i];
      if (architecture_.residual.lambdas) { x = with_embedding(x, layer, i, pass); }
      if (recurrence_.anchored && pass > 0 && i == recurrence_.destination) {
        x = x + weights_.source_lambda.of(pass) * before;
      }
      x = added(x, mixed(x, spec, layer, cache_ ? &cache_->of(i, pass) : nullptr));
      x = added(x, fed_forward(x, spec, layer, i, pass));
      if (i == recurrence_.source) { source_ = x; }
      tap_hidden(x, i, pass, context_);
      look_through_lens(x, i, pass, weights_, context_);
      context_.done += std::uint64_t(context_.tokens());
    }
    return x;
  }

  // What attention adds to the stream, or what stands in its place; x [T,H].
  at::Tensor mixed(const at::Tensor& x, const LayerSpec& spec, const LayerWeights& layer,
                   LayerState* kept) {
    const auto norm = [&](const at::Tensor& of) {
      return normed(of, spec.attention_norm, layer.attention_norm, layer.attention_norm_bias);
    };
    const at::Tensor in = spec.norms_after ? x : norm(x);
    const at::Tensor out = mix(in, spec, layer, kept);
    return spec.norms_after ? norm(out) : out;
  }

  at::Tensor mix(const at::Tensor& in, const LayerSpec& spec, const LayerWeights& layer,
                 LayerState* kept) {
    if (spec.convolution) { return short_convolution(in, layer.convolution, context_.call, kept); }
    if (spec.delta) {
      return delta_net(in, layer.delta, *spec.delta, context_.call, context_.backend.delta_rule,
                       kept);
    }
    const AttentionSpec& attends = spec.attention;
    return attention(in, ids_, layer.attention, rotary_.of(attends.rotary), attends, context_.call,
                     context_.backend.attention_rows(in.device(), context_.call.past() + in.size(0),
                                                     attends.heads),
                     masks_, kept);
  }

  at::Tensor fed_forward(const at::Tensor& x, const LayerSpec& spec, const LayerWeights& layer,
                         std::int64_t i, std::int64_t pass) const {
    const auto norm = [&](const at::Tensor& of) {
      return normed(of, spec.feed_forward_norm, layer.feed_forward_norm,
                    layer.feed_forward_norm_bias);
    };
    const at::Tensor in = (spec.norms_after ? x : norm(x)).contiguous();
    const at::Tensor out =
        spec.moe() ? patched_output(context_.backend.moe(in, layer.moe, i, pass, context_), i, pass,
                                    context_)
                   : context_.backend.dense(in, layer.dense, i, pass, context_);
    return spec.norms_after ? norm(out) : out;
  }

  // λ·x + λ0·x0
  at::Tensor with_embedding(const at::Tensor& x, const LayerWeights& weights, std::int64_t layer,
                            std::int64_t pass) const {
    if (context_.learning) { return context_.learning->with_embedding(x, x0_, layer); }
    return weights.resid_lambda.of(pass) * x + weights.x0_lambda.of(pass) * x0_;
  }

  at::Tensor added(const at::Tensor& x, const at::Tensor& branch) const {
    const double multiplier = architecture_.residual.multiplier;
    return multiplier == 1 ? x + branch : x + branch * multiplier;
  }

  const at::Tensor& ids_;
  const Weights& weights_;
  const RotaryTables& rotary_;
  CallContext& context_;
  const RecurrenceSpec& recurrence_;
  const Architecture& architecture_;
  StackCache* const cache_;
  AttentionMasks masks_;
  const at::Tensor x0_;  // [T,H] the normed embedding
  at::Tensor source_;    // [T,H] what layer `source` gave in the latest pass
};

}  // namespace

at::Tensor run_stack(const Weights& weights, CallContext& context) {
  const ForwardCall& call = context.call;
  check_ids(context.model.architecture, call);
  auto* const cache = static_cast<StackCache*>(call.cache);
  if (cache) { cache->begin_call(context.model.architecture, call, context.plan.passes); }
  const at::Tensor ids =
      at::from_blob(const_cast<std::int32_t*>(call.ids.data()), {context.tokens()}, at::kInt)
          .to(at::kLong)
          .to(weights.device);
  const RotaryTables rotary(context.model.architecture, call, weights.device);
  context.backend.begin_taps(context);
  const at::Tensor x = Stack(ids, weights, rotary, context).run();
  if (cache) { cache->end_call(context.tokens()); }
  context.backend.finish_taps(context);
  return x;
}

void run_transformer(const Model& model, const Weights& weights, const ForwardCall& call,
                     const RunPlan& plan, Probe& probe, Progress& progress) {
  require(call.sequence_count() == 1 || std::none_of(plan.layers.begin(), plan.layers.end(),
                                                     [](const LayerPlan& layer) {
                                                       return layer.gives_experts() ||
                                                              !layer.patches.empty();
                                                     }),
          ExitCode::usage, {}, "route, routes and patch are of one text, the call has several");
  const at::InferenceMode no_gradients;
  const auto tokens = std::int64_t(call.ids.size());
  at::Tensor gate_memory;
  CallContext context{model,
                      call,
                      plan,
                      probe,
                      progress,
                      probe.wants(),
                      *weights.backend,
                      0,
                      0,
                      weights.state.get(),
                      &gate_memory};
  context.total = std::uint64_t(tokens * model.architecture.depth() * plan.passes);
  const at::Tensor x = run_stack(weights, context);
  if (context.wants.next_token || context.wants.logits) { predict(x, weights, context); }
  context.check();
}

}  // namespace kappascope
