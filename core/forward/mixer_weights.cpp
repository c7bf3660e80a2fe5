#include "core/forward/mixer_weights.h"

namespace kappascope {
namespace {

LatentWeights read_latent(const LayerReader& read, const LatentSpec& spec) {
  LatentWeights latent;
  latent.query = read.matrix(Role::latent_query);
  latent.query_bias = read.float32(Role::latent_query_bias);
  latent.query_norm = norm_weight(read, spec.norm, Role::latent_query_norm);
  latent.key = read.matrix(Role::latent_key);
  latent.key_bias = read.float32(Role::latent_key_bias);
  latent.key_norm = norm_weight(read, spec.norm, Role::latent_key_norm);
  latent.heads = read.matrix(Role::latent_heads);
  return latent;
}

AttentionWeights read_attention(const LayerReader& read, const AttentionSpec& spec) {
  AttentionWeights attention;
  attention.c_q = read.matrix(Role::attention_query);
  attention.c_k = read.matrix(Role::attention_key);
  attention.c_v = read.matrix(Role::attention_value);
  attention.c_proj = read.matrix(Role::attention_output);
  attention.q_norm = norm_weight(read, spec.norm_spec, Role::query_norm);
  attention.k_norm = norm_weight(read, spec.norm_spec, Role::key_norm);
  attention.q_bias = read.float32(Role::query_bias);
  attention.k_bias = read.float32(Role::key_bias);
  attention.v_bias = read.float32(Role::value_bias);
  attention.o_bias = read.float32(Role::output_bias);
  attention.sinks = read.float32(Role::sinks);
  if (spec.latent) { attention.latent = read_latent(read, *spec.latent); }
  if (spec.value_embedding) {
    attention.ve_gate = read.float32(Role::value_gate);
    attention.value_embed = read.table(Role::value_embedding);
  }
  return attention;
}

ConvolutionWeights read_convolution(const LayerReader& read) {
  ConvolutionWeights convolution;
  convolution.in = read.matrix(Role::convolution_in);
  convolution.in_bias = read.float32(Role::convolution_in_bias);
  convolution.taps = read.float32(Role::convolution_taps);
  convolution.bias = read.float32(Role::convolution_bias);
  convolution.out = read.matrix(Role::convolution_out);
  convolution.out_bias = read.float32(Role::convolution_out_bias);
  return convolution;
}

DeltaWeights read_delta(const LayerReader& read, const DeltaSpec& spec) {
  DeltaWeights delta;
  delta.in = read.matrix(Role::delta_in);
  delta.gate = read.matrix(Role::delta_gate);
  delta.rates = read.matrix(Role::delta_rates);
  delta.beta = read.matrix(Role::delta_beta);
  delta.decay = read.matrix(Role::delta_decay);
  delta.taps = read.float32(Role::delta_taps);
  delta.decay_log = read.float32(Role::delta_decay_log);
  delta.decay_bias = read.float32(Role::delta_decay_bias);
  delta.norm = norm_weight(read, spec.norm, Role::delta_norm);
  delta.out = read.matrix(Role::delta_out);
  return delta;
}

}  // namespace

at::Tensor norm_weight(const LayerReader& read, const NormSpec& spec, Role role) {
  const at::Tensor weight = read.float32(role);
  return weight.defined() && spec.plus_one ? weight + 1 : weight;
}

void read_mixer(const LayerReader& read, const LayerSpec& spec, LayerWeights& weights) {
  weights.attention_norm = norm_weight(read, spec.attention_norm, Role::attention_norm);
  weights.attention_norm_bias = read.float32(Role::attention_norm_bias);
  weights.feed_forward_norm = norm_weight(read, spec.feed_forward_norm, Role::feed_forward_norm);
  weights.feed_forward_norm_bias = read.float32(Role::feed_forward_norm_bias);
  if (spec.convolution) {
    weights.convolution = read_convolution(read);
  } else if (spec.delta) {
    weights.delta = read_delta(read, *spec.delta);
  } else {
    weights.attention = read_attention(read, spec.attention);
  }
}

}  // namespace kappascope
