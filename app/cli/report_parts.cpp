#include "app/cli/report_parts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/figure/caption.h"
#include "core/figure/runs.h"
#include "core/figure/text.h"
#include "core/stats/importance.h"
#include "core/stats/soft_routing.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

// Facts that a trace may lack.
struct Facts {
  std::vector<ReportFact>& list;
  void add(const char* name, const std::string& value, bool code = false) {
    if (!value.empty()) { list.push_back({name, value, code}); }
  }
};

std::string joined_words(const std::vector<std::string>& words, const char* gap) {
  std::string text;
  for (const std::string& word : words) { text += (text.empty() ? "" : gap) + word; }
  return text;
}

std::string interventions_of(const Trace& trace) {
  std::vector<std::string> words;
  const Json* list = meta_at(trace, "interventions");
  if (list != nullptr && list->is_array()) {
    for (const Json& word : *list) { words.push_back(text_of(&word)); }
  }
  return words.empty() ? "none" : joined_words(words, ", ");
}

std::string counted_words(std::int64_t n, const char* one, const char* several) {
  return count_text(n) + " " + (n == 1 ? one : several);
}

std::string shape_of(const Trace& trace) {
  std::vector<std::string> words = {counted_words(trace.model_layers, "layer", "layers")};
  if (trace.layers > 0) {
    words.push_back(
        counted_words(trace.layers, "MoE layer recorded", "MoE layers (times passes) recorded"));
    words.push_back(counted_words(trace.experts, "expert a layer", "experts a layer"));
    words.push_back(counted_words(trace.slots, "slot a token", "slots a token"));
    words.push_back(counted_words(trace.gates, "gate unit an expert", "gate units an expert"));
  }
  return joined_words(words, ", ");
}

std::string computed_on(const Trace& trace) {
  std::vector<std::string> words;
  for (const char* key : {"device", "dtype", "engine"}) {
    const std::string word = text_of(meta_at(trace, key));
    if (!word.empty()) { words.push_back(word); }
  }
  const double threads = number_of(meta_at(trace, "threads"));
  if (threads > 0) {
    words.push_back(counted_words(static_cast<std::int64_t>(threads), "thread", "threads"));
  }
  return joined_words(words, ", ");
}

std::string versions_of(const Trace& trace) {
  std::string text;
  for (const auto& [key, program] :
       {std::pair{"tool_version", "kappascope "}, std::pair{"torch_version", "Torch "}}) {
    const std::string version = text_of(meta_at(trace, key));
    if (!version.empty()) { text += (text.empty() ? "" : ", ") + (program + version); }
  }
  return text;
}

void add_origin(Facts facts, const Trace& trace) {
  facts.add("Text", text_of(meta_at(trace, "document", "source")));
  facts.add("SHA-256 of the text", text_of(meta_at(trace, "document", "sha256")), true);
  facts.add("Command", text_of(meta_at(trace, "command")), true);
  facts.add("Recorded by", versions_of(trace));
  facts.add("SHA-256 of the configuration", text_of(meta_at(trace, "config_sha256")), true);
  facts.add("SHA-256 of the tensor directory", text_of(meta_at(trace, "tensor_directory_sha256")),
            true);
}

std::vector<ReportNumber> numbers_of(const Trace& trace) {
  const Mean nll = mean_nll_of(trace);
  std::vector<ReportNumber> numbers = {
      {"Tokens", count_text(counted_tokens(trace)), "", "tokens"},
      {"Mean NLL", number_text(nll.value(), 5), "nats a token", "nll_mean"},
      {"Tokens with an NLL", count_text(nll.count), "", "nll_tokens"}};
  const BitsPerByte bits = bits_per_byte(trace);
  if (bits.bytes > 0) {
    numbers.push_back({"Bits per byte", number_text(bits.value, 5), "", "bits_per_byte"});
    numbers.push_back({"Bytes", count_text(bits.bytes), "", "bytes_counted"});
  }
  const BudgetSummary budget = budget_summary(trace);
  if (std::isfinite(budget.experts_run)) {
    numbers.push_back(
        {"Experts run", number_text(budget.experts_run), "a token and layer", "experts_run_mean"});
  }
  return numbers;
}

// Whether a field is of no value: NaN, or a text of no letters.
bool has_no_value(double value) {
  return std::isnan(value);
}
bool has_no_value(const std::string& value) {
  return value.empty();
}
bool has_no_value(std::int64_t) {
  return false;
}

}  // namespace

void drop_empty_columns(Table& table) {
  std::erase_if(table.columns, [](const Column& column) {
    return std::visit(
        [](const auto& values) {
          return std::all_of(values.begin(), values.end(),
                             [](const auto& value) { return has_no_value(value); });
        },
        column.values);
  });
}

ReportPart run_part(const Trace& trace, const std::string& title, int level, bool metadata) {
  ReportPart part{.title = title, .level = level};
  part.numbers = numbers_of(trace);
  Facts facts{part.facts};
  facts.add("Model", trace.model_name.empty() ? "unnamed model" : trace.model_name);
  facts.add("Family", trace.family);
  facts.add("Training step", trace.step < 0 ? "" : count_text(trace.step));
  facts.add("Shape", shape_of(trace));
  facts.add("Settings in force", joined_words(run_settings(trace), " · "));
  facts.add("Interventions", interventions_of(trace));
  facts.add("Computed with", computed_on(trace));
  if (metadata) { add_origin(facts, trace); }
  return part;
}

ReportTable texts_table(const ComparedRun& run, bool metadata) {
  std::vector<std::string> source, hash;
  std::vector<std::int64_t> tokens;
  std::vector<double> nll, bits;
  for (const Trace& text : run.texts) {
    source.push_back(text_of(meta_at(text, "document", "source")));
    hash.push_back(text_of(meta_at(text, "document", "sha256")));
    tokens.push_back(text.tokens);
    nll.push_back(mean_nll_of(text).value());
    bits.push_back(bits_per_byte(text).value);
  }
  ReportTable table{.title = "Texts"};
  table.table.rows = std::ssize(tokens);
  if (metadata) { table.table.columns = {{"source", std::move(source)}}; }
  for (Column& column : std::vector<Column>{{"tokens", std::move(tokens)},
                                            {"nll_mean", std::move(nll)},
                                            {"bits_per_byte", std::move(bits)}}) {
    table.table.columns.push_back(std::move(column));
  }
  if (metadata) { table.table.columns.push_back({"sha256", std::move(hash)}); }
  drop_empty_columns(table.table);
  return table;
}

}  // namespace kappascope
