#include "core/trace/kept_taps.h"

#include <algorithm>

namespace kappascope {
namespace {

// `values`: nullptr where there are none.
template <typename T>
void append(std::vector<T>& to, const T* values, std::int64_t count) {
  if (values) { to.insert(to.end(), values, values + count); }
}

template <typename T>
const T* values_of(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

// A view of what is only read from.
template <typename T>
T* viewed(const std::vector<T>& values) {
  return const_cast<T*>(values_of(values));
}

}  // namespace

ProbeWants KeptTaps::wants() const noexcept {
  const bool any = !layers_.empty();
  return {.routing = any, .gate_stats = any, .next_token = true, .logits = true};
}

bool KeptTaps::wants_layer(std::int64_t layer) const noexcept {
  return std::binary_search(layers_.begin(), layers_.end(), layer);
}

void KeptTaps::add_routing(const MoeTap& tap, Rows& rows) {
  const RoutingView& routing = tap.routing;
  const std::int64_t tokens = routing.tokens, cells = tokens * routing.slots;
  const std::int64_t scores = tokens * routing.experts;
  rows.tokens += tokens;
  append(rows.logits, routing.logits, scores);
  append<float>(rows.soft_weight, routing.soft_weight, scores);
  append(rows.selection_score, tap.selection_score, scores);
  append<std::int32_t>(rows.expert, routing.cells.expert, cells);
  append<float>(rows.weight, routing.cells.weight, cells);
  append<float>(rows.score, routing.cells.score, cells);
  append<std::uint8_t>(rows.kept, routing.cells.kept, cells);
  const RouterNumbers& numbers = routing.numbers;
  const float* each[] = {numbers.top1_prob, numbers.selected_mass, numbers.margin, numbers.top_gap,
                         numbers.entropy};
  for (std::size_t i = 0; i < rows.numbers.size(); ++i) {
    append(rows.numbers[i], each[i], tokens);
  }
  append(rows.gate_stats, tap.gate_stats, cells);
  append(rows.kappa_stats, tap.kappa_stats, cells);
  append(rows.output_norm, tap.output_norm, cells);
  append(rows.gate_clamped, tap.gate_clamped, cells);
}

void KeptTaps::add_sums(const MoeTap& tap, Rows& rows) {
  const std::int64_t experts = tap.routing.experts;
  const auto add = [&](std::vector<std::int64_t>& to, const std::int64_t* counts,
                       std::int64_t bins) {
    to.resize(std::size_t(experts * bins));
    for (std::int64_t i = 0; i < experts * bins; ++i) { to[i] += counts[i]; }
  };
  add(rows.kappa_hist, tap.kappa_hist, kKappaBins);
  add(rows.gate_pre_hist, tap.gate_pre_hist, kGatePreBins);
  rows.effect.resize(std::size_t(experts));
  for (std::int64_t e = 0; e < experts; ++e) { add_effects(rows.effect[e], tap.effect[e]); }
}

// Keeps what `work` throws: nothing may pass through the engine library.
template <typename Work>
bool KeptTaps::guarded(Work work) noexcept {
  try {
    work();
  } catch (...) { failure_ = failure_in_flight(); }
  return !failure_;
}

bool KeptTaps::moe(const MoeTap& tap) noexcept {
  return guarded([&] {
    Rows& rows = moe_[{tap.pass, tap.layer}];
    rows.experts = tap.routing.experts;
    rows.slots = tap.routing.slots;
    rows.gates = tap.gates;
    add_routing(tap, rows);
    add_sums(tap, rows);
  });
}

bool KeptTaps::dense(const DenseTap& tap) noexcept {
  return guarded([&] {
    Rows& rows = dense_[{tap.pass, tap.layer}];
    rows.tokens += tap.tokens;
    rows.gates = tap.gates;
    append(rows.gate_stats, tap.gate_stats, tap.tokens);
    rows.kappa.assign(tap.kappa, tap.kappa + tap.gates);
  });
}

bool KeptTaps::shared(const SharedTap& tap) noexcept {
  return guarded([&] {
    Rows& rows = shared_[{tap.pass, tap.layer}];
    rows.tokens += tap.tokens;
    rows.gates = tap.gates;
    append(rows.weight, tap.weight, tap.tokens);
    append(rows.output_norm, tap.output_norm, tap.tokens);
    append(rows.gate_stats, tap.gate_stats, tap.tokens);
  });
}

bool KeptTaps::next_token(const NextTokenTap& tap) noexcept {
  return guarded([&] {
    vocab_ = tap.vocab;
    append(nll_, tap.nll, tap.tokens);
    append(rank_, tap.target_rank, tap.tokens);
    append(top_id_, tap.top_id, tap.tokens * kTopTokens);
    append(top_logprob_, tap.top_logprob, tap.tokens * kTopTokens);
    if (!tap.logits) { return; }  // of taps that were kept before
    const float* last = tap.logits + (tap.tokens - 1) * tap.vocab;
    last_logits_.assign(last, last + tap.vocab);
  });
}

void KeptTaps::set_next(float nll, std::int32_t rank) {
  nll_.back() = nll;
  rank_.back() = rank;
}

bool KeptTaps::give_moe(const Place& place, const Rows& rows, Probe& to) {
  MoeTap tap{};
  tap.pass = place.first;
  tap.layer = place.second;
  tap.gates = rows.gates;
  tap.routing = {
      rows.tokens,
      rows.experts,
      rows.slots,
      values_of(rows.logits),
      {nullptr, viewed(rows.expert), viewed(rows.weight), viewed(rows.kept), viewed(rows.score)},
      {viewed(rows.numbers[0]), viewed(rows.numbers[1]), viewed(rows.numbers[2]),
       viewed(rows.numbers[3]), viewed(rows.numbers[4])},
      viewed(rows.soft_weight)};
  tap.gate_stats = values_of(rows.gate_stats);
  tap.kappa_stats = values_of(rows.kappa_stats);
  tap.kappa_hist = values_of(rows.kappa_hist);
  tap.gate_pre_hist = values_of(rows.gate_pre_hist);
  tap.effect = values_of(rows.effect);
  tap.selection_score = values_of(rows.selection_score);
  tap.output_norm = values_of(rows.output_norm);
  tap.gate_clamped = values_of(rows.gate_clamped);
  return to.moe(tap);
}

bool KeptTaps::give_dense(const Place& place, const Rows& rows, Probe& to) {
  return to.dense({place.second, place.first, 0, rows.tokens, rows.gates, values_of(rows.kappa),
                   values_of(rows.gate_stats)});
}

bool KeptTaps::give_shared(const Place& place, const Rows& rows, Probe& to) {
  return to.shared({place.second, place.first, 0, rows.tokens, rows.gates, values_of(rows.weight),
                    values_of(rows.output_norm), values_of(rows.gate_stats)});
}

bool KeptTaps::give(Probe& to) const {
  bool going = true;
  for (const auto& [place, rows] : moe_) { going = going && give_moe(place, rows, to); }
  for (const auto& [place, rows] : dense_) { going = going && give_dense(place, rows, to); }
  for (const auto& [place, rows] : shared_) { going = going && give_shared(place, rows, to); }
  return going && to.next_token({0, std::ssize(nll_), vocab_, nll_.data(), rank_.data(),
                                 top_id_.data(), top_logprob_.data(), nullptr});
}

std::uint64_t kept_bytes(const RunPlan& plan, std::span<const std::int64_t> layers,
                         std::int64_t tokens) {
  constexpr std::uint64_t kFloat = sizeof(float);
  constexpr std::uint64_t kOfToken = 2 * kFloat + kTopTokens * 2 * kFloat;  // what is predicted
  constexpr std::uint64_t kOfCell = 5 * kFloat + 1 + sizeof(GateStats) + sizeof(KappaStatistics);
  constexpr std::uint64_t kOfExpert =
      (kKappaBins + kGatePreBins) * sizeof(std::int64_t) + sizeof(EffectSums);
  std::uint64_t of_token = 0, once = 0;
  for (const std::int64_t layer : layers) {
    const LayerPlan& of = plan.layers[layer];
    of_token += sizeof(GateStats) + 2 * kFloat;  // of a dense layer, or a shared expert
    const MoeSpec* moe = of.spec->moe();
    if (!moe) { continue; }
    // Beside the logits what soft routing weighs by, or experts are chosen by.
    of_token += 2 * kFloat * std::uint64_t(moe->router.experts) + 5 * kFloat;
    of_token += kOfCell * std::uint64_t(of.slots);
    once += kOfExpert * std::uint64_t(moe->router.experts);
  }
  // A vector that grows takes up to twice what is in it.
  const auto count = std::uint64_t(tokens);
  return std::uint64_t(plan.passes) * (2 * count * of_token + once) + 2 * count * kOfToken;
}

}  // namespace kappascope
