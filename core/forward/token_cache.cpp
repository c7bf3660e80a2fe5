#include "core/forward/token_cache.h"

#include <algorithm>
#include <utility>

namespace kappascope {

void KeptKeys::clear() {
  first = count = 0;
  finite = looked_at = true;
}

void KeptKeys::grow(std::int64_t room) {
  const auto grown = [&](const at::Tensor& of) {
    if (!of.defined() || of.size(1) >= room) { return of; }
    at::Tensor larger = at::empty({of.size(0), room, of.size(2)}, of.options());
    larger.narrow(1, 0, count).copy_(of.narrow(1, 0, count));
    return larger;
  };
  at::Tensor larger_keys = grown(keys), larger_values = grown(values);  // both, or neither
  keys = std::move(larger_keys);
  values = std::move(larger_values);
}

KeptKeys::Seen KeptKeys::append(const at::Tensor& k, const at::Tensor& v, std::int64_t window) {
  const std::int64_t tokens = k.size(1), room = keys.size(1);
  const auto put = [&](const at::Tensor& to, const at::Tensor& from, std::int64_t at) {
    if (to.defined()) { to.narrow(1, at, from.size(1)).copy_(from); }
  };
  if (count + tokens <= room) {
    put(keys, k, count);
    put(values, v, count);
    count += tokens;
    return {keys.narrow(1, 0, count), values.defined() ? values.narrow(1, 0, count) : values,
            first};
  }
  // The last `window` move to the front, or what is new fills it alone.
  const std::int64_t old = std::min(count, window), place = end() - old;
  const auto joined = [&](const at::Tensor& kept, const at::Tensor& added) {
    return kept.defined() ? at::cat({kept.narrow(1, count - old, old), added}, 1) : kept;
  };
  const Seen seen{joined(keys, k), joined(values, v), place};
  const std::int64_t stay = std::min(std::min(room, window), old + tokens);
  put(keys, seen.keys.narrow(1, old + tokens - stay, stay), 0);
  if (values.defined()) { put(values, seen.values.narrow(1, old + tokens - stay, stay), 0); }
  first = place + old + tokens - stay;
  count = stay;
  return seen;
}

StackCache::StackCache(const Architecture& architecture, std::int64_t passes, std::int64_t tokens,
                       const at::Device& device)
    : plan_(plan_cache(architecture, passes, tokens)) {
  const auto values = at::TensorOptions(at::kFloat).device(device);
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    for (std::size_t i = 0; i < plan_.layers.size(); ++i) {
      const LayerSpec& spec = architecture.layers[i];
      const std::int64_t room = plan_.layers[i].tokens;
      LayerState& state = states_.emplace_back();
      if (spec.convolution) {
        state.inputs = at::empty({spec.convolution->taps - 1, architecture.width}, values);
      } else if (spec.delta) {
        const DeltaSpec& delta = *spec.delta;
        state.inputs = at::empty({delta.taps - 1, delta.channels()}, values);
        state.delta = at::empty({delta.value_heads, delta.key_width, delta.value_width}, values);
      } else if (const auto& latent = spec.attention.latent) {
        state.kept.keys = at::empty({1, room, latent->rank + latent->turned}, values);
      } else {
        const AttentionSpec& a = spec.attention;
        state.kept.keys = at::empty({a.kv_heads, room, a.head_width}, values);
        state.kept.values = at::empty({a.kv_heads, room, a.value_width()}, values);
      }
    }
  }
}

void StackCache::clear() noexcept {
  tokens_ = 0;
  whole_ = true;
}

void StackCache::grow(const Architecture& architecture, std::int64_t tokens) {
  if (tokens <= plan_.tokens) { return; }
  CachePlan larger = plan_cache(architecture, plan_.passes, tokens);
  for (std::size_t i = 0; i < states_.size(); ++i) {
    states_[i].kept.grow(larger.layers[i % larger.layers.size()].tokens);
  }
  plan_ = std::move(larger);
}

void StackCache::begin_call(const Architecture& architecture, const ForwardCall& call,
                            std::int64_t passes) {
  const std::int64_t added = std::ssize(call.ids);
  require(whole_, ExitCode::internal, {}, "a cache whose last call did not end");
  require(call.sequence_count() == 1 && !call.from.state && !call.keep, ExitCode::internal, {},
          "a call with a cache is of one sequence and of all layers");
  require(passes == plan_.passes && std::ssize(architecture.layers) == std::ssize(plan_.layers),
          ExitCode::internal, {}, "a cache of another run");
  require(tokens_ + added <= plan_.tokens, ExitCode::usage, {}, "the cache has room for ",
          plan_.tokens, " tokens; expected at most that, found ", tokens_ + added);
  require(tokens_ == 0 || positions_go_on(architecture, tokens_, tokens_ + added),
          ExitCode::unsupported, {}, "positions of a text of ", tokens_ + added,
          " tokens are turned otherwise than those of the ", tokens_,
          " kept; expected a call of all of them, with the cache cleared");
  whole_ = false;
  if (tokens_ > 0) { return; }
  for (LayerState& state : states_) {
    state.kept.clear();
    if (state.inputs.defined()) { state.inputs.zero_(); }
    if (state.delta.defined()) { state.delta.zero_(); }
  }
}

void StackCache::end_call(std::int64_t tokens) {
  tokens_ += tokens;
  whole_ = true;
}

}  // namespace kappascope
