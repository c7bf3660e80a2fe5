// A corpus result as stats.json, stats.csv and the table that `stats` prints.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "app/cli/output_folder.h"
#include "core/checkpoint/json.h"
#include "core/stats/summary.h"
#include "core/trace/corpus_totals.h"

namespace kappascope {

class StatsReport {
 public:
  // `trace`: of a corpus; it must outlive this.
  explicit StatsReport(const Trace& trace);

  // Every statistic by layer, with 95 % intervals from the resamples, pooled over all tokens and,
  // where the reference's scripts average over calls, that mean, too; and what was read.
  Json json() const;
  std::string text() const;
  // A row an expert: counts, load with its interval, gate mass, saliency. `path` must not exist.
  void write_csv(const std::filesystem::path& path) const;

 private:
  const Trace& trace_;
  std::vector<LayerSummary> layers_;
};

// Writes the result of a corpus and what is said of it, publishes it in `folder` together with the
// model.npz that write_parameters(path) makes where it does, and prints the table, or stats.json.
struct ResultWords {
  bool json = false, quiet = false;
};
void publish_result(OutputFolder& folder, const CorpusTotals& totals, Json meta,
                    const std::function<void(const std::filesystem::path&)>& write_parameters,
                    const ResultWords& words);

}  // namespace kappascope
