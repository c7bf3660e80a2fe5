#include "core/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace kappascope {
namespace {

struct Candidate {
  float logit;
  std::int32_t id;
  bool operator<(const Candidate& other) const {  // is less likely
    return logit != other.logit ? logit < other.logit : id > other.id;
  }
};

// What softmax makes of a logit, but for the sum.
struct Weight {
  float best;  // logit
  double temperature;
  double operator()(const Candidate& of) const {
    return std::exp((double(of.logit) - best) / temperature);
  }
};

double sum_of(const std::vector<Candidate>& of, const Weight& weight) {
  double sum = 0;
  for (const Candidate& one : of) { sum += weight(one); }
  return sum;
}

// Those that the rule leaves of all.
std::vector<Candidate> left_of(std::vector<Candidate> all, const SamplingRule& rule,
                               const Weight& weight) {
  const auto likelier = [](const Candidate& a, const Candidate& b) { return b < a; };
  if (rule.most > 0 && rule.most < std::ssize(all)) {
    std::nth_element(all.begin(), all.begin() + rule.most - 1, all.end(), likelier);
    all.resize(std::size_t(rule.most));
  }
  if (rule.mass >= 1) { return all; }
  const double enough = rule.mass * sum_of(all, weight);
  std::make_heap(all.begin(), all.end());
  std::vector<Candidate> left;
  for (double taken = 0; !all.empty() && taken < enough; taken += weight(left.back())) {
    std::pop_heap(all.begin(), all.end());
    left.push_back(all.back());
    all.pop_back();
  }
  return left;
}

}  // namespace

std::int32_t Sampler::next(std::span<const float> logits) {
  std::vector<Candidate> all;
  Candidate best{-INFINITY, -1};
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (!(logits[id] > -INFINITY)) { continue; }
    const Candidate one{logits[id], std::int32_t(id)};
    if (best.id < 0 || best < one) { best = one; }
    if (rule_.temperature > 0) { all.push_back(one); }
  }
  if (rule_.temperature == 0 || best.id < 0 || std::isinf(best.logit)) { return best.id; }
  const Weight weight{best.logit, rule_.temperature};
  std::vector<Candidate> left = left_of(std::move(all), rule_, weight);
  if (left.empty()) { return best.id; }
  // In the order of ids: which one a number means then does not follow from how they were sorted.
  std::sort(left.begin(), left.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  double rest = uniform() * sum_of(left, weight);
  for (const Candidate& one : left) {
    rest -= weight(one);
    if (rest < 0) { return one.id; }
  }
  return left.back().id;
}

}  // namespace kappascope
