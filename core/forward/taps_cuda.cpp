#include "core/forward/taps_cuda.h"

#include "core/forward/device_cuda.h"

namespace kappascope {
namespace {

constexpr std::int64_t kAlignment = 256;  // bytes; what any kernel or copy asks for

// Points the tap at the numbers of the recorded tokens.
void point_at(MoeTap& tap, const at::Tensor& block, const MoeLayout& layout, std::int64_t first) {
  tap.routing = layout.routing(block).from(first);
  if (layout.told_cells == 0) { return; }
  tap.gate_stats = part<GateStats>(block, layout.stats);
  tap.kappa_hist = part<std::int64_t>(block, layout.kappa_hist);
  tap.gate_pre_hist = part<std::int64_t>(block, layout.gate_pre_hist);
  tap.effect = part<EffectSums>(block, layout.effect);
  tap.output_norm = part<float>(block, layout.output_norm) + first * layout.slots;
  if (layout.told_kappa) { tap.kappa_stats = part<KappaStatistics>(block, layout.kappa_stats); }
}

const float* data_or_null(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

const float* rows_from(const at::Tensor& host, std::int64_t first) {
  return host.defined() ? host.const_data_ptr<float>() + first * host.size(1) : nullptr;
}

}  // namespace

MoeLayout::MoeLayout(std::int64_t tokens_, std::int64_t experts_, std::int64_t slots_,
                     std::int64_t told_cells_, bool told_kappa_)
    : tokens(tokens_),
      experts(experts_),
      slots(slots_),
      told_cells(told_cells_),
      told_kappa(told_kappa_) {
  const std::int64_t cells = tokens * slots, bins = told_cells > 0 ? experts : 0;
  bytes = 0;
  const auto take = [this](std::int64_t& offset, std::int64_t size) {
    offset = bytes;
    bytes += (size + kAlignment - 1) / kAlignment * kAlignment;
  };
  take(logits, tokens * experts * 4);
  take(index, cells * 4);
  take(weight, cells * 4);
  take(kept, cells);
  take(input, cells * 4);
  for (std::int64_t* offset : {&top1, &mass, &margin, &gap, &entropy}) {
    take(*offset, tokens * 4);
  }
  take(stats, told_cells * std::int64_t(sizeof(GateStats)));
  take(kappa_stats, told_kappa ? told_cells * std::int64_t(sizeof(KappaStatistics)) : 0);
  take(output_norm, told_cells > 0 ? cells * 4 : 0);
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
  return view;
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

void TapQueue::send(const at::Tensor& block, const MoeLayout& layout, const CallContext& context) {
  PendingTap& pending = places_[next_];
  if (!pending.block.defined() || pending.block.numel() != block.numel()) {
    pending.block = pinned(block.numel(), block.device());
  }
  context.state->copies.start(block, pending.block, pending.copied);
  const std::int64_t first = context.call.first_recorded;
  MoeTap& tap = pending.tap;
  tap.first_token = context.first_token();
  point_at(tap, pending.block, layout, first);
  tap.kappa = data_or_null(pending.gates.kappa);
  tap.gate_pre = data_or_null(pending.gates.gate_pre);
  tap.gate_act = data_or_null(pending.gates.gate_act);
  tap.router_input = rows_from(pending.router_input, first);
  tap.output = rows_from(pending.output, first);
  pending.waiting = true;
  next_ = 1 - next_;
  tell(places_[next_], context);
}

void TapQueue::deliver(const CallContext& context) {
  tell(places_[next_], context);  // the older one
  tell(places_[1 - next_], context);
}

void TapQueue::tell(PendingTap& pending, const CallContext& context) {
  if (!pending.waiting) { return; }
  require_launched(cuda_wait(pending.copied), "recording");
  pending.waiting = false;
  CallContext::require_going(context.probe.moe(pending.tap));
}

}  // namespace kappascope
