// κ over the gate units of one expert at one score (SPEC §4).
#include "kernels/cpu/kappa_row.h"
#include "kernels/cpu/scratch.h"

namespace kappascope::KAPPASCOPE_ISA {

void kappa_statistics(const KappaStatisticsArgs& args) {
  const std::int64_t gates = args.kappa.uniform() ? 1 : args.gates;
  const std::int64_t padded = (gates + kVector - 1) / kVector * kVector;
  const Scratch scratch(3 * padded);
  KappaRow row{gates, scratch.data, scratch.data + padded, scratch.data + 2 * padded, {}, {}, {}};
  const KappaView view = with_bias(args.kappa);
  fill_kappa(form_of(args.kappa), {view, args.score, args.gate_pre}, row);
  describe_kappa(row, args.kappa.log_bound, true);
  *args.result = row.statistics;
}

}  // namespace kappascope::KAPPASCOPE_ISA
