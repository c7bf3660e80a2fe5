#include "core/trace/tables.h"

#include <charconv>
#include <cmath>

#include "core/csv_text.h"
#include "core/trace/output_file.h"

namespace kappascope {
namespace {

// Rows of RFC 4180, gathered in memory and written in blocks.
class CsvWriter {
 public:
  explicit CsvWriter(const std::filesystem::path& path) : file_(path) {}

  void header(std::string_view names) {
    buffer_ += names;
    end_row();
  }

  void text(std::string_view value) {
    separate();
    put_csv_text(buffer_, value);
  }

  void truth(bool value) {
    separate();
    buffer_ += value ? "true" : "false";
  }

  void integer(std::int64_t value) {
    separate();
    put(value);
  }

  // An integer whose absence is −1: an empty field.
  void index(std::int64_t value) {
    separate();
    if (value >= 0) { put(value); }
  }

  // The shortest text that reads back to the same float32; NaN: an empty field.
  void number(float value) {
    separate();
    if (!std::isnan(value)) { put(value); }
  }

  void end_row() {
    constexpr std::size_t kBlock = 1 << 18;
    buffer_ += "\r\n";
    row_started_ = false;
    if (buffer_.size() >= kBlock) { flush(); }
  }

  void finish() {
    flush();
    file_.finish();
  }

 private:
  void separate() {
    if (row_started_) { buffer_ += ','; }
    row_started_ = true;
  }

  template <typename T>
  void put(T value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    buffer_.append(digits, static_cast<std::size_t>(end - digits));
  }

  void flush() {
    file_.write_at(written_, std::as_bytes(std::span(buffer_)));
    written_ += buffer_.size();
    buffer_.clear();
  }

  OutputFile file_;
  std::string buffer_;
  std::uint64_t written_ = 0;
  bool row_started_ = false;
};

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
};

// [M,T]
constexpr Column kRouterColumns[] = {
    {"router_top1_prob", &Trace::router_top1_prob},
    {"router_selected_mass", &Trace::router_selected_mass},
    {"router_margin", &Trace::router_margin},
    {"router_top_gap", &Trace::router_top_gap},
    {"router_entropy", &Trace::router_entropy},
};

std::string routing_header() {
  std::string names = "document,layer,pass,token,slot,token_id,expert,expert_kept";
  for (const Column& column : kSlotColumns) { names += join_words(',', column.name); }
  for (const Column& column : kRouterColumns) { names += join_words(',', column.name); }
  return names;
}

std::string tokens_header() {
  std::string names =
      "document,token,token_id,char_start,char_end,token_text,token_bytes_hex,nll,target_rank";
  for (const char* array : {"top_token_id", "top_token_logprob"}) {
    for (int i = 0; i < kTopTokens; ++i) { names += join_words(',', array, '_', i); }
  }
  return names;
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
  CsvWriter csv(path);
  csv.header(tokens_header());
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
  CsvWriter csv(path);
  csv.header(routing_header());
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
    for (const Column& column : kSlotColumns) { csv.number((trace.*column.values)[entry]); }
    for (const Column& column : kRouterColumns) { csv.number((trace.*column.values)[cell]); }
    csv.end_row();
  }
  csv.finish();
}

}  // namespace kappascope
