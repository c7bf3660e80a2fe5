// κ-SwiGLU over the rows of all experts, reference: kappa_swiglu_ref row by row.
#include <algorithm>
#include <vector>

#include "kernels/device_ops.h"

namespace kappascope {
namespace {

struct RowBuffers {
  std::vector<float> z, up, hidden;  // [I]
};

// Row `row` of expert e, that of `cell`.
void run_row(const GroupedSwigluArgs& args, std::int64_t cell, std::int64_t row, std::int64_t e,
             RowBuffers& buffers) {
  const std::int64_t gates = args.gates, at = (row - args.first_row) * gates;
  for (std::int64_t i = 0; i < gates; ++i) {
    buffers.z[i] = product_value(args.gate_pre, at + i);
    buffers.up[i] = product_value(args.up, at + i);
  }
  const std::int64_t at_limit =
      apply_rules(args.rules, e, gates, buffers.z.data(), buffers.up.data());
  const float score = args.score ? args.score[cell] : args.score_constant;
  KappaSwigluArgs one;
  one.rows = 1;
  one.gates = gates;
  one.gate_pre = buffers.z.data();
  one.up = buffers.up.data();
  one.score = &score;
  one.kappa = args.kappa.at_expert(e);
  one.identity_gate = args.identity_gate;
  one.hidden = buffers.hidden.data();
  one.active_threshold = args.active_threshold;
  one.top_gates = args.top_gates;
  if (args.row_effect) { args.row_effect[row] = {}; }
  if (args.stats && cell >= args.first_cell) {
    one.stats = args.stats + (cell - args.first_cell);
    one.kappa_stats = args.kappa_stats ? args.kappa_stats + (cell - args.first_cell) : nullptr;
    one.kappa_hist = args.kappa_hist ? args.kappa_hist + e * kKappaBins : nullptr;
    one.gate_pre_hist = args.gate_pre_hist ? args.gate_pre_hist + e * kGatePreBins : nullptr;
    one.effect = args.row_effect ? args.row_effect + row : nullptr;
    if (args.clamped) {
      args.clamped[cell - args.first_cell] = float(double(at_limit) / double(gates));
    }
  }
  if (args.kappa_out) {
    one.kappa_out = args.kappa_out + at;
    one.gate_act_out = args.gate_act_out + at;
    std::copy(buffers.z.begin(), buffers.z.end(), args.gate_pre_out + at);
  }
  kappa_swiglu_ref(one);
  for (std::int64_t i = 0; i < gates; ++i) {
    if (args.element == Element::float32) {
      static_cast<float*>(args.hidden)[at + i] = buffers.hidden[i];
    } else {
      narrow(buffers.hidden[i], static_cast<BFloat16*>(args.hidden)[at + i]);
    }
  }
}

}  // namespace

void grouped_swiglu_ref(const GroupedSwigluArgs& args) {
  const std::size_t gates = std::size_t(args.gates);
  RowBuffers buffers{std::vector<float>(gates), std::vector<float>(gates),
                     std::vector<float>(gates)};
  const std::int64_t all = args.all_rows ? *args.all_rows : args.last_row;
  for (std::int64_t row = args.first_row; row < std::min(all, args.last_row); ++row) {
    const std::int64_t cell = args.row_cell ? args.row_cell[row] : row;
    run_row(args, cell, row, args.expert_index ? args.expert_index[cell] : 0, buffers);
  }
}

}  // namespace kappascope
