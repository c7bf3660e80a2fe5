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
  embedding,            // [Vp,H]
  head,                 // [Vp,H]
  resid_lambdas,        // [L] or [passes,L]
  x0_lambdas,           // [L] or [passes,L]
  ut_source_lambdas,    // [passes] or [passes,L]
  value_embedding,      // [Vp, kv_heads·D]
  value_gate,           // [kv_heads, kValueGateInputs]
  attention_query,      // [heads·D, H]
  attention_key,        // [kv_heads·D, H]
  attention_value,      // [kv_heads·D, H]
  attention_output,     // [H, heads·D]
  dense_gate,           // [I,H]
  dense_up,             // [I,H]
  dense_down,           // [H,I]
  router,               // [E,H]
  selection_bias,       // [E]
  expert_gate,          // [E,H,I]
  expert_up,            // [E,H,I]
  expert_down,          // [E,I,H]
  kappa_bias,           // b: of the granularity, a slot axis first where there are slots
  kappa_scale,          // α, likewise
  kappa_bias_expert,    // [E]   ⎫ b as the product of two, + a third: the older form
  kappa_bias_gate,      // [I]   ⎬
  kappa_bias_residual,  // [E,I] ⎭
  kappa_router,         // [sides·E,H]
  kappa_router_bias,    // [sides·E]
};
inline constexpr std::size_t kRoles = std::size_t(Role::kappa_router_bias) + 1;

// One weight and where it is.
struct Stored {
  Role role = Role::embedding;
  std::int64_t layer = -1;             // −1: of the whole model
  std::string name;                    // as the family spells it
  std::vector<std::int64_t> shape;     // as found, else as expected
  const TensorInfo* tensor = nullptr;  // nullptr: absent, and the model does without
};

// Every weight of a model, each found in constant time.
class WeightTable {
 public:
  // A tensor that several layers share is added once and then shared with each of them.
  void add(Stored stored);
  void share(Role role, std::int64_t layer, std::int64_t of_layer = -1);

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
