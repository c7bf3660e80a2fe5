#include "app/cli/ablation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "app/cli/terminal.h"
#include "core/stats/importance.h"
#include "core/stats/summary.h"
#include "core/trace/csv_rows.h"

namespace kappascope {
void AblationFindings::finish(const Trace& trace) {
  const std::vector<LayerSummary> layers = summarise(trace);
  for (AblatedExpert& of : experts) {
    const auto layer = std::find_if(layers.begin(), layers.end(), [&](const LayerSummary& one) {
      return one.layer == of.layer && one.pass == 0;
    });
    if (layer == layers.end()) { continue; }
    const auto at = std::size_t(of.expert);
    of.load = layer->load[at];
    of.gate_mass = layer->gate_mass[at];
    of.saliency = layer->saliency.empty() ? kNaN : layer->saliency[at];
  }
  // NaN last.
  std::stable_sort(experts.begin(), experts.end(),
                   [this](const AblatedExpert& a, const AblatedExpert& b) {
                     const double x = change(a), y = change(b);
                     return std::isnan(y) ? !std::isnan(x) : x > y;
                   });
}

void AblationFindings::write_csv(const std::filesystem::path& path) const {
  CsvFile csv(path);
  for (const char* column : {"rank", "layer", "expert", "delta_nll", "delta_nll_sum", "assigned",
                             "kept", "load", "gate_mass", "saliency"}) {
    csv.text(column);
  }
  csv.end_row();
  std::int64_t rank = 0;
  for (const AblatedExpert& of : experts) {
    csv.integer(++rank);
    csv.integer(of.layer);
    csv.integer(of.expert);
    csv.number(change(of));
    csv.number(of.nll - nll_sum);
    csv.integer(of.assigned);
    csv.integer(of.kept);
    csv.number(of.load);
    csv.number(of.gate_mass);
    csv.number(of.saliency);
    csv.end_row();
  }
  csv.finish();
}

Json AblationFindings::json(const Trace& trace) const {
  const BitsPerByte bits = bits_per_byte(trace);
  Json list = Json::array();
  for (const AblatedExpert& of : experts) {
    const double sum = of.nll - nll_sum;
    const double per_byte = bits.bytes > 0 ? sum / (std::log(2.0) * double(bits.bytes)) : kNaN;
    list.push_back({{"layer", of.layer},
                    {"expert", of.expert},
                    {"delta_nll", number_json(change(of))},
                    {"delta_nll_sum", number_json(sum)},
                    {"delta_bits_per_byte", number_json(per_byte)},
                    {"assigned", of.assigned},
                    {"kept", of.kept},
                    {"load", number_json(of.load)},
                    {"gate_mass", number_json(of.gate_mass)},
                    {"saliency", number_json(of.saliency)}});
  }
  return {{"schema", kAblationSchema},
          {"command", printable(command)},
          {"settings", settings},
          {"nll_sum", number_json(nll_sum)},
          {"nll_count", nll_count},
          {"nll_mean", number_json(nll_sum / double(nll_count))},
          {"bits_per_byte", number_json(bits.value)},
          {"experts", std::move(list)}};
}

std::string AblationFindings::table(std::size_t most) const {
  const std::size_t rows = most > 0 ? std::min(experts.size(), most) : experts.size();
  char line[160];
  std::snprintf(line, sizeof line, "mean NLL %.4f nats; without an expert (%s), %zu of %zu:\n",
                nll_sum / double(nll_count), mode.c_str(), rows, experts.size());
  std::string text = line;
  text += bold("layer  expert  ΔNLL, nats  tokens    load  gate mass   saliency") + "\n";
  for (std::size_t i = 0; i < rows; ++i) {
    const AblatedExpert& of = experts[i];
    std::snprintf(line, sizeof line, "%5lld  %6lld  %+10.6f  %6lld  %6.4f  %9.4f  %9.4f\n",
                  static_cast<long long>(of.layer), static_cast<long long>(of.expert), change(of),
                  static_cast<long long>(of.assigned), of.load, of.gate_mass, of.saliency);
    text += line;
  }
  return text;
}

}  // namespace kappascope
