#include "core/trace/recorder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/trace/kappa_statistics.h"
#include "core/trace/trace.h"
#include "kernels/kappa_math.h"
#include "trace_fixture.h"

namespace kappascope {
namespace {

using trace_test::failure_of;
using trace_test::make_model;
using trace_test::make_settings;
using trace_test::make_text;
using trace_test::MoeRows;
using trace_test::read_bytes;
using trace_test::record;
using trace_test::TempFolder;

// Equal, or NaN on both sides.
template <typename T>
void expect_same(const T* found, const T* expected, std::size_t count, const char* what) {
  for (std::size_t i = 0; i < count; ++i) {
    const bool same =
        found[i] == expected[i] || (found[i] != found[i] && expected[i] != expected[i]);
    ASSERT_TRUE(same) << what << " " << i << ": " << +found[i] << ", expected " << +expected[i];
  }
}

TEST(Recorder, EveryTapComesToItsPlace) {
  TempFolder folder;
  const Model model = make_model();
  const TokenizedText text = make_text(7);
  record(folder / "t.npz", model, text);
  const Trace trace = open_trace(folder / "t.npz");
  EXPECT_EQ(trace.tokens, 7);
  EXPECT_EQ(trace.layers, 6);
  EXPECT_EQ(trace.dense_layers, 2);
  EXPECT_EQ(std::vector<std::int32_t>(trace.layer_index.begin(), trace.layer_index.end()),
            (std::vector<std::int32_t>{1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(std::vector<std::int32_t>(trace.pass_index.begin(), trace.pass_index.end()),
            (std::vector<std::int32_t>{0, 0, 0, 1, 1, 1}));
  for (std::size_t m = 0; m < 6; ++m) {
    const MoeRows rows(trace.layer_index[m], trace.pass_index[m], 0, 7);
    expect_same(&trace.router_logits[m * 21], rows.logits.data(), 21, "router_logits");
    const RouterNumbers& numbers = rows.tap.routing.numbers;
    expect_same(&trace.router_top1_prob[m * 7], numbers.top1_prob, 7, "top1");
    expect_same(&trace.router_selected_mass[m * 7], numbers.selected_mass, 7, "mass");
    expect_same(&trace.router_margin[m * 7], numbers.margin, 7, "margin");
    expect_same(&trace.router_top_gap[m * 7], numbers.top_gap, 7, "gap");
    expect_same(&trace.router_entropy[m * 7], numbers.entropy, 7, "entropy");
    expect_same(&trace.expert_weight[m * 14], rows.weight.data(), 14, "weight");
    expect_same(&trace.expert_kept[m * 14], rows.kept.data(), 14, "kept");
    expect_same(&trace.kappa_input[m * 14], rows.input.data(), 14, "input");
    for (std::size_t i = 0; i < 14; ++i) {
      EXPECT_EQ(trace.expert_index[m * 14 + i], rows.expert[i]);
      EXPECT_EQ(trace.gate_mean_abs[m * 14 + i], rows.stats[i].mean_abs);
      EXPECT_EQ(trace.gate_active_fraction[m * 14 + i], rows.stats[i].active_fraction);
      EXPECT_EQ(trace.gate_top16_share[m * 14 + i], rows.stats[i].top_share);
      EXPECT_EQ(trace.gate_entropy[m * 14 + i], rows.stats[i].entropy);
      EXPECT_EQ(trace.gate_kz_rms[m * 14 + i], rows.stats[i].kz_rms);
      EXPECT_EQ(trace.gate_linear_fraction[m * 14 + i], rows.stats[i].linear_fraction);
      EXPECT_EQ(trace.gate_saturated_fraction[m * 14 + i], rows.stats[i].saturated_fraction);
    }
  }
  EXPECT_EQ(trace.dense_gate_saturated_fraction[0], 0);
  EXPECT_EQ(trace.dense_gate_saturated_fraction[13], 1);
  EXPECT_EQ(trace.dense_gate_mean_abs[13], 0.5f);
  EXPECT_EQ(trace.dense_kappa.size(), 16u);
  EXPECT_TRUE(trace.gate_pre.empty());
  EXPECT_TRUE(trace.logits.empty());
}

TEST(Recorder, TokensAndTheirPredictions) {
  TempFolder folder;
  record(folder / "t.npz", make_model(), make_text(5));
  const Trace trace = open_trace(folder / "t.npz");
  EXPECT_EQ(trace.token_text[0], "<|bos|>");
  EXPECT_EQ(trace.token_text[1], "\\xe2");
  EXPECT_EQ(trace.token_bytes_hex[1], "e2");
  EXPECT_EQ(trace.token_text[2], " 2");
  EXPECT_EQ(trace.char_start[0], -1);
  EXPECT_EQ(trace.char_end[4], 8);
  EXPECT_TRUE(std::isnan(trace.nll[0]));
  EXPECT_EQ(trace.target_rank[0], -1);
  for (std::size_t t = 1; t < 5; ++t) {
    EXPECT_EQ(trace.nll[t], static_cast<float>(t) / 8);
    EXPECT_EQ(trace.target_rank[t], static_cast<std::int32_t>(t));
  }
  EXPECT_EQ(trace.top_token_id.size(), 25u);
  EXPECT_EQ(trace.meta["arrays"]["expert_index"]["_ARRAY_DIMENSIONS"],
            Json({"moe_layer", "token", "slot"}));
  EXPECT_EQ(trace.meta["command"], "kappascope run runs/tiny -p 'a b'");
  const std::filesystem::path path = trace.meta["model"]["path"].get<std::string>();
  EXPECT_TRUE(path.is_absolute());
  EXPECT_TRUE(path.string().ends_with("/runs/tiny/model_000120.pt"));
  EXPECT_EQ(trace.step, 120);
  EXPECT_TRUE(trace.kappa);
}

// κ of every gate unit, sorted, against what was recorded.
void expect_kappa(const Trace& trace, std::size_t slot, const KappaParameters& kappa) {
  std::vector<double> values;
  const auto e = static_cast<std::int64_t>(trace.expert_index[slot]);
  for (std::int64_t i = 0; i < 8; ++i) {
    const auto at = static_cast<std::size_t>(e * kappa.expert_stride + i * kappa.gate_stride);
    const double s = trace.kappa_input[slot], b = kappa.bias[at];
    const double u = kappa.scale.empty() ? s * b : kappa.scale[at] * s + b;
    values.push_back(std::exp(std::log(3.0) * std::tanh(u)));
  }
  std::sort(values.begin(), values.end());
  double mean = 0;
  for (const double value : values) { mean += value / 8; }
  EXPECT_NEAR(trace.kappa_mean[slot], mean, 1e-5);
  EXPECT_NEAR(trace.kappa_min[slot], values.front(), 1e-5);
  EXPECT_NEAR(trace.kappa_max[slot], values.back(), 1e-5);
  // Quantile q of 8 lies at 7q: 0.35 and 6.65.
  EXPECT_NEAR(trace.kappa_p05[slot], values[0] + 0.35 * (values[1] - values[0]), 1e-5);
  EXPECT_NEAR(trace.kappa_p95[slot], values[6] + 0.65 * (values[7] - values[6]), 1e-5);
}

TEST(Recorder, KappaFollowsFromScoreAndParameters) {
  for (const Granularity granularity : {Granularity::per_gate, Granularity::per_expert,
                                        Granularity::per_layer, Granularity::global}) {
    TempFolder folder;
    const Model model = make_model(granularity);
    record(folder / "t.npz", model, make_text(6));
    const Trace trace = open_trace(folder / "t.npz");
    for (std::size_t slot = 0; slot < trace.expert_index.size(); ++slot) {
      const auto layer = static_cast<std::size_t>(trace.layer_index[slot / 12]);
      if (!trace.expert_kept[slot]) {
        EXPECT_TRUE(std::isnan(trace.kappa_mean[slot]) && std::isnan(trace.kappa_p95[slot]));
      } else if (layer == 1) {
        EXPECT_EQ(trace.kappa_mean[slot], 1);
        EXPECT_EQ(trace.kappa_p05[slot], 1);
      } else {
        expect_kappa(trace, slot, model.kappa[layer]);
      }
    }
  }
}

TEST(Recorder, ConstantInputHasOneKappaAnExpert) {
  const Model model = make_model(Granularity::per_gate, false);
  const KappaParameters& stored = model.kappa[2];
  const RunPlan plan = resolve(model, {});
  LayerKappa kappa(plan.kappa_of(2, 0).view(), 3, 8);
  const KappaStatistics first = kappa.at(1, 0.5f), again = kappa.at(1, 0.5f);
  float least = 3;
  for (std::size_t i = 8; i < 16; ++i) {
    least = std::min(least, kappa_value(std::log(3.0f), 0.5f * stored.bias[i]));
  }
  EXPECT_NEAR(first.minimum, least, 1e-6f);  // the vector units' own exp and tanh
  EXPECT_EQ(again.mean, first.mean);
}

TEST(Recorder, NaNParametersGiveNaN) {
  const std::vector<float> bias{0, kNaN, 1}, scale{1, 1, 1};
  LayerKappa kappa({bias.data(), scale.data(), 0, 1, 1}, 1, 3);
  const KappaStatistics statistics = kappa.at(0, 1);
  EXPECT_TRUE(std::isnan(statistics.mean) && std::isnan(statistics.minimum) &&
              std::isnan(statistics.p05));
}

TEST(Recorder, KappaOffIsOne) {
  TempFolder folder;
  record(folder / "t.npz", make_model(), make_text(6), make_settings(), {{.edit = Edit::kappa}});
  const Trace trace = open_trace(folder / "t.npz");
  EXPECT_FALSE(trace.kappa);
  EXPECT_EQ(trace.meta["kappa"]["model"], true);
  for (std::size_t slot = 0; slot < trace.kappa_mean.size(); ++slot) {
    if (!trace.expert_kept[slot]) { continue; }
    EXPECT_EQ(trace.kappa_mean[slot], 1);
    EXPECT_FALSE(std::isnan(trace.kappa_input[slot]));
  }
}

TEST(Recorder, SumsRunOverTheChunks) {
  TempFolder folder;
  record(folder / "t.npz", make_model(), make_text(9, {{0, 0, 4}, {2, 4, 7}, {5, 7, 9}}));
  const Trace trace = open_trace(folder / "t.npz");
  EXPECT_EQ(trace.kappa_hist[0], 3);
  EXPECT_EQ(trace.kappa_hist[2], 0);
  EXPECT_EQ(trace.gate_pre_hist[65], 3);
  EXPECT_EQ(trace.effect_count[0], 6);
  EXPECT_DOUBLE_EQ(trace.effect_mean[0], 0.5);
  EXPECT_DOUBLE_EQ(trace.effect_abs[0], 1);
  EXPECT_DOUBLE_EQ(trace.effect_rms[0], 2);
  EXPECT_DOUBLE_EQ(trace.effect_positive[0], 0.5);
  EXPECT_DOUBLE_EQ(trace.effect_rel_mean[0], 1.5);
  EXPECT_DOUBLE_EQ(trace.effect_rel_abs[0], 2);
  EXPECT_DOUBLE_EQ(trace.effect_rel_rms[0], 3);
  EXPECT_DOUBLE_EQ(trace.effect_rel_positive[0], 1);
  EXPECT_EQ(trace.effect_count[1], 0);
  EXPECT_TRUE(std::isnan(trace.effect_mean[1]));
  EXPECT_EQ(trace.meta["window"]["chunks"][1]["first_recorded"], 4);
  EXPECT_EQ(trace.nll[7], 7.0f / 8);
  const MoeRows middle(2, 1, 4, 3);
  expect_same(&trace.router_logits[(4 * 9 + 4) * 3], middle.logits.data(), 9, "router_logits");
}

TEST(Recorder, OutputsOfEveryLayerAndPassComeToTheirRows) {
  TempFolder folder;
  const Model model = make_model();
  const TokenizedText text = make_text(4, {{0, 0, 3}, {1, 3, 4}});
  TraceSettings settings = make_settings();
  settings.record_outputs = true;
  const RunPlan plan = resolve(model, {});
  {
    TraceRecorder recorder(folder / "t.npz", model, plan, text, settings);
    ASSERT_TRUE(recorder.wants().outputs);
    for (const TextChunk& chunk : text.chunks) {
      for (std::int64_t m = 0; m < 6; ++m) {
        std::vector<float> rows;  // [T,2]: 10 a row of the trace, 1 a token
        for (std::int64_t t = chunk.first_recorded; t < chunk.end; ++t) {
          rows.insert(rows.end(), {float(10 * m + t), -float(10 * m + t)});
        }
        EXPECT_TRUE(recorder.output({m % 3 + 1, m / 3, chunk.first_recorded,
                                     chunk.end - chunk.first_recorded, 2, rows.data()}));
      }
    }
    trace_test::feed(recorder, model, text, settings);
    recorder.finish();
  }
  const Trace trace = open_trace(folder / "t.npz");
  ASSERT_EQ(trace.moe_output.size(), 6u * 4 * 2);
  for (std::int64_t m = 0; m < 6; ++m) {
    for (std::int64_t t = 0; t < 4; ++t) {
      EXPECT_EQ(trace.moe_output[(m * 4 + t) * 2], float(10 * m + t));
      EXPECT_EQ(trace.moe_output[(m * 4 + t) * 2 + 1], -float(10 * m + t));
    }
  }
}

// M = 6, E = 3, I = 8; layers 2 and 3 have κ of their own, layer 1 none.
TEST(Recorder, ParametersInForceAreThoseOfTheirLayer) {
  TempFolder folder;
  const Model model = make_model();
  record(folder / "t.npz", model, make_text(3), make_settings(),
         {parse_intervention("kappa-scale=2@3")});
  const Trace trace = open_trace(folder / "t.npz");
  ASSERT_EQ(trace.kappa_scale_in_force.size(), 6u * 3 * 8);
  for (std::size_t m = 0; m < 6; ++m) {
    for (std::size_t i = 0; i < 3 * 8; ++i) {
      const float found = trace.kappa_scale_in_force[m * 24 + i];
      const float expected = m % 3 == 0 ? 0 : m % 3 == 1 ? model.kappa[2].scale[i] : 2;
      EXPECT_EQ(found, expected) << m << " " << i;
    }
  }
}

TEST(Recorder, GatesLogitsAndChosenLayers) {
  TempFolder folder;
  TraceSettings settings = make_settings();
  settings.record_gates = settings.record_logits = true;
  settings.layers = {1, 3};
  record(folder / "t.npz", make_model(), make_text(4), settings);
  const Trace trace = open_trace(folder / "t.npz");
  EXPECT_EQ(trace.layers, 4);
  EXPECT_EQ(trace.dense_layers, 0);
  EXPECT_EQ(trace.logits.size(), 44u);
  EXPECT_EQ(trace.logits[43], trace_test::Random(6).floats(44)[43]);
  const MoeRows last(3, 1, 0, 4);
  expect_same(&trace.kappa_values[3 * 64], last.kappa.data(), 64, "kappa");
  expect_same(&trace.gate_pre[3 * 64], last.pre.data(), 64, "gate_pre");
  expect_same(&trace.gate_act[3 * 64], last.act.data(), 64, "gate_act");
}

TEST(Recorder, WantsWhatIsRecorded) {
  TempFolder folder;
  const Model model = make_model();
  const TokenizedText text = make_text(3);
  TraceSettings settings = make_settings();
  settings.layers = {2};
  const RunPlan plan = resolve(model, {});
  const TraceRecorder recorder(folder / "t.npz", model, plan, text, settings);
  EXPECT_TRUE(recorder.wants().routing && recorder.wants().gate_stats);
  EXPECT_FALSE(recorder.wants().gates || recorder.wants().logits || recorder.wants().hidden);
  EXPECT_TRUE(recorder.wants_layer(2));
  EXPECT_FALSE(recorder.wants_layer(1));
}

TEST(Recorder, SameRunSameBytes) {
  TempFolder folder;
  record(folder / "a.npz", make_model(), make_text(5));
  record(folder / "b.npz", make_model(), make_text(5));
  EXPECT_EQ(read_bytes(folder / "a.npz"), read_bytes(folder / "b.npz"));
}

// A tap that cannot be recorded stops the run, says why, and leaves no file.
TEST(Recorder, KeepsTheFirstFailure) {
  TempFolder folder;
  const Model model = make_model();
  const TokenizedText text = make_text(3);
  {
    const RunPlan plan = resolve(model, {});
    TraceRecorder recorder(folder / "t.npz", model, plan, text, make_settings());
    MoeRows rows(2, 0, 0, 3);
    rows.tap.routing.experts = 4;
    EXPECT_FALSE(recorder.failure());
    EXPECT_FALSE(recorder.moe(rows.tap));
    EXPECT_FALSE(recorder.moe(MoeRows(2, 0, 0, 3).tap));
    EXPECT_EQ(recorder.failure().code, ExitCode::internal);
    EXPECT_EQ(failure_of([&] { recorder.finish(); }).code, ExitCode::internal);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "t.npz"));
}

TEST(Recorder, AnUnfinishedRunIsAFailure) {
  TempFolder folder;
  const Model model = make_model();
  const TokenizedText text = make_text(3);
  const RunPlan plan = resolve(model, {});
  TraceRecorder recorder(folder / "t.npz", model, plan, text, make_settings());
  EXPECT_EQ(failure_of([&] { recorder.finish(); }).code, ExitCode::internal);
}

TEST(Recorder, RefusesMoreExpertsThanAnIndexHolds) {
  TempFolder folder;
  Model model = make_model();
  for (std::size_t i = 1; i < 4; ++i) {
    MoeSpec moe = *model.architecture.layers[i].moe();
    moe.router.experts = 32768;
    model.architecture.layers[i].feed_forward = moe;
  }
  const RunPlan plan = resolve(model, {});
  const TokenizedText text = make_text(3);
  const Failure failure =
      failure_of([&] { TraceRecorder(folder / "t.npz", model, plan, text, make_settings()); });
  EXPECT_EQ(failure.code, ExitCode::unsupported);
  EXPECT_FALSE(std::filesystem::exists(folder / "t.npz"));
}

}  // namespace
}  // namespace kappascope
