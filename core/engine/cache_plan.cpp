#include "core/engine/cache_plan.h"

#include <algorithm>

namespace kappascope {
namespace {

LayerCache layer_cache(const LayerSpec& spec, std::int64_t width, std::int64_t tokens) {
  LayerCache cache;
  if (spec.convolution) {
    cache.state_floats = (spec.convolution->taps - 1) * width;
    return cache;
  }
  if (spec.delta) {
    const DeltaSpec& delta = *spec.delta;
    cache.state_floats = (delta.taps - 1) * delta.channels() +
                         delta.value_heads * delta.key_width * delta.value_width;
    return cache;
  }
  const AttentionSpec& a = spec.attention;
  cache.token_floats =
      a.latent ? a.latent->rank + a.latent->turned : a.kv_heads * (a.head_width + a.value_width());
  cache.tokens = a.window < tokens / 2 ? 2 * a.window + 1 : tokens;
  return cache;
}

}  // namespace

std::uint64_t CachePlan::bytes() const {
  std::uint64_t bytes = 0;
  for (const LayerCache& layer : layers) { bytes += layer.bytes(); }
  return bytes * std::uint64_t(passes);
}

CachePlan plan_cache(const Architecture& architecture, std::int64_t passes, std::int64_t tokens) {
  CachePlan plan{.tokens = tokens, .passes = passes};
  for (const LayerSpec& layer : architecture.layers) {
    plan.layers.push_back(layer_cache(layer, architecture.width, tokens));
  }
  return plan;
}

bool positions_go_on(const Architecture& architecture, std::int64_t before, std::int64_t tokens) {
  const std::vector<LayerSpec>& layers = architecture.layers;
  return std::all_of(layers.begin(), layers.end(), [&](const LayerSpec& layer) {
    const RotarySpec& spec = layer.attention.rotary;
    const bool own =
        spec.scaling == RotaryScaling::dynamic || spec.scaling == RotaryScaling::longrope;
    return !own || !layer.attends() ||
           (rotary_frequencies(spec, before) == rotary_frequencies(spec, tokens) &&
            rotary_amplitude(spec, before) == rotary_amplitude(spec, tokens));
  });
}

}  // namespace kappascope
