#include "core/trace/counted_sums.h"

#include <algorithm>

#include "core/error.h"

namespace kappascope {
namespace {

constexpr std::int64_t kRowsAtOnce = 64;

// The rows [T,K] of each expert that ran and count.
std::vector<std::vector<std::int64_t>> counted_rows(const MoeTap& tap,
                                                    std::span<const std::uint8_t> counted) {
  const Assignments& cells = tap.routing.cells;
  std::vector<std::vector<std::int64_t>> rows(std::size_t(tap.routing.experts));
  for (std::int64_t i = 0; i < tap.routing.tokens * tap.routing.slots; ++i) {
    if (cells.kept[i] != 0 && counted[i / tap.routing.slots] != 0) {
      rows[cells.expert[i]].push_back(i);
    }
  }
  return rows;
}

}  // namespace

CountedSums::CountedSums(const MoeTap& tap, const RunPlan& plan,
                         std::span<const std::uint8_t> counted)
    : kappa_hist(std::size_t(tap.routing.experts * kKappaBins)),
      gate_pre_hist(std::size_t(tap.routing.experts * kGatePreBins)),
      effect(std::size_t(tap.routing.experts)) {
  require(tap.gate_pre != nullptr && std::ssize(counted) == tap.routing.tokens, ExitCode::internal,
          {}, "sums of some tokens without their gates");
  const MoeSpec& spec = *plan.layers[tap.layer].spec->moe();
  const KappaView kappa = plan.kappa_of(tap.layer, tap.pass).view();
  const bool scored =
      spec.score && (spec.score->router || spec.score->input != KappaInput::gate_proj);
  const auto rows = counted_rows(tap, counted);
  const std::int64_t gates = tap.gates;
  std::vector<float> z, up(std::size_t(kRowsAtOnce * gates)), score;
  for (std::size_t e = 0; e < rows.size(); ++e) {
    for (std::size_t begin = 0; begin < rows[e].size(); begin += kRowsAtOnce) {
      const std::size_t end = std::min<std::size_t>(rows[e].size(), begin + kRowsAtOnce);
      z.clear();
      score.clear();
      for (std::size_t r = begin; r < end; ++r) {
        const float* const from = tap.gate_pre + rows[e][r] * gates;
        z.insert(z.end(), from, from + gates);
        score.push_back(tap.routing.cells.score[rows[e][r]]);
      }
      KappaSwigluArgs args{.rows = std::int64_t(end - begin), .gates = gates};
      args.gate_pre = z.data();
      args.up = args.hidden = up.data();
      if (scored) { args.score = score.data(); }
      args.kappa = kappa.at_expert(std::int64_t(e));
      args.identity_gate = spec.gate.activation == Activation::identity;
      args.kappa_hist = kappa_hist.data() + e * kKappaBins;
      args.gate_pre_hist = gate_pre_hist.data() + e * kGatePreBins;
      args.effect = &effect[e];
      cpu_kernels().kappa_swiglu(args);
    }
  }
}

MoeTap CountedSums::in(const MoeTap& tap) const {
  MoeTap result = tap;
  result.kappa_hist = kappa_hist.data();
  result.gate_pre_hist = gate_pre_hist.data();
  result.effect = effect.data();
  return result;
}

}  // namespace kappascope
