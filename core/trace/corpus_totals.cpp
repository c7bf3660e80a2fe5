#include "core/trace/corpus_totals.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <type_traits>

#include "core/error.h"
#include "core/nan.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/byte_archive.h"

namespace kappascope {
namespace {

bool fits(std::size_t size, std::int64_t expected) {
  return size == 0 || std::int64_t(size) == expected;
}

bool consistent_row(const RowTotals& row, std::int64_t experts, std::int64_t gates) {
  const ChoiceTotals& choices = row.choices;
  const PairTotals& pairs = row.pairs;
  bool good = !choices.assigned.empty() && choices.assigned.size() <= std::size_t(experts);
  const auto own = std::int64_t(choices.assigned.size());
  const auto slots = std::int64_t(choices.assigned_by_slot.size());
  for (const auto* counts : {&choices.kept, &choices.first_choice}) {
    good = good && std::int64_t(counts->size()) == own;
  }
  good = good && std::int64_t(choices.gate_mass.size()) == own && slots <= experts &&
         std::int64_t(choices.dropped_by_slot.size()) == slots;
  for (const auto* counts : {&choices.tokens_by_assigned, &choices.tokens_by_run}) {
    good = good && std::int64_t(counts->size()) == slots + 1;
  }
  for (const auto* counts : {&pairs.coactivation, &pairs.transition, &pairs.transition_shuffled}) {
    const bool square = own <= kMostPairExperts && std::int64_t(counts->size()) == own * own;
    good = good && (counts->empty() || square);
  }
  for (const NumberTotals& number : row.numbers) {
    good = good && number.count >= 0 && number.quantiles.consistent();
  }
  return good && row.tokens.consistent() && row.contexts.consistent(own) &&
         row.kappa.consistent(own, gates) && fits(row.importance.saliency.size(), own) &&
         row.importance.saliency.size() == row.importance.saliency_count.size() &&
         fits(row.importance.selected_logit.size(), own) &&
         row.importance.selected_logit.size() == row.importance.selected_count.size() &&
         fits(row.effect.size(), own) && fits(row.kappa_hist.size(), own * kKappaBins) &&
         fits(row.gate_pre_hist.size(), own * kGatePreBins) &&
         std::int64_t(row.resampled_assigned.size()) == own * kResamples &&
         std::all_of(row.domain_assigned.begin(), row.domain_assigned.end(),
                     [&](const auto& counts) { return fits(counts.size(), own); });
}

// Visits all that exchange() names and adds the counts up: none is below 0, and all together are
// more than any corpus has, but so few that results can be merged and summed without an overflow.
class CountCheck {
 public:
  static constexpr std::uint64_t kMost = std::uint64_t{1} << 57;

  template <PlainNumber T>
  void operator()(const T& value) {
    if constexpr (std::is_same_v<T, std::int64_t>) {
      good_ = good_ && value >= 0 && std::uint64_t(value) <= kMost - sum_;
      if (good_) { sum_ += std::uint64_t(value); }
    }
  }
  void operator()(const std::string&) {}
  template <typename T>
  void operator()(const std::vector<T>& items) {
    for (const T& item : items) { (*this)(item); }
  }
  template <typename K, typename V>
  void operator()(const std::map<K, V>& items) {
    for (const auto& [key, value] : items) { (*this)(value); }
  }
  template <typename T>
    requires std::is_class_v<T>
  void operator()(const T& value) {
    const_cast<T&>(value).exchange(*this);  // which changes nothing
  }

  bool good() const { return good_; }

 private:
  std::uint64_t sum_ = 0;
  bool good_ = true;
};

bool consistent_sides(const std::vector<SideTotals>& sides) {
  return std::all_of(sides.begin(), sides.end(),
                     [](const SideTotals& side) { return side.consistent(); });
}

// Each is of a row, an expert or a gate unit, as its name says; readers take it by its name.
bool consistent_rules(const CorpusTotals& totals) {
  const auto rows = std::int64_t(totals.rows.size()), cells = rows * totals.experts;
  const bool soft = !totals.layer_cap.empty();
  if (!fits(totals.layer_cap.size(), rows)) { return false; }
  if (totals.rules.count("layer_budget") != soft || totals.rules.count("layer_threshold") != soft) {
    return false;
  }
  return std::all_of(totals.rules.begin(), totals.rules.end(), [&](const auto& rule) {
    const auto& [name, values] = rule;
    const auto size = std::int64_t(values.size());
    if (name == "layer_budget" || name == "layer_threshold") { return size == rows; }
    if (name == "kappa_factor") { return size == cells; }
    const bool per_gate =
        totals.gates > 0 && cells > 0 && size % cells == 0 && size / cells == totals.gates;
    return (name == "kappa_bias_in_force" || name == "kappa_scale_in_force") &&
           (size == rows || size == cells || per_gate);
  });
}

bool is_negative(std::int32_t index) {
  return index < 0;
}

bool consistent_mean(const ResampledMean& mean) {
  return fits(mean.sum.size(), kResamples) && mean.sum.size() == mean.count.size();
}

}  // namespace

std::int64_t resample_weight(std::uint64_t seed, std::uint64_t document, std::int64_t resample) {
  const std::uint64_t bits =
      mixed_bits(mixed_bits(mixed_bits(seed) ^ document) ^ std::uint64_t(resample));
  double left = double(bits >> 11) * 0x1p-53, chance = std::exp(-1.0);
  std::int64_t weight = 0;
  while (left >= chance && weight < 20) {
    left -= chance;
    chance /= double(++weight);
  }
  return weight;
}

// FNV-1a.
std::uint64_t document_key(std::string_view source) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : source) { hash = (hash ^ std::uint8_t(c)) * 0x100000001b3u; }
  return hash;
}

void ResampledMean::add(std::int64_t resample, std::int64_t weight, double part,
                        std::int64_t values) {
  if (sum.empty()) {
    sum.resize(std::size_t(kResamples));
    count.resize(std::size_t(kResamples));
  }
  sum[resample].add(double(weight) * part);
  count[resample] += weight * values;
}

void ResampledMean::add(const ResampledMean& other) {
  add_sums(sum, other.sum);
  add_counts(count, other.count);
}

double ResampledMean::value(std::int64_t resample) const {
  if (count.empty() || count[resample] == 0) { return kNaN; }
  return sum[resample].value() / double(count[resample]);
}

void RowTotals::add(const RowTotals& other, const std::vector<std::size_t>& domain_places) {
  choices.add(other.choices);
  for (std::size_t i = 0; i < numbers.size(); ++i) { numbers[i].add(other.numbers[i]); }
  importance.add(other.importance);
  pairs.add(other.pairs);
  kappa.add(other.kappa);
  effect.resize(std::max(effect.size(), other.effect.size()));
  for (std::size_t e = 0; e < other.effect.size(); ++e) { effect[e].add(other.effect[e]); }
  add_counts(kappa_hist, other.kappa_hist);
  add_counts(gate_pre_hist, other.gate_pre_hist);
  call_load_entropy.add(other.call_load_entropy);
  call_load_cv.add(other.call_load_cv);
  calls += other.calls;
  capacity += other.capacity;
  tokens_at_cap += other.tokens_at_cap;
  tokens.add(other.tokens);
  for (std::size_t d = 0; d < other.domain_assigned.size(); ++d) {
    const std::size_t place = domain_places[d];
    domain_assigned.resize(std::max(domain_assigned.size(), place + 1));
    add_counts(domain_assigned[place], other.domain_assigned[d]);
  }
  add_counts(resampled_assigned, other.resampled_assigned);
  resampled_kappa.add(other.resampled_kappa);
  resampled_effect.add(other.resampled_effect);
  contexts.add(other.contexts);
}

std::vector<std::int32_t> CorpusTotals::shown_tokens() const {
  std::set<std::int32_t> ids;
  for (std::int64_t row = 0; row < std::ssize(rows); ++row) {
    for (std::int64_t e = 0; e < experts; ++e) {
      for (const TokenCounts::Top& top : top_tokens(row, e)) { ids.insert(top.token); }
    }
    for (const auto& kept : rows[row].contexts.of_expert) {
      for (const TokenContext& context : kept) {
        ids.insert(context.ids.begin(), context.ids.end());
      }
    }
  }
  ids.erase(-1);
  return {ids.begin(), ids.end()};
}

std::string CorpusTotals::token_text(std::int32_t id) const {
  const auto found = token_bytes.find(id);
  return found == token_bytes.end() ? "" : display_text(found->second);
}

void CorpusTotals::add_failure(const std::string& message) {
  ++failed_documents;
  ++failures[message];
  if (failures.size() > kMostFailures) { failures.erase(std::prev(failures.end())); }
}

std::size_t CorpusTotals::domain(const std::string& name) {
  const auto found = std::find(domains.begin(), domains.end(), name);
  if (found == domains.end()) {
    domains.push_back(name);
    return domains.size() - 1;
  }
  return std::size_t(found - domains.begin());
}

bool CorpusTotals::is_of_the_model_of(const CorpusTotals& other) const {
  return layer_index == other.layer_index && pass_index == other.pass_index &&
         experts == other.experts && gates == other.gates && seed == other.seed;
}

void CorpusTotals::add(const CorpusTotals& other) {
  require(is_of_the_model_of(other), ExitCode::internal, {}, "totals of another model or seed");
  std::vector<std::size_t> places;
  for (const std::string& name : other.domains) { places.push_back(domain(name)); }
  for (std::size_t r = 0; r < rows.size(); ++r) { rows[r].add(other.rows[r], places); }
  add_sides(dense, other.dense);
  add_sides(shared, other.shared);
  rules.insert(other.rules.begin(), other.rules.end());
  if (layer_cap.empty()) { layer_cap = other.layer_cap; }
  if (u_multiplier == 0) { u_multiplier = other.u_multiplier; }
  documents += other.documents;
  failed_documents += other.failed_documents;
  for (const auto& [message, count] : other.failures) { failures[message] += count; }
  token_bytes.insert(other.token_bytes.begin(), other.token_bytes.end());
  while (failures.size() > kMostFailures) { failures.erase(std::prev(failures.end())); }
  tokens += other.tokens;
  bytes += other.bytes;
  nll.add(other.nll);
  nll_count += other.nll_count;
  nll_of_bytes.add(other.nll_of_bytes);
  bytes_counted += other.bytes_counted;
  resampled_nll.add(other.resampled_nll);
  effect.add(other.effect);
  effect_relative.add(other.effect_relative);
}

double CorpusTotals::quantile_error() const {
  double error = 0;
  const auto take = [&](const auto& numbers) {
    for (const NumberTotals& number : numbers) {
      error = std::max(error, number.quantiles.rank_error());
    }
  };
  for (const RowTotals& row : rows) { take(row.numbers); }
  for (const auto* sides : {&dense, &shared}) {
    for (const SideTotals& side : *sides) { take(side.numbers); }
  }
  return error;
}

double CorpusTotals::score_error() const {
  double error = 0;
  for (const RowTotals& row : rows) { error = std::max(error, row.kappa.rank_error()); }
  return error;
}

bool CorpusTotals::consistent() const {
  const bool sizes = rows.size() == layer_index.size() && rows.size() == pass_index.size() &&
                     experts >= 0 && experts <= (1 << 16) && gates >= 0 && gates < (1 << 24) &&
                     std::none_of(layer_index.begin(), layer_index.end(), is_negative) &&
                     std::none_of(pass_index.begin(), pass_index.end(), is_negative) &&
                     std::isfinite(u_multiplier) && consistent_mean(resampled_nll) &&
                     effect.consistent() && effect_relative.consistent();
  CountCheck counts;
  counts(*this);
  return sizes && counts.good() && consistent_rules(*this) && consistent_sides(dense) &&
         consistent_sides(shared) &&
         std::all_of(rows.begin(), rows.end(), [&](const RowTotals& row) {
           return row.domain_assigned.size() <= domains.size() &&
                  consistent_row(row, experts, gates) && consistent_mean(row.resampled_kappa) &&
                  consistent_mean(row.resampled_effect);
         });
}

}  // namespace kappascope
