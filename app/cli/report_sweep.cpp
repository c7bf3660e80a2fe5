#include "app/cli/report_sweep.h"

#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "app/cli/ablation.h"
#include "app/cli/report_parts.h"
#include "core/checkpoint/input_file.h"
#include "core/figure/text.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kLongestSweep = std::uint64_t{1} << 28;
constexpr std::int64_t kMostSweepRows = 2000;

constexpr const char* kSweepCounts[] = {"layer", "expert", "assigned", "kept"};
constexpr const char* kSweepNumbers[] = {"delta_nll", "delta_nll_sum", "delta_bits_per_byte",
                                         "load",      "gate_mass",     "saliency"};

Json read_sweep(const std::filesystem::path& file, const Trace& trace) {
  Json sweep = parse_json(read_text_file(file, kLongestSweep), file.native());
  const Json* experts = member(&sweep, "experts");
  require(text_of(member(&sweep, "schema")) == kAblationSchema && experts && experts->is_array(),
          ExitCode::damaged, {.file = file.native()}, "expected a ", kAblationSchema,
          " with a list of experts");
  const Json* settings = member(&sweep, "settings");
  const auto same = [](const Json* of, const Json* with) { return text_of(of) == text_of(with); };
  require(same(member(settings, "tensor_directory_sha256"),
               meta_at(trace, "tensor_directory_sha256")) &&
              same(member(settings, "text_sha256"), meta_at(trace, "document", "sha256")),
          ExitCode::damaged, {.file = file.native()}, "is of another model or text than ",
          trace.path.native(), " beside it");
  return sweep;
}

// In the order of the file, which is that of the rank: by falling change.
ReportTable sweep_table(const Json& experts) {
  ReportTable table{.title = "What the text loses without each expert",
                    .most_rows = kMostSweepRows,
                    .all_rows = "all are in ablation.csv"};
  std::vector<std::int64_t> rank;
  for (std::size_t i = 0; i < experts.size(); ++i) {
    rank.push_back(static_cast<std::int64_t>(i) + 1);
  }
  table.table.rows = std::ssize(rank);
  table.table.columns = {{"rank", std::move(rank)}};
  const auto add = [&](const char* name, const auto& get) {
    std::vector<std::decay_t<decltype(get(Json()))>> values;
    for (const Json& expert : experts) { values.push_back(get(expert)); }
    table.table.columns.push_back({name, std::move(values)});
  };
  const auto add_count = [&](const char* name) {
    add(name, [&](const Json& expert) {
      const Json* value = member(&expert, name);
      return value && value->is_number_integer() ? value->get<std::int64_t>() : std::int64_t{-1};
    });
  };
  add_count(kSweepCounts[0]);
  add_count(kSweepCounts[1]);
  for (const char* name : kSweepNumbers) {
    add(name, [&](const Json& expert) { return number_of(member(&expert, name)); });
  }
  add_count(kSweepCounts[2]);
  add_count(kSweepCounts[3]);
  drop_empty_columns(table.table);
  for (const Column& column : table.table.columns) {
    const bool whole = column.name == "delta_nll_sum";
    table.units.emplace_back(column.name == "delta_nll"             ? "nats a token"
                             : whole                                ? "nats"
                             : column.name == "delta_bits_per_byte" ? "bits a byte"
                                                                    : "");
  }
  return table;
}

const char* what_becomes(std::string_view mode) {
  if (mode == "zero") { return "zero: the expert gives nothing"; }
  if (mode == "reroute") { return "reroute: its tokens go to other experts"; }
  if (mode == "mean") { return "mean: it gives its mean output"; }
  return "";
}

}  // namespace

ReportPart sweep_part(const std::filesystem::path& file, const Trace& trace) {
  const Json sweep = read_sweep(file, trace);
  const Json& experts = sweep.at("experts");
  ReportPart part{.title = "Without each expert"};
  part.text = {
      "Every expert of the layers in turn was taken out and the text run again: the change "
      "of its mean NLL, in nats a token, is what the text loses without it. Experts with "
      "the largest loss come first; a negative change is a gain."};
  const std::string mode = text_of(member(member(&sweep, "settings"), "mode"));
  const std::string meaning = what_becomes(mode);
  part.facts.push_back({"Mode", meaning.empty() ? mode : meaning});
  part.facts.push_back({"Experts tried", count_text(std::ssize(experts))});
  part.facts.push_back({"Mean NLL of the whole model",
                        number_text(number_of(member(&sweep, "nll_mean")), 6) + " nats a token"});
  part.tables.push_back(sweep_table(experts));
  return part;
}

}  // namespace kappascope
