// The logit lens and activation patching, drawn of hand-made traces.
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/figure/catalogue.h"
#include "core/stats/lens.h"
#include "figure_fixture.h"
#include "stats_fixture.h"

namespace kappascope {
namespace {

// Two layers with experts, 1 and 2 of the model; the lens has the dense one before them, too.
struct LensTrace {
  HandTrace hand{2, 3, 4, 1};
  std::vector<std::int32_t> layer{0, 1, 2}, pass{0, 0, 0};
  std::vector<std::int32_t> id{5, 6, 7, 5, 6, 8, 9, 1, 2}, rank{4, 2, -1, 0, 7, -1, 1, 0, -1};
  std::vector<float> logprob;
  std::vector<std::int32_t> rows{1, 2};

  LensTrace() {
    Trace& trace = hand.trace;
    trace.token_text = {"a", "b", "c"};
    for (int i = 0; i < 9; ++i) { logprob.push_back(std::log(0.1f * float(i + 1))); }
    trace.layer_index = rows;
    trace.lens_layers = 3;
    trace.lens_layer_index = layer;
    trace.lens_pass_index = pass;
    trace.lens_token_id = id;
    trace.lens_token_text = {" x", "y", "", "x", "y", "z", "x", "y", "z"};
    trace.lens_logprob = logprob;
    trace.lens_target_rank = rank;
  }
};

TEST(LensFigure, LeadsToTheRowsOfTheTrace) {
  const LensTrace made;
  const Figure figure = figure_of(figure_entry("logit-lens"), made.hand.trace);
  const Panel& panel = figure.panels.at(0);
  EXPECT_EQ(panel.y.names, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(panel.y.subjects, (std::vector<std::int64_t>{-1, 0, 1}));
  const HeatMap& map = panel.heat_map.at(0);
  EXPECT_NEAR(map.cells.at(4), 0.5f, 1e-6f);
  EXPECT_EQ(map.texts.at(0), "␣x");
  EXPECT_EQ(map.texts.at(2), "id 7");  // without a text
  EXPECT_EQ(map.outlined, (std::vector<std::uint32_t>{3, 7}));
}

TEST(LensFigure, ByRankAndOfAPart) {
  const LensTrace made;
  FigureChoices choices;
  choices.by_rank = true;
  choices.layers = {0, 2};
  choices.tokens = {1, 2};
  const Figure figure = figure_of(figure_entry("logit-lens"), made.hand.trace, choices);
  EXPECT_EQ(figure.name, "logit-lens-by-rank-tokens1-2-layers0_2");
  const HeatMap& map = figure.panels.at(0).heat_map.at(0);
  EXPECT_EQ(map.rows, 2);
  EXPECT_EQ(map.columns, 2);
  EXPECT_EQ(map.cells[0], 3);  // rank 2, counted from 1
  EXPECT_TRUE(std::isnan(map.cells[1]));
  EXPECT_EQ(map.cells[2], 1);
  EXPECT_EQ(map.texts, (std::vector<std::string>{"y", "id 7", "y", "z"}));
  EXPECT_EQ(figure.tables.at(0).rows, 4);
}

TEST(LensFigure, IsAbsentOfOtherRuns) {
  const LensTrace made;
  Trace plain = made.hand.trace;
  plain.lens_layers = 0;
  const Trace* const traces[] = {&plain};
  for (const char* id : {"logit-lens", "patching"}) {
    const FigureEntry& entry = figure_entry(id);
    EXPECT_TRUE(entry.make_all(traces, {}, false).empty()) << id;
    EXPECT_FALSE(figure_of(entry, plain).panels.at(0).empty.empty()) << id;
    EXPECT_NE(std::string(entry.absent_because(traces)).find("kappascope"), std::string::npos);
  }
}

TEST(PatchingFigure, NamesThePrediction) {
  LensTrace made;
  Trace& trace = made.hand.trace;
  const std::vector<double> change{0, -1.5, 2, kNaN, 0, 0.25};
  trace.patch_logprob = change;
  trace.meta["patching"] = {
      {"token_id", 7}, {"token_text", " mat"}, {"at", 2}, {"logprob", -3.0}, {"from", "a"}};
  const Figure figure = figure_of(figure_entry("patching"), trace);
  EXPECT_NE(figure.title.find("“␣mat” after token 2"), std::string::npos) << figure.title;
  const HeatMap& map = figure.panels.at(0).heat_map.at(0);
  EXPECT_EQ(map.cells[1], -1.5f);
  EXPECT_TRUE(std::isnan(map.cells[3]));
}

}  // namespace
}  // namespace kappascope
