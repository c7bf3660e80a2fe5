// κ's parameters as they acted in a run whose interventions changed them (SPEC §9): by row of the
// trace, in the units of the stored ones (without the formula's multiplier).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine/run_plan.h"
#include "core/trace/npz.h"

namespace kappascope {

class ParametersInForce {
 public:
  ParametersInForce() = default;
  // `layers`: recorded MoE layers, ascending; rows are passes outside, layers inside.
  ParametersInForce(const Model& model, const RunPlan& plan,
                    const std::vector<std::int64_t>& layers);

  // Axes of an array of the trace: 0 when the run changed nothing of it, else 1 [M], 2 [M,E] or
  // 3 [M,E,I].
  std::size_t rank(std::string_view array) const;
  void write(NpzWriter& writer) const;
  // The arrays that the run changed, by their names, row after row.
  std::map<std::string, std::vector<float>> all() const;

 private:
  struct Row {
    const KappaPlan* kappa;
    std::int64_t experts, gates;
  };
  std::vector<float> values_of(const Row& row, std::string_view array) const;

  std::vector<Row> rows_;
  std::size_t bias_rank_ = 0, scale_rank_ = 0, factor_rank_ = 0;
  std::int64_t experts_ = 0, gates_ = 0;  // of the arrays
};

}  // namespace kappascope
