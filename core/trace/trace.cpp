#include "core/trace/trace.h"

#include <algorithm>
#include <limits>
#include <set>

#include "core/checkpoint/other_format.h"
#include "core/checkpoint/tensor.h"
#include "core/trace/kappa_in_force.h"
#include "core/trace/loaded_arrays.h"
#include "core/trace/schema.h"
#include "core/trace/stats_file.h"

namespace kappascope {
namespace {

constexpr std::int64_t kMostGates = 1 << 24;   // I; keeps sums of counts far below 2^63
constexpr std::int64_t kMostLayers = 1 << 16;  // L

// Named values of the document, each checked; misses are collected.
class MetaReader {
 public:
  MetaReader(const Json& meta, Faults& faults) : meta_(meta), faults_(faults) {}

  std::string text(const char* group, const char* key) const {
    const Json* value = find(group, key);
    if (value != nullptr && value->is_string()) { return value->get<std::string>(); }
    miss(group, key, "a text");
    return {};
  }

  bool truth(const char* group, const char* key) const {
    const Json* value = find(group, key);
    if (value != nullptr && value->is_boolean()) { return value->get<bool>(); }
    miss(group, key, "true or false");
    return false;
  }

  // A text of the document that is this one; it may be missing.
  bool is_text(const char* key, std::string_view expected) const {
    const Json* value = find(nullptr, key);
    return value != nullptr && value->is_string() && *value == expected;
  }

  bool is_null(const char* group, const char* key) const {
    const Json* value = find(group, key);
    return value != nullptr && value->is_null();
  }

  std::int64_t integer(const char* group, const char* key, std::int64_t least,
                       std::int64_t most) const {
    const Json* value = find(group, key);
    if (value != nullptr && value->is_number_integer()) {
      // Over 2^63 a JSON integer is unsigned.
      const bool huge = value->is_number_unsigned() &&
                        value->get<std::uint64_t>() > static_cast<std::uint64_t>(most);
      const auto number = huge ? most : value->get<std::int64_t>();
      if (!huge && number >= least && number <= most) { return number; }
    }
    miss(group, key, join_words("an integer from ", least, " to ", most));
    return least;
  }

  // A number over 0; `otherwise` where the document has none.
  double positive(const char* group, const char* key, double otherwise) const {
    const Json* value = find(group, key);
    if (value == nullptr) { return otherwise; }
    if (value->is_number() && value->get<double>() > 0) { return value->get<double>(); }
    miss(group, key, "a number over 0");
    return otherwise;
  }

 private:
  const Json* find(const char* group, const char* key) const {
    const Json* place = &meta_;
    for (const char* part : {group, key}) {
      if (part == nullptr) { continue; }
      if (!place->is_object() || !place->contains(part)) { return nullptr; }
      place = &(*place)[part];
    }
    return place;
  }

  void miss(const char* group, const char* key, std::string_view expected) const {
    faults_.add(ExitCode::damaged, kMetaArray, group == nullptr ? "" : group,
                group == nullptr ? "" : ".", key, "; expected ", expected);
  }

  const Json& meta_;
  Faults& faults_;
};

// The array of a row of the table, with what is wrong about its presence among the faults; nullptr:
// not recorded. `absent`: keys that were said to be missing.
const NpyArray* recorded_array(const NpzReader& file, const ArraySchema& schema,
                               std::set<std::string_view>& absent, Faults& faults) {
  const NpyArray* array = file.find(schema.name);
  const bool optional = schema.group == ArrayGroup::moe_optional;
  const bool expected = optional ? file.mentions(schema.name) : recorded(file, schema.group);
  if (array == nullptr && expected) {
    const Failure reason = file.absence(schema.name);
    faults.add(reason.code, schema.name, reason.message);
  }
  // Without what says which layers they are of, their extents would stand for those of others.
  std::vector<std::string_view> keys{key_of(schema.group)};
  const bool of_moe = schema.group == ArrayGroup::gates || schema.group == ArrayGroup::outputs;
  if (of_moe) { keys.push_back(key_of(ArrayGroup::moe)); }
  for (const std::string_view key : keys) {
    if (array == nullptr || key.empty() || file.mentions(key)) { continue; }
    if (absent.insert(key).second) {
      faults.add(ExitCode::damaged, key, "missing array beside ", schema.name);
    }
    return nullptr;
  }
  return array;
}

// Compares every array with the table; the first array that has an axis settles its extent.
Extents check_arrays(const NpzReader& file, std::int64_t gates, Faults& faults) {
  Extents extents;
  std::set<std::string_view> absent;
  extents[Axis::top] = kTopTokens;
  extents[Axis::kappa_bin] = kKappaBins;
  extents[Axis::z_bin] = kGatePreBins;
  extents[Axis::gate] = gates;
  for (const ArraySchema& schema : array_schemas()) {
    const NpyArray* array = recorded_array(file, schema, absent, faults);
    if (array == nullptr) { continue; }
    if (array->type != schema.type) {
      faults.add(ExitCode::damaged, schema.name, "array type; expected ", type_name(schema.type),
                 ", found ", type_name(array->type));
    }
    std::vector<std::int64_t> expected;
    const std::size_t rank =
        std::clamp(array->shape.size(), std::min(schema.least_rank, schema.rank()), schema.rank());
    for (std::size_t place = 0; place < rank; ++place) {
      const Axis axis = schema.axes[place];
      std::int64_t& extent = extents[axis];
      if (extent < 0 && place < array->shape.size()) { extent = array->shape[place]; }
      expected.push_back(extent);
    }
    if (array->shape != expected) {
      faults.add(ExitCode::damaged, schema.name, "shape; expected ", shape_text(expected),
                 ", found ", shape_text(array->shape));
    }
  }
  return extents;
}

// Refuses extents that the arithmetic of statistics could not hold.
void check_extents(const Extents& extents, Faults& faults) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  for (const Axis axis : {Axis::token, Axis::moe_layer, Axis::expert, Axis::slot, Axis::dense_layer,
                          Axis::dense_gate, Axis::vocabulary, Axis::lens_layer, Axis::width}) {
    if (extents[axis] != 0 && extents[axis] <= kMost) { continue; }
    faults.add(ExitCode::damaged, "", "extent of ", axis_name(axis), "; expected 1 to ", kMost,
               ", found ", extents[axis]);
  }
  if (extents[Axis::slot] > std::max<std::int64_t>(extents[Axis::expert], 1)) {
    faults.add(ExitCode::damaged, "expert_index", "slots; expected at most ", extents[Axis::expert],
               " experts, found ", extents[Axis::slot]);
  }
}

template <typename T>
void check_range(std::string_view name, std::span<const T> values, std::int64_t least,
                 std::int64_t most, Faults& faults) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= least && values[i] <= most) { continue; }
    faults.add(ExitCode::damaged, name, "element ", i, "; expected ", least, " to ", most,
               ", found ", +values[i]);
    return;
  }
}

// Counts of each layer add up to at most one for every token, slot and gate unit.
void check_counts(std::string_view name, std::span<const std::int64_t> counts, const Trace& trace,
                  Faults& faults) {
  if (counts.empty()) { return; }
  const std::int64_t most = trace.tokens * trace.slots * trace.gates;
  const std::size_t size = counts.size() / static_cast<std::size_t>(trace.layers);
  for (std::size_t begin = 0; begin < counts.size(); begin += size) {
    std::int64_t left = most;
    for (const std::int64_t count : counts.subspan(begin, size)) {
      if (count < 0 || count > left) {
        faults.add(ExitCode::damaged, name, "counts of layer row ", begin / size,
                   "; expected at least 0 and a sum of at most ", most, ", found ", count);
        return;
      }
      left -= count;
    }
  }
}

// What statistics and figures use as an index, or divide by, must be in range.
void check_values(const Trace& trace, Faults& faults) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  check_range("token_id", trace.token_id, 0, kMost, faults);
  check_range("char_start", trace.char_start, -1, kMost, faults);
  check_range("char_end", trace.char_end, -1, kMost, faults);
  check_range("token_mask", trace.token_mask, 0, 1, faults);
  check_range("phase", trace.phase, 0, 1, faults);
  if (trace.only_assistant && trace.token_mask.empty()) {
    faults.add(ExitCode::damaged, "token_mask", "missing array; statistics are of its tokens");
  }
  check_range("target_rank", trace.target_rank, -1, kMost, faults);
  check_range("top_token_id", trace.top_token_id, -1, kMost, faults);
  check_range("layer_index", trace.layer_index, 0, trace.model_layers - 1, faults);
  check_range("pass_index", trace.pass_index, 0, kMost, faults);
  check_range("shared_layer_index", trace.shared_layer_index, 0, trace.model_layers - 1, faults);
  check_range("dense_layer_index", trace.dense_layer_index, 0, trace.model_layers - 1, faults);
  check_range("dense_pass_index", trace.dense_pass_index, 0, kMost, faults);
  check_range("lens_layer_index", trace.lens_layer_index, 0, trace.model_layers - 1, faults);
  check_range("lens_pass_index", trace.lens_pass_index, 0, kMost, faults);
  check_range("lens_token_id", trace.lens_token_id, 0, kMost, faults);
  check_range("lens_target_rank", trace.lens_target_rank, -1, kMost, faults);
  check_range("expert_index", trace.expert_index, -1, trace.experts - 1, faults);
  for (std::size_t i = 0; i < trace.expert_index.size(); ++i) {
    if (trace.expert_kept[i] <= 1 && (trace.expert_index[i] >= 0 || trace.expert_kept[i] == 0)) {
      continue;
    }
    const bool truth = trace.expert_kept[i] <= 1;
    faults.add(ExitCode::damaged, "expert_kept", "element ", i,
               truth ? "; expected a kept slot to have an expert, found none"
                     : join_words("; expected 0 or 1, found ", int(trace.expert_kept[i])));
    break;
  }
  if (trace.tokens * trace.slots >
      (std::int64_t{1} << 62) / std::max(trace.gates, std::int64_t{1})) {
    faults.add(ExitCode::damaged, "expert_index", "tokens times slots times gates over 2^62");
    return;
  }
  check_counts("kappa_hist", trace.kappa_hist, trace, faults);
  check_counts("gate_pre_hist", trace.gate_pre_hist, trace, faults);
}

void set_extents(Trace& trace, const Extents& extents) {
  const auto extent = [&](Axis axis) { return std::max<std::int64_t>(extents[axis], 0); };
  trace.tokens = extent(Axis::token);
  trace.layers = extent(Axis::moe_layer);
  trace.experts = extent(Axis::expert);
  trace.slots = extent(Axis::slot);
  trace.gates = extent(Axis::gate);
  trace.dense_layers = extent(Axis::dense_layer);
  trace.dense_gates = extent(Axis::dense_gate);
  trace.lens_layers = extent(Axis::lens_layer);
  trace.width = extent(Axis::width);
}

void load_trace(Trace& trace) {
  const NpzReader& file = *trace.file;
  const bool corpus = is_corpus_result(file);
  trace.meta = read_meta(file, corpus ? kStatsSchema : kTraceSchema);
  Faults faults(file.file().path());
  const MetaReader meta(trace.meta, faults);
  trace.model_name = meta.text("model", "name");
  trace.family = meta.text("model", "family");
  // Null where the model has none.
  if (!meta.is_null("model", "step")) {
    trace.step = meta.integer("model", "step", -1, std::numeric_limits<std::int64_t>::max());
  }
  trace.model_layers = meta.integer(nullptr, "n_layer", 1, kMostLayers);
  trace.kappa = meta.truth("kappa", "in_force");
  trace.kappa_constant = meta.positive("kappa", "constant", 1);
  for (const char* group : {"thresholds", static_cast<const char*>(nullptr)}) {
    trace.near_tie = meta.positive(group, "near_tie", trace.near_tie);
  }
  trace.only_assistant = meta.is_text("only", kOnlyAssistant);
  if (const auto score = trace.meta.find("router_score"); score != trace.meta.end()) {
    if (*score == "sigmoid") { trace.router_score = RouterScore::sigmoid; }
    if (score->is_null()) { trace.router_score.reset(); }
  }
  meta.text(nullptr, "config_sha256");
  meta.text(nullptr, "tensor_directory_sha256");
  const std::int64_t gates = meta.integer("dimensions", "gate", 1, kMostGates);
  if (corpus) {
    faults.throw_if_any();
    return load_corpus(trace, gates);
  }
  const Extents extents = check_arrays(file, gates, faults);
  check_extents(extents, faults);
  faults.throw_if_any();
  set_extents(trace, extents);
  load_arrays(trace, file);
  check_values(trace, faults);
  faults.throw_if_any();
}

}  // namespace

Trace open_trace(const std::filesystem::path& path) {
  Trace trace;
  trace.path = path;
  trace.file = std::make_shared<NpzReader>(path);
  with_format(trace.file->file(), Expected::npz_archive, [&] { load_trace(trace); });
  trace.file->file().require_unchanged();
  find_parameters(trace);
  return trace;
}

void require_unchanged(const Trace& trace) {
  trace.file->require_unchanged();
  if (trace.model) { trace.model->file->require_unchanged(); }
}

}  // namespace kappascope
