// What a sweep over experts found, as its files and its table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/nan.h"
#include "core/trace/trace.h"

namespace kappascope {

inline constexpr const char* kAblationCsv = "ablation.csv";
inline constexpr const char* kAblationJson = "ablation.json";
inline constexpr const char* kAblationSchema = "kappascope.ablation/1";

// What is known of an expert of one layer, in all passes together.
struct AblatedExpert {
  std::int64_t layer = -1, expert = -1;
  std::int64_t assigned = 0, kept = 0;  // assignments in the run of the whole model
  double nll = kNaN;                    // Σ over the text without it, nats
  double load = kNaN, gate_mass = kNaN, saliency = kNaN;  // of the first pass
};

struct AblationFindings {
  std::string command, mode;
  Json settings;                       // what decides about the numbers
  double nll_sum = 0;                  // of the whole model, nats
  std::int64_t nll_count = 0;          // tokens
  std::vector<AblatedExpert> experts;  // once sorted, by falling change

  double change(const AblatedExpert& of) const {  // of the mean NLL, nats
    return (of.nll - nll_sum) / double(nll_count);
  }
  // Load, gate mass and saliency from the trace of the whole model; then sorts.
  void finish(const Trace& trace);

  void write_csv(const std::filesystem::path& path) const;
  Json json(const Trace& trace) const;
  std::string table(std::size_t most) const;  // of the first ones; 0: all
};

}  // namespace kappascope
