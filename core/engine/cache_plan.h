// What the layers of a model keep of tokens that were run, so that a later call goes on after them,
// decided from sizes alone: the engine makes its memory of this.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model/architecture.h"

namespace kappascope {

// Of one layer in one pass; values are float32.
struct LayerCache {
  // Of attention: keys and values of each token, or the latent vector and the shared key they are
  // made of; 0: the layer keeps none.
  std::int64_t token_floats = 0;
  // Tokens there is room for: all, or with a window W twice that, so that the last W move to the
  // front once in W tokens.
  std::int64_t tokens = 0;
  std::int64_t state_floats = 0;  // of convolution and delta rule, however many tokens were run

  std::uint64_t bytes() const { return 4 * std::uint64_t(tokens * token_floats + state_floats); }
};

struct CachePlan {
  std::int64_t tokens = 0;         // of a text that it is for
  std::int64_t passes = 1;         // each keeps its own
  std::vector<LayerCache> layers;  // [L]

  std::uint64_t bytes() const;
};

// `tokens` > 0.
CachePlan plan_cache(const Architecture& architecture, std::int64_t passes, std::int64_t tokens);

// Whether the positions of a text of `before` tokens are turned by the same angles in one of
// `tokens`. If not, what was kept of the first is of no use to the second: dynamic and longrope
// scaling follow the length of a text.
bool positions_go_on(const Architecture& architecture, std::int64_t before, std::int64_t tokens);

}  // namespace kappascope
