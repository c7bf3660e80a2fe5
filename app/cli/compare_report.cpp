#include "app/cli/compare_report.h"

#include <cmath>

#include "app/cli/text_table.h"
#include "app/cli/verbs.h"
#include "core/stats/importance.h"
#include "core/stats/layer.h"
#include "core/stats/layer_statistics.h"
#include "core/stats/mean.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

constexpr const char* kCompareSchema = "kappascope.compare/1";

Json losses_json(const Trace& trace) {
  const Mean nll = mean_nll_of(trace);
  Json json{{"nll_mean", number_json(nll.value())},
            {"nll_tokens", nll.count},
            {"tokens", tokens_run(trace)}};
  const BitsPerByte bits = bits_per_byte(trace);
  if (bits.bytes > 0) {
    json["bits_per_byte"] = number_json(bits.value);
    json["bytes_counted"] = bits.bytes;
  }
  return json;
}

Json run_json(const ComparedResult& result, std::size_t r) {
  const ComparedRun& run = result.runs[r];
  const Trace& trace = run.whole();
  Json json = losses_json(trace);
  json["run"] = result.names[r];
  json["model"] = trace.model_name;
  json["family"] = trace.family;
  json["side"] = run.against ? "against" : "first";
  if (trace.step >= 0) { json["step"] = trace.step; }
  if (trace.corpus) {
    json["documents"] = trace.corpus->documents;
    json["bytes"] = trace.corpus->bytes;
  }
  for (const Trace& text : run.texts) {
    if (text.corpus) { continue; }
    Json one = losses_json(text);
    one["source"] = text_of(meta_at(text, "document", "source"));
    one["sha256"] = text_of(meta_at(text, "document", "sha256"));
    json["texts"].push_back(std::move(one));
  }
  json["layers"] = Json::array();
  const std::vector<double> depth = relative_depth(trace);
  for (std::size_t row = 0; row < result.whole[r].size(); ++row) {
    const LayerSummary& layer = result.whole[r][row];
    Json statistics = Json::object();
    for (const LayerStatistic& statistic : layer_statistics()) {
      const double value = statistic.of(layer);
      if (std::isfinite(value)) { statistics[std::string(statistic.name)] = value; }
    }
    json["layers"].push_back({{"layer", layer.layer},
                              {"pass", layer.pass},
                              {"relative_depth", depth[row]},
                              {"statistics", std::move(statistics)}});
  }
  return json;
}

Json paired_json(const PairedStatistic& one) {
  return {{"mean", number_json(one.mean)},
          {"low", number_json(one.interval.low)},
          {"high", number_json(one.interval.high)},
          {"of_text", numbers_json(one.of_text)},
          {"sign",
           {{"positive", one.sign.positive},
            {"negative", one.sign.negative},
            {"zero", one.sign.zero},
            {"p", number_json(one.sign.p)}}},
          {"wilcoxon",
           {{"rank_sum", number_json(one.wilcoxon.statistic)},
            {"pairs", one.wilcoxon.pairs},
            {"exact", one.wilcoxon.exact},
            {"p", number_json(one.wilcoxon.p)}}}};
}

Json names_json(const ComparedResult& result, const std::vector<std::size_t>& runs) {
  Json list = Json::array();
  for (const std::size_t run : runs) { list.push_back(result.names[run]); }
  return list;
}

Json side_json(const ComparedResult& result, const SideComparison& side) {
  Json json{{"of", names_json(result, side.a)},
            {"against", names_json(result, side.b)},
            {"same_tokens", side.same_tokens},
            {"nll", paired_json(side.nll)},
            {"nll_tokens", side.tokens}};
  if (side.bytes > 0) {
    json["bits_per_byte"] = paired_json(side.bits_per_byte);
    json["bytes_counted"] = side.bytes;
  }
  if (!side.nll_of_pairs.of_text.empty()) { json["nll_of_pairs"] = paired_json(side.nll_of_pairs); }
  if (!side.rows_differ.empty()) {
    json["layers_not_compared"] = side.rows_differ;
    return json;
  }
  json["layers"] = Json::array();
  for (const PairedLayer& layer : side.layers) {
    Json one{{"layer", layer.layer}, {"pass", layer.pass}};
    if (side.same_tokens) {
      const auto compared = static_cast<double>(layer.compared);
      one["routing_compared"] = layer.compared;
      one["routed_otherwise"] = layer.otherwise;
      one["routed_otherwise_share"] =
          layer.compared > 0 ? Json(static_cast<double>(layer.otherwise) / compared) : Json();
      one["routed_otherwise_near_ties"] = layer.near_ties;
    }
    Json statistics = Json::object();
    for (const PairedStatistic& statistic : layer.statistics) {
      statistics[statistic.name] = paired_json(statistic);
    }
    one["statistics_difference"] = std::move(statistics);
    json["layers"].push_back(std::move(one));
  }
  return json;
}

// Names of one side in one cell.
std::string joined_names(const ComparedResult& result, const std::vector<std::size_t>& runs) {
  std::string text;
  for (const std::size_t run : runs) { text += (text.empty() ? "" : "; ") + result.names[run]; }
  return text;
}

// Rows of a table by column.
struct ValueRows {
  std::vector<std::string> run, model, statistic;
  std::vector<double> step, layer, pass, depth, value;

  void add(const std::string& name, const Trace& trace, const LayerSummary* of, double at,
           std::string_view what, double number) {
    run.push_back(name);
    model.push_back(trace.model_name);
    step.push_back(trace.step >= 0 ? static_cast<double>(trace.step) : kNaN);
    layer.push_back(of ? static_cast<double>(of->layer) : kNaN);
    pass.push_back(of ? static_cast<double>(of->pass) : kNaN);
    depth.push_back(at);
    statistic.emplace_back(what);
    value.push_back(number);
  }
};

struct DifferenceRows {
  std::vector<std::string> run, against, statistic;
  std::vector<double> layer, pass, difference, low, high, sign, wilcoxon;
  std::vector<std::int64_t> texts;

  void add(const std::string& a, const std::string& b, const PairedLayer* of,
           const PairedStatistic& one) {
    run.push_back(a);
    against.push_back(b);
    layer.push_back(of ? static_cast<double>(of->layer) : kNaN);
    pass.push_back(of ? static_cast<double>(of->pass) : kNaN);
    statistic.push_back(one.name);
    difference.push_back(one.mean);
    low.push_back(one.interval.low);
    high.push_back(one.interval.high);
    texts.push_back(std::ssize(one.of_text));
    sign.push_back(one.sign.p);
    wilcoxon.push_back(one.wilcoxon.p);
  }
};

// "[−0.1, 0.2]"; "" without an interval.
std::string interval_cell(const Interval& interval) {
  if (std::isnan(interval.low)) { return "–"; }
  return "[" + cell(interval.low, 3) + ", " + cell(interval.high, 3) + "]";
}

double routed_share(const SideComparison& side) {
  double compared = 0, otherwise = 0;
  for (const PairedLayer& layer : side.layers) {
    compared += static_cast<double>(layer.compared);
    otherwise += static_cast<double>(layer.otherwise);
  }
  return compared > 0 ? otherwise / compared : kNaN;
}

}  // namespace

Json comparison_json(const ComparedResult& result) {
  Json json{
      {"schema", kCompareSchema},     {"resamples", result.resamples},
      {"seed", result.seed},          {"fields", Json::array()},
      {"differences", Json::array()}, {"written_by", join_words("kappascope ", kToolVersion)}};
  for (std::size_t r = 0; r < result.runs.size(); ++r) {
    json["runs"].push_back(run_json(result, r));
  }
  for (const DifferentField& field : result.fields) {
    json["fields"].push_back({{"name", field.name}, {"values", field.values}});
  }
  for (const SideComparison& side : result.sides) {
    json["differences"].push_back(side_json(result, side));
  }
  return json;
}

Table value_table(const ComparedResult& result) {
  ValueRows rows;
  for (std::size_t r = 0; r < result.runs.size(); ++r) {
    const Trace& trace = result.runs[r].whole();
    const std::vector<double> depth = relative_depth(trace);
    const auto add = [&](const LayerSummary* of, double at, std::string_view what, double number) {
      rows.add(result.names[r], trace, of, at, what, number);
    };
    add(nullptr, kNaN, "nll_mean", mean_nll_of(trace).value());
    add(nullptr, kNaN, "bits_per_byte", bits_per_byte(trace).value);
    for (std::size_t row = 0; row < result.whole[r].size(); ++row) {
      for (const LayerStatistic& statistic : layer_statistics()) {
        const LayerSummary& layer = result.whole[r][row];
        add(&layer, depth[row], statistic.name, statistic.of(layer));
      }
    }
  }
  Table table;
  table.rows = std::ssize(rows.run);
  table.columns = {{"run", std::move(rows.run)},
                   {"model", std::move(rows.model)},
                   {"step", std::move(rows.step)},
                   {"layer", std::move(rows.layer)},
                   {"pass", std::move(rows.pass)},
                   {"relative_depth", std::move(rows.depth)},
                   {"statistic", std::move(rows.statistic)},
                   {"value", std::move(rows.value)}};
  return table;
}

Table difference_table(const ComparedResult& result) {
  DifferenceRows rows;
  for (const SideComparison& side : result.sides) {
    const std::string a = joined_names(result, side.a), b = joined_names(result, side.b);
    rows.add(a, b, nullptr, side.nll);
    if (side.bytes > 0) { rows.add(a, b, nullptr, side.bits_per_byte); }
    if (!side.nll_of_pairs.of_text.empty()) { rows.add(a, b, nullptr, side.nll_of_pairs); }
    for (const PairedLayer& layer : side.layers) {
      if (side.same_tokens && layer.compared > 0) {
        PairedStatistic share;
        share.name = "routed_otherwise_share";
        share.mean = static_cast<double>(layer.otherwise) / static_cast<double>(layer.compared);
        rows.add(a, b, &layer, share);
      }
      for (const PairedStatistic& one : layer.statistics) { rows.add(a, b, &layer, one); }
    }
  }
  Table table;
  table.rows = std::ssize(rows.run);
  table.columns = {{"run", std::move(rows.run)},
                   {"against", std::move(rows.against)},
                   {"layer", std::move(rows.layer)},
                   {"pass", std::move(rows.pass)},
                   {"statistic", std::move(rows.statistic)},
                   {"difference", std::move(rows.difference)},
                   {"low", std::move(rows.low)},
                   {"high", std::move(rows.high)},
                   {"texts", std::move(rows.texts)},
                   {"sign_p", std::move(rows.sign)},
                   {"wilcoxon_p", std::move(rows.wilcoxon)}};
  return table;
}

std::string comparison_text(const ComparedResult& result) {
  std::vector<TextRow> runs = {{"run", "tokens", "mean NLL, nats", "bits per byte"}};
  for (std::size_t r = 0; r < result.runs.size(); ++r) {
    const Trace& trace = result.runs[r].whole();
    runs.push_back({printable(result.names[r]), std::to_string(tokens_run(trace)),
                    cell(mean_nll_of(trace).value(), 5), cell(bits_per_byte(trace).value, 5)});
  }
  std::vector<TextRow> differences = {{"difference", "against", "ΔNLL, nats a token", "95 %",
                                       "Δ bits per byte", "sign p", "Wilcoxon p",
                                       "routed otherwise, %"}};
  for (const SideComparison& side : result.sides) {
    differences.push_back({printable(joined_names(result, side.a)),
                           printable(joined_names(result, side.b)), cell(side.nll.mean, 4),
                           interval_cell(side.nll.interval), cell(side.bits_per_byte.mean, 4),
                           cell(side.nll.sign.p, 3), cell(side.nll.wilcoxon.p, 3),
                           cell(100 * routed_share(side), 3)});
  }
  std::string text = text_table(runs, 1) + "\n" + text_table(differences, 2);
  const std::vector<Trace>& texts = result.runs[0].texts;
  if (texts.size() < 2 && !texts[0].corpus) {
    text += "one text: intervals and tests need several (-f FILE FILE …)\n";
  }
  return text;
}

}  // namespace kappascope
