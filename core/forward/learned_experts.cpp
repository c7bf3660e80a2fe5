#include "core/forward/learned_experts.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <memory>
#include <utility>

#include "core/forward/operations.h"
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

// What one expert reads, as leaves of a graph of its own, and what it makes of it.
struct ExpertGraph {
  at::Tensor y;  // [rows,H]; undefined: no token
  variable_list leaves;
};

// What the experts of a layer keep between their forward pass and their derivatives.
struct Kept final : torch::CustomClassHolder {
  std::vector<std::int64_t> first;  // [E+1] rows
  bool has_bias = false, has_scale = false;
  double log_bound = 0;
  bool from_gate = false;
  bool differentiated = false;
  std::vector<ExpertGraph> graphs;  // [E]

  std::int64_t experts() const { return std::ssize(first) - 1; }
  std::int64_t rows_of(std::int64_t e) const { return first[e + 1] - first[e]; }
  // Of the inputs of Experts: rows, s, gate, up, down, then b of each expert, α of each.
  static constexpr std::int64_t kMatrices = 2, kParameters = 5;
  std::int64_t bias_at(std::int64_t e) const { return kParameters + e; }
  std::int64_t scale_at(std::int64_t e) const {
    return kParameters + (has_bias ? experts() : 0) + e;
  }
};

using KeptPointer = c10::intrusive_ptr<Kept>;

ExpertGraph graph_of(const Kept& kept, at::TensorList inputs, std::int64_t e, KappaSums* sums) {
  ExpertGraph graph;
  const std::int64_t first = kept.first[e], count = kept.rows_of(e);
  if (count == 0) { return graph; }
  const at::Tensor none;
  const auto learned = [&](const at::Tensor& whole, const at::Tensor& part) {
    return part.detach().requires_grad_(kept.differentiated && whole.requires_grad());
  };
  graph.leaves = {learned(inputs[0], inputs[0].narrow(0, first, count)),
                  learned(inputs[1], inputs[1].narrow(0, first, count))};
  for (const std::int64_t matrix : {2, 3, 4}) {
    graph.leaves.push_back(learned(inputs[matrix], inputs[matrix].select(0, e)));
  }
  at::Tensor bias, scale;
  if (kept.has_bias) {
    const at::Tensor& whole = inputs[kept.bias_at(e)];
    graph.leaves.push_back(bias = learned(whole, whole));
  }
  if (kept.has_scale) {
    const at::Tensor& whole = inputs[kept.scale_at(e)];
    graph.leaves.push_back(scale = learned(whole, whole));
  }
  const variable_list& leaf = graph.leaves;
  const at::Tensor score = bias.defined() || scale.defined() ? leaf[1] : none;
  const at::Tensor hidden = kappa_swiglu(product(leaf[0], leaf[2]), product(leaf[0], leaf[3]),
                                         score, bias, scale, kept.log_bound, kept.from_gate, sums);
  graph.y = product(hidden, leaf[4]);
  return graph;
}

// Of an expert's part of an input: that of the expert alone, or a stretch or a matrix of the whole.
class Derivatives {
 public:
  Derivatives(const Kept& kept, const variable_list& inputs) : kept_(kept) {
    for (const at::Tensor& input : inputs) {
      whole_.push_back(input.requires_grad() ? at::zeros_like(input) : at::Tensor());
    }
    const std::int64_t lists = std::int64_t(kept.has_bias) + std::int64_t(kept.has_scale);
    of_expert_.resize(std::size_t(lists * kept.experts()));
  }

  // `graph` is gone afterwards.
  void add(std::int64_t e, ExpertGraph graph, const at::Tensor& gradient) {
    if (!graph.y.defined()) { return; }
    variable_list wanted;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < graph.leaves.size(); ++i) {
      if (!graph.leaves[i].requires_grad()) { continue; }
      wanted.push_back(graph.leaves[i]);
      which.push_back(i);
    }
    const std::int64_t first = kept_.first[e], count = kept_.rows_of(e);
    const variable_list found = torch::autograd::grad(
        {graph.y}, wanted, {gradient.narrow(0, first, count)},
        /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
    for (std::size_t i = 0; i < which.size(); ++i) {
      if (found[i].defined()) { put(e, std::int64_t(which[i]), found[i]); }
    }
  }

  // Beside `arguments` that are no tensors.
  variable_list result(std::size_t arguments) const {
    variable_list all(arguments);
    all.insert(all.end(), whole_.begin(), whole_.end());
    all.insert(all.end(), of_expert_.begin(), of_expert_.end());
    return all;
  }

 private:
  void put(std::int64_t e, std::int64_t leaf, const at::Tensor& found) {
    if (leaf >= Kept::kParameters) {
      of_expert_[(leaf - Kept::kParameters) * kept_.experts() + e] = found;
    } else if (leaf >= Kept::kMatrices) {
      whole_[leaf].select(0, e).copy_(found);
    } else {
      whole_[leaf].narrow(0, kept_.first[e], kept_.rows_of(e)).copy_(found);
    }
  }

  const Kept& kept_;
  variable_list whole_;      // rows, s and the matrices
  variable_list of_expert_;  // b, then α
};

class Experts final : public torch::autograd::Function<Experts> {
 public:
  static at::Tensor forward(AutogradContext* context, const KeptPointer& kept,
                            const std::function<void()>* check, KappaSums* sums,
                            at::TensorList inputs) {
    context->saved_data["kept"] = at::IValue::make_capsule(kept);
    context->save_for_backward(inputs.slice(0, Kept::kParameters).vec());
    kept->graphs.resize(std::size_t(kept->experts()));
    std::vector<KappaSums> parts(std::size_t(kept->experts()));
    at::Tensor y = at::empty_like(inputs[0]);
    share_out<Differentiating>(kept->experts(), !y.is_cpu(), *check, [&](std::int64_t e) {
      ExpertGraph graph = graph_of(*kept, inputs, e, sums ? &parts[e] : nullptr);
      if (!graph.y.defined()) { return; }
      y.narrow(0, kept->first[e], kept->rows_of(e)).copy_(graph.y.detach());
      if (kept->differentiated) { kept->graphs[e] = std::move(graph); }
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
    Derivatives derivatives(*kept, context->get_saved_variables());
    const at::Tensor gradient = gradients[0].contiguous();
    share_out<Differentiating>(
        kept->experts(), !gradient.is_cpu(), [] {},
        [&](std::int64_t e) { derivatives.add(e, std::move(kept->graphs[e]), gradient); });
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
