// Why cells of a map are empty, as its legend says it.
#include "core/figure/empty_cells.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "core/figure/catalogue.h"
#include "core/nan.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

// One layer, three tokens, two slots of three experts: token 0 has both, token 1 one, token 2 none.
struct Kept {
  HandTrace hand{1, 3, 2, 3, 1};
  Kept() {
    hand.keep(0, 0, 0, 0, 1, 1, 0);
    hand.keep(0, 0, 1, 1, 1, 1, 0);
    hand.keep(0, 1, 0, 1, 1, 1, 0);
    hand.attach();
  }
};

LayerMap map_of(std::vector<float> values) {
  LayerMap map;
  map.rows = 1;
  map.columns = std::ssize(values);
  map.values = std::move(values);
  return map;
}

TEST(EmptyCells, AreDroppedOrNotKnown) {
  const Kept kept;
  const Trace& trace = kept.hand.trace;
  EXPECT_EQ(empty_slot_cells(trace, map_of({1, 1, kNaN})), "dropped");
  EXPECT_EQ(empty_slot_cells(trace, map_of({1, kNaN, kNaN})), "dropped, or not known");
  EXPECT_EQ(empty_slot_cells(trace, map_of({1, kNaN, 1}), 0), "not known");
  EXPECT_EQ(empty_slot_cells(trace, map_of({1, 1, 1})), "dropped");
}

TEST(EmptyCells, AreExpertsWithoutATokenOrNotKnown) {
  const Kept kept;
  EXPECT_EQ(empty_expert_cells(kept.hand.trace, map_of({1, 1, kNaN})), "no kept token");
  EXPECT_EQ(empty_expert_cells(kept.hand.trace, map_of({kNaN, 1, kNaN})),
            "no kept token, or not known");
  EXPECT_EQ(empty_load_cells(kept.hand.trace, map_of({kNaN, 1, 1})), "not known");
  EXPECT_EQ(empty_load_cells(kept.hand.trace, map_of({1, 1, 1, kNaN})), "no such expert");
}

TEST(EmptyCells, AreMarginsOfTokensWithEveryExpert) {
  HandTrace hand(1, 2, 2, 2, 1);
  hand.keep(0, 0, 0, 0, 1, 1, 0);
  hand.keep(0, 0, 1, 1, 1, 1, 0);
  hand.keep(0, 1, 0, 1, 1, 1, 0);
  hand.attach();
  EXPECT_EQ(empty_margin_cells(hand.trace, map_of({kNaN, 1})), "all experts chosen");
  EXPECT_EQ(empty_margin_cells(hand.trace, map_of({1, kNaN}), 0), "not known");
}

TEST(EmptyCells, AreChoicesThatNaNWeightsSpoilt) {
  Kept kept;
  kept.hand.entropy[0] = kNaN;
  kept.hand.attach();
  kept.hand.trace.token_text.assign(3, "w");
  const std::array<const Trace*, 1> traces = {&kept.hand.trace};
  const Figure figure = figure_entry("expert-choice").make(traces, {});
  const HeatMap& map = figure.panels[0].heat_map[0];
  EXPECT_EQ(map.colours.no_value, "no expert, or not known");
  EXPECT_TRUE(std::isnan(map.cells[0]));
  EXPECT_EQ(map.cells[1], 1);
  // Where the score of the router is not known no entropy is, and the choices are all the same.
  kept.hand.trace.router_score.reset();
  EXPECT_EQ(figure_entry("expert-choice").make(traces, {}).panels[0].heat_map[0].cells[0], 0);
}

}  // namespace
}  // namespace kappascope
