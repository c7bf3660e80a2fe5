#include "core/forward/token_mixers.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/forward/operations.h"

namespace kappascope {
namespace {

// y_t = Σ_k taps[c,0,k]·x_{t − K + 1 + k}, in each channel and sequence; x [T,C] → [T,C].
at::Tensor causal_convolution(const at::Tensor& x, const at::Tensor& taps, const ForwardCall& call,
                              LayerState* kept) {
  const auto count = taps.size(2);
  std::vector<at::Tensor> parts;
  for (std::int64_t i = 0; i < call.sequence_count(); ++i) {
    const std::int64_t begin = call.sequence_begin(i), length = call.sequence_end(i) - begin;
    const at::Tensor before = kept ? kept->inputs : at::zeros({count - 1, x.size(1)}, x.options());
    const at::Tensor all = at::cat({before, x.narrow(0, begin, length)});
    if (kept) { kept->inputs.copy_(all.narrow(0, length, count - 1)); }
    at::Tensor sum = all.narrow(0, 0, length) * taps.select(2, 0).squeeze(1);
    for (std::int64_t k = 1; k < count; ++k) {
      sum = sum + all.narrow(0, k, length) * taps.select(2, k).squeeze(1);
    }
    parts.push_back(sum);
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

// What a delta layer projects x to.
struct DeltaInputs {
  at::Tensor qkv;          // [T,channels]
  at::Tensor gate;         // [T,value_heads,value_width] z
  at::Tensor beta, decay;  // [T,value_heads] before σ, a
};

DeltaInputs delta_inputs(const at::Tensor& x, const DeltaWeights& weights, const DeltaSpec& spec) {
  const auto tokens = x.size(0), served = spec.value_heads / spec.key_heads;
  const auto key = spec.key_width, value = served * spec.value_width;
  if (!spec.by_key_head) {
    return {project(x, weights.in),
            project(x, weights.gate).view({tokens, spec.value_heads, spec.value_width}),
            project(x, weights.beta), project(x, weights.decay)};
  }
  const at::Tensor all = project(x, weights.in).view({tokens, spec.key_heads, -1});
  const at::Tensor rates = project(x, weights.rates).view({tokens, spec.key_heads, 2 * served});
  const auto flat = [&](const at::Tensor& of, std::int64_t first, std::int64_t count) {
    return of.narrow(2, first, count).reshape({tokens, -1});
  };
  return {at::cat({flat(all, 0, key), flat(all, key, key), flat(all, 2 * key, value)}, 1),
          flat(all, 2 * key + value, value).view({tokens, spec.value_heads, spec.value_width}),
          flat(rates, 0, served), flat(rates, served, served)};
}

// x / √(Σ x² + 1e-6) of each head, [T,heads,width], for as many heads as they serve.
at::Tensor unit_heads(const at::Tensor& x, std::int64_t served) {
  const at::Tensor unit = x * (x.square().sum(-1, true) + 1e-6).rsqrt();
  return unit.repeat_interleave(served, 1);
}

}  // namespace

at::Tensor short_convolution(const at::Tensor& x, const ConvolutionWeights& weights,
                             const ForwardCall& call, LayerState* kept) {
  const at::Tensor all = project(x, weights.in, weights.in_bias);
  const auto width = x.size(1);
  const at::Tensor gated = all.narrow(1, 0, width) * all.narrow(1, 2 * width, width);
  at::Tensor mixed = causal_convolution(gated, weights.taps, call, kept);
  if (weights.bias.defined()) { mixed = mixed + weights.bias; }
  return project(all.narrow(1, width, width) * mixed, weights.out, weights.out_bias);
}

at::Tensor delta_rule(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                      const at::Tensor& decay, const at::Tensor& beta, at::Tensor& state) {
  std::vector<at::Tensor> outputs;  // [heads,1,value_width]
  for (std::int64_t t = 0; t < k.size(1); ++t) {
    const at::Tensor key = k.narrow(1, t, 1), value = v.narrow(1, t, 1);
    state = state * decay.narrow(1, t, 1).unsqueeze(2);
    const at::Tensor change = (value - at::bmm(key, state)) * beta.narrow(1, t, 1).unsqueeze(2);
    state = state + at::bmm(key.transpose(1, 2), change);
    outputs.push_back(at::bmm(q.narrow(1, t, 1), state));
  }
  return at::cat(outputs, 1);
}

namespace {

// One token of one head: q, k [keys], v and what comes out [values]; `change` [values] is room.
struct DeltaStep {
  const float *q, *k, *v;
  float decay, beta;
  std::int64_t keys, values;

  void run(float* state, float* change, float* out) const {
    std::fill_n(change, values, 0.0f);
    for (std::int64_t i = 0; i < keys; ++i, state += values) {
      for (std::int64_t j = 0; j < values; ++j) {
        state[j] *= decay;
        change[j] += k[i] * state[j];
      }
    }
    state -= keys * values;
    for (std::int64_t j = 0; j < values; ++j) { change[j] = (v[j] - change[j]) * beta; }
    for (std::int64_t i = 0; i < keys; ++i, state += values) {
      for (std::int64_t j = 0; j < values; ++j) {
        state[j] += k[i] * change[j];
        out[j] += q[i] * state[j];
      }
    }
  }
};

}  // namespace

at::Tensor delta_rule_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const at::Tensor& decay, const at::Tensor& beta, at::Tensor& state) {
  const std::int64_t tokens = k.size(1), keys = k.size(2), values = v.size(2);
  at::Tensor output = at::zeros_like(v);
  float* const to = output.mutable_data_ptr<float>();
  float* const states = state.mutable_data_ptr<float>();
  at::parallel_for(0, k.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> change(std::size_t(values), 0.0f);
    for (std::int64_t row = begin * tokens; row < end * tokens; ++row) {
      const DeltaStep step{q.const_data_ptr<float>() + row * keys,
                           k.const_data_ptr<float>() + row * keys,
                           v.const_data_ptr<float>() + row * values,
                           decay.const_data_ptr<float>()[row],
                           beta.const_data_ptr<float>()[row],
                           keys,
                           values};
      step.run(states + row / tokens * keys * values, change.data(), to + row * values);
    }
  });
  return output;
}

at::Tensor delta_net(const at::Tensor& x, const DeltaWeights& weights, const DeltaSpec& spec,
                     const ForwardCall& call, DeltaRule rule, LayerState* kept) {
  const auto tokens = x.size(0), served = spec.value_heads / spec.key_heads;
  const DeltaInputs in = delta_inputs(x, weights, spec);
  const at::Tensor qkv = at::silu(causal_convolution(in.qkv, weights.taps, call, kept));
  const auto heads_of = [&](std::int64_t first, std::int64_t heads, std::int64_t width) {
    return qkv.narrow(1, first, heads * width).reshape({tokens, heads, width});
  };
  const at::Tensor q = unit_heads(heads_of(0, spec.key_heads, spec.key_width), served) /
                       std::sqrt(double(spec.key_width));
  const at::Tensor k = unit_heads(heads_of(spec.keys(), spec.key_heads, spec.key_width), served);
  const at::Tensor v = heads_of(2 * spec.keys(), spec.value_heads, spec.value_width);
  const at::Tensor rate = at::softplus(in.decay + weights.decay_bias);
  const at::Tensor decay = (-(weights.decay_log.exp() * rate)).exp(), beta = in.beta.sigmoid();
  std::vector<at::Tensor> outputs;  // [tokens of a sequence,value_heads,value_width]
  for (std::int64_t i = 0; i < call.sequence_count(); ++i) {
    const std::int64_t first = call.sequence_begin(i), count = call.sequence_end(i) - first;
    const auto of_sequence = [&](const at::Tensor& all) {
      return all.narrow(0, first, count).transpose(0, 1).contiguous();
    };
    at::Tensor state =
        kept ? kept->delta
             : at::zeros({spec.value_heads, spec.key_width, spec.value_width}, x.options());
    outputs.push_back(rule(of_sequence(q), of_sequence(k), of_sequence(v), of_sequence(decay),
                           of_sequence(beta), state)
                          .transpose(0, 1));
    if (kept) { kept->delta = state; }
  }
  const at::Tensor normal = rms_norm(at::cat(outputs), spec.norm, weights.norm);
  return project((normal * at::silu(in.gate)).reshape({tokens, -1}), weights.out);
}

}  // namespace kappascope
