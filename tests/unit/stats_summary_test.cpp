// The summary of whole traces, its JSON, and that docs/metrics.md explains all of it.
#include "core/stats/summary.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "core/trace/schema.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

// A layer as summary.json would have it, through text and back.
Json json_of(const Trace& trace) {
  return Json::parse(summary_json(trace, summarise(trace)).dump());
}

TEST(StatsSummary, MeansOverTokensOfOneLayer) {
  HandTrace hand(1, 4, 4, 2);
  for (std::int64_t t = 0; t < 4; ++t) {
    hand.keep(0, t, 0, t, 0.75f);
    hand.keep(0, t, 1, (t + 1) % 4, 0.25f);
  }
  hand.top1 = {0.4f, 0.6f, 0.5f, 0.5f};
  hand.margin = {0.0005f, 2, kNaN, 0.0015f};
  hand.entropy = {0.25f, 0.75f, 0.5f, 0.5f};
  hand.attach();
  const LayerSummary summary = summarise(hand.trace).at(0);
  EXPECT_NEAR(summary.confidence, 0.5, 1e-7);
  EXPECT_NEAR(summary.margin, 2.002 / 3, 1e-7);
  EXPECT_EQ(summary.near_ties, 1);
  EXPECT_DOUBLE_EQ(summary.router_entropy, 0.5);
  EXPECT_DOUBLE_EQ(summary.router_entropy_nats, 0.5 * std::log(4));
  EXPECT_DOUBLE_EQ(summary.load_entropy, 1);
  EXPECT_EQ(summary.drop_rate, 0);
  EXPECT_DOUBLE_EQ(summary.kappa.mean, 1);
  EXPECT_DOUBLE_EQ(summary.kappa_log_mean, 0);
  EXPECT_EQ(summary.gate_kz_rms, 0);
  EXPECT_EQ(summary.nonfinite_tokens, 0);
  EXPECT_TRUE(std::isnan(summary.alignment_mean));
}

TEST(StatsSummary, SpoiltTokensAreCountedAndLeftOut) {
  HandTrace hand(1, 4, 2, 1);
  for (std::int64_t t = 0; t < 4; ++t) { hand.keep(0, t, 0, t % 2, 1, 1.5f); }
  hand.entropy[0] = kNaN;  // the router
  hand.top1[0] = kNaN;
  hand.kappa_mean[hand.at(0, 1, 0)] = kNaN;  // κ
  hand.gate[hand.at(0, 2, 0)] = kNaN;        // a gate
  const LayerSummary summary = summarise(hand.trace).at(0);
  EXPECT_EQ(summary.nonfinite_tokens, 3);
  EXPECT_DOUBLE_EQ(summary.confidence, 0.5);
  EXPECT_DOUBLE_EQ(summary.kappa.mean, 1.5);
  EXPECT_EQ(summary.load, (std::vector<double>{1.0 / 3, 2.0 / 3}));
  EXPECT_EQ(summary.gate_mean_abs, 0);
}

TEST(StatsSummary, EdgesOfNothing) {
  HandTrace no_tokens(1, 0, 3, 2);
  const LayerSummary empty = summarise(no_tokens.trace).at(0);
  EXPECT_TRUE(std::isnan(empty.confidence));
  EXPECT_TRUE(std::isnan(empty.kappa.p50));
  HandTrace one(1, 1, 1, 1);  // one token, one expert: K = E
  one.keep(0, 0, 0, 0, 1);
  one.margin[0] = one.gap[0] = kNaN;
  one.entropy[0] = 0;
  const LayerSummary single = summarise(one.trace).at(0);
  EXPECT_EQ(single.load_entropy, 0);
  EXPECT_EQ(single.router_entropy_nats, 0);
  EXPECT_TRUE(std::isnan(single.margin));
  EXPECT_EQ(single.near_ties, 0);
  EXPECT_EQ(single.nonfinite_tokens, 0);
  HandTrace dropped(1, 2, 2, 1);  // everything over capacity
  dropped.drop(0, 0, 0, 1);
  dropped.drop(0, 1, 0, 1);
  const LayerSummary lost = summarise(dropped.trace).at(0);
  EXPECT_EQ(lost.drop_rate, 1);
  EXPECT_EQ(lost.load, (std::vector<double>{0, 1}));
  EXPECT_EQ(lost.gate_mass, (std::vector<double>{0, 0}));
  EXPECT_TRUE(std::isnan(lost.kappa.mean));
}

TEST(StatsSummary, DenseLayers) {
  HandTrace hand(0, 2, 1, 1);
  const std::vector<std::int32_t> layer = {0, 3}, pass = {0, 1};
  const std::vector<float> kappa = {1, 2, 3, 0.5f, 0.5f, kNaN}, gate = {0.25f, 0.75f, 1, kNaN};
  hand.trace.dense_layers = 2;
  hand.trace.dense_gates = 3;
  hand.trace.dense_layer_index = layer;
  hand.trace.dense_pass_index = pass;
  hand.trace.dense_kappa = kappa;
  hand.trace.dense_gate_entropy = gate;
  const std::vector<DenseSummary> found = summarise_dense(hand.trace);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].layer, 3);
  EXPECT_DOUBLE_EQ(found[0].kappa.p50, 2);
  EXPECT_DOUBLE_EQ(found[1].kappa.mean, 0.5);
  EXPECT_DOUBLE_EQ(found[0].gate_entropy, 0.5);
  EXPECT_DOUBLE_EQ(found[1].gate_entropy, 1);
  EXPECT_TRUE(std::isnan(found[0].gate_kz_rms));
}

TEST(StatsSummary, JsonHasNullForNaNAndSaysWhatIsNotThere) {
  HandTrace hand(1, 2, 2, 1);
  hand.keep(0, 0, 0, 0, 1);
  const std::vector<float> nll = {kNaN, 2.5f};
  hand.trace.nll = nll;
  const Json json = json_of(hand.trace);
  EXPECT_EQ(json["nll_mean"], 2.5);
  EXPECT_EQ(json["nll_tokens"], 1);
  EXPECT_EQ(json["layers"].size(), 1u);
  EXPECT_TRUE(json["layers"][0]["alignment_mean"].is_null());
  EXPECT_EQ(json["layers"][0]["kappa"]["p95"], 1.0);
  EXPECT_EQ(json["layers"][0]["load"], Json({1.0, 0.0}));
  EXPECT_FALSE(json.contains("effect_tail"));
  EXPECT_FALSE(json.contains("dense_layers"));
  EXPECT_FALSE(json.contains("step"));
}

// model.npz of two layers: dense, then MoE with κ of one number an expert.
class StatsSummaryModel : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            ("kappascope-stats-" + std::to_string(::getpid()) + ".npz");
    std::filesystem::remove(path_);
    const Json meta = {{"schema", kModelSchema},
                       {"config_sha256", "0"},
                       {"tensor_directory_sha256", "0"},
                       {"kappa", {{"granularity", "per-expert"}}}};
    const std::string text = meta_text(meta);
    NpzWriter writer(path_, {meta_array(text),
                             {"layer_kind", NpyType::text, {2}, 5},
                             {"layer_experts", NpyType::int32, {2}, 0},
                             {"layer_slots", NpyType::int32, {2}, 0},
                             {"layer_gates", NpyType::int32, {2}, 0},
                             {"kappa_u", NpyType::float32, {2}, 0},
                             {"kappa_start_layer", NpyType::int32, {}, 0},
                             {"alignment_mean", NpyType::float32, {2, 2}, 0},
                             {"alignment_energy", NpyType::float32, {2, 2}, 0},
                             {"kappa_bias", NpyType::float32, {2, 2}, 0},
                             {"kappa_scale", NpyType::float32, {2, 2}, 0}});
    writer.write_text(kMetaArray, 0, std::vector<std::string>{text});
    writer.write_text("layer_kind", 0, std::vector<std::string>{"dense", "moe"});
    writer.write("layer_experts", std::vector<std::int32_t>{-1, 2});
    writer.write("layer_slots", std::vector<std::int32_t>{-1, 1});
    writer.write("layer_gates", std::vector<std::int32_t>{4, 4});
    writer.write("kappa_u", std::vector<float>{kNaN, 3});
    writer.write("kappa_start_layer", std::vector<std::int32_t>{0});
    writer.write("alignment_mean", std::vector<float>{kNaN, kNaN, 0.25f, 0.75f});
    writer.write("alignment_energy", std::vector<float>{kNaN, kNaN, -1, 0});
    writer.write("kappa_bias", std::vector<float>{0, 0, 0, 1});
    writer.write("kappa_scale", std::vector<float>{0, 0, 1, 0});
    writer.finish();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::filesystem::path path_;
};

TEST_F(StatsSummaryModel, ParametersOfTheRightLayerAndExpert) {
  HandTrace hand(1, 2, 3, 1, 4);  // arrays one expert wider than the layer
  hand.layer_index = {1};
  hand.attach();
  hand.trace.kappa = true;
  hand.trace.model = open_model_parameters(path_);
  const double first = std::pow(3.0, std::tanh(0.5)), second = std::pow(3.0, std::tanh(1.0));
  hand.keep(0, 0, 0, 0, 1, static_cast<float>(first), 0.5f);
  hand.keep(0, 1, 0, 1, 1, static_cast<float>(second), 0.5f);
  const LayerSummary summary = summarise(hand.trace).at(0);
  EXPECT_EQ(summary.load.size(), 2u);
  EXPECT_DOUBLE_EQ(summary.load_entropy, 1);
  EXPECT_DOUBLE_EQ(summary.alignment_mean, 0.5);
  EXPECT_DOUBLE_EQ(summary.alignment_energy, -0.5);
  EXPECT_NEAR(summary.kappa.p05, first, 1e-6);
  EXPECT_NEAR(summary.kappa.p50, (first + second) / 2, 1e-6);
  EXPECT_NEAR(summary.kappa_top5_mean, (first + second) / 2, 1e-6);
  EXPECT_NEAR(summary.kappa_log_mean, std::log(3.0) * (std::tanh(0.5) + std::tanh(1.0)) / 2, 1e-6);
  hand.trace.kappa = false;  // κ off: what the trace recorded, whatever the model has learned
  hand.keep(0, 0, 0, 0, 1, 1, 0.5f);
  hand.keep(0, 1, 0, 1, 1, 1, 0.5f);
  EXPECT_EQ(summarise(hand.trace).at(0).kappa.p95, 1);
}

// Sections of docs/metrics.md by each of the names in their headings.
std::map<std::string, std::string> metric_sections() {
  std::ifstream file(std::string(KAPPASCOPE_SOURCE_DIR) + "/docs/metrics.md");
  std::map<std::string, std::string> sections;
  std::vector<std::string> names;
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("# ", 0) == 0) { names.clear(); }
    if (line.rfind("## ", 0) == 0) {
      names.clear();
      std::istringstream heading(line.substr(3));
      for (std::string name; std::getline(heading >> std::ws, name, ',');) {
        EXPECT_EQ(sections.count(name), 0u) << name << " twice";
        names.push_back(name);
      }
    }
    for (const std::string& name : names) { sections[name] += line + "\n"; }
  }
  return sections;
}

void expect_part(const std::string& name, const std::string& text, const char* part) {
  EXPECT_NE(text.find("- **" + std::string(part) + ":** "), std::string::npos)
      << name << " lacks " << part;
}

TEST(StatsMetrics, EverySectionHasAUnit) {
  const auto sections = metric_sections();
  EXPECT_GT(sections.size(), 100u);
  for (const auto& [name, text] : sections) { expect_part(name, text, "Unit and range"); }
}

// What is computed says how, what it means and when not to trust it.
TEST(StatsMetrics, EveryNumberOfTheSummaryHasACompleteSection) {
  const auto sections = metric_sections();
  HandTrace hand(1, 1, 1, 1);
  hand.keep(0, 0, 0, 0);
  hand.trace.kappa_values = hand.trace.gate_pre = hand.kappa_mean;
  const Json json = json_of(hand.trace);
  for (const char* name : {"nll_mean", "nll_tokens", "effect_tail", "effect_relative_tail"}) {
    EXPECT_TRUE(json.contains(name)) << name;
    EXPECT_TRUE(sections.count(name)) << name;
  }
  for (const auto& item : json["layers"][0].items()) {
    if (item.key() == "layer" || item.key() == "pass") { continue; }
    ASSERT_TRUE(sections.count(item.key())) << item.key();
    for (const char* part : {"Formula", "High / low", "Not to trust", "Source"}) {
      expect_part(item.key(), sections.at(item.key()), part);
    }
  }
}

}  // namespace
}  // namespace kappascope
