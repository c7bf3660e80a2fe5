// κ as it acted: interventions, slots, sides, formulas, the κ router and κ from z, in traces made
// by hand, through every statistic and figure of κ.
#include "core/trace/kappa_in_force.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "core/figure/catalogue.h"
#include "core/figure/render.h"
#include "core/stats/expert_card.h"
#include "core/stats/kappa_curves.h"
#include "core/stats/kappa_histogram.h"
#include "core/stats/maps.h"
#include "core/stats/summary.h"
#include "tests/unit/figure_fixture.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

constexpr double kU = 3;

double kappa_of(double u) {
  return std::pow(kU, std::tanh(u));
}

// One layer, two passes, 2 experts × 3 gates, 2 slots of parameters; every token goes to both
// experts with s = 1, the recorded numbers are those of `factors`.
struct InForce {
  HandTrace hand{2, 5, 2, 2, 3};
  std::shared_ptr<ModelParameters> model = std::make_shared<ModelParameters>();
  std::vector<float> bias = {0.1f, 0.2f, 0.3f, -0.1f, -0.2f, -0.3f, 1, 1, 1, 2, 2, 2};
  std::vector<float> scale = {0.5f, 0, -0.5f, 0.25f, 0, -0.25f, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f};
  const std::vector<float> bound = {static_cast<float>(kU)};
  const std::vector<std::int32_t> two = {2}, three = {3};
  std::vector<float> factors;

  InForce() {
    Trace& trace = hand.trace;
    hand.layer_index = {0, 0};
    hand.pass_index = {0, 1};
    trace.model_layers = 1;
    trace.kappa = true;
    trace.model_name = "hand";
    trace.token_text.assign(5, "w");
    trace.meta["kappa"] = {{"model", true}, {"in_force", true}, {"input", "router_probs"}};
    model->layer_kind = {"moe"};
    model->layer_experts = model->layer_slots = two;
    model->layer_gates = three;
    model->kappa_u = bound;
    model->experts = 2;
    model->gates = 3;
    model->bias = {bias, 2, 6, 6, 3, 1, 6};
    model->scale = {scale, 2, 6, 6, 3, 1, 6};
    trace.model = model;
    for (std::int64_t row = 0; row < 2; ++row) {
      for (std::int64_t t = 0; t < 5; ++t) {
        for (std::int64_t e = 0; e < 2; ++e) { hand.keep(row, t, e, e, 0.5f, 1.5f, 1); }
      }
    }
    for (float& least : hand.kappa_min) { least = 0.5f; }  // the gates differ
    hand.attach();
  }
  void set_factors(std::vector<float> values) {
    factors = std::move(values);
    hand.trace.kappa_factor = factors;
  }
  KappaFunction function(std::int64_t row) const {
    return kappa_function(TraceLayer(hand.trace, row));
  }
  double kappa(std::int64_t row, std::int64_t e, std::int64_t i, double s = 1) const {
    return kappa_at(function(row).experts[e], i, s);
  }
};

TEST(KappaInForce, SlotOfThePassOrOfTheSide) {
  InForce in;
  EXPECT_NEAR(in.kappa(0, 0, 0), kappa_of(0.6), 1e-6);
  EXPECT_NEAR(in.kappa(1, 0, 0), kappa_of(1.1), 1e-6);
  in.hand.trace.meta["kappa_slot"] = "base";
  EXPECT_NEAR(in.kappa(1, 0, 0), kappa_of(0.6), 1e-6);
  in.hand.trace.meta["kappa_slot"] = "sft";
  in.hand.trace.meta["sft_kappa"] = "residual";
  EXPECT_NEAR(in.kappa(0, 1, 2), kappa_of(-0.3 + 2 + (-0.25 + 0.6)), 1e-6);
  in.hand.trace.meta["sft_kappa"] = "independent";
  EXPECT_NEAR(in.kappa(0, 1, 2), kappa_of(2 + 0.6), 1e-6);
  in.hand.trace.meta["sft_kappa"] = "perhaps";
  EXPECT_THROW(in.function(0), Error);
  in.model->bias.slots = in.model->scale.slots = 1;
  in.hand.trace.meta["sft_kappa"] = "residual";  // one slot: both sides
  EXPECT_NEAR(in.kappa(1, 0, 0), kappa_of(0.6), 1e-6);
}

TEST(KappaInForce, MultiplierOfAnOlderFormula) {
  InForce in;
  in.hand.trace.meta["kappa"]["multiplier"] = -2;
  EXPECT_NEAR(in.kappa(0, 0, 0), kappa_of(-1.2), 1e-6);
  // α and b are shown as the model has them.
  const KappaFunction kappa = in.function(0);
  const ParameterSpread spread = kappa_parameters(TraceLayer(in.hand.trace, 0), kappa);
  EXPECT_EQ(spread.scale.least, -0.5);
  EXPECT_EQ(spread.bias.most, 0.3F);
  const KappaCurves curves = kappa_curves(kappa, 1, {0}, 0, 1, 2);
  EXPECT_EQ(curves.scale[0], 0.25);
  EXPECT_EQ(curves.bias[0], -0.1F);
  in.hand.trace.meta["kappa"]["multiplier"] = 0;
  EXPECT_THROW(in.function(0), Error);
}

TEST(KappaInForce, RouterIsALinearScore) {
  InForce in;
  in.hand.trace.meta["kappa"]["router"] = true;
  in.model->scale = {};
  EXPECT_NEAR(in.kappa(0, 0, 2, 0.7), kappa_of(0.3 + 0.7), 1e-6);
  in.model->bias = {};  // disable_kappa_bias
  EXPECT_EQ(in.function(0).source, KappaFunction::Source::unknown);
  in.hand.trace.meta["kappa"]["bias"] = false;
  EXPECT_NEAR(in.kappa(0, 0, 2, 0.7), kappa_of(0.7), 1e-6);
  const KappaCurves curves = kappa_curves(in.function(0), 0, {0}, 0, 1, 3);
  EXPECT_TRUE(std::isnan(curves.bias[0]));
  EXPECT_EQ(curves.scale[0], 1);
  for (const FigureEntry& entry : figure_catalogue()) {
    const Figure figure = figure_of(entry, in.hand.trace, {.layer = 0});
    EXPECT_FALSE(render_svg(figure, {}).empty()) << entry.id;
  }
}

TEST(KappaInForce, EditedParametersComeBeforeStoredOnes) {
  InForce in;
  const std::vector<float> per_expert = {0.5f, -0.5f, 0.25f, 0.75f};  // [M,E]
  in.hand.trace.kappa_bias_in_force = per_expert;
  EXPECT_NEAR(in.kappa(0, 1, 0), kappa_of(0.25 - 0.5), 1e-6);
  EXPECT_NEAR(in.kappa(1, 1, 0), kappa_of(0.4 + 0.75), 1e-6);
  const std::vector<float> per_layer = {1, 2};
  in.hand.trace.kappa_scale_in_force = per_layer;
  EXPECT_NEAR(in.kappa(1, 0, 2, 0.5), kappa_of(2 * 0.5 + 0.25), 1e-6);
  in.hand.trace.model = nullptr;  // figures need no model.npz then
  in.hand.trace.meta["kappa"].update({{"bound_moe", kU}, {"start_layer", 0}});
  EXPECT_NEAR(in.kappa(1, 0, 2, 0.5), kappa_of(2 * 0.5 + 0.25), 1e-6);
  in.hand.trace.kappa_scale_in_force = {};  // α is then not known
  EXPECT_EQ(in.function(0).source, KappaFunction::Source::unknown);
}

// κ of every kept (token, slot, gate) of a row times the factors, ascending.
std::vector<double> population(const InForce& in, std::int64_t row) {
  std::vector<double> values;
  for (std::int64_t e = 0; e < 2; ++e) {
    for (std::int64_t i = 0; i < 3; ++i) { values.insert(values.end(), 5, in.kappa(row, e, i)); }
  }
  std::sort(values.begin(), values.end());
  return values;
}

TEST(KappaInForce, FactorsAreInEveryStatistic) {
  InForce in;
  const double plain = in.kappa(0, 1, 0);
  in.set_factors({1, 4, 1, 1});
  EXPECT_NEAR(in.kappa(0, 1, 0), 4 * plain, 1e-6);
  const TraceLayer layer(in.hand.trace, 0);
  const KappaFunction kappa = kappa_function(layer);
  const std::vector<double> all = population(in, 0);
  const KappaBand band = kappa_band(layer, kappa);
  EXPECT_TRUE(band.exact);
  const QuantilePlace place(30, 0.95);
  EXPECT_NEAR(band.band.p95, place.between(all[place.lower], all[place.upper]), 1e-5);
  double logs = 0;
  for (const double value : all) { logs += std::log(value); }
  EXPECT_NEAR(band.log_mean, logs / 30, 1e-6);
  EXPECT_NEAR(kappa_summary(layer, kappa).top5_mean, (in.kappa(0, 0, 0) + in.kappa(0, 1, 0)) / 2,
              1e-5);
  const KappaBounds bounds = kappa_bounds(layer);
  EXPECT_NEAR(bounds.lower, 1 / kU, 1e-6);
  EXPECT_NEAR(bounds.upper, 4 * kU, 1e-6);
  const ExpertCard card = expert_card(in.hand.trace, 0, 1);
  EXPECT_NEAR(card.kappa_lower, 4 / kU, 1e-6);
  EXPECT_NEAR(card.kappa.band.p50, in.kappa(0, 1, 1), 1e-5);
  const LayerMap experts = layer_expert_kappa(in.hand.trace);
  EXPECT_NEAR(experts.values[1],
              std::cbrt(in.kappa(0, 1, 0) * in.kappa(0, 1, 1) * in.kappa(0, 1, 2)), 1e-5);
  const KappaDensity density = kappa_density(layer, kappa);
  EXPECT_NEAR(density.edges.back(), 4 * kU, 1e-6);  // wider than kappa_hist, and counted anew
  std::int64_t above = 0, counted = 0;
  for (std::size_t j = 0; j < density.counts.size(); ++j) {
    counted += density.counts[j];
    if (density.edges[j] >= kU) { above += density.counts[j]; }
  }
  EXPECT_EQ(counted, 30);
  EXPECT_EQ(above, std::count_if(all.begin(), all.end(), [](double k) { return k > kU; }));
  const ParameterSpread spread = kappa_parameters(layer, kappa);
  EXPECT_NEAR(spread.bounds.upper, 4 * kU, 1e-5);
  EXPECT_NEAR(spread.kappa.most, all.back(), 1e-5);
  in.set_factors({1, -4, 1, 1});
  EXPECT_THROW(in.function(0), Error);
  in.set_factors({1, 4, 1, 1});
  // The other pass has no factor: its statistics are of the parameters alone.
  EXPECT_FALSE(in.function(1).factors);
}

std::string drawn(const Trace& trace, const char* id) {
  const std::array<const Trace*, 1> traces = {&trace};
  return render_svg(figure_entry(id).make(traces, {.layer = 0, .expert = 1}), {});
}

TEST(KappaInForce, InterventionsAreInEveryFigureOfKappa) {
  InForce plain, changed;
  changed.set_factors({2, 4, 2, 4});
  changed.hand.trace.meta["interventions"] = {"kappa-mul=2", "kappa-mul=2@0:1"};
  for (float& mean : changed.hand.kappa_mean) { mean *= 2; }  // as recorded
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.group != FigureGroup::kappa) { continue; }
    const std::string id(entry.id);
    const std::string before = drawn(plain.hand.trace, id.c_str()),
                      after = drawn(changed.hand.trace, id.c_str());
    EXPECT_NE(after.find("kappa-mul=2@0:1"), std::string::npos) << id;
    const auto curves = [](const std::string& svg) { return svg.substr(svg.find("plot-area")); };
    EXPECT_NE(curves(before), curves(after)) << id;
  }
}

TEST(KappaInForce, FromTheGateOnlySummariesAreKnown) {
  InForce in;
  Trace& trace = in.hand.trace;
  trace.meta["kappa"]["input"] = "gate_proj";
  for (float& score : in.hand.kappa_input) { score = kNaN; }
  for (std::size_t bin = 30; bin < 36; ++bin) { in.hand.kappa_hist[bin] = 5; }
  in.hand.gate_pre_hist[kGatePreBins + 33] = 15;
  in.hand.attach();
  const TraceLayer layer(trace, 0);
  const KappaFunction kappa = kappa_function(layer);
  EXPECT_EQ(kappa.source, KappaFunction::Source::gate_pre);
  const KappaBand band = kappa_band(layer, kappa);
  EXPECT_FALSE(band.exact);
  EXPECT_NEAR(band.band.mean, 1.5, 1e-6);   // of the recorded means
  EXPECT_FALSE(std::isnan(band.band.p50));  // off the histogram
  EXPECT_FALSE(slot_log_kappa(layer, kappa).exact);
  const ParameterSpread spread = kappa_parameters(layer, kappa);
  EXPECT_EQ(spread.scale.p50, 0);
  EXPECT_TRUE(std::isnan(spread.kappa.p50));
  const SiluCurves curves = silu_curves(layer, kappa, 1, 17);
  EXPECT_EQ(curves.unit, (std::array<std::int64_t, 3>{2, 1, 0}));  // α −0.25, 0, 0.25
  const double z = curves.z[12], k = kappa_of(0.25 * z - 0.1);
  EXPECT_NEAR(curves.value[2][12], z / (1 + std::exp(-k * z)), 1e-6);
  EXPECT_NE(drawn(trace, "kappa-vs-score").find("not from a score"), std::string::npos);
  EXPECT_NE(drawn(trace, "kappa-tokens").find("own pre-activations z"), std::string::npos);
  EXPECT_EQ(drawn(trace, "kappa-parameters").find("bounds 1/U"), std::string::npos);
  EXPECT_NE(drawn(trace, "silu-kappa").find("α = 0.25"), std::string::npos);
}

TEST(KappaInForce, FixedKappaDoesNotFollowTheGate) {
  InForce in;
  in.hand.trace.meta["kappa"]["input"] = "gate_proj";
  const std::vector<float> scale = {0, 0.5f}, bias = {0, 0};
  in.hand.trace.kappa_scale_in_force = scale;  // κ := V in the first row
  in.hand.trace.kappa_bias_in_force = bias;
  for (auto* values : {&in.hand.kappa_mean, &in.hand.kappa_min, &in.hand.kappa_max}) {
    for (std::size_t i = 0; i < 10; ++i) { (*values)[i] = 1; }
  }
  in.hand.attach();
  EXPECT_EQ(in.function(0).source, KappaFunction::Source::constant);
  EXPECT_EQ(in.function(1).source, KappaFunction::Source::gate_pre);
}

TEST(KappaInForce, AModelWithoutKappaCanBeGivenOne) {
  InForce in;
  Trace& trace = in.hand.trace;
  trace.meta["kappa"] = {{"model", false}, {"in_force", true}};
  trace.model = nullptr;
  in.set_factors({2, 2, 2, 2});
  for (auto* values : {&in.hand.kappa_mean, &in.hand.kappa_min, &in.hand.kappa_max}) {
    for (float& value : *values) { value = 2; }
  }
  in.hand.attach();
  EXPECT_EQ(in.function(0).source, KappaFunction::Source::constant);
  const TraceLayer layer(trace, 0);
  EXPECT_EQ(kappa_band(layer, kappa_function(layer)).band.p50, 2);
  EXPECT_EQ(drawn(trace, "kappa-distribution").find("no κ to show"), std::string::npos);
  EXPECT_EQ(drawn(trace, "kappa-tokens").find("nothing to show"), std::string::npos);
}

}  // namespace
}  // namespace kappascope
