// The tables of layers of a report.
#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include "app/cli/report_parts.h"
#include "core/stats/layer_statistics.h"

namespace kappascope {
namespace {

constexpr std::int64_t kMostExpertRows = 512;

// Statistics that are read together, in the order of their columns.
struct StatisticSubject {
  const char* title;
  std::vector<std::string_view> statistics;
};

std::vector<StatisticSubject> statistic_subjects() {
  return {
      {"Load and capacity",
       {"load_entropy", "load_cv", "max_vio", "effective_experts", "effective_experts_share",
        "unused_experts", "unused_by_chance", "drop_rate", "no_expert_rate", "utility_min",
        "utility_mean"}},
      {"Router",
       {"confidence", "selected_mass", "margin", "top_gap", "router_entropy", "router_entropy_nats",
        "near_ties", "nonfinite_tokens"}},
      {"Soft routing", {"budget", "experts_run.mean", "tokens_at_cap"}},
      {"Sharpness κ",
       {"kappa.mean", "kappa.p05", "kappa.p50", "kappa.p95", "kappa_log_mean", "kappa_top5_mean",
        "kappa_bottom5_mean", "kappa_sqrt_n_mean", "kappa_slope_l2"}},
      {"Gate activations",
       {"gate_kz_rms", "gate_linear_fraction", "gate_saturated_fraction", "gate_active_fraction",
        "gate_top16_share", "gate_entropy", "gate_mean_abs"}},
      {"Effect of κ",
       {"effect.mean", "effect.mean_abs", "effect.rms", "effect.positive_share",
        "effect_relative.mean", "effect_relative.mean_abs", "effect_relative.rms",
        "effect_relative.positive_share"}},
      {"Alignment of router and gates", {"alignment_mean", "alignment_energy"}},
  };
}

// A statistic that is new and of no subject yet is shown, too.
std::vector<StatisticSubject> all_subjects() {
  std::vector<StatisticSubject> all = statistic_subjects();
  std::set<std::string_view> named;
  for (const StatisticSubject& subject : all) {
    named.insert(subject.statistics.begin(), subject.statistics.end());
  }
  StatisticSubject others{"Other statistics", {}};
  for (const LayerStatistic& statistic : layer_statistics()) {
    if (!named.contains(statistic.name)) { others.statistics.push_back(statistic.name); }
  }
  all.push_back(others);
  return all;
}

// Columns layer and, of models that make several, pass.
template <typename Summary>
std::vector<Column> place_columns(const std::vector<Summary>& layers) {
  std::vector<std::int64_t> layer, pass;
  for (const Summary& one : layers) {
    layer.push_back(one.layer);
    pass.push_back(one.pass);
  }
  const bool several = std::any_of(pass.begin(), pass.end(), [](auto p) { return p > 0; });
  std::vector<Column> columns = {{"layer", std::move(layer)}};
  if (several) { columns.push_back({"pass", std::move(pass)}); }
  return columns;
}

template <typename Summary, typename Get>
Column column_of(std::string name, const std::vector<Summary>& layers, const Get& get) {
  std::vector<double> values;
  values.reserve(layers.size());
  for (const Summary& one : layers) { values.push_back(get(one)); }
  return {std::move(name), std::move(values)};
}

// Adds the table unless it has nothing beyond the columns that say where a row belongs.
void add_layer_table(std::vector<ReportTable>& tables, ReportTable table, std::size_t least) {
  drop_empty_columns(table.table);
  if (table.table.columns.size() > least && table.table.rows > 0) {
    tables.push_back(std::move(table));
  }
}

// Quantiles of κ as layer tables show them where the trace has no exact ones.
void add_read_off(ReportTable& table, const std::vector<LayerSummary>& layers) {
  const bool exact = std::any_of(layers.begin(), layers.end(), [](const LayerSummary& one) {
    return std::isfinite(one.kappa.p05);
  });
  const bool read_off = std::any_of(layers.begin(), layers.end(), [](const LayerSummary& one) {
    return std::isfinite(one.kappa_read_off.p05);
  });
  if (exact || !read_off) { return; }
  const auto after = std::find_if(table.table.columns.begin(), table.table.columns.end(),
                                  [](const Column& c) { return c.name == "kappa.p95"; });
  std::vector<Column> columns = {
      column_of("kappa_p05", layers, [](const auto& one) { return one.kappa_read_off.p05; }),
      column_of("kappa_p50", layers, [](const auto& one) { return one.kappa_read_off.p50; }),
      column_of("kappa_p95", layers, [](const auto& one) { return one.kappa_read_off.p95; })};
  table.table.columns.insert(after, columns.begin(), columns.end());
  table.notes.emplace_back(
      "kappa_p05, kappa_p50 and kappa_p95 are read off 64 bins of ln κ: of single gate units κ is "
      "not known from the score.");
}

ReportTable subject_table(const StatisticSubject& subject, const std::vector<LayerSummary>& layers,
                          bool folded) {
  ReportTable table{.title = subject.title, .headed = true, .folded = folded};
  table.table.rows = std::ssize(layers);
  table.table.columns = place_columns(layers);
  for (const std::string_view name : subject.statistics) {
    for (const LayerStatistic& statistic : layer_statistics()) {
      if (statistic.name != name) { continue; }
      table.table.columns.push_back(column_of(std::string(name), layers, statistic.of));
      if (name == "kappa.p95") { add_read_off(table, layers); }
    }
  }
  return table;
}

ReportTable dense_table(const std::vector<DenseSummary>& layers, bool folded) {
  using D = const DenseSummary&;
  ReportTable table{.title = "Dense layers", .headed = true, .folded = folded};
  table.table.rows = std::ssize(layers);
  table.table.columns = place_columns(layers);
  const auto add = [&](const char* name, double (*get)(D)) {
    table.table.columns.push_back(column_of(name, layers, get));
  };
  add("kappa.mean", [](D d) { return d.kappa.mean; });
  add("kappa.p05", [](D d) { return d.kappa.p05; });
  add("kappa.p50", [](D d) { return d.kappa.p50; });
  add("kappa.p95", [](D d) { return d.kappa.p95; });
  add("kappa_slope_l2", [](D d) { return d.kappa_slope_l2; });
  add("gate_kz_rms", [](D d) { return d.gate_kz_rms; });
  add("gate_linear_fraction", [](D d) { return d.gate_linear_fraction; });
  add("gate_saturated_fraction", [](D d) { return d.gate_saturated_fraction; });
  add("gate_active_fraction", [](D d) { return d.gate_active_fraction; });
  add("gate_top16_share", [](D d) { return d.gate_top16_share; });
  add("gate_entropy", [](D d) { return d.gate_entropy; });
  add("gate_mean_abs", [](D d) { return d.gate_mean_abs; });
  return table;
}

// One row an expert; a layer with fewer experts than another has the rest of its rows empty, so
// they are left out.
ReportTable expert_table(const std::vector<LayerSummary>& layers) {
  std::vector<std::int64_t> layer, pass, expert;
  std::vector<std::vector<double>> values(5);
  for (const LayerSummary& one : layers) {
    const std::vector<double>* lists[] = {&one.load, &one.gate_mass, &one.mean_selected_logit,
                                          &one.saliency, &one.contribution};
    for (std::size_t e = 0; e < one.load.size(); ++e) {
      layer.push_back(one.layer);
      pass.push_back(one.pass);
      expert.push_back(static_cast<std::int64_t>(e));
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i].push_back(e < lists[i]->size() ? (*lists[i])[e] : kNaN);
      }
    }
  }
  const bool several = std::any_of(pass.begin(), pass.end(), [](auto p) { return p > 0; });
  ReportTable table{.title = "Experts", .most_rows = kMostExpertRows, .folded = true};
  table.all_rows = "all are in summary.json";
  table.table.rows = std::ssize(layer);
  table.table.columns = {{"layer", std::move(layer)}};
  if (several) { table.table.columns.push_back({"pass", std::move(pass)}); }
  table.table.columns.push_back({"expert", std::move(expert)});
  const char* const names[] = {"load", "gate_mass", "mean_selected_logit", "saliency",
                               "contribution"};
  for (std::size_t i = 0; i < values.size(); ++i) {
    table.table.columns.push_back({names[i], std::move(values[i])});
  }
  return table;
}

}  // namespace

std::vector<ReportTable> layer_tables(const Trace& trace, const std::vector<LayerSummary>& layers,
                                      bool folded) {
  std::vector<ReportTable> tables;
  const std::size_t own = place_columns(layers).size();
  for (const StatisticSubject& subject : all_subjects()) {
    add_layer_table(tables, subject_table(subject, layers, folded), own);
  }
  const std::vector<DenseSummary> dense = summarise_dense(trace);
  add_layer_table(tables, dense_table(dense, folded), place_columns(dense).size());
  add_layer_table(tables, expert_table(layers), own + 1);
  return tables;
}

}  // namespace kappascope
