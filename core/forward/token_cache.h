// What the layers keep of the tokens that were run (core/engine/cache_plan.h), and how a call goes
// on after them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "core/engine/cache_plan.h"
#include "core/engine/engine.h"

namespace kappascope {

// Keys and values of attention, for each head of theirs. Of latents (LatentSpec) one head: its key
// is [latent | shared key], and no values.
struct KeptKeys {
  at::Tensor keys, values;  // [heads,room,width]
  std::int64_t first = 0;   // place in the sequence of row 0
  std::int64_t count = 0;   // rows in use
  bool finite = true;       // none of those that were looked at is NaN or infinite
  bool looked_at = true;    // all of them were

  bool empty() const { return count == 0; }
  std::int64_t end() const { return first + count; }
  void clear();
  void grow(std::int64_t room);  // at least what there is
  // Rows for the next tokens to see: those kept and k, v [heads,T,width] after them, at places
  // [seen_first, …). At least the last `window` of what was kept stays.
  struct Seen {
    at::Tensor keys, values;
    std::int64_t first;
  };
  Seen append(const at::Tensor& k, const at::Tensor& v, std::int64_t window);
};

// One layer in one pass.
struct LayerState {
  KeptKeys kept;
  at::Tensor inputs;  // [taps − 1,channels] the last ones of a convolution
  at::Tensor delta;   // [value_heads,key_width,value_width] state of the delta rule
};

class StackCache final : public TokenCache {
 public:
  StackCache(const Architecture& architecture, std::int64_t passes, std::int64_t tokens,
             const at::Device& device);
  std::int64_t tokens() const noexcept override { return tokens_; }
  void clear() noexcept override;
  // Room for texts of up to `tokens`; what is kept stays.
  void grow(const Architecture& architecture, std::int64_t tokens);

  LayerState& of(std::int64_t layer, std::int64_t pass) {
    return states_[pass * std::ssize(plan_.layers) + layer];
  }
  // Around a call of so many tokens: what did not end leaves a cache that is of no use.
  void begin_call(const Architecture& architecture, const ForwardCall& call, std::int64_t passes);
  void end_call(std::int64_t tokens);

 private:
  CachePlan plan_;
  std::vector<LayerState> states_;  // [passes · L]
  std::int64_t tokens_ = 0;
  bool whole_ = true;
};

}  // namespace kappascope
