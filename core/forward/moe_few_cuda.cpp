// The MoE layer of a few tokens on a GPU: four launches, and memory that is kept from layer to
// layer, because what the host does for a layer takes as long as reading its experts.
#include <algorithm>
#include <limits>

#include "core/forward/device_cuda.h"
#include "core/forward/operations.h"
#include "kernels/few.h"

namespace kappascope {
namespace {

// Up to so many tokens and rows an expert the time is that of reading the weights.
constexpr std::int64_t kFewTokens = 32;
constexpr std::int64_t kFewRowsAnExpert = 6;

class FewCall {
 public:
  FewCall(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer, std::int64_t pass,
          const CallContext& context);
  // Whether the call is one of few tokens that nothing is recorded of.
  bool fits() const;
  // Gives each array its part of the state's memory, which grows when a call needs more.
  void place_memory();
  at::Tensor run();

 private:
  void route();
  void multiply();
  std::int64_t cells() const { return tokens_ * slots_; }

  const at::Tensor& x_;
  const MoeWeights& weights_;
  const CallContext& context_;
  const std::int64_t layer_, pass_;
  const LayerPlan& plan_;
  const MoeSpec& spec_;
  DeviceState& state_;
  const std::int64_t tokens_, slots_, experts_, width_, gates_;
  const Element element_;
  const CudaStream stream_;
  float* logits_ = nullptr;          // [T,E]
  std::int32_t* arrived_ = nullptr;  // [1]
  Assignments cells_;                // [T,K]
  FewPlaces places_;
  FewSums gate_up_, down_;
};

FewCall::FewCall(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                 std::int64_t pass, const CallContext& context)
    : x_(x),
      weights_(weights),
      context_(context),
      layer_(layer),
      pass_(pass),
      plan_(context.plan.layers[layer]),
      spec_(*plan_.spec->moe()),
      state_(*context.state),
      tokens_(x.size(0)),
      slots_(plan_.slots),
      experts_(spec_.router.experts),
      width_(x.size(1)),
      gates_(weights.gate_proj.size(2)),
      element_(element_of(weights.gate_proj)),
      stream_(stream_of(x.device())),
      gate_up_(few_sums(2, width_, gates_, element_, state_.multiprocessors)),
      down_(few_sums(1, gates_, width_, element_, state_.multiprocessors)) {}

bool FewCall::fits() const {
  if (context_.wants.routing && context_.probe.wants_layer(layer_)) { return false; }
  if (plan_.soft || !plan_.modes.empty() || plan_.gives_experts()) { return false; }
  if (needs_all_scores(router_rule(spec_.router))) { return false; }
  if (!few_rows_an_expert(tokens_, slots_, experts_)) { return false; }
  // Units are counted in int32.
  const auto units_fit = [&](const FewSums& y) {
    return std::int64_t(y.matrices) * y.strips * y.units * most_few_tiles(cells(), experts_) <
           std::numeric_limits<std::int32_t>::max() / 2;
  };
  return units_fit(gate_up_) && units_fit(down_);
}

void FewCall::place_memory() {
  constexpr std::int64_t kAligned = 256;
  std::int64_t bytes = 0;
  char* base = nullptr;
  const auto take = [&](auto*& pointer, std::int64_t count) {
    if (base) {
      pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(base + bytes);
    }
    bytes += (count * std::int64_t(sizeof *pointer) + kAligned - 1) / kAligned * kAligned;
  };
  const std::int64_t tiles = most_few_tiles(cells(), experts_);
  const auto take_all = [&] {
    bytes = 0;
    take(arrived_, 1);  // always the first: it stays 0 between calls
    take(places_.tiles, 1);
    take(places_.tile_expert, tiles);
    take(places_.tile_rows, tiles);
    take(places_.place_cell, tiles * kTileRows);
    take(places_.cell_place, cells());
    take(cells_.expert, cells());
    take(cells_.weight, cells());
    take(cells_.kept, cells());
    take(cells_.score, cells());
    take(logits_, tokens_ * experts_);
    take(gate_up_.data, gate_up_.floats(tiles));
    take(down_.data, down_.floats(tiles));
  };
  take_all();
  if (!state_.few_memory.defined() || state_.few_memory.numel() < bytes) {
    if (!state_.few_memory.defined()) { require_launched(few_product_prepare(), "few_product"); }
    state_.few_memory = at::Tensor();  // the new one may be in its place
    state_.few_memory = at::zeros({bytes}, x_.options().dtype(at::kByte));
  }
  base = static_cast<char*>(state_.few_memory.mutable_data_ptr());
  take_all();
}

void FewCall::route() {
  const LayerNumbers& numbers = state_.numbers_of(layer_, weights_);
  const at::Tensor kappa_scores = kappa_router_scores(x_, weights_);
  FewRouteArgs args;
  args.route = route_rules(plan_, tokens_);
  RouteArgs& rules = args.route;
  rules.routing.tokens = tokens_;
  rules.routing.experts = experts_;
  rules.routing.slots = slots_;
  rules.routing.logits = logits_;
  rules.routing.cells = cells_;
  rules.selection_bias = data_or_null(numbers.expert_bias);
  rules.score_norm = data_or_null(numbers.score_norm);
  rules.given_score = data_or_null(kappa_scores);
  args.width = width_;
  args.x = x_.const_data_ptr<float>();
  args.router = weights_.w_g.const_data_ptr<float>();
  args.router_bias = data_or_null(weights_.router_bias);
  args.logits = logits_;
  args.places = places_;
  args.arrived = arrived_;
  require_launched(few_route_cuda(args, stream_), "routing of few tokens");
}

void FewCall::multiply() {
  FewProductArgs gate_up;
  gate_up.places = places_;
  gate_up.slots = slots_;
  gate_up.in = width_;
  gate_up.out = gates_;
  gate_up.element = element_;
  gate_up.weight[0] = weights_.gate_proj.const_data_ptr();
  gate_up.weight[1] = weights_.c_fc.const_data_ptr();
  gate_up.y = gate_up_;
  gate_up.x = x_.const_data_ptr<float>();
  gate_up.overlap = state_.overlap;
  require_launched(few_product_cuda(gate_up, stream_), "gate and up of few tokens");

  FewProductArgs down;
  down.places = places_;
  down.slots = slots_;
  down.in = gates_;
  down.out = width_;
  down.element = element_;
  down.weight[0] = weights_.c_proj.const_data_ptr();
  down.y = down_;
  down.gate_up = gate_up_;
  down.score = cells_.score;
  if (route_score(spec_.score) == RouteScore::none) {
    down.score = nullptr;
    down.score_constant = 0;
  }
  down.kappa = state_.kappa_of(context_.plan, layer_, pass_);
  down.identity_gate = spec_.gate.activation == Activation::identity;
  down.rules = gate_rules(spec_.gate, weights_);
  down.overlap = state_.overlap;
  require_launched(few_product_cuda(down, stream_), "down of few tokens");
}

at::Tensor FewCall::run() {
  context_.check();
  route();
  multiply();
  at::Tensor output = at::empty({tokens_, width_}, x_.options());
  FewCombineArgs args{tokens_, slots_, width_, places_, down_, cells_.weight};
  args.output = output.mutable_data_ptr<float>();
  args.overlap = state_.overlap;
  if (weights_.down_bias.defined()) {
    args.bias = weights_.down_bias.const_data_ptr<float>();
    args.expert = cells_.expert;
  }
  require_launched(few_combine_cuda(args, stream_), "combine of few tokens");
  if (spec_.shared) { output.add_(shared_output(x_, weights_, context_, {})); }
  return output;
}

}  // namespace

bool few_rows_an_expert(std::int64_t tokens, std::int64_t slots, std::int64_t experts) {
  return tokens <= kFewTokens &&
         tokens * slots <= std::min(kMostFewCells, kFewRowsAnExpert * experts);
}

at::Tensor few_moe_layer(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                         std::int64_t pass, const CallContext& context) {
  FewCall call(x, weights, layer, pass, context);
  if (!call.fits()) { return {}; }
  try {
    call.place_memory();
  } catch (const c10::OutOfMemoryError&) {
    return {};  // the other way needs less, or says what it needs
  }
  return call.run();
}

}  // namespace kappascope
