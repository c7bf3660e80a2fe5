// What `kappascope scan` found, as text, JSON and a table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/cli/fail_if.h"
#include "app/weights_tables.h"
#include "core/stats/expert_similarity.h"

namespace kappascope {

struct ScanResult {
  const Model& model;
  OutlierLimits limits;
  std::vector<TensorNumbers> numbers = {};  // beside the model's tensors
  std::vector<LearnedKappa> kappa = {};
  std::vector<LayerAlignment> alignments = {};
  std::vector<ExpertSimilarity> similarities = {};
};

// Names that --fail-if knows: of numbers of a tensor, and of means over the experts of a layer.
std::vector<std::string> scan_names(const OutlierLimits& limits);
void check_thresholds(const ScanResult& scan, Thresholds& thresholds);

Json scan_json(const ScanResult& scan);
std::string scan_text(const ScanResult& scan);  // tables for people

}  // namespace kappascope
