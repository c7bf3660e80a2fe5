// The tensors of a model by the part they play in it, whatever their names.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/tensor.h"

namespace kappascope {

// Shapes in symbols of architecture.h; Vp: padded vocabulary, D: head width.
enum class Role : std::uint8_t {
  embedding,               // [Vp,H]
  output_norm,             // [H]
  output_norm_bias,        // [H]
  head,                    // [Vp,H]
  head_bias,               // [Vp]
  resid_lambdas,           // [L] or [passes,L]
  x0_lambdas,              // [L] or [passes,L]
  ut_source_lambdas,       // [passes] or [passes,L]
  soft_budgets,            // [MoE layers] η: softmax(η) shares the total budget of soft routing
  value_embedding,         // [Vp, kv_heads·D]
  value_gate,              // [kv_heads, kValueGateInputs]
  attention_query,         // [heads·D, H]; [heads·2D, H] gated; [heads·D, query_rank] latent
  attention_key,           // [kv_heads·D, H]
  attention_value,         // [kv_heads·D, H]
  attention_output,        // [H, heads·D], D of the values
  attention_norm,          // [H] of what attention reads, or gives
  attention_norm_bias,     // [H]
  query_norm,              // [D] or [heads·D]
  key_norm,                // [D] or [kv_heads·D]
  query_bias,              // [heads·D]
  key_bias,                // [kv_heads·D]
  value_bias,              // [kv_heads·D]
  output_bias,             // [H]
  sinks,                   // [heads]
  latent_query,            // [query_rank, H]
  latent_query_bias,       // [query_rank]
  latent_query_norm,       // [query_rank]
  latent_key,              // [rank + turned, H]
  latent_key_bias,         // [rank + turned]
  latent_key_norm,         // [rank]
  latent_heads,            // [heads·(D − turned + value_width), rank]
  convolution_in,          // [3H, H]
  convolution_in_bias,     // [3H]
  convolution_taps,        // [H, 1, taps]
  convolution_bias,        // [H]
  convolution_out,         // [H, H]
  convolution_out_bias,    // [H]
  delta_in,                // [channels, H], by key head [channels + values, H]
  delta_gate,              // [values, H] of z
  delta_rates,             // [2·value_heads, H] of β and a, by key head
  delta_beta,              // [value_heads, H]
  delta_decay,             // [value_heads, H] of a
  delta_taps,              // [channels, 1, taps]
  delta_decay_log,         // [value_heads] A
  delta_decay_bias,        // [value_heads] b
  delta_norm,              // [value_width]
  delta_out,               // [H, values]
  feed_forward_norm,       // [H] of what the feed forward part reads, or gives
  feed_forward_norm_bias,  // [H]
  dense_gate,              // [I,H]
  dense_up,                // [I,H]
  dense_down,              // [H,I]
  dense_gate_bias,         // [I]
  dense_up_bias,           // [I]
  dense_down_bias,         // [H]
  router,                  // [E,H]
  router_bias,             // [E] part of the logit
  selection_bias,          // [E] or [1,E]
  expert_gate,             // [E,H,I]
  expert_up,               // [E,H,I]
  expert_down,             // [E,I,H]
  expert_gate_bias,        // [E,I]
  expert_up_bias,          // [E,I]
  expert_down_bias,        // [E,H]
  shared_weight,           // [1,H]
  shared_gate,             // [Is,H]
  shared_up,               // [Is,H]
  shared_down,             // [H,Is]
  shared_gate_bias,        // [Is]
  shared_up_bias,          // [Is]
  shared_down_bias,        // [H]
  kappa_bias,              // b: of the granularity, a slot axis first where there are slots
  kappa_scale,             // α, likewise
  kappa_bias_expert,       // [E]   ⎫ b as the product of two, + a third: the older form
  kappa_bias_gate,         // [I]   ⎬
  kappa_bias_residual,     // [E,I] ⎭
  kappa_router,            // [sides·E,H]
  kappa_router_bias,       // [sides·E]
};
inline constexpr std::size_t kRoles = std::size_t(Role::kappa_router_bias) + 1;

// Which part of an axis of a tensor is a weight's: some files keep gate and up in one tensor.
enum class AxisPart : std::uint8_t { whole, first_half, second_half, even, odd };
// How 8 or 4 bits a number are scaled.
enum class ValueScaling : std::uint8_t {
  none,
  mxfp4,  // [..,n/32,16] bytes of two numbers, low half first; scales [..,n/32], 2^(byte − 127)
  blocks  // float8 [rows,columns]; one scale each 128 × 128
};

// How a tensor holds the values that its role asks for.
struct TensorLayout {
  bool transposed = false;  // the last two axes change places
  AxisPart part = AxisPart::whole;
  bool of_rows = false;  // the part is of the rows of the role's shape, else of its columns
  ValueScaling scaling = ValueScaling::none;

  bool operator==(const TensorLayout&) const = default;
  bool plain() const { return *this == TensorLayout{}; }  // as the role says
};

// One weight and where it is.
struct Stored {
  Role role = Role::embedding;
  std::int64_t layer = -1;             // −1: of the whole model
  std::string name;                    // as the family spells it
  std::vector<std::int64_t> shape;     // of the role: as found, else as expected
  const TensorInfo* tensor = nullptr;  // nullptr: absent, and the model does without
  TensorLayout layout = {};
  // Where every expert has a tensor of its own, [E]; `tensor` is then the first. Else empty.
  std::vector<const TensorInfo*> experts = {};
  std::vector<const TensorInfo*> scales = {};  // as `experts`, or the one of `tensor`

  // Whether its bytes are the values of its shape, row by row.
  bool as_it_is() const { return layout.plain() && experts.empty(); }
  // Whether every tensor of its values is bfloat16.
  bool is_bfloat16() const;
  std::int64_t elements() const;                   // of its shape
  std::vector<const TensorInfo*> tensors() const;  // every tensor it is in, scales too
};

// Matrix `index` of a weight as float32, in the shape of its role: [rows, columns], the last two
// axes of Stored::shape (of a vector: 1 × its length); `index` counts the axis before. `to` has
// room for it. Safe from several threads.
void read_matrix(const TensorFile& file, const Stored& weight, std::int64_t index, float* to);

// Every weight of a model, each found in constant time.
class WeightTable {
 public:
  // A tensor that several layers share is added once and then shared with each of them.
  void add(Stored stored);
  void share(Role role, std::int64_t layer, std::int64_t of_layer = -1);
  // The whole model's `role` is that of `of`, as where head and embedding are one.
  void tie(Role role, Role of);

  const std::vector<Stored>& all() const { return all_; }  // in running order
  // nullptr: no such weight in this model.
  const Stored* find(Role role, std::int64_t layer = -1) const;
  // Its tensor; nullptr where the weight is absent.
  const TensorInfo* tensor(Role role, std::int64_t layer = -1) const;
  // A tensor that every model of this architecture has; missing: our mistake.
  const TensorInfo& required(Role role, std::int64_t layer = -1) const;

 private:
  std::int32_t& place(Role role, std::int64_t layer);

  std::vector<Stored> all_;
  std::vector<std::array<std::int32_t, kRoles>> places_;  // [layer + 1], into all_; −1: none
};

}  // namespace kappascope
