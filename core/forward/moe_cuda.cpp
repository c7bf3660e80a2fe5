// The MoE layer on a GPU: the host waits only for row counts, of cuBLAS and of soft routing.
#include <algorithm>
#include <optional>
#include <vector>

#include "core/forward/ablate_cuda.h"
#include "core/forward/device_cuda.h"
#include "core/forward/gates_cuda.h"
#include "core/forward/operations.h"

namespace kappascope {
namespace {

constexpr std::int64_t kLeastPieceRows = 64;  // below it halving saves nothing worth having

class MoeCall {
 public:
  MoeCall(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer, std::int64_t pass,
          const CallContext& context);
  void route();
  void run_experts();
  void add_shared();
  void send_tap();
  at::Tensor output;  // [T,H]

 private:
  // The rows [first, last) of a piece and what is in memory of them.
  struct Piece {
    std::int64_t first, last;
    at::Tensor rows;  // [n,H]
    ProductView gate_pre, up;
    at::Tensor z, up_or_hidden;  // [n,I]
    at::Tensor partials;         // of a few rows: [2,parts,n,I] float32
    RowGroups groups;
  };
  bool has_statistics() const { return layout_.recorded_cells > 0; }
  std::int64_t cells() const { return layout_.tokens * layout_.slots; }
  // Rows of the experts, at most; with soft routing, whose cells are mostly empty, exactly.
  std::int64_t rows() const { return plan_.soft && !few_ ? host_start_.back() : cells(); }
  std::int64_t first_cell() const { return context_.call.first_recorded * layout_.slots; }
  void allocate();
  void run_pieces(std::int64_t piece_rows);
  void run_piece(Piece& piece);
  void multiply(Piece& piece);
  void multiply_few(Piece& piece);
  GroupedSwigluArgs swiglu_args(const Piece& piece, float* gate_values) const;
  void swiglu(Piece& piece, float* gate_values);
  ProductView project_down(Piece& piece);
  FewRowsArgs few_rows(const at::Tensor& x, std::int64_t in, std::int64_t out) const;
  void combine(const ProductView& y);
  [[noreturn]] void fail_for_memory(std::int64_t piece_rows) const;

  const at::Tensor& x_;
  const MoeWeights& weights_;
  const CallContext& context_;
  const std::int64_t layer_, pass_;
  const LayerPlan& plan_;
  const MoeSpec& spec_;
  DeviceState& state_;
  const LayerNumbers& numbers_;
  const bool recorded_;
  const ProbeWants wants_;
  const bool few_;
  const std::int64_t width_, gates_;
  const CudaStream stream_;
  const KappaView kappa_;
  const MoeLayout layout_;
  const at::Tensor block_;                      // bytes, as layout_ says
  const RoutingView routing_;                   // in block_
  at::Tensor row_start_, cell_row_, row_cell_;  // [E+1], [T,K], [T·K] int32
  at::Tensor tiles_;                            // [3,T·K] int32 of a few rows
  at::Tensor row_effect_;                       // [T·K] EffectSums as bytes
  at::Tensor y_;                                // [T·K,H], or [parts,T·K,H] of a few rows
  std::vector<std::int32_t> host_start_;        // [E+1]
  std::optional<GateFetch> gate_fetch_;         // when wanted
};

MoeCall::MoeCall(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                 std::int64_t pass, const CallContext& context)
    : x_(x),
      weights_(weights),
      context_(context),
      layer_(layer),
      pass_(pass),
      plan_(context.plan.layers[layer]),
      spec_(*plan_.spec->moe()),
      state_(*context.state),
      numbers_(context.state->numbers_of(layer, weights)),
      recorded_(context.wants.routing && context.probe.wants_layer(layer)),
      wants_(recorded_ ? context.wants : ProbeWants{}),
      few_(few_rows_an_expert(x.size(0), plan_.slots, spec_.router.experts) &&
           !plan_.has(ExpertMode::mean)),
      width_(x.size(1)),
      gates_(weights.gate_proj.size(2)),
      stream_(stream_of(x.device())),
      kappa_(state_.kappa_of(context.plan, layer, pass)),
      layout_(x.size(0), spec_.router.experts, plan_.slots,
              wants_.gate_stats ? context.recorded() * plan_.slots : 0,
              {kappa_.from_gate, bool(spec_.gate.limit), bool(spec_.shared), bool(plan_.soft)}),
      block_(at::empty({layout_.bytes}, x.options().dtype(at::kByte))),
      routing_(layout_.routing(block_)) {}

void MoeCall::allocate() {
  const auto whole = x_.options().dtype(at::kInt);
  row_start_ = at::empty({layout_.experts + 1}, whole);
  cell_row_ = at::empty({cells()}, whole);
  row_cell_ = at::empty({cells()}, whole);
  if (few_) { tiles_ = at::empty({3, cells()}, whole); }
  if (has_statistics()) {
    row_effect_ = at::empty({cells() * std::int64_t(sizeof(EffectSums))}, block_.options());
  }
  output = at::empty_like(x_);
}

void MoeCall::route() {
  at::Tensor logits = block_.narrow(0, layout_.logits, layout_.tokens * layout_.experts * 4)
                          .view(at::kFloat)
                          .view({layout_.tokens, layout_.experts});
  if (weights_.router_bias.defined()) {
    at::addmm_out(logits, weights_.router_bias, x_, weights_.w_g.t());
  } else {
    at::mm_out(logits, x_, weights_.w_g.t());
  }
  allocate();  // while the GPU multiplies
  const at::Tensor queues = at::empty({cells() + layout_.experts}, row_start_.options());
  RouteArgs args = route_rules(plan_, layout_.tokens);
  args.routing = routing_;
  if (!recorded_) { args.routing.numbers = {}; }
  const at::Tensor bias = state_.selection_bias(layer_, weights_, plan_);
  const at::Tensor given = device_given_experts(layer_, pass_, context_);
  args.selection_bias = data_or_null(bias);
  args.given_expert = given.defined() ? given.const_data_ptr<std::int32_t>() : nullptr;
  const at::Tensor kappa_scores = kappa_router_scores(x_, weights_);
  args.given_score = data_or_null(kappa_scores);
  args.score_norm = data_or_null(numbers_.score_norm);
  args.queue_position = queues.mutable_data_ptr<std::int32_t>();
  args.assigned = args.queue_position + cells();
  const at::Tensor memory = at::empty({route_memory(args)}, row_start_.options());
  auto* scratch = memory.mutable_data_ptr<std::int32_t>();
  require_launched(plan_.soft ? soft_route_cuda({args, plan_.soft_rule()}, scratch, stream_)
                              : route_cuda(args, scratch, stream_),
                   "routing");
  GroupArgs group{layout_.tokens, layout_.slots, layout_.experts, args.capacity};
  group.assigned = args.assigned;
  group.expert_index = routing_.cells.expert;
  group.queue_position = args.queue_position;
  group.expert_kept = routing_.cells.kept;
  group.row_start = row_start_.mutable_data_ptr<std::int32_t>();
  group.cell_row = cell_row_.mutable_data_ptr<std::int32_t>();
  group.row_cell = row_cell_.mutable_data_ptr<std::int32_t>();
  if (few_) {
    group.tile_expert = tiles_.mutable_data_ptr<std::int32_t>();
    group.tile_row = group.tile_expert + cells();
    group.tile_rows = group.tile_row + cells();
  }
  require_launched(group_cuda(group, stream_), "grouping");
}

void MoeCall::run_experts() {
  if (!few_ && (plan_.soft || state_.products.reads_host_counts())) {
    const at::Tensor host = row_start_.cpu();
    const auto* counts = host.const_data_ptr<std::int32_t>();
    host_start_.assign(counts, counts + host.numel());
  }
  GateValues& gates = state_.taps.next().gates;
  gates.clear();
  if (wants_.gates) { gate_fetch_.emplace(cell_row_, first_cell(), gates_, state_.copies, gates); }
  std::int64_t piece = state_.piece_rows > 0 ? std::min(state_.piece_rows, rows()) : rows();
  if (wants_.gates) { piece = std::min(piece, GateFetch::rows_at_once(gates_)); }
  for (;;) {
    try {
      return run_pieces(few_ ? cells() : piece);
    } catch (const c10::OutOfMemoryError&) {
      if (few_ || piece <= kLeastPieceRows) { fail_for_memory(few_ ? cells() : piece); }
      piece = std::max(kLeastPieceRows, piece / 2 / 4 * 4);  // pieces start at whole packs
      state_.piece_rows = piece;
    }
  }
}

void MoeCall::fail_for_memory(std::int64_t piece_rows) const {
  const std::int64_t bytes = element_bytes(element_of(weights_.gate_proj));
  const std::int64_t needed =
      bytes * (piece_rows * (width_ + 3 * gates_) + (rows() + piece_rows) * width_);
  fail_for_device_memory(join_words(piece_rows, " rows of the experts need"), needed);
}

void MoeCall::run_pieces(std::int64_t piece_rows) {
  layout_.clear(block_);
  y_ = at::Tensor();
  ProductView y;
  for (std::int64_t first = 0; first < rows(); first += piece_rows) {
    context_.check();
    Piece piece{first, std::min(rows(), first + piece_rows), {}, {}, {}, {}, {}, {}, {}};
    run_piece(piece);
    y = project_down(piece);
  }
  if (gate_fetch_) { gate_fetch_->finish(); }
  put_means(y_, row_start_, plan_);
  combine(y);
  if (!has_statistics()) { return; }
  require_launched(
      sum_effects_cuda({layout_.experts, row_start_.const_data_ptr<std::int32_t>(),
                        part<EffectSums>(row_effect_, 0), part<EffectSums>(block_, layout_.effect)},
                       stream_),
      "sum_effects");
}

void MoeCall::run_piece(Piece& piece) {
  if (state_.short_piece >= 0 && state_.short_piece-- == 0) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "memory is short, for a test");
  }
  const std::int64_t rows = piece.last - piece.first;
  piece.rows = at::empty({rows, width_}, weights_.gate_proj.options());
  DispatchArgs args{layout_.tokens, layout_.slots, width_};
  args.x = x_.const_data_ptr<float>();
  args.cell_row = cell_row_.const_data_ptr<std::int32_t>();
  args.first_row = piece.first;
  args.last_row = piece.last;
  args.element = element_of(piece.rows);
  args.rows = piece.rows.mutable_data_ptr();
  require_launched(dispatch_cuda(args, stream_), "dispatch");
  if (few_) {
    multiply_few(piece);
  } else {
    multiply(piece);
  }
  at::Tensor values;
  if (wants_.gates) { values = at::empty({3, rows, gates_}, x_.options()); }
  swiglu(piece, wants_.gates ? values.mutable_data_ptr<float>() : nullptr);
  if (wants_.gates) { gate_fetch_->fetch(piece.first, values); }
}

void MoeCall::multiply(Piece& piece) {
  piece.groups = groups_of_piece(row_start_, host_start_, piece.first, piece.last, rows());
  piece.z = state_.products.run(piece.rows, weights_.gate_proj, piece.groups);
  piece.gate_pre = {piece.z.const_data_ptr(), element_of(piece.z), 0, 0};
}

FewRowsArgs MoeCall::few_rows(const at::Tensor& x, std::int64_t in, std::int64_t out) const {
  FewRowsArgs args;
  args.rows = cells();
  args.in = in;
  args.out = out;
  args.element = element_of(x);
  args.x = x.const_data_ptr();
  args.tile_expert = tiles_.const_data_ptr<std::int32_t>();
  args.tile_row = args.tile_expert + cells();
  args.tile_rows = args.tile_row + cells();
  return args;
}

void MoeCall::multiply_few(Piece& piece) {
  FewRowsArgs args = few_rows(piece.rows, width_, gates_);
  args.matrices = 2;
  args.weight[0] = weights_.gate_proj.const_data_ptr();
  args.weight[1] = weights_.c_fc.const_data_ptr();
  args.partials = few_rows_partials(args, state_.multiprocessors);
  piece.partials = at::empty({2, args.partials, cells(), gates_}, x_.options());
  args.y[0] = piece.partials.mutable_data_ptr<float>();
  args.y[1] = args.y[0] + args.partials * cells() * gates_;
  require_launched(few_rows_cuda(args, stream_), "few_rows");
  piece.gate_pre = {args.y[0], Element::float32, args.partials, cells() * gates_};
  piece.up = {args.y[1], Element::float32, args.partials, cells() * gates_};
  piece.up_or_hidden = at::empty({cells(), gates_}, piece.rows.options());
}

// Of a few rows `up` is there, of many it is what is left to multiply.
void MoeCall::swiglu(Piece& piece, float* gate_values) {
  GroupedSwigluArgs args = swiglu_args(piece, gate_values);
  if (!few_) {
    if (state_.fuses_swiglu && state_.products.fuses(args)) {
      piece.up_or_hidden = at::empty_like(piece.z);
      args.hidden = piece.up_or_hidden.mutable_data_ptr();
      return state_.products.run_swiglu(piece.rows, weights_.c_fc, piece.groups, args);
    }
    piece.up_or_hidden = state_.products.run(piece.rows, weights_.c_fc, piece.groups);
    args.up = {piece.up_or_hidden.const_data_ptr(), args.element, 0, 0};
  }
  args.hidden = piece.up_or_hidden.mutable_data_ptr();
  require_launched(grouped_swiglu_cuda(args, stream_), "κ-SwiGLU");
}

// All but hidden, and `up` of many rows.
GroupedSwigluArgs MoeCall::swiglu_args(const Piece& piece, float* gate_values) const {
  const std::int64_t values = (piece.last - piece.first) * gates_;
  GroupedSwigluArgs args;
  args.gates = gates_;
  args.expert_index = routing_.cells.expert;
  args.row_cell = row_cell_.const_data_ptr<std::int32_t>();
  args.first_row = piece.first;
  args.last_row = piece.last;
  args.all_rows = row_start_.const_data_ptr<std::int32_t>() + layout_.experts;
  args.gate_pre = piece.gate_pre;
  args.up = piece.up;
  args.score = routing_.cells.score;
  if (route_score(spec_.score) == RouteScore::none) {
    args.score = nullptr;
    args.score_constant = 0;
  }
  args.kappa = kappa_;
  args.identity_gate = spec_.gate.activation == Activation::identity;
  args.rules = gate_rules(spec_.gate, weights_);
  args.element = element_of(piece.rows);
  args.first_cell = first_cell();
  args.active_threshold = float(context_.model.architecture.gate_threshold);
  args.top_gates = context_.model.architecture.gate_top;
  if (has_statistics()) {
    layout_.record(block_, args);
    args.row_effect = part<EffectSums>(row_effect_, 0);
  }
  if (gate_values) {
    args.kappa_out = gate_values;
    args.gate_pre_out = gate_values + values;
    args.gate_act_out = gate_values + 2 * values;
  }
  return args;
}

// Adds the piece's y to y_ and returns what combine reads once all pieces are there.
ProductView MoeCall::project_down(Piece& piece) {
  if (few_) {
    FewRowsArgs args = few_rows(piece.up_or_hidden, gates_, width_);
    args.weight[0] = weights_.c_proj.const_data_ptr();
    args.partials = few_rows_partials(args, state_.multiprocessors);
    y_ = at::empty({args.partials, cells(), width_}, x_.options());
    args.y[0] = y_.mutable_data_ptr<float>();
    require_launched(few_rows_cuda(args, stream_), "few_rows");
    return {args.y[0], Element::float32, args.partials, cells() * width_};
  }
  const at::Tensor y = state_.products.run(piece.up_or_hidden, weights_.c_proj, piece.groups);
  if (piece.first == 0 && piece.last == rows()) {
    y_ = y;
  } else {
    if (!y_.defined()) { y_ = at::empty({rows(), width_}, y.options()); }
    y_.narrow(0, piece.first, piece.last - piece.first).copy_(y);
  }
  return {y_.const_data_ptr(), element_of(y_), 0, 0};
}

void MoeCall::combine(const ProductView& y) {
  CombineArgs args{layout_.tokens, layout_.slots, width_, y};
  const auto cells_at = [this](std::int64_t offset, at::ScalarType type) {
    return block_.narrow(0, offset, cells() * 4).view(type);
  };
  const ActingRows acting(cell_row_, cells_at(layout_.index, at::kInt), plan_);
  args.cell_row = acting.cell_row();
  args.weight = routing_.cells.weight;
  args.output = output.mutable_data_ptr<float>();
  if (has_statistics()) { args.output_norm = part<float>(block_, layout_.output_norm); }
  if (weights_.down_bias.defined()) {
    args.bias = weights_.down_bias.const_data_ptr<float>();
    args.expert_index = routing_.cells.expert;
  }
  require_launched(combine_cuda(args, stream_), "combine");
  if (has_statistics()) { acting.put_norms(cells_at(layout_.output_norm, at::kFloat)); }
}

void MoeCall::add_shared() {
  if (!spec_.shared) { return; }
  output.add_(shared_output(x_, weights_, context_, layout_.shared_record(block_)));
}

void MoeCall::send_tap() {
  if (!recorded_) { return; }
  PendingTap& place = state_.taps.next();
  place.tap = {};
  place.tap.layer = layer_;
  place.tap.pass = pass_;
  place.tap.gates = gates_;
  place.tap.width = width_;
  place.selection = {router_rule(spec_.router), selection_bias(weights_, plan_)};
  place.shared.reset();
  if (layout_.further.shared) {
    place.shared = SharedTap{
        layer_,  pass_,  context_.first_token(), context_.recorded(), spec_.shared->gates, nullptr,
        nullptr, nullptr};
  }
  const bool hidden = context_.wants.hidden;
  place.router_input = hidden ? state_.copies.start(x_, place.copied) : at::Tensor();
  place.output = hidden ? state_.copies.start(output, place.copied) : at::Tensor();
  state_.taps.send(block_, layout_, context_);
}

}  // namespace

at::Tensor moe_layer(const at::Tensor& x, const MoeWeights& weights, std::int64_t layer,
                     std::int64_t pass, const CallContext& context) {
  const at::Tensor few = few_moe_layer(x, weights, layer, pass, context);
  if (few.defined()) { return few; }
  MoeCall call(x, weights, layer, pass, context);
  call.route();
  call.run_experts();
  call.add_shared();
  call.send_tap();
  return call.output;
}

}  // namespace kappascope
