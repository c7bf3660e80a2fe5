// The arrays of a trace that hold one number each of what kernels give for a (token, expert) row.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace kappascope {

struct GateField {
  const char* name;
  const char* dense_name;
  float GateStats::* value;
};
inline constexpr std::array<GateField, 7> kGateFields{{
    {"gate_mean_abs", "dense_gate_mean_abs", &GateStats::mean_abs},
    {"gate_active_fraction", "dense_gate_active_fraction", &GateStats::active_fraction},
    {"gate_top16_share", "dense_gate_top16_share", &GateStats::top_share},
    {"gate_entropy", "dense_gate_entropy", &GateStats::entropy},
    {"gate_kz_rms", "dense_gate_kz_rms", &GateStats::kz_rms},
    {"gate_linear_fraction", "dense_gate_linear_fraction", &GateStats::linear_fraction},
    {"gate_saturated_fraction", "dense_gate_saturated_fraction", &GateStats::saturated_fraction},
}};

struct KappaField {
  const char* name;
  float KappaStatistics::* value;
};
inline constexpr std::array<KappaField, 5> kKappaFields{{{"kappa_mean", &KappaStatistics::mean},
                                                         {"kappa_min", &KappaStatistics::minimum},
                                                         {"kappa_max", &KappaStatistics::maximum},
                                                         {"kappa_p05", &KappaStatistics::p05},
                                                         {"kappa_p95", &KappaStatistics::p95}}};

// One number of each of `count` rows.
template <typename Row, typename Field>
std::vector<float> column(const Row* rows, std::int64_t count, const Field& field) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) { values[i] = rows[i].*field.value; }
  return values;
}

}  // namespace kappascope
