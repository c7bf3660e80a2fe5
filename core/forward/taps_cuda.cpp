#include "core/forward/taps_cuda.h"

#include "core/forward/device_cuda.h"

namespace kappascope {
namespace {

constexpr std::int64_t kAlignment = 256;  // bytes; what any kernel or copy asks for

// Points the tap at the numbers of the recorded tokens.
void point_at(MoeTap& tap, const at::Tensor& block, const MoeLayout& layout, std::int64_t first) {
  tap.routing = layout.routing(block).from(first);
  if (layout.recorded_cells == 0) { return; }
  tap.gate_stats = part<GateStats>(block, layout.stats);
  tap.kappa_hist = part<std::int64_t>(block, layout.kappa_hist);
  tap.gate_pre_hist = part<std::int64_t>(block, layout.gate_pre_hist);
  tap.effect = part<EffectSums>(block, layout.effect);
  tap.output_norm = part<float>(block, layout.output_norm) + first * layout.slots;
  if (layout.further.kappa) { tap.kappa_stats = part<KappaStatistics>(block, layout.kappa_stats); }
  if (layout.further.clamped) { tap.gate_clamped = part<float>(block, layout.clamped); }
}

void point_at(SharedTap& tap, const at::Tensor& block, const MoeLayout& layout,
              std::int64_t first) {
  tap.gate_stats = part<GateStats>(block, layout.shared_stats);
  tap.output_norm = part<float>(block, layout.shared_norm) + first;
  tap.weight = part<float>(block, layout.shared_weight) + first;
}

const float* data_or_null(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

// By what experts were chosen, once the logits are on the host.
void add_selection_scores(PendingTap& pending) {
  pending.selection_score = selection_scores(pending.tap.routing, pending.selection);
  pending.tap.selection_score = data_or_null(pending.selection_score);
}

const float* rows_from(const at::Tensor& host, std::int64_t first) {
  return host.defined() ? host.const_data_ptr<float>() + first * host.size(1) : nullptr;
}

}  // namespace

MoeLayout::MoeLayout(std::int64_t tokens_, std::int64_t experts_, std::int64_t slots_,
                     std::int64_t recorded_cells_, Further further_)
    : tokens(tokens_),
      experts(experts_),
      slots(slots_),
      recorded_cells(recorded_cells_),
      further(recorded_cells_ > 0 ? further_ : Further{}) {
  const std::int64_t cells = tokens * slots, bins = recorded_cells > 0 ? experts : 0;
  bytes = 0;
  const auto take = [this](std::int64_t& offset, std::int64_t size) {
    offset = bytes;
    bytes += (size + kAlignment - 1) / kAlignment * kAlignment;
  };
  further.soft = further_.soft;
  take(logits, tokens * experts * 4);
  take(soft_weight, further.soft ? tokens * experts * 4 : 0);
  take(index, cells * 4);
  take(weight, cells * 4);
  take(kept, cells);
  take(input, cells * 4);
  for (std::int64_t* offset : {&top1, &mass, &margin, &gap, &entropy}) {
    take(*offset, tokens * 4);
  }
  take(stats, recorded_cells * std::int64_t(sizeof(GateStats)));
  take(kappa_stats, further.kappa ? recorded_cells * std::int64_t(sizeof(KappaStatistics)) : 0);
  take(clamped, further.clamped ? recorded_cells * 4 : 0);
  take(output_norm, recorded_cells > 0 ? cells * 4 : 0);
  const std::int64_t shared = further.shared ? 1 : 0;
  take(shared_stats, shared * recorded_cells / slots * std::int64_t(sizeof(GateStats)));
  take(shared_norm, shared * tokens * 4);
  take(shared_weight, shared * tokens * 4);
  take(kappa_hist, bins * kKappaBins * 8);
  take(gate_pre_hist, bins * kGatePreBins * 8);
  take(effect, bins * std::int64_t(sizeof(EffectSums)));
}

RoutingView MoeLayout::routing(const at::Tensor& block) const {
  RoutingView view;
  view.tokens = tokens;
  view.experts = experts;
  view.slots = slots;
  view.logits = part<float>(block, logits);
  view.cells = {nullptr, part<std::int32_t>(block, index), part<float>(block, weight),
                part<std::uint8_t>(block, kept), part<float>(block, input)};
  view.numbers = {part<float>(block, top1), part<float>(block, mass), part<float>(block, margin),
                  part<float>(block, gap), part<float>(block, entropy)};
  if (further.soft) { view.soft_weight = part<float>(block, soft_weight); }
  return view;
}

void MoeLayout::clear(const at::Tensor& block) const {
  if (recorded_cells == 0) { return; }
  block.narrow(0, stats, kappa_hist - stats).fill_(0xff);
  block.narrow(0, kappa_hist, bytes - kappa_hist).zero_();
}

void MoeLayout::record(const at::Tensor& block, GroupedSwigluArgs& args) const {
  args.stats = part<GateStats>(block, stats);
  if (further.kappa) { args.kappa_stats = part<KappaStatistics>(block, kappa_stats); }
  if (further.clamped) { args.clamped = part<float>(block, clamped); }
  args.kappa_hist = part<std::int64_t>(block, kappa_hist);
  args.gate_pre_hist = part<std::int64_t>(block, gate_pre_hist);
}

SharedRecord MoeLayout::shared_record(const at::Tensor& block) const {
  if (!further.shared) { return {}; }
  return {part<GateStats>(block, shared_stats), part<float>(block, shared_norm),
          part<float>(block, shared_weight)};
}

TapQueue::~TapQueue() {
  for (PendingTap& place : places_) {
    if (place.copied) { cuda_destroy(place.copied); }
  }
}

void TapQueue::begin() {
  for (PendingTap& place : places_) { place.waiting = false; }
}

PendingTap& TapQueue::next() {
  return places_[next_];
}

PendingTap& TapQueue::start(const at::Tensor& block, const CallContext& context) {
  PendingTap& pending = places_[next_];
  if (!pending.block.defined() || pending.block.numel() < block.numel()) {
    pending.block = pinned(block.numel(), block.device());
  }
  context.state->copies.start(block, pending.block.narrow(0, 0, block.numel()), pending.copied);
  return pending;
}

void TapQueue::started(PendingTap& pending, const CallContext& context) {
  pending.waiting = true;
  next_ = 1 - next_;
  hand_over(places_[next_], context);
}

void TapQueue::send(const at::Tensor& stats, DenseTap tap, std::vector<float> kappa,
                    const CallContext& context) {
  PendingTap& pending = start(stats, context);
  pending.kappa = std::move(kappa);
  tap.kappa = pending.kappa.data();
  tap.gate_stats = part<GateStats>(pending.block, 0);
  pending.dense = tap;
  started(pending, context);
}

void TapQueue::send(const at::Tensor& block, const MoeLayout& layout, const CallContext& context) {
  PendingTap& pending = start(block, context);
  pending.dense.reset();
  const std::int64_t first = context.call.first_recorded;
  MoeTap& tap = pending.tap;
  tap.first_token = context.first_token();
  point_at(tap, pending.block, layout, first);
  tap.kappa = data_or_null(pending.gates.kappa);
  tap.gate_pre = data_or_null(pending.gates.gate_pre);
  tap.gate_act = data_or_null(pending.gates.gate_act);
  tap.router_input = rows_from(pending.router_input, first);
  tap.output = rows_from(pending.output, first);
  if (pending.shared) { point_at(*pending.shared, pending.block, layout, first); }
  started(pending, context);
}

void TapQueue::deliver(const CallContext& context) {
  hand_over(places_[next_], context);  // the older one
  hand_over(places_[1 - next_], context);
}

void TapQueue::hand_over(PendingTap& pending, const CallContext& context) {
  if (!pending.waiting) { return; }
  require_launched(cuda_wait(pending.copied), "recording");
  pending.waiting = false;
  if (pending.dense) { return CallContext::require_going(context.probe.dense(*pending.dense)); }
  if (pending.shared) { CallContext::require_going(context.probe.shared(*pending.shared)); }
  add_selection_scores(pending);
  CallContext::require_going(context.probe.moe(pending.tap));
}

}  // namespace kappascope
