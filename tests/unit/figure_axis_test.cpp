#include "core/figure/axis.h"

#include <gtest/gtest.h>

namespace kappascope {
namespace {

// The range of a horizontal axis without the 2 % that are left free at both ends.
std::pair<double, double> reach(const Panel& panel) {
  AxisPlan plan;
  set_range(plan, panel, true);
  const double free = (plan.high - plan.low) * 0.02 / 1.04;
  return {plan.low + free, plan.high - free};
}

void expect_whole_places(const Panel& panel, const char* what) {
  const auto [low, high] = reach(panel);
  EXPECT_NEAR(low, 3 - 0.5, 1e-9) << what;
  EXPECT_NEAR(high, 7 + 0.5, 1e-9) << what;
}

TEST(Axis, EveryBarHasItsWholePlace) {
  Panel bars, stacks, violins;
  bars.bars.push_back({.position = {3, 7}, .value = {1, 2}});
  expect_whole_places(bars, "bars");
  stacks.stacks.push_back({.position = {3, 7}, .values = {{1, 2}}, .colours = {0}});
  expect_whole_places(stacks, "stacks");
  for (const double position : {3, 7}) { violins.violins.push_back({.position = position}); }
  expect_whole_places(violins, "violins");
}

TEST(Axis, BarsStandOnZeroAndHaveSpaceAbove) {
  Panel panel;
  panel.bars.push_back({.position = {0, 1}, .value = {2, 4}});
  AxisPlan plan;
  set_range(plan, panel, false);
  EXPECT_EQ(plan.low, 0);
  EXPECT_NEAR(plan.high, 4 * 1.05, 1e-9);
}

TEST(Axis, ACategoryHasItsWholePlaceToo) {
  Panel panel;
  panel.x.scale = Scale::category;
  panel.x.names = {"a", "b", "c"};
  AxisPlan plan;
  set_range(plan, panel, true);
  EXPECT_EQ(plan.low, -0.5);
  EXPECT_EQ(plan.high, 2.5);
}

}  // namespace
}  // namespace kappascope
