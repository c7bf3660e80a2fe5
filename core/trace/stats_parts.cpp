#include "core/trace/stats_parts.h"

#include <algorithm>

#include "core/nan.h"

namespace kappascope {
namespace {

using Counts = std::vector<std::int64_t>;

// [L] each: which layers of the model, in which pass.
void add_places(DescribedArrays& to, const char* layer, const char* pass,
                const std::vector<SideTotals>& sides) {
  std::vector<std::int32_t> layers, passes;
  for (const SideTotals& side : sides) {
    layers.push_back(side.layer);
    passes.push_back(side.pass);
  }
  to.add_as_in_trace(layer, {std::ssize(sides)}, std::move(layers));
  to.add_as_in_trace(pass, {std::ssize(sides)}, std::move(passes));
}

void add_numbers(DescribedArrays& to, const std::string& prefix, const char* axis,
                 const std::vector<SideTotals>& sides) {
  for (std::size_t i = 0; i < kSideNumbers.size(); ++i) {
    std::vector<const NumberTotals*> layers;
    for (const SideTotals& side : sides) { layers.push_back(&side.numbers[i]); }
    add_number(to, prefix + std::string(kSideNumbers[i]), axis, layers);
  }
}

// [Md,Id] κ of the gate units of dense layers, NaN beyond a layer's own.
void add_dense_kappa(DescribedArrays& to, const std::vector<SideTotals>& dense) {
  std::size_t gates = 0;
  for (const SideTotals& side : dense) { gates = std::max(gates, side.kappa.size()); }
  std::vector<float> kappa;
  for (const SideTotals& side : dense) {
    kappa.insert(kappa.end(), side.kappa.begin(), side.kappa.end());
    kappa.resize(kappa.size() + gates - side.kappa.size(), kNaN);
  }
  to.add_as_in_trace("dense_kappa", {std::ssize(dense), std::int64_t(gates)}, std::move(kappa));
}

}  // namespace

void add_number(DescribedArrays& to, const std::string& name, const char* axis,
                const std::vector<const NumberTotals*>& layers) {
  constexpr double kQuantiles[] = {0.05, 0.25, 0.5, 0.75, 0.95};
  const std::int64_t rows = std::ssize(layers);
  std::vector<double> sum, square, quantiles;
  Counts count;
  for (const NumberTotals* number : layers) {
    sum.push_back(number->sum.value());
    square.push_back(number->sum_square.value());
    count.push_back(number->count);
    for (const double q : number->quantiles.quantiles(kQuantiles)) { quantiles.push_back(q); }
  }
  if (std::all_of(count.begin(), count.end(), [](std::int64_t n) { return n == 0; })) { return; }
  to.add(name + "_sum", {rows}, std::move(sum), "sum over what ran", {axis}, "1");
  to.add(name + "_sum_square", {rows}, std::move(square), "sum of the squares", {axis}, "1");
  to.add(name + "_count", {rows}, std::move(count), "finite values", {axis});
  to.add(name + "_quantiles", {rows, 5}, std::move(quantiles), "5, 25, 50, 75 and 95 % quantile",
         {axis, "quantile"}, "1");
}

void add_kappa(DescribedArrays& to, const CorpusTotals& totals) {
  const std::int64_t rows = std::ssize(totals.rows), experts = totals.experts;
  const auto cells = std::size_t(rows * experts);
  std::vector<double> sum(cells, kNaN), log_sum(cells, kNaN);
  Counts count(cells, -1), log_count(cells, -1);
  for (std::int64_t r = 0; r < rows; ++r) {
    const KappaTotals& kappa = totals.rows[r].kappa;
    for (std::int64_t e = 0; e < std::ssize(kappa.mean); ++e) {
      sum[r * experts + e] = kappa.mean[e].value();
      count[r * experts + e] = kappa.count[e];
    }
    for (std::int64_t e = 0; e < std::ssize(kappa.log); ++e) {
      log_sum[r * experts + e] = kappa.log[e].value();
      log_count[r * experts + e] = kappa.log_count[e];
    }
  }
  to.add("expert_kappa_sum", {rows, experts}, std::move(sum), "sum of kappa_mean of each expert",
         {"moe_layer", "expert"}, "1");
  to.add("expert_kappa_count", {rows, experts}, std::move(count), "slots that have one",
         {"moe_layer", "expert"});
  to.add("expert_kappa_log_sum", {rows, experts}, std::move(log_sum),
         "sum of ln kappa over kept (token, gate)", {"moe_layer", "expert"}, "1");
  to.add("expert_kappa_log_count", {rows, experts}, std::move(log_count), "these",
         {"moe_layer", "expert"});
}

void add_rules(DescribedArrays& to, const CorpusTotals& totals) {
  const std::int64_t rows = std::ssize(totals.rows);
  for (const auto& [name, values] : totals.rules) {
    std::vector<std::int64_t> shape{rows};
    if (std::ssize(values) > rows) { shape.push_back(totals.experts); }
    if (std::ssize(values) > rows * totals.experts) { shape.push_back(totals.gates); }
    to.add_as_in_trace(name, std::move(shape), values);
  }
  if (totals.layer_cap.empty()) { return; }
  to.add_as_in_trace("layer_cap", {rows}, totals.layer_cap);
  Counts capped;
  for (const RowTotals& row : totals.rows) { capped.push_back(row.tokens_at_cap); }
  to.add("tokens_at_cap", {rows}, std::move(capped),
         "tokens with an expert that only the cap left out", {"moe_layer"});
}

void add_sides(DescribedArrays& to, const CorpusTotals& totals) {
  if (!totals.dense.empty()) {
    add_places(to, "dense_layer_index", "dense_pass_index", totals.dense);
    add_dense_kappa(to, totals.dense);
    add_numbers(to, "dense_", "dense_layer", totals.dense);
  }
  if (totals.shared.empty()) { return; }
  add_places(to, "shared_layer_index", "shared_pass_index", totals.shared);
  add_numbers(to, "shared_", "shared_layer", totals.shared);
}

}  // namespace kappascope
