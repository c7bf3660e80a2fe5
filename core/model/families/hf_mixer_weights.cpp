// The weights of what mixes tokens, attention and what stands in its place, and the norms of a
// layer.
#include "core/model/families/hf_role_table.h"

namespace kappascope::hf {

void RoleTable::fill_mixer(const LayerSpec& spec) {
  const std::int64_t width = architecture_.width;
  const auto norm = [&](Role role, Role bias, const char* name, const NormSpec& of) {
    if (of.weight) { row(role, name, {width}); }
    if (of.centred) { bias_row(bias, name, width); }
  };
  norm(Role::attention_norm, Role::attention_norm_bias, names_.attention_norm, spec.attention_norm);
  if (spec.convolution) {
    fill_convolution(*spec.convolution);
  } else if (spec.delta) {
    fill_delta(*spec.delta);
  } else if (spec.attention.latent) {
    fill_latent(spec.attention, *spec.attention.latent);
  } else {
    fill_attention(spec.attention);
  }
  norm(Role::feed_forward_norm, Role::feed_forward_norm_bias, names_.feed_forward_norm,
       spec.feed_forward_norm);
}

void RoleTable::fill_attention(const AttentionSpec& attention) {
  const std::int64_t width = architecture_.width;
  const std::int64_t outputs = attention.heads * attention.head_width;
  const std::int64_t queries = attention.gated ? 2 * outputs : outputs;
  const std::int64_t keys = attention.kv_heads * attention.head_width;
  row(Role::attention_query, "self_attn.q_proj.weight", {queries, width});
  row(Role::attention_key, "self_attn.k_proj.weight", {keys, width});
  row(Role::attention_value, "self_attn.v_proj.weight", {keys, width});
  row(Role::attention_output, names_.attention_output, {width, outputs});
  if (attention.input_bias) {
    row(Role::query_bias, "self_attn.q_proj.bias", {queries});
    row(Role::key_bias, "self_attn.k_proj.bias", {keys});
    row(Role::value_bias, "self_attn.v_proj.bias", {keys});
  }
  if (attention.output_bias) { bias_row(Role::output_bias, names_.attention_output, width); }
  fill_head_norms(attention);
  if (attention.sinks) { row(Role::sinks, "self_attn.sinks", {attention.heads}); }
}

void RoleTable::fill_head_norms(const AttentionSpec& attention) {
  const std::int64_t width = attention.head_width;
  if (attention.norm == QueryKeyNorm::per_head) {
    row(Role::query_norm, names_.query_norm, {width});
    row(Role::key_norm, names_.key_norm, {width});
  } else if (attention.norm == QueryKeyNorm::whole) {
    row(Role::query_norm, names_.query_norm, {attention.heads * width});
    row(Role::key_norm, names_.key_norm, {attention.kv_heads * width});
  }
}

void RoleTable::fill_latent(const AttentionSpec& attention, const LatentSpec& latent) {
  const std::int64_t width = architecture_.width, heads = attention.heads;
  const std::int64_t queries = heads * attention.head_width, rank = latent.query_rank;
  if (rank == 0) {
    row(Role::attention_query, "self_attn.q_proj.weight", {queries, width});
  } else {
    row(Role::latent_query, "self_attn.q_a_proj.weight", {rank, width});
    if (latent.bias) { row(Role::latent_query_bias, "self_attn.q_a_proj.bias", {rank}); }
    row(Role::latent_query_norm, "self_attn.q_a_layernorm.weight", {rank});
    row(Role::attention_query, "self_attn.q_b_proj.weight", {queries, rank});
  }
  const std::int64_t keys = latent.rank + latent.turned;
  const std::int64_t of_head = attention.head_width - latent.turned + latent.value_width;
  row(Role::latent_key, "self_attn.kv_a_proj_with_mqa.weight", {keys, width});
  if (latent.bias) { row(Role::latent_key_bias, "self_attn.kv_a_proj_with_mqa.bias", {keys}); }
  row(Role::latent_key_norm, "self_attn.kv_a_layernorm.weight", {latent.rank});
  row(Role::latent_heads, "self_attn.kv_b_proj.weight", {heads * of_head, latent.rank});
  row(Role::attention_output, names_.attention_output, {width, heads * latent.value_width});
  if (attention.output_bias) { bias_row(Role::output_bias, names_.attention_output, width); }
}

void RoleTable::fill_convolution(const ConvolutionSpec& convolution) {
  const std::int64_t width = architecture_.width;
  row(Role::convolution_in, "conv.in_proj.weight", {3 * width, width});
  row(Role::convolution_taps, "conv.conv.weight", {width, 1, convolution.taps});
  row(Role::convolution_out, "conv.out_proj.weight", {width, width});
  if (!convolution.bias) { return; }
  row(Role::convolution_in_bias, "conv.in_proj.bias", {3 * width});
  row(Role::convolution_bias, "conv.conv.bias", {width});
  row(Role::convolution_out_bias, "conv.out_proj.bias", {width});
}

void RoleTable::fill_delta(const DeltaSpec& delta) {
  const std::int64_t width = architecture_.width, heads = delta.value_heads;
  if (delta.by_key_head) {
    row(Role::delta_in, "linear_attn.in_proj_qkvz.weight",
        {delta.channels() + delta.values(), width});
    row(Role::delta_rates, "linear_attn.in_proj_ba.weight", {2 * heads, width});
  } else {
    row(Role::delta_in, "linear_attn.in_proj_qkv.weight", {delta.channels(), width});
    row(Role::delta_gate, "linear_attn.in_proj_z.weight", {delta.values(), width});
    row(Role::delta_beta, "linear_attn.in_proj_b.weight", {heads, width});
    row(Role::delta_decay, "linear_attn.in_proj_a.weight", {heads, width});
  }
  row(Role::delta_taps, "linear_attn.conv1d.weight", {delta.channels(), 1, delta.taps});
  row(Role::delta_decay_log, "linear_attn.A_log", {heads});
  row(Role::delta_decay_bias, "linear_attn.dt_bias", {heads});
  row(Role::delta_norm, "linear_attn.norm.weight", {delta.value_width});
  row(Role::delta_out, "linear_attn.out_proj.weight", {width, delta.values()});
}

}  // namespace kappascope::hf
