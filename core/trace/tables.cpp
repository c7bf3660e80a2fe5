#include "core/trace/tables.h"

#include <vector>

#include "core/trace/csv_rows.h"

namespace kappascope {
namespace {

struct Column {
  std::string_view name;
  std::span<const float> Trace::* values;
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
    {"expert_output_norm", &Trace::expert_output_norm},  // not in every trace
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
    if (!(trace.*column.values).empty() || trace.expert_index.empty()) { found.push_back(column); }
  }
  return found;
}

void put_routing_header(CsvFile& csv, std::span<const Column> of_slots) {
  put_names(csv,
            {"document", "layer", "pass", "token", "slot", "token_id", "expert", "expert_kept"});
  for (const Column& column : of_slots) { csv.text(column.name); }
  for (const Column& column : kRouterColumns) { csv.text(column.name); }
  csv.end_row();
}

void put_tokens_header(CsvFile& csv) {
  put_names(csv, {"document", "token", "token_id", "char_start", "char_end", "token_text",
                  "token_bytes_hex", "nll", "target_rank"});
  for (const char* array : {"top_token_id", "top_token_logprob"}) {
    for (int i = 0; i < kTopTokens; ++i) { csv.text(join_words(array, '_', i)); }
  }
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
  put_tokens_header(csv);
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
    csv.end_row();
  }
  csv.finish();
}

void write_routing_csv(const std::filesystem::path& path, const Trace& trace) {
  const auto tokens = static_cast<std::size_t>(trace.tokens);
  const auto slots = static_cast<std::size_t>(trace.slots);
  const std::string document = document_source(trace);
  const std::vector<Column> of_slots = recorded(kSlotColumns, trace);
  CsvFile csv(path);
  put_routing_header(csv, of_slots);
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
    csv.end_row();
  }
  csv.finish();
}

}  // namespace kappascope
