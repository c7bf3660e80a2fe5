// Why cells of a map are empty, as its legend says it.
#include "core/figure/empty_cells.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace kappascope
