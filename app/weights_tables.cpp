#include "app/weights_tables.h"

#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

namespace kappascope {
namespace {

constexpr TensorColumn kColumns[] = {
    {"abs_max", [](const TensorNumbers& n) { return n.abs_max; }},
    {"abs_outliers", [](const TensorNumbers& n) { return double(n.abs_outliers); }},
    {"inf", [](const TensorNumbers& n) { return double(n.inf); }},
    {"max", [](const TensorNumbers& n) { return n.most; }},
    {"mean", [](const TensorNumbers& n) { return n.mean; }},
    {"min", [](const TensorNumbers& n) { return n.least; }},
    {"nan", [](const TensorNumbers& n) { return double(n.nan); }},
    {"nonfinite", [](const TensorNumbers& n) { return double(n.nan + n.inf); }},
    {"std", [](const TensorNumbers& n) { return n.std; }},
    {"z_max", [](const TensorNumbers& n) { return n.z_max; }},
    {"z_outliers", [](const TensorNumbers& n) { return double(n.z_outliers); }},
};

// "64 32"; "" of none.
std::string shape_field(const TensorInfo* tensor) {
  std::string text;
  if (tensor == nullptr) { return text; }
  for (const std::int64_t extent : tensor->shape) {
    text += (text.empty() ? "" : " ") + std::to_string(extent);
  }
  return text;
}

}  // namespace

std::vector<TensorColumn> tensor_columns(const OutlierLimits& limits) {
  std::vector<TensorColumn> columns(std::begin(kColumns), std::end(kColumns));
  if (!limits.abs) {
    std::erase_if(columns, [](const TensorColumn& column) {
      return std::string_view(column.name) == "abs_outliers";
    });
  }
  return columns;
}

Table tensors_table(const TensorFile& file, const std::vector<TensorNumbers>& numbers,
                    const OutlierLimits& limits) {
  std::vector<std::string> names, dtypes, shapes;
  std::vector<std::int64_t> elements;
  for (const TensorInfo& tensor : file.tensors()) {
    names.push_back(tensor.name);
    dtypes.emplace_back(dtype_name(tensor.dtype));
    shapes.push_back(shape_field(&tensor));
    elements.push_back(tensor.elements());
  }
  Table table;
  table.rows = std::ssize(names);
  table.columns = {{"tensor", std::move(names)},
                   {"dtype", std::move(dtypes)},
                   {"shape", std::move(shapes)},
                   {"elements", std::move(elements)}};
  for (const TensorColumn& column : tensor_columns(limits)) {
    std::vector<double> values;
    for (const TensorNumbers& one : numbers) { values.push_back(column.of(one)); }
    table.columns.push_back({column.name, std::move(values)});
  }
  return table;
}

Table changes_table(const WeightChange& change) {
  std::vector<std::string> names, statuses, shape_a, shape_b, dtype_a, dtype_b;
  std::vector<double> elements, cosine, relative, flips, most;
  for (const TensorChange& one : change.tensors) {
    const bool both = one.status == TensorStatus::both;
    names.push_back(one.name);
    statuses.emplace_back(name(one.status));
    shape_a.push_back(shape_field(one.a));
    shape_b.push_back(shape_field(one.b));
    dtype_a.emplace_back(one.a ? dtype_name(one.a->dtype) : "");
    dtype_b.emplace_back(one.b ? dtype_name(one.b->dtype) : "");
    elements.push_back(both ? double(one.elements) : kNaN);
    cosine.push_back(one.cosine);
    relative.push_back(one.relative_change);
    flips.push_back(both ? double(one.sign_flips) : kNaN);
    most.push_back(one.most_change);
  }
  Table table;
  table.rows = std::ssize(names);
  table.columns = {{"tensor", std::move(names)},
                   {"presence", std::move(statuses)},
                   {"shape_a", std::move(shape_a)},
                   {"shape_b", std::move(shape_b)},
                   {"dtype_a", std::move(dtype_a)},
                   {"dtype_b", std::move(dtype_b)},
                   {"elements", std::move(elements)},
                   {"cosine", std::move(cosine)},
                   {"relative_change", std::move(relative)},
                   {"sign_flips", std::move(flips)},
                   {"most_change", std::move(most)}};
  return table;
}

Table kappa_table(const std::vector<LearnedKappa>& layers) {
  std::vector<std::string> parameters, kinds;
  std::vector<std::int64_t> numbers, slots;
  std::vector<double> mean, std, least, most, experts, gates, pearson, slope, residual;
  const auto add = [&](const char* parameter, const LearnedKappa& layer,
                       const ParameterNumbers& of) {
    if (std::isnan(of.mean)) { return; }
    parameters.emplace_back(parameter);
    numbers.push_back(layer.layer);
    slots.push_back(layer.slot);
    kinds.emplace_back(layer.moe ? "moe" : "dense");
    mean.push_back(of.mean);
    std.push_back(of.std);
    least.push_back(of.least);
    most.push_back(of.most);
    experts.push_back(of.std_across_experts);
    gates.push_back(of.std_across_gates);
    pearson.push_back(layer.pearson);
    slope.push_back(layer.slope);
    residual.push_back(layer.residual);
  };
  for (const LearnedKappa& layer : layers) {
    add("kappa_scale", layer, layer.scale);
    add("kappa_bias", layer, layer.bias);
  }
  Table table;
  table.rows = std::ssize(parameters);
  table.columns = {{"parameter", std::move(parameters)},
                   {"layer", std::move(numbers)},
                   {"slot", std::move(slots)},
                   {"kind", std::move(kinds)},
                   {"mean", std::move(mean)},
                   {"std", std::move(std)},
                   {"min", std::move(least)},
                   {"max", std::move(most)},
                   {"std_across_experts", std::move(experts)},
                   {"std_across_gates", std::move(gates)},
                   {"pearson", std::move(pearson)},
                   {"slope", std::move(slope)},
                   {"residual", std::move(residual)}};
  return table;
}

Table alignment_table(const std::vector<LayerAlignment>& layers) {
  std::vector<std::int64_t> numbers, experts;
  std::vector<float> mean, energy, top5, bottom5;
  for (const LayerAlignment& layer : layers) {
    for (std::size_t e = 0; e < layer.of.mean.size(); ++e) {
      numbers.push_back(layer.layer);
      experts.push_back(std::int64_t(e));
    }
    const auto append = [](std::vector<float>& to, const std::vector<float>& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(mean, layer.of.mean);
    append(energy, layer.of.energy);
    append(top5, layer.of.top5);
    append(bottom5, layer.of.bottom5);
  }
  Table table;
  table.rows = std::ssize(numbers);
  table.columns = {{"layer", std::move(numbers)},       {"expert", std::move(experts)},
                   {"alignment_mean", std::move(mean)}, {"alignment_energy", std::move(energy)},
                   {"alignment_top5", std::move(top5)}, {"alignment_bottom5", std::move(bottom5)}};
  return table;
}

}  // namespace kappascope
