#include "core/stats/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/stats/layer_statistics.h"
#include "core/stats/mean.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/meta.h"

namespace kappascope {
namespace {

// What says most of a model, first.
constexpr const char* kFirstFields[] = {"n_layer",
                                        "num_hidden_layers",
                                        "n_embd",
                                        "hidden_size",
                                        "n_exp",
                                        "num_experts",
                                        "num_local_experts",
                                        "moe_top_k",
                                        "num_experts_per_tok",
                                        "use_kappa_swiglu",
                                        "kappa_input",
                                        "moe_kappa_slope_max_scale"};
constexpr std::size_t kLabelBytes = 60;

void flatten(const Json& json, const std::string& name, std::map<std::string, std::string>& into) {
  if (!json.is_object()) {
    into[name] = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  for (const auto& [key, value] : json.items()) {
    flatten(value, name.empty() ? key : name + "." + key, into);
  }
}

std::size_t rank_of(const std::string& name) {
  return static_cast<std::size_t>(
      std::find(std::begin(kFirstFields), std::end(kFirstFields), name) - std::begin(kFirstFields));
}

// The mean over the runs of a side of number(run); NaN as soon as one has none.
template <typename Number>
double side_mean(const std::vector<std::size_t>& side, Number&& number) {
  double sum = 0;
  for (const std::size_t run : side) { sum += number(run); }
  return sum / static_cast<double>(side.size());
}

void test(PairedStatistic& statistic, const Resamples& resamples) {
  statistic.mean = mean_of(statistic.of_text).value();
  statistic.interval = resamples.interval(statistic.of_text);
  statistic.sign = sign_test(statistic.of_text);
  statistic.wilcoxon = wilcoxon_test(statistic.of_text);
}

// Σ of a numerator over Σ of a denominator; `of_text` are their ratios.
void test_ratio(PairedStatistic& statistic, const std::vector<double>& above,
                const std::vector<double>& below, const Resamples& resamples) {
  double sum = 0, size = 0;
  for (std::size_t d = 0; d < above.size(); ++d) {
    statistic.of_text.push_back(below[d] > 0 ? above[d] / below[d] : kNaN);
    if (!std::isfinite(above[d]) || !(below[d] > 0)) { continue; }
    sum += above[d];
    size += below[d];
  }
  statistic.mean = size > 0 ? sum / size : kNaN;
  statistic.interval = resamples.interval(above, below);
  statistic.sign = sign_test(statistic.of_text);
  statistic.wilcoxon = wilcoxon_test(statistic.of_text);
}

double finite_sum(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) { sum += std::isfinite(value) ? value : 0; }
  return sum;
}

// Losses of every pair of runs of both sides, text by text.
class Losses {
 public:
  Losses(std::span<const RunOfTexts> runs, const std::vector<std::size_t>& a,
         const std::vector<std::size_t>& b)
      : pair_nats(std::min(a.size(), b.size()), 0), pair_tokens(pair_nats) {
    for (std::size_t d = 0; d < runs[a[0]].texts.size(); ++d) {
      double sum = 0, text = 0, tokens = 0, bytes = 0;
      bool known = true;
      for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < b.size(); ++j) {
          const LossDifference loss = loss_difference(*runs[a[i]].texts[d], *runs[b[j]].texts[d]);
          if (i == j && std::isfinite(loss.sum)) { pair_nats[i] += loss.sum; }
          if (i == j) { pair_tokens[i] += static_cast<double>(loss.tokens); }
          sum += loss.sum;
          tokens += static_cast<double>(loss.tokens);
          known &= loss.bytes > 0;
          text += loss.bits_per_byte * static_cast<double>(loss.bytes);
          bytes += static_cast<double>(loss.bytes);
        }
      }
      const auto pairs = static_cast<double>(a.size() * b.size());
      nats.push_back(sum / pairs);
      tokens_of.push_back(tokens / pairs);
      bits.push_back(known ? text / pairs : kNaN);
      bytes_of.push_back(known ? bytes / pairs : kNaN);
    }
  }
  std::vector<double> nats, tokens_of, bits, bytes_of;  // [D]
  // Over all texts, of the first run of A with the first of B, and so on.
  std::vector<double> pair_nats, pair_tokens;
};

// Of results of a corpus, whose sums know no single document.
void leave_untested(PairedStatistic& one) {
  one.sign = {};
  one.wilcoxon = {};
}

// Of the difference of the mean NLL of two results of one corpus: over resamples of its documents,
// which are those of both where files, sample and seed are the same.
Interval corpus_interval(const Trace& a, const Trace& b) {
  const auto same = [&](const char* key) {
    const Json *of_a = meta_at(a, "corpus", key), *of_b = meta_at(b, "corpus", key);
    return of_a && of_b && *of_a == *of_b;
  };
  if (!same("files") || !same("sample") || a.corpus->seed != b.corpus->seed) { return {}; }
  std::vector<double> values;
  for (std::int64_t r = 0; r < kResamples; ++r) {
    values.push_back(a.corpus->resampled_nll.value(r) - b.corpus->resampled_nll.value(r));
  }
  return interval_of(std::move(values));
}

void compare_losses(SideComparison& result, std::span<const RunOfTexts> runs,
                    const Resamples& resamples) {
  const Losses all(runs, result.a, result.b);
  test_ratio(result.nll, all.nats, all.tokens_of, resamples);
  result.tokens = std::llround(finite_sum(all.tokens_of));
  result.bytes = std::llround(finite_sum(all.bytes_of));
  if (result.bytes > 0) { test_ratio(result.bits_per_byte, all.bits, all.bytes_of, resamples); }
  const Trace &first_a = *runs[result.a[0]].texts[0], &first_b = *runs[result.b[0]].texts[0];
  const bool pair = result.a.size() == 1 && result.b.size() == 1;
  if (first_a.corpus) {
    leave_untested(result.nll);
    leave_untested(result.bits_per_byte);
    if (pair && result.tokens > 0) { result.nll.interval = corpus_interval(first_a, first_b); }
  }
  result.nll.name = "nll";
  result.bits_per_byte.name = "bits_per_byte";
  result.nll_of_pairs.name = "nll_of_pairs";
  if (result.a.size() != result.b.size() || result.a.size() < 2) { return; }
  const Resamples of_pairs(std::ssize(result.a), resamples.count(), 0);
  test_ratio(result.nll_of_pairs, all.pair_nats, all.pair_tokens, of_pairs);
}

void compare_layer(PairedLayer& layer, std::int64_t row, const SideComparison& sides,
                   std::span<const RunOfTexts> runs, const Resamples& resamples) {
  const std::size_t texts = runs[sides.a[0]].texts.size();
  for (const LayerStatistic& statistic : layer_statistics()) {
    PairedStatistic one;
    one.name = statistic.name;
    for (std::size_t d = 0; d < texts; ++d) {
      const auto number = [&](std::size_t run) { return statistic.of(runs[run].layers[d][row]); };
      one.of_text.push_back(side_mean(sides.a, number) - side_mean(sides.b, number));
    }
    const bool any = std::any_of(one.of_text.begin(), one.of_text.end(),
                                 [](double value) { return std::isfinite(value); });
    if (!any) { continue; }
    if (statistic.of_weights) {
      one.mean = mean_of(one.of_text).value();  // texts are no sample of it
    } else {
      test(one, resamples);
    }
    if (runs[sides.a[0]].texts[0]->corpus) { leave_untested(one); }
    layer.statistics.push_back(std::move(one));
  }
  for (std::size_t d = 0; d < texts && sides.same_tokens; ++d) {
    for (const std::size_t i : sides.a) {
      for (const std::size_t j : sides.b) {
        const RoutingDifference found =
            routing_difference(*runs[i].texts[d], *runs[j].texts[d], {row, row});
        layer.compared += found.compared;
        layer.otherwise += found.otherwise;
        layer.near_ties += found.near_ties;
      }
    }
  }
}

}  // namespace

std::vector<DifferentField> different_fields(std::span<const Trace* const> traces) {
  std::vector<std::map<std::string, std::string>> configs(traces.size());
  std::map<std::string, DifferentField> fields;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const Json& meta = traces[i]->meta;
    if (!meta.is_object() || !meta.contains("model_config")) { continue; }
    flatten(meta["model_config"], "", configs[i]);
    for (const auto& [name, value] : configs[i]) { fields[name].name = name; }
  }
  std::vector<DifferentField> different;
  for (auto& entry : fields) {
    DifferentField& field = entry.second;
    for (const auto& config : configs) {
      const auto found = config.find(entry.first);
      field.values.push_back(found == config.end() ? "" : found->second);
    }
    const bool same = std::all_of(field.values.begin(), field.values.end(),
                                  [&](const auto& value) { return value == field.values[0]; });
    if (!same) { different.push_back(std::move(field)); }
  }
  std::stable_sort(different.begin(), different.end(),
                   [](const auto& a, const auto& b) { return rank_of(a.name) < rank_of(b.name); });
  std::vector<DifferentField> kept;
  for (DifferentField& field : different) {
    const bool again = std::any_of(kept.begin(), kept.end(), [&](const DifferentField& before) {
      return before.values == field.values;
    });
    if (!again) { kept.push_back(std::move(field)); }
  }
  return kept;
}

std::vector<std::string> field_labels(const std::vector<DifferentField>& fields,
                                      std::size_t traces) {
  std::vector<std::string> labels(traces);
  for (const DifferentField& field : fields) {
    std::vector<std::string> longer = labels;
    std::size_t most = 0;
    for (std::size_t i = 0; i < traces; ++i) {
      std::string value = field.values[i].empty() ? "absent" : field.values[i];
      std::erase(value, '"');
      longer[i] += (longer[i].empty() ? "" : ", ") + field.name + " " + value;
      most = std::max(most, longer[i].size());
    }
    if (most > kLabelBytes && !labels[0].empty()) { break; }
    labels = std::move(longer);
  }
  return labels;
}

std::string rows_differ_because(const Trace& a, const Trace& b) {
  if (const std::string differ = models_differ_because(a, b); !differ.empty()) { return differ; }
  const bool same = std::equal(a.layer_index.begin(), a.layer_index.end(), b.layer_index.begin(),
                               b.layer_index.end()) &&
                    std::equal(a.pass_index.begin(), a.pass_index.end(), b.pass_index.begin(),
                               b.pass_index.end());
  return same ? "" : "their recorded layers are not the same";
}

SideComparison compare_sides(std::span<const RunOfTexts> runs, std::vector<std::size_t> a,
                             std::vector<std::size_t> b, const Resamples& resamples) {
  SideComparison result;
  result.a = std::move(a);
  result.b = std::move(b);
  result.same_tokens = true;
  const RunOfTexts& first = runs[result.a[0]];
  for (const std::vector<std::size_t>* side : {&result.a, &result.b}) {
    for (const std::size_t run : *side) {
      if (result.rows_differ.empty()) {
        result.rows_differ = rows_differ_because(*first.texts[0], *runs[run].texts[0]);
      }
      for (std::size_t d = 0; d < first.texts.size(); ++d) {
        result.same_tokens &= tokens_differ_because(*first.texts[d], *runs[run].texts[d]).empty();
      }
    }
  }
  compare_losses(result, runs, resamples);
  if (!result.rows_differ.empty()) { return result; }
  for (std::int64_t row = 0; row < first.texts[0]->layers; ++row) {
    PairedLayer layer;
    layer.layer = first.layers[0][row].layer;
    layer.pass = first.layers[0][row].pass;
    compare_layer(layer, row, result, runs, resamples);
    result.layers.push_back(std::move(layer));
  }
  return result;
}

}  // namespace kappascope
