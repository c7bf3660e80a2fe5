#include "core/trace/totals.h"

#include <algorithm>
#include <cmath>

#include "core/nan.h"
#include "core/trace/trace.h"

namespace kappascope {
namespace {

// An array that nothing was added to yet gets its size.
template <typename T>
void size_to(std::vector<T>& array, std::int64_t size) {
  if (std::ssize(array) < size) { array.resize(std::size_t(size)); }
}

}  // namespace

void add_counts(std::vector<std::int64_t>& to, const std::vector<std::int64_t>& from) {
  size_to(to, std::ssize(from));
  for (std::size_t i = 0; i < from.size(); ++i) { to[i] += from[i]; }
}

void add_sums(std::vector<Sum>& to, const std::vector<Sum>& from) {
  size_to(to, std::ssize(from));
  for (std::size_t i = 0; i < from.size(); ++i) { to[i].add(from[i]); }
}

std::vector<std::int32_t> first_choices(const RowTokens& row) {
  std::vector<std::int32_t> result(std::size_t(row.tokens), -1);
  for (std::int64_t t = 0; t < row.tokens && row.slots > 0; ++t) {
    if (row.counted[t]) { result[t] = row.expert[t * row.slots]; }
  }
  return result;
}

void ChoiceTotals::add(const RowTokens& row) {
  for (auto* counts : {&assigned, &kept, &first_choice}) { size_to(*counts, row.experts); }
  for (auto* counts : {&assigned_by_slot, &dropped_by_slot}) { size_to(*counts, row.slots); }
  for (auto* counts : {&tokens_by_assigned, &tokens_by_run}) { size_to(*counts, row.slots + 1); }
  size_to(gate_mass, row.experts);
  static const std::size_t weight = row_number("expert_weight"),
                           margin = row_number("router_margin");
  for (std::int64_t t = 0; t < row.tokens; ++t) {
    if (row.is_left_out(t)) { continue; }
    if (!row.counted[t]) {
      ++spoilt_tokens;
      continue;
    }
    ++tokens;
    const float gap = row.has(margin) ? row.numbers[margin][t] : kNaN;
    near_ties += gap >= 0 && gap < row.near_tie ? 1 : 0;
    std::int64_t chosen = 0, run = 0;
    for (std::int64_t k = 0; k < row.slots; ++k) {
      const std::int64_t entry = t * row.slots + k, e = row.expert[entry];
      if (e < 0) { continue; }
      ++chosen;
      ++assigned[e];
      ++assigned_by_slot[k];
      if (k == 0) { ++first_choice[e]; }
      if (row.has(weight)) { gate_mass[e].add(row.numbers[weight][entry]); }
      row.kept[entry] ? ++run : ++dropped_by_slot[k];
      if (row.kept[entry]) { ++kept[e]; }
    }
    ++tokens_by_assigned[chosen];
    ++tokens_by_run[run];
  }
}

void ChoiceTotals::add(const ChoiceTotals& other) {
  tokens += other.tokens;
  spoilt_tokens += other.spoilt_tokens;
  near_ties += other.near_ties;
  add_counts(assigned, other.assigned);
  add_counts(kept, other.kept);
  add_counts(first_choice, other.first_choice);
  add_sums(gate_mass, other.gate_mass);
  add_counts(assigned_by_slot, other.assigned_by_slot);
  add_counts(dropped_by_slot, other.dropped_by_slot);
  add_counts(tokens_by_assigned, other.tokens_by_assigned);
  add_counts(tokens_by_run, other.tokens_by_run);
}

void NumberTotals::add(float value) {
  if (!std::isfinite(value)) { return; }
  sum.add(value);
  sum_square.add(double(value) * double(value));
  ++count;
  quantiles.add(value);
}

void NumberTotals::add(const NumberTotals& other) {
  sum.add(other.sum);
  sum_square.add(other.sum_square);
  count += other.count;
  quantiles.add(other.quantiles);
}

double NumberTotals::mean() const {
  return count > 0 ? sum.value() / double(count) : kNaN;
}

void ImportanceTotals::add(const RowTokens& row) {
  static const std::size_t weight = row_number("expert_weight"),
                           norm = row_number("expert_output_norm");
  const bool norms = row.has(norm);
  if (norms) {
    size_to(saliency, row.experts);
    size_to(saliency_count, row.experts);
  }
  if (row.logits) {
    size_to(selected_logit, row.experts);
    size_to(selected_count, row.experts);
  }
  for (std::int64_t entry = 0; entry < row.tokens * row.slots; ++entry) {
    const std::int64_t e = row.expert[entry], t = entry / row.slots;
    if (e < 0 || !row.counted[t]) { continue; }
    if (norms && row.kept[entry]) {
      const double value = double(row.numbers[weight][entry]) * double(row.numbers[norm][entry]);
      if (std::isfinite(value)) {
        saliency[e].add(value);
        ++saliency_count[e];
      }
    }
    const float logit = row.logits ? row.logits[t * row.logit_stride + e] : kNaN;
    if (std::isfinite(logit)) {
      selected_logit[e].add(logit);
      ++selected_count[e];
    }
  }
}

void ImportanceTotals::add(const ImportanceTotals& other) {
  add_sums(saliency, other.saliency);
  add_counts(saliency_count, other.saliency_count);
  add_sums(selected_logit, other.selected_logit);
  add_counts(selected_count, other.selected_count);
}

void EffectTotals::add(const EffectSums& from) {
  const double values[] = {
      from.sum,         from.sum_abs,        from.sum_square,   from.positive,    from.rel_sum,
      from.rel_sum_abs, from.rel_sum_square, from.rel_positive, from.slope_square};
  // Sums that NaN or Inf weights spoilt would spoil the rest.
  if (!std::all_of(std::begin(values), std::end(values),
                   [](double v) { return std::isfinite(v); })) {
    return;
  }
  for (std::size_t i = 0; i < sums.size(); ++i) { sums[i].add(values[i]); }
  count += from.count;
}

void EffectTotals::add(const EffectTotals& other) {
  for (std::size_t i = 0; i < sums.size(); ++i) { sums[i].add(other.sums[i]); }
  count += other.count;
}

EffectSums EffectTotals::value() const {
  return {.sum = sums[0].value(),
          .sum_abs = sums[1].value(),
          .sum_square = sums[2].value(),
          .positive = sums[3].value(),
          .rel_sum = sums[4].value(),
          .rel_sum_abs = sums[5].value(),
          .rel_sum_square = sums[6].value(),
          .rel_positive = sums[7].value(),
          .slope_square = sums[8].value(),
          .count = count};
}

}  // namespace kappascope
