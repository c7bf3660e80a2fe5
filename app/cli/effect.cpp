#include "app/cli/effect.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/nan.h"
#include "core/stats/difference.h"
#include "core/trace/csv_rows.h"

namespace kappascope {
namespace {

Json divergence_json(const Trace& a) {
  const auto [mean, most] = divergence_of(a);
  if (mean.count == 0) { return {{"mean", nullptr}, {"max", nullptr}, {"positions", 0}}; }
  return {{"mean", mean.value()}, {"max", most}, {"positions", mean.count}};
}

std::string joined(const Json& words) {
  std::string text;
  for (const Json& word : words) {
    text += (text.empty() ? "" : " ") + printable(word.get<std::string>());
  }
  return text.empty() ? "the model as it is" : text;
}

std::string words_of(const Trace& a, const LossDifference& loss, const Json& divergence,
                     std::int64_t otherwise, std::int64_t near_ties, std::int64_t compared) {
  const auto number = [](double value, const char* format) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return std::isfinite(value) ? std::string(text) : std::string("–");
  };
  std::string text =
      join_words("against ", joined(a.meta.at("against")), ": ΔNLL ", number(loss.mean, "%+.6f"),
                 " nats a token, ", number(loss.sum, "%+.4f"), " in all");
  if (loss.bytes > 0) {
    text += join_words(", ", number(loss.bits_per_byte, "%+.6f"), " bits per byte");
  }
  if (divergence["mean"].is_number()) {
    text += "; KL " + number(divergence["mean"].get<double>(), "%.6f") + " nats on average";
  }
  if (compared > 0) {
    text +=
        join_words("; ", otherwise, " of ", compared, " (token, layer) choices of experts differ (",
                   near_ties, near_ties == 1 ? " near tie)" : " near ties)");
  }
  return text + "\n";
}

}  // namespace

Effect effect_of(const Trace& a, const std::vector<LayerSummary>& layers_a, const Trace& b,
                 const std::vector<LayerSummary>& layers_b) {
  Effect effect{difference_json(a, layers_a, b, layers_b), {}};
  effect.document["kl"] = divergence_json(a);
  std::int64_t otherwise = 0, near_ties = 0, compared = 0;
  for (const Json& layer : effect.document["layers"]) {
    otherwise += layer.value("routed_otherwise", std::int64_t{0});
    near_ties += layer.value("routed_otherwise_near_ties", std::int64_t{0});
    compared += layer.value("routing_compared", std::int64_t{0});
  }
  effect.words =
      words_of(a, loss_difference(a, b), effect.document["kl"], otherwise, near_ties, compared);
  return effect;
}

void write_effect_csv(const std::filesystem::path& path, const Trace& a, const Trace& b) {
  const LossDifference loss = loss_difference(a, b);
  std::vector<std::int64_t> otherwise(std::size_t(a.tokens), 0), near_ties = otherwise;
  for (const RowPair rows : common_rows(a, b)) {
    const RoutingDifference routing = routing_difference(a, b, rows);
    for (std::size_t t = 0; t < routing.tokens.size(); ++t) {
      const bool near = routing.tokens[t] == Routed::near_tie;
      otherwise[t] += near || routing.tokens[t] == Routed::otherwise;
      near_ties[t] += near;
    }
  }
  CsvFile csv(path);
  for (const char* column : {"token", "token_id", "token_text", "nll", "nll_against", "nll_change",
                             "kl_against", "layers_routed_otherwise", "layers_near_tie"}) {
    csv.text(column);
  }
  csv.end_row();
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    csv.integer(t);
    csv.integer(a.token_id[t]);
    csv.text(a.token_text[t]);
    csv.number(a.nll[t]);
    csv.number(b.nll[t]);
    csv.number(t < std::ssize(loss.nll) ? loss.nll[t] : kNaN);
    csv.number(a.kl_against[t]);
    csv.integer(otherwise[t]);
    csv.integer(near_ties[t]);
    csv.end_row();
  }
  csv.finish();
}

}  // namespace kappascope
