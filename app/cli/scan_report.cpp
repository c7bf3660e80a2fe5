#include "app/cli/scan_report.h"

#include <cmath>

#include "app/cli/terminal.h"
#include "app/cli/text_table.h"
#include "app/cli/verbs.h"
#include "core/stats/mean.h"
#include "core/stats/summary.h"
#include "core/tokenizer/tokenizer.h"

namespace kappascope {
namespace {

// Means over the experts of a layer.
constexpr const char* kAlignmentNames[] = {"alignment_mean", "alignment_energy", "alignment_top5",
                                           "alignment_bottom5"};

Json list_of(const std::vector<float>& values) {
  Json list = Json::array();
  for (const float value : values) { list.push_back(number_json(value)); }
  return list;
}

// In the order of kAlignmentNames.
std::vector<const std::vector<float>*> parts_of(const UnitAlignment& alignment) {
  return {&alignment.mean, &alignment.energy, &alignment.top5, &alignment.bottom5};
}

Json tensors_json(const ScanResult& scan) {
  Json list = Json::array();
  const std::vector<TensorColumn> columns = tensor_columns(scan.limits);
  const std::vector<TensorInfo>& tensors = scan.model.tensors->tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    Json json{{"tensor", display_text(tensors[i].name)},
              {"dtype", dtype_name(tensors[i].dtype)},
              {"shape", tensors[i].shape},
              {"elements", scan.numbers[i].elements},
              {"abs_max_index", scan.numbers[i].abs_max_index}};
    for (const TensorColumn& column : columns) {
      json[column.name] = number_json(column.of(scan.numbers[i]));
    }
    list.push_back(std::move(json));
  }
  return list;
}

Json parameter_json(const ParameterNumbers& numbers) {
  return {{"mean", number_json(numbers.mean)},
          {"std", number_json(numbers.std)},
          {"min", number_json(numbers.least)},
          {"max", number_json(numbers.most)},
          {"std_across_experts", number_json(numbers.std_across_experts)},
          {"std_across_gates", number_json(numbers.std_across_gates)}};
}

Json kappa_json(const ScanResult& scan) {
  Json list = Json::array();
  for (const LearnedKappa& one : scan.kappa) {
    list.push_back({{"layer", one.layer},
                    {"slot", one.slot},
                    {"kind", one.moe ? "moe" : "dense"},
                    {"kappa_scale", parameter_json(one.scale)},
                    {"kappa_bias", parameter_json(one.bias)},
                    {"pearson", number_json(one.pearson)},
                    {"slope", number_json(one.slope)},
                    {"residual", number_json(one.residual)},
                    {"residual_share", number_json(one.residual_share)}});
  }
  return list;
}

Json alignment_json(const ScanResult& scan) {
  Json list = Json::array();
  for (const LayerAlignment& alignment : scan.alignments) {
    Json json{{"layer", alignment.layer}}, experts;
    const auto parts = parts_of(alignment.of);
    for (std::size_t k = 0; k < parts.size(); ++k) {
      json[kAlignmentNames[k]] = number_json(mean_of(*parts[k]).value());
      experts[kAlignmentNames[k]] = list_of(*parts[k]);
    }
    json["experts"] = std::move(experts);
    list.push_back(std::move(json));
  }
  return list;
}

std::vector<TextRow> kappa_rows(const ScanResult& scan) {
  std::vector<TextRow> rows = {{"κ", "layer", "mean", "std", "min", "max", "std over experts",
                                "over gates", "Pearson(b, α)", "c of b ≈ c·α", "residual"}};
  for (const LearnedKappa& one : scan.kappa) {
    const std::string layer =
        std::to_string(one.layer) + (one.slot > 0 ? join_words(", slot ", one.slot) : "");
    const auto row = [&](const char* name, const ParameterNumbers& n) {
      if (std::isnan(n.mean)) { return; }
      rows.push_back({name, layer, cell(n.mean), cell(n.std, 3), cell(n.least), cell(n.most),
                      cell(n.std_across_experts, 3), cell(n.std_across_gates, 3), "", "", ""});
    };
    row("α", one.scale);
    row("b", one.bias);
    if (std::isnan(one.slope)) { continue; }
    rows.back()[8] = cell(one.pearson, 3);
    rows.back()[9] = cell(one.slope, 3);
    rows.back()[10] = cell(one.residual, 3);
  }
  return rows;
}

std::vector<TextRow> alignment_rows(const ScanResult& scan) {
  std::vector<TextRow> rows = {{"router and experts: layer", "alignment (mean column)",
                                "(by energy)", "top 5 % of units", "bottom 5 %"}};
  for (const LayerAlignment& alignment : scan.alignments) {
    rows.push_back({std::to_string(alignment.layer)});
    for (const std::vector<float>* part : parts_of(alignment.of)) {
      rows.back().push_back(cell(mean_of(*part).value(), 3));
    }
  }
  return rows;
}

}  // namespace

std::vector<std::string> scan_names(const OutlierLimits& limits) {
  std::vector<std::string> names;
  for (const TensorColumn& column : tensor_columns(limits)) { names.emplace_back(column.name); }
  names.insert(names.end(), std::begin(kAlignmentNames), std::end(kAlignmentNames));
  return names;
}

void check_thresholds(const ScanResult& scan, Thresholds& thresholds) {
  const std::vector<TensorInfo>& tensors = scan.model.tensors->tensors();
  const std::vector<TensorColumn> columns = tensor_columns(scan.limits);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    for (const TensorColumn& column : columns) {
      thresholds.check(column.name, column.of(scan.numbers[i]), printable(tensors[i].name));
    }
  }
  for (const LayerAlignment& alignment : scan.alignments) {
    const auto parts = parts_of(alignment.of);
    for (std::size_t k = 0; k < parts.size(); ++k) {
      thresholds.check(kAlignmentNames[k], mean_of(*parts[k]).value(),
                       join_words("layer ", alignment.layer));
    }
  }
}

Json scan_json(const ScanResult& scan) {
  Json json{{"schema", "kappascope.scan/1"},
            {"model", display_text(scan.model.name())},
            {"step", json_of(scan.model.files.step)},
            {"outlier_z", scan.limits.z},
            {"tensors", tensors_json(scan)},
            {"kappa", kappa_json(scan)},
            {"alignment", alignment_json(scan)},
            {"written_by", join_words("kappascope ", kToolVersion)}};
  if (scan.limits.abs) { json["outlier_abs"] = *scan.limits.abs; }
  for (const ExpertSimilarity& similarity : scan.similarities) {
    Json rows = Json::array();
    for (std::int64_t i = 0; i < similarity.experts; ++i) {
      Json row = Json::array();
      for (std::int64_t j = 0; j < similarity.experts; ++j) {
        row.push_back(number_json(similarity.weights[i * similarity.experts + j]));
      }
      rows.push_back(std::move(row));
    }
    json["similarity"].push_back(
        {{"layer", similarity.layer}, {"order", similarity.order}, {"weights_cosine", rows}});
  }
  return json;
}

std::string scan_text(const ScanResult& scan) {
  std::string text;
  std::vector<TextRow> rows = {{"tensor", "shape", "dtype", "min", "max", "mean", "std", "NaN",
                                "Inf", "largest |z|", join_words("|z| > ", scan.limits.z)}};
  if (scan.limits.abs) { rows[0].push_back(join_words("|x| > ", *scan.limits.abs)); }
  const std::vector<TensorInfo>& tensors = scan.model.tensors->tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorNumbers& n = scan.numbers[i];
    rows.push_back({printable(tensors[i].name), shape_text(tensors[i].shape),
                    std::string(dtype_name(tensors[i].dtype)), cell(n.least), cell(n.most),
                    cell(n.mean, 3), cell(n.std, 3), std::to_string(n.nan), std::to_string(n.inf),
                    cell(n.z_max, 3), std::to_string(n.z_outliers)});
    if (scan.limits.abs) { rows.back().push_back(std::to_string(n.abs_outliers)); }
  }
  text += text_table(rows, 3);
  if (!scan.kappa.empty()) { text += "\n" + text_table(kappa_rows(scan), 2); }
  if (!scan.alignments.empty()) { text += "\n" + text_table(alignment_rows(scan)); }
  return text;
}

}  // namespace kappascope
