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

LayerReport report_of(std::int64_t layer, const at::Tensor& assignments) {
  LayerReport report;
  report.layer = layer;
  const at::Tensor share = (assignments / assignments.sum()).to(at::kDouble).cpu().contiguous();
  const double* first = share.const_data_ptr<double>();
  report.load.assign(first, first + share.numel());
  return report;
}

}  // namespace

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
  const double tokens = double(logits.size(0)), experts = double(logits.size(1));
  const bool soft = budgets[layer].defined();
  const at::Tensor assigned = soft ? routing.index.masked_select(routing.kept) : routing.index;
  const at::Tensor assignments =
      at::bincount(assigned.flatten(), {}, logits.size(1)).to(at::kFloat);
  if (describe_) {
    layers_.push_back(report_of(layer, assignments));
    if (soft) {
      layers_.back().budget = budgets[layer].item<double>();
      layers_.back().experts_run = double(assigned.numel()) / tokens;
    }
    sums_.emplace_back();
  }
  if (!losses_) { return; }
  const at::Tensor probability = logits.softmax(1).mean(0);
  balance_ = balance_ + experts * (probability * (assignments / tokens)).sum();
  const at::Tensor r = router_logits(with_gradient(x, rules_.router_z_input_gradient), weights);
  const at::Tensor mean = r.mean(1, true);
  router_z_ = router_z_ + ((r - mean).logsumexp(1).square() + mean.squeeze(1).square()).mean();
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
  KappaSums* const sums = describe_ && kappa ? &sums_.back() : nullptr;  // else 1 everywhere
  return learned_experts(x, from, learned, plan, [&] { context.check(); }, sums);
}

at::Tensor LearningCall::dense_hidden(const at::Tensor& z, const at::Tensor& up) {
  return kappa_swiglu(z, up, {}, {}, {}, 0, false);
}

std::vector<LayerReport> LearningCall::layers() const {
  std::vector<LayerReport> result = layers_;
  for (std::size_t i = 0; i < result.size(); ++i) {
    const double count = double(sums_[i].count), mean = sums_[i].sum / count;
    const double variance = sums_[i].square / count - mean * mean;
    result[i].kappa_mean = count > 0 ? mean : kNaN;
    result[i].kappa_spread = count > 0 ? std::sqrt(std::max(0.0, variance)) : kNaN;
  }
  return result;
}

}  // namespace kappascope
