#include "core/stats/kappa_population.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "core/stats/select.h"

namespace kappascope {
namespace {

// Values that a row must have on average to be worth its sorting and its bisections.
constexpr std::int64_t kLongRow = 256;

// u of the entries of some experts, a row for each gate unit of an expert: by the scores of the
// expert's entries, in the order in which u grows.
class SortedArguments {
 public:
  SortedArguments(const KappaValues& values, std::int64_t gates) : values_(values), gates_(gates) {}

  void add_expert(const KappaView& view, std::vector<float> scores) {
    if (scores.empty()) { return; }
    std::sort(scores.begin(), scores.end(),
              [](float a, float b) { return ordered_bits(a) < ordered_bits(b); });
    const auto expert = experts_.size();
    experts_.push_back({view, std::move(scores)});
    const auto& sorted = experts_.back().scores;
    for (std::int64_t i = 0; i < (view.uniform() ? 1 : gates_); ++i) {
      const bool falls = ordered_bits(values_.u_at(view, i, sorted.front())) >
                         ordered_bits(values_.u_at(view, i, sorted.back()));
      rows_.push_back({expert, i, falls});
    }
  }

  std::size_t count() const { return rows_.size(); }
  std::int64_t size(std::size_t row) const {
    return std::ssize(experts_[rows_[row].expert].scores);
  }
  std::int64_t weight(std::size_t row) const {
    return experts_[rows_[row].expert].view.uniform() ? gates_ : 1;
  }
  float value(std::size_t row, std::int64_t k) const {
    const auto& [expert, gate, falls] = rows_[row];
    const auto& [view, scores] = experts_[expert];
    const std::int64_t at = falls ? std::ssize(scores) - 1 - k : k;
    return values_.u_at(view, gate, scores[at]);
  }

 private:
  struct Expert {
    KappaView view;
    std::vector<float> scores;
  };
  struct Row {
    std::size_t expert;
    std::int64_t gate;
    bool falls;
  };
  const KappaValues& values_;
  std::int64_t gates_;
  std::vector<Expert> experts_;
  std::vector<Row> rows_;
};

// u of gate unit i as a function of s, of a view of one expert.
struct ScoreLine {
  double slope = 0, offset = 0;
};
ScoreLine score_line(const KappaView& view, std::int64_t i) {
  const double b = view.bias ? view.bias[i * view.gate_stride] : 0;
  return view.scale ? ScoreLine{view.scale[i * view.scale_gate_stride], b} : ScoreLine{b, 0};
}

// How far α·s may be from its value in the middle of a bin: the six terms of tanh(u + δ) then leave
// less than 3e-12.
constexpr double kHalfBin = 1.0 / 64;

// Scores in bins of one width, of each bin Σ dᵏ/k! of what they are away from its middle.
struct ScoreBins {
  struct Bin {
    double middle = 0;
    std::array<double, 6> moment{};
  };
  std::vector<Bin> bins;  // that have a score

  // Empty where bins would be nearly as many as scores, and where no finite bins hold them.
  ScoreBins(std::span<const float> scores, double width) {
    const auto [low, high] = std::minmax_element(scores.begin(), scores.end());
    const double count = std::floor((double(*high) - *low) / width) + 1;
    if (!std::isfinite(width) || !(count <= double(scores.size()) / 4)) { return; }
    std::vector<Bin> all(static_cast<std::size_t>(count));
    for (const float score : scores) {
      const auto at = static_cast<std::size_t>((double(score) - *low) / width);
      Bin& bin = all[at];
      bin.middle = *low + (double(at) + 0.5) * width;
      const double from_middle = score - bin.middle;
      double term = 1;
      for (std::size_t k = 0; k < bin.moment.size(); ++k) {
        bin.moment[k] += term;
        term *= from_middle / static_cast<double>(k + 1);
      }
    }
    std::copy_if(all.begin(), all.end(), std::back_inserter(bins),
                 [](const Bin& bin) { return bin.moment[0] > 0; });
  }

  // Σ tanh(slope·s + offset) over all scores, by Taylor's series about the middle of each bin.
  double tanh_sum(double slope, double offset) const {
    double sum = 0;
    for (const auto& [middle, moment] : bins) {
      const double t = KappaValues::tanh_of(slope * middle + offset), t2 = t * t, first = 1 - t2;
      const std::array<double, 6> derivative = {t,
                                                first,
                                                -2 * t * first,
                                                (6 * t2 - 2) * first,
                                                (16 - 24 * t2) * t * first,
                                                (16 + (120 * t2 - 120) * t2) * first};
      double power = 1;
      for (std::size_t k = 0; k < moment.size(); ++k) {
        sum += derivative[k] * power * moment[k];
        power *= slope;
      }
    }
    return sum;
  }
};

}  // namespace

KappaValues::KappaValues(const TraceLayer& layer, const KappaFunction& kappa)
    : layer_(layer),
      kappa_(kappa),
      score_(layer.slot_part(layer.trace.kappa_input)),
      direct_(kappa.source == KappaFunction::Source::constant || kappa.factors),
      recorded_(layer.slot_part(layer.trace.kappa_min)),
      recorded_mean_(layer.slot_part(layer.trace.kappa_mean)) {
  if (kappa.experts.empty()) { return; }
  log_bound_ = std::abs(static_cast<double>(kappa.experts.front().log_bound));
  sign_ = kappa.experts.front().log_bound < 0 ? -1 : 1;
}

KappaPopulation::KappaPopulation(const TraceLayer& layer, const KappaFunction& kappa,
                                 std::int64_t expert)
    : KappaValues(layer, kappa), begin_(static_cast<std::size_t>(layer.experts) + 1) {
  const std::int64_t all = layer.tokens * layer.slots;
  const auto belongs = [&](std::int64_t entry) {
    return (expert < 0 || layer.expert(entry) == expert) && counts(entry);
  };
  for (std::int64_t entry = 0; entry < all; ++entry) {
    if (belongs(entry)) { ++begin_[layer.expert(entry) + 1]; }
  }
  for (std::size_t e = 1; e < begin_.size(); ++e) { begin_[e] += begin_[e - 1]; }
  entries_.resize(static_cast<std::size_t>(begin_.back()));
  std::vector<std::int64_t> next = begin_;
  for (std::int64_t entry = 0; entry < all; ++entry) {
    if (!belongs(entry)) { continue; }
    auto& at = next[layer.expert(entry)];
    entries_[at++] = entry;
  }
}

bool KappaPopulation::selects_among_rows(std::int64_t expert) const {
  if (direct_) { return false; }
  std::int64_t rows = 0, values = 0;
  for (std::int64_t e = 0; e < experts(); ++e) {
    if ((expert >= 0 && e != expert) || entries(e).empty()) { continue; }
    const std::int64_t gates = kappa_.experts[e].uniform() ? 1 : kappa_.gates;
    rows += gates;
    values += gates * std::ssize(entries(e));
  }
  return values >= kLongRow * rows;
}

std::vector<float> KappaPopulation::scores_of(std::int64_t e) const {
  std::vector<float> scores;
  for (const std::int64_t entry : entries(e)) { scores.push_back(score_[entry]); }
  return scores;
}

Mean KappaPopulation::mean_log_kappa(std::int64_t e) const {
  Mean mean;
  const auto by_entry = [&] {
    for (const std::int64_t entry : entries(e)) { mean.add(mean_log_kappa_of_entry(e, entry)); }
    return mean;
  };
  if (direct_ || entries(e).empty()) { return by_entry(); }
  const KappaView& view = kappa_.experts[e];
  const std::int64_t gates = view.uniform() ? 1 : kappa_.gates;
  double steepest = 0;
  for (std::int64_t i = 0; i < gates; ++i) {
    steepest = std::max(steepest, std::abs(score_line(view, i).slope));
  }
  const ScoreBins scores(scores_of(e), 2 * kHalfBin / steepest);
  double sum = 0;
  for (std::int64_t i = 0; i < gates && !scores.bins.empty(); ++i) {
    const ScoreLine line = score_line(view, i);
    sum += scores.tanh_sum(line.slope, line.offset);
  }
  if (scores.bins.empty() || !std::isfinite(sum)) { return by_entry(); }
  mean.sum = sign_ * log_bound_ * sum / static_cast<double>(gates);
  mean.count = std::ssize(entries(e));
  return mean;
}

std::vector<float> KappaPopulation::order_statistics(const std::vector<std::int64_t>& ranks,
                                                     std::int64_t expert) const {
  const auto for_each_expert = [&](auto&& work) {
    for (std::int64_t e = 0; e < experts(); ++e) {
      if (expert < 0 || e == expert) { work(e); }
    }
  };
  if (!selects_among_rows(expert)) {
    return kappascope::order_statistics(
        ranks, [&](auto&& visit) { for_each_expert([&](std::int64_t e) { each(e, visit); }); });
  }
  SortedArguments rows(*this, kappa_.gates);
  for_each_expert([&](std::int64_t e) { rows.add_expert(kappa_.experts[e], scores_of(e)); });
  return order_statistics_of_rows(ranks, rows);
}

}  // namespace kappascope
