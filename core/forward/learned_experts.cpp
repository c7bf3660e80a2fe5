#include "core/forward/learned_experts.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <memory>
#include <utility>

#include "core/forward/kappa_kernels.h"
#include "core/forward/workers.h"

namespace kappascope {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// values[index] [m,H], a row of 0 where index is −1.
at::Tensor rows_at(const at::Tensor& values, const at::Tensor& index) {
  if (values.size(0) == 0) { return at::zeros({index.size(0), values.size(1)}, values.options()); }
  return values.index_select(0, index.clamp_min(0)).masked_fill_((index < 0).unsqueeze(1), 0);
}

// values [n,H] in another order, index [m] of n; `back` [n] is its inverse, with −1 where a row is
// left out, in whichever of the two. Torch's own derivative adds row after row instead.
class Rearrange final : public torch::autograd::Function<Rearrange> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& values,
                            const at::Tensor& index, const at::Tensor& back) {
    context->save_for_backward({back});
    return rows_at(values, index);
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    return {rows_at(gradients[0], context->get_saved_variables()[0]), {}, {}};
  }
};

// The rows of a call in the order of their experts.
struct RowsOfExperts {
  explicit RowsOfExperts(const LearnedRouting& routing, std::int64_t experts) {
    const at::Tensor key = routing.index.masked_fill(routing.kept.logical_not(), experts).flatten();
    const at::Tensor order = at::argsort(key, /*stable=*/true);
    const at::Tensor counts = at::bincount(key, {}, experts + 1).cpu().contiguous();
    const std::int64_t* count = counts.const_data_ptr<std::int64_t>();
    for (std::int64_t e = 0; e < experts; ++e) { first.push_back(first.back() + count[e]); }
    cell = order.narrow(0, 0, first.back());
    place = at::full_like(key, -1);
    place.index_put_({cell}, at::arange(first.back(), place.options()));
  }

  std::vector<std::int64_t> first{0};  // [E+1] row of each expert's first
  at::Tensor cell;                     // [rows] of [T·K]
  at::Tensor place;                    // [T·K] row; −1: not kept
};

// What one expert has computed, for its derivatives.
struct LearnedRows {
  KappaRows rows;     // z and up undefined: no token
  at::Tensor hidden;  // [rows,I]
};

// What the experts of a layer keep between their forward pass and their derivatives.
struct Kept final : torch::CustomClassHolder {
  std::vector<std::int64_t> first;  // [E+1] rows
  bool has_bias = false, has_scale = false;
  double log_bound = 0;
  bool from_gate = false;
  bool differentiated = false;
  std::vector<LearnedRows> experts;  // [E]

  std::int64_t count() const { return std::ssize(first) - 1; }
  bool scored() const { return has_bias || has_scale; }  // κ is learned, and reads s
  std::int64_t rows_of(std::int64_t e) const { return first[e + 1] - first[e]; }
  at::Tensor rows_of(std::int64_t e, const at::Tensor& values) const {
    return values.narrow(0, first[e], rows_of(e));
  }
  // Of the inputs of Experts: rows, s, gate, up, down, then b of each expert, α of each.
  static constexpr std::int64_t kX = 0, kScore = 1, kGate = 2, kUp = 3, kDown = 4, kParameters = 5;
  std::int64_t bias_at(std::int64_t e) const { return kParameters + e; }
  std::int64_t scale_at(std::int64_t e) const { return kParameters + (has_bias ? count() : 0) + e; }
};

using KeptPointer = c10::intrusive_ptr<Kept>;

LearnedRows run_expert(const Kept& kept, at::TensorList inputs, std::int64_t e, KappaSums* sums,
                       at::Tensor y) {
  const at::Tensor none, x = kept.rows_of(e, inputs[Kept::kX]);
  const at::Tensor& bias = kept.has_bias ? inputs[kept.bias_at(e)] : none;
  const at::Tensor& scale = kept.has_scale ? inputs[kept.scale_at(e)] : none;
  LearnedRows expert;
  expert.rows = kappa_rows(at::mm(x, inputs[Kept::kGate][e]), at::mm(x, inputs[Kept::kUp][e]),
                           kept.scored() ? kept.rows_of(e, inputs[Kept::kScore]) : none, bias,
                           scale, kept.log_bound, kept.from_gate);
  expert.hidden = kappa_swiglu_forward(expert.rows, kept.differentiated, sums);
  at::mm_out(y, expert.hidden, inputs[Kept::kDown][e]);
  return expert;
}

// Derivatives by the inputs of Experts, an expert at a time.
class Derivatives {
 public:
  Derivatives(const Kept& kept, const variable_list& inputs) : kept_(kept), inputs_(inputs) {
    for (const at::Tensor& input : inputs) {
      by_.push_back(input.requires_grad() ? at::empty_like(input) : at::Tensor());
    }
    if (!kept.scored()) { by_[Kept::kScore].reset(); }
  }

  // `expert` is gone afterwards.
  void add(std::int64_t e, LearnedRows expert, const at::Tensor& gradient) {
    if (kept_.rows_of(e) == 0) { return leave_out(e); }
    TORCH_CHECK(expert.hidden.defined(), "the derivatives of experts can be computed once");
    const at::Tensor by_y = kept_.rows_of(e, gradient), x = kept_.rows_of(e, inputs_[Kept::kX]);
    put_product(Kept::kDown, e, expert.hidden.t(), by_y);
    KappaGradients by;
    by.z = at::mm(by_y, inputs_[Kept::kDown][e].t());  // by hidden, which that by z takes over
    by.up = at::empty_like(by.z);
    if (by_[Kept::kScore].defined()) { by.score = kept_.rows_of(e, by_[Kept::kScore]); }
    by.bias = made(kept_.has_bias, kept_.bias_at(e));
    by.scale = made(kept_.has_scale, kept_.scale_at(e));
    kappa_swiglu_backward(expert.rows, by.z, by);
    put_product(Kept::kGate, e, x.t(), by.z);
    put_product(Kept::kUp, e, x.t(), by.up);
    if (by_[Kept::kX].defined()) {
      at::Tensor by_x = kept_.rows_of(e, by_[Kept::kX]);
      at::mm_out(by_x, by.z, inputs_[Kept::kGate][e].t());
      by_x.addmm_(by.up, inputs_[Kept::kUp][e].t());
    }
  }

  // Beside `arguments` that are no tensors.
  variable_list result(std::size_t arguments) const {
    variable_list all(arguments);
    all.insert(all.end(), by_.begin(), by_.end());
    return all;
  }

 private:
  void leave_out(std::int64_t e) {
    for (const std::int64_t matrix : {Kept::kGate, Kept::kUp, Kept::kDown}) {
      if (by_[matrix].defined()) { by_[matrix][e].zero_(); }
    }
    if (kept_.has_bias) { by_[kept_.bias_at(e)].reset(); }
    if (kept_.has_scale) { by_[kept_.scale_at(e)].reset(); }
  }
  void put_product(std::int64_t matrix, std::int64_t e, const at::Tensor& left,
                   const at::Tensor& right) {
    if (!by_[matrix].defined()) { return; }
    at::Tensor part = by_[matrix][e];
    at::mm_out(part, left, right);
  }
  // b and α are added to.
  at::Tensor made(bool there, std::int64_t at) {
    if (!there || !by_[at].defined()) { return {}; }
    return by_[at].zero_();
  }

  const Kept& kept_;
  const variable_list& inputs_;
  variable_list by_;
};

class Experts final : public torch::autograd::Function<Experts> {
 public:
  static at::Tensor forward(AutogradContext* context, const KeptPointer& kept,
                            const std::function<void()>* check, KappaSums* sums,
                            at::TensorList inputs) {
    context->saved_data["kept"] = at::IValue::make_capsule(kept);
    context->save_for_backward(inputs.vec());
    kept->experts.resize(std::size_t(kept->count()));
    std::vector<KappaSums> parts(std::size_t(kept->count()));
    at::Tensor y = at::empty_like(inputs[Kept::kX]);
    share_out<WithoutGraph>(kept->count(), !y.is_cpu(), *check, [&](std::int64_t e) {
      if (kept->rows_of(e) == 0) { return; }
      LearnedRows expert =
          run_expert(*kept, inputs, e, sums ? &parts[e] : nullptr, kept->rows_of(e, y));
      if (kept->differentiated) { kept->experts[e] = std::move(expert); }
    });
    for (const KappaSums& part : parts) {
      if (sums) { sums->add(part); }
    }
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "experts have no second derivative");
    const auto kept =
        c10::static_intrusive_pointer_cast<Kept>(context->saved_data["kept"].toCapsule());
    const variable_list inputs = context->get_saved_variables();
    Derivatives derivatives(*kept, inputs);
    const at::Tensor gradient = gradients[0].contiguous();
    share_out<WithoutGraph>(
        kept->count(), !gradient.is_cpu(), [] {},
        [&](std::int64_t e) { derivatives.add(e, std::move(kept->experts[e]), gradient); });
    return derivatives.result(3);
  }
};

}  // namespace

at::Tensor learned_experts(const at::Tensor& x, const LearnedRouting& routing,
                           const LearnedExperts& experts, const KappaPlan& plan,
                           const std::function<void()>& check, KappaSums* sums) {
  const std::int64_t tokens = routing.index.size(0), slots = routing.index.size(1);
  const LearnedKappa& kappa = experts.kappa;
  RowsOfExperts order(routing, experts.gate.size(0));
  const auto kept = c10::make_intrusive<Kept>();
  kept->first = std::move(order.first);
  kept->has_bias = !kappa.bias.empty();
  kept->has_scale = !kappa.scale.empty();
  kept->log_bound = std::log(plan.bound);
  kept->from_gate = plan.from_gate;
  kept->differentiated = at::GradMode::is_enabled();
  const at::Tensor of_cells = x.unsqueeze(1).expand({tokens, slots, -1}).reshape({-1, x.size(1)});
  variable_list inputs{Rearrange::apply(of_cells, order.cell, order.place),
                       routing.score.flatten().index_select(0, order.cell), experts.gate,
                       experts.up, experts.down};
  inputs.insert(inputs.end(), kappa.bias.begin(), kappa.bias.end());
  inputs.insert(inputs.end(), kappa.scale.begin(), kappa.scale.end());
  const at::Tensor y = Experts::apply(kept, &check, sums, at::TensorList(inputs));
  const at::Tensor in_cells = Rearrange::apply(y, order.place, order.cell);
  return (in_cells.view({tokens, slots, -1}) * routing.weight.unsqueeze(2)).sum(1);
}

}  // namespace kappascope
