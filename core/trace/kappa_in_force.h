// κ's parameters as they acted in the run of a trace: what interventions made of them, else those
// of model.npz; slot, SFT side and the formula's multiplier resolved.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/nan.h"
#include "core/trace/trace.h"
#include "kernels/kernels.h"

namespace kappascope {

// What κ of one row of the trace follows from.
enum class KappaSource : std::uint8_t {
  fixed,     // no parameters act: κ = 1, or the number that an intervention set
  score,     // the score, with known α, b and U
  gate_pre,  // the gate's own pre-activation z (kappa_input "gate_proj")
  unknown    // parameters that neither the trace nor a model.npz beside it holds
};

class KappaInForce {
 public:
  // Damaged: the meta's keys on κ are of another kind than expected, or a factor is not over 0.
  explicit KappaInForce(const Trace& trace);

  KappaSource source(std::int64_t row) const { return rows_[row].source; }
  // Of the experts of a row. Neither α nor b where the source is fixed or unknown, and neither may
  // be there where it is gate_pre.
  const KappaView& view(std::int64_t row) const { return rows_[row].view; }
  double bound(std::int64_t row) const { return rows_[row].bound; }  // U; NaN without κ
  // m of the older formulas κ = U^tanh(m·(α·s + b)): α and b of the views are times it.
  double multiplier() const { return multiplier_; }
  bool router() const { return router_; }  // the score is that of a router of κ's own

 private:
  struct Row {
    KappaSource source = KappaSource::fixed;
    KappaView view;
    double bound = kNaN;
  };
  // α or b of one row.
  struct Parameter {
    const float* values = nullptr;  // nullptr: not there
    std::int64_t expert_stride = 0, gate_stride = 0, size = 0;
  };

  static bool is_zero(const Parameter& parameter);
  void read_meta(const Trace& trace);
  Row resolve(const Trace& trace, std::int64_t row);
  Parameter in_force(const Trace& trace, std::span<const float> array, std::int64_t row);
  Parameter stored(const Trace& trace, const KappaArray& array, std::int64_t row);
  // The values times the multiplier, after `residual` is added where it is not null.
  Parameter changed(Parameter parameter, const float* residual);

  double multiplier_ = 1;
  bool router_ = false, from_gate_ = false, constant_ = false, has_bias_ = true;
  enum class Side : std::uint8_t {
    by_pass,
    base,
    sft_residual,
    sft_independent
  } side_ = Side::by_pass;
  std::vector<Row> rows_;                               // [M]
  std::map<const float*, std::vector<float>> changed_;  // by where the stored ones are
};

}  // namespace kappascope
