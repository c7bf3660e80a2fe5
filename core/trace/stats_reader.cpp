// A corpus result opened as a trace is: what needs no single token is in the places where a trace
// has it.
#include <algorithm>
#include <memory>

#include "core/trace/byte_archive.h"
#include "core/trace/stats_file.h"

namespace kappascope {
namespace {

std::shared_ptr<const CorpusTotals> read_totals(const NpzReader& file) {
  const std::string path = file.file().path();
  const std::span<const std::int64_t> words = file.int64(kTotalsArray);
  const Place place{.file = path, .tensor = kTotalsArray};
  require(!words.empty() && words[0] >= 0 &&
              std::uint64_t(words[0]) <= (words.size() - 1) * sizeof words[0],
          ExitCode::damaged, place, "length; expected at most ",
          words.empty() ? 0 : (words.size() - 1) * 8, " bytes, found ",
          words.empty() ? 0 : words[0]);
  ByteReader reader(std::as_bytes(words.subspan(1)).first(std::size_t(words[0])), path);
  std::uint32_t version = 0;
  reader(version);
  require(version == kTotalsVersion, ExitCode::unsupported, place,
          "written by another version of kappascope; expected totals of version ", kTotalsVersion,
          ", found ", version, "; run stats again");
  auto totals = std::make_shared<CorpusTotals>();
  reader(*totals);
  reader.require_end();
  require(totals->consistent(), ExitCode::damaged, place,
          "expected totals that fit together, found sizes or counts that do not");
  return totals;
}

// What acted in every call alike: these arrays are in the totals.
void set_rules(Trace& trace) {
  const CorpusTotals& totals = *trace.corpus;
  const auto rule = [&](const char* name) -> std::span<const float> {
    const auto found = totals.rules.find(name);
    if (found == totals.rules.end()) { return {}; }
    return found->second;
  };
  trace.layer_budget = rule("layer_budget");
  trace.layer_threshold = rule("layer_threshold");
  trace.layer_cap = totals.layer_cap;
  trace.kappa_bias_in_force = rule("kappa_bias_in_force");
  trace.kappa_scale_in_force = rule("kappa_scale_in_force");
  trace.kappa_factor = rule("kappa_factor");
}

// Of soft routing, where every expert has a slot: up to the last one that a token uses.
std::int64_t slots_in_use(const CorpusTotals& totals) {
  std::int64_t slots = 1;
  for (const RowTotals& row : totals.rows) {
    const std::vector<std::int64_t>& used = row.choices.assigned_by_slot;
    for (std::int64_t k = slots; k < std::ssize(used); ++k) {
      if (used[k] > 0) { slots = k + 1; }
    }
  }
  return slots;
}

// An array [R,E] or [R,E,bins] of the file, of that size.
template <typename T>
std::span<const T> sized(std::span<const T> array, const char* name, std::int64_t expected,
                         const std::string& path) {
  require(std::ssize(array) == expected, ExitCode::damaged, {.file = path, .tensor = name},
          "size; expected ", expected, " elements, found ", array.size());
  return array;
}

void require_layers(const Trace& trace, std::span<const std::int32_t> layers, const char* name) {
  for (const std::int32_t layer : layers) {
    require(layer >= 0 && layer < trace.model_layers, ExitCode::damaged,
            {.file = trace.file->file().path(), .tensor = name}, "expected a layer below ",
            trace.model_layers, ", found ", layer);
  }
}

// Of dense layers the arrays that a trace has, too.
void set_dense(Trace& trace) {
  const std::vector<SideTotals>& dense = trace.corpus->dense;
  if (dense.empty()) { return; }
  const NpzReader& file = *trace.file;
  const std::string path = file.file().path();
  trace.dense_layers = std::ssize(dense);
  for (const SideTotals& side : dense) {
    trace.dense_gates = std::max(trace.dense_gates, std::ssize(side.kappa));
  }
  const auto places = [&](const char* name) {
    return sized(file.int32(name), name, trace.dense_layers, path);
  };
  trace.dense_layer_index = places("dense_layer_index");
  trace.dense_pass_index = places("dense_pass_index");
  trace.dense_kappa = sized(file.float32("dense_kappa"), "dense_kappa",
                            trace.dense_layers * trace.dense_gates, path);
  require_layers(trace, trace.dense_layer_index, "dense_layer_index");
}

}  // namespace

bool is_corpus_result(const NpzReader& file) {
  return file.mentions(kTotalsArray);
}

void load_corpus(Trace& trace, std::int64_t gates) {
  const NpzReader& file = *trace.file;
  const std::string path = file.file().path();
  trace.corpus = read_totals(file);
  const CorpusTotals& totals = *trace.corpus;
  trace.layers = std::ssize(totals.rows);
  trace.experts = totals.experts;
  trace.gates = gates;
  trace.layer_index = totals.layer_index;
  trace.pass_index = totals.pass_index;
  require_layers(trace, totals.layer_index, "layer_index");
  set_dense(trace);
  for (const RowTotals& row : totals.rows) {
    trace.slots = std::max(trace.slots, std::ssize(row.choices.assigned_by_slot));
  }
  if (totals.rows.empty()) { return; }
  set_rules(trace);
  const std::int64_t cells = trace.layers * trace.experts;
  const auto counts = [&](const char* name, std::int64_t bins) {
    return sized(file.int64(name), name, cells * bins, path);
  };
  const auto effect = [&](const char* name) {
    return sized(file.float64(name), name, cells, path);
  };
  trace.kappa_hist = counts("kappa_hist", kKappaBins);
  trace.gate_pre_hist = counts("gate_pre_hist", kGatePreBins);
  trace.effect_mean = effect("effect_mean");
  trace.effect_abs = effect("effect_abs");
  trace.effect_rms = effect("effect_rms");
  trace.effect_positive = effect("effect_positive");
  trace.effect_rel_mean = effect("effect_rel_mean");
  trace.effect_rel_abs = effect("effect_rel_abs");
  trace.effect_rel_rms = effect("effect_rel_rms");
  trace.effect_rel_positive = effect("effect_rel_positive");
  trace.effect_count = effect("effect_count");
  if (totals.u_multiplier != 0) { trace.kappa_u_square = effect("kappa_u_square"); }
  if (totals.rules.contains("layer_budget")) { trace.slots = slots_in_use(totals); }
}

}  // namespace kappascope
