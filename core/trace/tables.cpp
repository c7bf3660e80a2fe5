#include "core/trace/tables.h"

#include <vector>

#include "core/trace/csv_rows.h"
#include "core/trace/npz.h"
#include "core/trace/schema.h"

namespace kappascope {
namespace {

struct Column {
  std::string_view name;
  std::span<const float> Trace::* values;
  bool optional = false;  // not every model has it
};

// [M,T,K]
constexpr Column kSlotColumns[] = {
    {"expert_weight", &Trace::expert_weight},
    {"kappa_input", &Trace::kappa_input},
    {"kappa_mean", &Trace::kappa_mean},
    {"kappa_min", &Trace::kappa_min},
    {"kappa_max", &Trace::kappa_max},
    {"kappa_p05", &Trace::kappa_p05},
    {"kappa_p95", &Trace::kappa_p95},
    {"gate_mean_abs", &Trace::gate_mean_abs},
    {"gate_active_fraction", &Trace::gate_active_fraction},
    {"gate_top16_share", &Trace::gate_top16_share},
    {"gate_entropy", &Trace::gate_entropy},
    {"gate_kz_rms", &Trace::gate_kz_rms},
    {"gate_linear_fraction", &Trace::gate_linear_fraction},
    {"gate_saturated_fraction", &Trace::gate_saturated_fraction},
    {"gate_clamped_fraction", &Trace::gate_clamped_fraction, true},
    {"expert_output_norm", &Trace::expert_output_norm, true},
};

// [M,T]
constexpr Column kRouterColumns[] = {
    {"router_top1_prob", &Trace::router_top1_prob},
    {"router_selected_mass", &Trace::router_selected_mass},
    {"router_margin", &Trace::router_margin},
    {"router_top_gap", &Trace::router_top_gap},
    {"router_entropy", &Trace::router_entropy},
};

void put_names(CsvFile& csv, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) { csv.text(name); }
}

// The columns of which the trace has numbers.
std::vector<Column> recorded(std::span<const Column> columns, const Trace& trace) {
  std::vector<Column> found;
  for (const Column& column : columns) {
    const bool header_alone = trace.expert_index.empty() && !column.optional;
    if (!(trace.*column.values).empty() || header_alone) { found.push_back(column); }
  }
  return found;
}

// [Ms,T], what layers with a shared expert have: the same in every slot of a token.
class SharedColumns {
 public:
  explicit SharedColumns(const Trace& trace) : trace_(trace) {
    if (trace.shared_layer_index.empty()) { return; }
    passes_ = trace.file->int32("shared_pass_index");
    for (const ArraySchema& schema : array_schemas()) {
      if (schema.group == ArrayGroup::shared && schema.type == NpyType::float32) {
        names_.push_back(schema.name);
        values_.push_back(trace.file->float32(schema.name));
      }
    }
  }

  void put_header(CsvFile& csv) const {
    for (const std::string_view name : names_) { csv.text(name); }
  }

  // Of a token in a row of the trace; empty fields where its layer has no shared expert.
  void put(CsvFile& csv, std::size_t row, std::size_t token) const {
    const auto& layers = trace_.shared_layer_index;
    std::size_t at = 0;
    while (at < layers.size() &&
           (layers[at] != trace_.layer_index[row] || passes_[at] != trace_.pass_index[row])) {
      ++at;
    }
    for (const std::span<const float> values : values_) {
      if (at == layers.size()) {
        csv.absent();
      } else {
        csv.number(values[at * trace_.tokens + token]);
      }
    }
  }

 private:
  const Trace& trace_;
  std::span<const std::int32_t> passes_;
  std::vector<std::string_view> names_;
  std::vector<std::span<const float>> values_;
};

void put_routing_header(CsvFile& csv, std::span<const Column> of_slots,
                        const SharedColumns& shared) {
  put_names(csv,
            {"document", "layer", "pass", "token", "slot", "token_id", "expert", "expert_kept"});
  for (const Column& column : of_slots) { csv.text(column.name); }
  for (const Column& column : kRouterColumns) { csv.text(column.name); }
  shared.put_header(csv);
  csv.end_row();
}

void put_tokens_header(CsvFile& csv, const Trace& trace) {
  put_names(csv, {"document", "token", "token_id", "char_start", "char_end", "token_text",
                  "token_bytes_hex", "nll", "target_rank"});
  for (const char* array : {"top_token_id", "top_token_logprob"}) {
    for (int i = 0; i < kTopTokens; ++i) { csv.text(join_words(array, '_', i)); }
  }
  if (!trace.token_mask.empty()) { csv.text("token_mask"); }
  if (!trace.phase.empty()) { csv.text("phase"); }
  csv.end_row();
}

// Where the text came from; "" in traces that do not say so.
std::string document_source(const Trace& trace) {
  const auto document = trace.meta.find("document");
  if (document == trace.meta.end() || !document->is_object()) { return ""; }
  const auto source = document->find("source");
  return source != document->end() && source->is_string() ? source->get<std::string>() : "";
}

}  // namespace

void write_tokens_csv(const std::filesystem::path& path, const Trace& trace) {
  const std::string document = document_source(trace);
  CsvFile csv(path);
  put_tokens_header(csv, trace);
  for (std::size_t t = 0; t < trace.token_id.size(); ++t) {
    csv.text(document);
    csv.integer(static_cast<std::int64_t>(t));
    csv.integer(trace.token_id[t]);
    csv.index(trace.char_start[t]);
    csv.index(trace.char_end[t]);
    csv.text(trace.token_text[t]);
    csv.text(trace.token_bytes_hex[t]);
    csv.number(trace.nll[t]);
    csv.index(trace.target_rank[t]);
    for (std::size_t i = 0; i < kTopTokens; ++i) {
      csv.index(trace.top_token_id[t * kTopTokens + i]);
    }
    for (std::size_t i = 0; i < kTopTokens; ++i) {
      csv.number(trace.top_token_logprob[t * kTopTokens + i]);
    }
    if (!trace.token_mask.empty()) { csv.truth(trace.token_mask[t] != 0); }
    if (!trace.phase.empty()) { csv.integer(trace.phase[t]); }
    csv.end_row();
  }
  csv.finish();
}

void write_routing_csv(const std::filesystem::path& path, const Trace& trace) {
  const auto tokens = static_cast<std::size_t>(trace.tokens);
  const auto slots = static_cast<std::size_t>(trace.slots);
  const std::string document = document_source(trace);
  const std::vector<Column> of_slots = recorded(kSlotColumns, trace);
  const SharedColumns shared(trace);
  CsvFile csv(path);
  put_routing_header(csv, of_slots, shared);
  for (std::size_t entry = 0; entry < trace.layer_index.size() * tokens * slots; ++entry) {
    const std::size_t cell = entry / slots, row = cell / tokens, t = cell % tokens;
    csv.text(document);
    csv.integer(trace.layer_index[row]);
    csv.integer(trace.pass_index[row]);
    csv.integer(static_cast<std::int64_t>(t));
    csv.integer(static_cast<std::int64_t>(entry % slots));
    csv.integer(trace.token_id[t]);
    csv.index(trace.expert_index[entry]);
    csv.truth(trace.expert_kept[entry] != 0);
    for (const Column& column : of_slots) { csv.number((trace.*column.values)[entry]); }
    for (const Column& column : kRouterColumns) { csv.number((trace.*column.values)[cell]); }
    shared.put(csv, row, t);
    csv.end_row();
  }
  csv.finish();
}

}  // namespace kappascope
