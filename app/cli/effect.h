// The effect of a run beside the one of `--against` (SPEC §9), as files and in words.
#pragma once

#include <string>
#include <vector>

#include "app/cli/output_folder.h"
#include "core/stats/summary.h"
#include "core/trace/trace.h"

namespace kappascope {

inline constexpr const char* kEffectJson = "effect.json";
inline constexpr const char* kEffectCsv = "effect.csv";

struct Effect {
  Json document;      // effect.json
  std::string words;  // "against kappa=off: ΔNLL …"
};
// Of run A, whose trace has kl_against, against B.
Effect effect_of(const Trace& a, const std::vector<LayerSummary>& layers_a, const Trace& b,
                 const std::vector<LayerSummary>& layers_b);

// effect.csv: a row per token.
void write_effect_csv(const std::filesystem::path& path, const Trace& a, const Trace& b);

}  // namespace kappascope
