#include "core/forward/learning_call.h"

#include <algorithm>
#include <cmath>

#include "core/forward/feed_forward.h"
#include "core/forward/plain_route.h"
#include "core/nan.h"

namespace kappascope {
namespace {

// x itself, with `share` of its derivative.
at::Tensor with_gradient(const at::Tensor& x, double share) {
  if (share == 1) { return x; }
  const at::Tensor fixed = x.detach();
  return fixed + share * (x - fixed);
}

LayerReport load_of(std::int64_t layer, const at::Tensor& assignments) {
  LayerReport report;
  report.layer = layer;
  const at::Tensor share = (assignments / assignments.sum()).to(at::kDouble).cpu().contiguous();
  const double* first = share.const_data_ptr<double>();
  report.load.assign(first, first + share.numel());
  return report;
}

}  // namespace

void LearningCall::begin() {
  balance_ = at::zeros({});
  router_z_ = at::zeros({});
  at_ = 0;
}

at::Tensor LearningCall::over_ranks(const at::Tensor& part) const {
  if (!ranks_) { return part; }
  const at::Tensor own = part.detach();
  at::Tensor sum = own.cpu().clone().contiguous();
  require_exchanged(
      ranks_->sum(std::span(sum.mutable_data_ptr<float>(), std::size_t(sum.numel()))));
  return sum.to(own.device()) + (part - own);  // the sum; its derivative is that of the part
}

at::Tensor LearningCall::mean_over_ranks(const at::Tensor& mean) const {
  return ranks_ ? over_ranks(mean / double(ranks_->size())) : mean;
}

std::int64_t LearningCall::tokens_of_call(std::int64_t tokens) const {
  return ranks_ ? tokens * ranks_->size() : tokens;
}

at::Tensor LearningCall::queued_before(const at::Tensor& counts) {
  if (!ranks_) { return {}; }
  at::Tensor all = at::zeros({ranks_->size(), counts.size(0), counts.size(1)}, at::kLong);
  all.select(0, ranks_->rank()).copy_(counts);
  require_exchanged(
      ranks_->sum(std::span(all.mutable_data_ptr<std::int64_t>(), std::size_t(all.numel()))));
  // Of earlier slots those of all others, of the same slot those of the ranks before this one.
  const at::Tensor others = all.sum(0) - all.select(0, ranks_->rank());
  return (others.cumsum(0) - others + all.narrow(0, 0, ranks_->rank()).sum(0)).to(counts.device());
}

at::Tensor LearningCall::with_embedding(const at::Tensor& x, const at::Tensor& x0,
                                        std::int64_t layer) {
  return resid_lambdas.select(0, layer) * x + x0_lambdas.select(0, layer) * x0;
}

void LearningCall::routed(std::int64_t layer, const at::Tensor& x, const MoeWeights& weights,
                          PlainRouting& routing) {
  const at::Tensor& logits = routing.logits;
  if (weights.kappa_router.defined()) {
    const at::Tensor input = with_gradient(x, rules_.score_gradient);
    routing.score = kappa_router_scores(input, weights).gather(1, routing.index);
  }
  const double tokens = double(tokens_of_call(logits.size(0))), experts = double(logits.size(1));
  const bool soft = budgets[layer].defined();
  const at::Tensor assigned = soft ? routing.index.masked_select(routing.kept) : routing.index;
  const at::Tensor assignments =
      over_ranks(at::bincount(assigned.flatten(), {}, logits.size(1)).to(at::kFloat));
  if (describe_) {
    if (at_ == described_.size()) { described_.push_back({layer, at::zeros_like(assignments)}); }
    Described& described = described_[at_++];
    described.assignments = described.assignments + assignments;
    described.tokens += tokens;
    described.budget = soft ? budgets[layer].item<double>() : kNaN;
  }
  if (!losses_) { return; }
  const at::Tensor probability = mean_over_ranks(logits.softmax(1).mean(0));
  balance_ = balance_ + experts * (probability * (assignments / tokens)).sum();
  const at::Tensor r = router_logits(with_gradient(x, rules_.router_z_input_gradient), weights);
  const at::Tensor mean = r.mean(1, true);
  router_z_ = router_z_ +
              mean_over_ranks(((r - mean).logsumexp(1).square() + mean.squeeze(1).square()).mean());
}

at::Tensor LearningCall::experts(std::int64_t layer, const at::Tensor& x,
                                 const PlainRouting& routing, const KappaPlan& plan,
                                 const CallContext& context) {
  const LearnedExperts& learned = parameters[layer];
  // Of a κ that follows z alone the score is NaN.
  const at::Tensor s = plan.from_gate ? routing.score.nan_to_num(0) : routing.score;
  const LearnedRouting from{routing.index, routing.kept, routing.weight,
                            with_gradient(s, learned.kappa.score_gradient)};
  const bool kappa = !learned.kappa.bias.empty() || !learned.kappa.scale.empty();
  KappaSums* const sums = describe_ && kappa ? &described_[at_ - 1].kappa : nullptr;  // else 1
  return learned_experts(x, from, learned, plan, [&] { context.check(); }, sums);
}

at::Tensor LearningCall::dense_hidden(const at::Tensor& z, const at::Tensor& up) {
  return kappa_swiglu(z, up, {}, {}, {}, 0, false);
}

std::vector<LayerReport> LearningCall::layers() const {
  std::vector<double> sums;
  for (const Described& of : described_) {
    sums.insert(sums.end(), {double(of.kappa.count), of.kappa.sum, of.kappa.square});
  }
  if (ranks_ && !sums.empty()) { require_exchanged(ranks_->sum(std::span(sums))); }
  std::vector<LayerReport> result;
  for (std::size_t i = 0; i < described_.size(); ++i) {
    const double count = sums[3 * i], mean = sums[3 * i + 1] / count;
    const double variance = sums[3 * i + 2] / count - mean * mean;
    const Described& of = described_[i];
    result.push_back(load_of(of.layer, of.assignments));
    if (!std::isnan(of.budget)) {
      result.back().budget = of.budget;
      result.back().experts_run = of.assignments.sum(at::kDouble).item<double>() / of.tokens;
    }
    result.back().kappa_mean = count > 0 ? mean : kNaN;
    result.back().kappa_spread = count > 0 ? std::sqrt(std::max(0.0, variance)) : kNaN;
  }
  return result;
}

}  // namespace kappascope
