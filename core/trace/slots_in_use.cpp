#include "core/trace/slots_in_use.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include "core/trace/schema.h"

namespace kappascope {
namespace {

// Items in one step along the slots of the array of that schema; 0: it has no such axis.
std::int64_t items_a_slot(const NpyArray& array) {
  for (const ArraySchema& schema : array_schemas()) {
    if (schema.name != array.name) { continue; }
    const auto axis = std::find(schema.axes.begin(), schema.axes.end(), Axis::slot);
    if (axis == schema.axes.end()) { return 0; }
    std::int64_t items = 1;
    for (auto i = std::size_t(axis - schema.axes.begin()) + 1; i < array.shape.size(); ++i) {
      items *= array.shape[i];
    }
    return items;
  }
  return 0;
}

template <typename T>
void copy_values(std::span<const T> values, const NpyArray& array, std::int64_t before,
                 std::int64_t slots, NpzWriter& to) {
  const std::int64_t each = items_a_slot(array);
  if (each == 0 || before == slots) { return to.write(array.name, 0, std::as_bytes(values)); }
  const std::int64_t cells = std::ssize(values) / (before * each);  // tokens of all layers
  // A few megabytes at a time.
  const std::int64_t most = std::max<std::int64_t>(1, (std::int64_t{4} << 20) / (slots * each));
  std::vector<T> block;
  for (std::int64_t first = 0; first < cells; first += most) {
    const std::int64_t count = std::min(most, cells - first);
    block.resize(std::size_t(count * slots * each));
    for (std::int64_t i = 0; i < count; ++i) {
      std::copy_n(values.begin() + (first + i) * before * each, slots * each,
                  block.begin() + i * slots * each);
    }
    to.write(array.name, first * slots * each, std::as_bytes(std::span<const T>(block)));
  }
}

}  // namespace

void copy_slots(const NpzReader& from, const NpyArray& array, std::int64_t before,
                std::int64_t slots, NpzWriter& to) {
  const auto copy = [&](auto values) { copy_values(values, array, before, slots, to); };
  switch (array.type) {
    case NpyType::boolean:
      return copy(from.boolean(array.name));
    case NpyType::int8:
      return copy(from.int8(array.name));
    case NpyType::int16:
      return copy(from.int16(array.name));
    case NpyType::int32:
      return copy(from.int32(array.name));
    case NpyType::int64:
      return copy(from.int64(array.name));
    case NpyType::float32:
      return copy(from.float32(array.name));
    case NpyType::float64:
      return copy(from.float64(array.name));
    case NpyType::text:
      return to.write_text(array.name, 0, from.text(array.name));
  }
  fail(ExitCode::internal, {}, "an array of no type");
}

RemovedAtEnd::~RemovedAtEnd() {
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
}

SoftRules soft_rules(const RunPlan& plan, const std::vector<std::int64_t>& moe_layers,
                     std::int64_t experts) {
  SoftRules rules;
  for (std::int64_t pass = 0; pass < plan.passes; ++pass) {
    for (const std::int64_t layer : moe_layers) {
      const SoftRule rule = plan.layers[layer].soft_rule();
      rules.budget.push_back(float(rule.budget));
      rules.threshold.push_back(float(soft_threshold(rule, experts)));
      rules.cap.push_back(std::int32_t(rule.most));
    }
  }
  return rules;
}

void write_soft_rules(const SoftRules& rules, NpzWriter& writer) {
  writer.write("layer_budget", rules.budget);
  writer.write("layer_threshold", rules.threshold);
  writer.write("layer_cap", rules.cap);
}

}  // namespace kappascope
