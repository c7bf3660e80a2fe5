#include "core/figure/prepared.h"

#include <gtest/gtest.h>

#include "core/figure/group.h"
#include "core/figure/text.h"
#include "expect_error.h"
#include "figure_fixture.h"

namespace kappascope {
namespace {

Panel panel_of(std::vector<double> x, std::vector<double> y) {
  Panel panel;
  panel.lines.emplace_back();
  panel.lines[0].x = std::move(x);
  panel.lines[0].y = std::move(y);
  return panel;
}

TEST(PlanGroups, PanelsStandWithThoseThatTheyShareAxesWith) {
  const Figure figure = mark_figure();
  const auto groups = plan_groups(figure);
  ASSERT_EQ(groups.size(), 3u);
  std::size_t next = 0;
  for (const PanelGroupPlan& group : groups) {
    EXPECT_EQ(group.x.size(), group.panels.size());
    EXPECT_EQ(group.y.size(), group.panels.size());
    for (const Panel* panel : group.panels) { EXPECT_EQ(panel, &figure.panels[next++]); }
  }
  EXPECT_EQ(next, figure.panels.size());
  EXPECT_EQ(groups[0].panels.size(), 1u);
  EXPECT_TRUE(groups[1].panels[1]->beside);
  EXPECT_TRUE(groups[2].panels[1]->below);
  EXPECT_TRUE(plan_groups({}).empty());
}

TEST(PlanGroups, ASharedAxisHasTheRangeOfTheFirstPanel) {
  Figure figure;
  figure.panels = {panel_of({0, 1}, {10, 20}), panel_of({5, 9}, {-1000, 1000}),
                   panel_of({500, 900}, {3, 4})};
  figure.panels[1].beside = true;
  figure.panels[2].below = true;
  const auto groups = plan_groups(figure);
  ASSERT_EQ(groups.size(), 1u);
  const std::vector<AxisPlan>&x = groups[0].x, &y = groups[0].y;
  EXPECT_LT(y[0].low, 10);
  EXPECT_GT(y[0].low, 0);
  EXPECT_EQ(y[1].low, y[0].low);
  EXPECT_EQ(y[1].high, y[0].high);
  EXPECT_GT(x[1].low, x[0].high);  // not shared
  EXPECT_EQ(x[2].low, x[0].low);
  EXPECT_EQ(x[2].high, x[0].high);
  EXPECT_GT(y[2].low, 2);
  EXPECT_LT(y[2].high, 5);
}

TEST(PlanGroups, OfAWindowFillTheirHeightAndHavePaperUnderTheirMarks) {
  const Figure figure = mark_figure();
  FileTextMeter meter;
  const Outlet window{.pixel = 0.5};
  for (const PanelGroupPlan& plan : plan_groups(figure)) {
    PanelGroup group(plan, nullptr, 7, meter, window);
    group.fit(500, 400);
    EXPECT_NEAR(group.height(), 400, 1e-6);
    Scene scene;
    Painter painter(scene, meter, window);
    group.draw(painter, {0, 0}, "", SIZE_MAX);
    std::size_t papers = 0;
    for (const SceneItem& item : scene.items) {
      const auto* rect = std::get_if<SceneRect>(&item);
      papers += rect != nullptr && rect->fill == window.paper.paper && rect->box.width > 20;
    }
    EXPECT_EQ(papers, plan.panels.size());
  }
}

// Titles of axes have the room between two plots, half of it each, and no more.
TEST(PlanGroups, OfAWindowKeepTitlesOfAxesApart) {
  Figure figure;
  figure.panels = {panel_of({0, 1}, {0, 1}), panel_of({0, 1}, {0, 1})};
  figure.panels[1].beside = true;
  for (Panel& panel : figure.panels) {
    for (int i = 0; i < 40; ++i) { panel.x.name += i % 3 == 0 ? "in " : "it "; }
  }
  FileTextMeter meter;
  const Outlet window{.pixel = 0.5};
  for (const PanelGroupPlan& plan : plan_groups(figure)) {
    ASSERT_EQ(plan.panels.size(), 2U);
    for (double width = 300; width < 400; width += 3) {
      PanelGroup group(plan, nullptr, 7, meter, window);
      group.fit(width, 300);
      Scene scene;
      Painter painter(scene, meter, window);
      group.draw(painter, {0, 0}, "", SIZE_MAX);
      std::vector<Box> titles;
      for (const SceneItem& item : scene.items) {
        const auto* text = std::get_if<SceneText>(&item);
        if (text != nullptr && text->text.find(" it") != std::string::npos) {
          titles.push_back(text->bounds);
        }
      }
      ASSERT_GE(titles.size(), 4U);
      for (std::size_t i = 0; i < titles.size(); ++i) {
        for (std::size_t k = i + 1; k < titles.size(); ++k) {
          EXPECT_FALSE(titles[i].overlaps(titles[k])) << width;
        }
      }
    }
  }
}

TEST(PlanGroups, AFirstPanelHasNothingToShare) {
  Figure figure;
  figure.panels = {panel_of({0, 1}, {10, 20})};
  figure.panels[0].beside = figure.panels[0].below = true;
  const auto groups = plan_groups(figure);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_LT(groups[0].x[0].high, 2);
  EXPECT_GT(groups[0].y[0].high, 19);
}

TEST(PlanGroups, GivenEndsAndScalesAreKept) {
  Figure figure;
  figure.panels = {panel_of({1, 100}, {kNaN, kNaN})};
  Panel& panel = figure.panels[0];
  panel.x.scale = Scale::log;
  panel.x.high = 1000;
  panel.y.low = -3;
  panel.y.high = 3;
  const auto groups = plan_groups(figure);
  const AxisPlan &x = groups[0].x[0], &y = groups[0].y[0];
  EXPECT_TRUE(x.log);
  EXPECT_GT(x.low, 0.5);
  EXPECT_LE(x.low, 1);
  EXPECT_EQ(x.high, 1000);
  EXPECT_FALSE(y.log);
  EXPECT_EQ(y.low, -3);
  EXPECT_EQ(y.high, 3);
  EXPECT_TRUE(x.ticks.empty());  // not planned yet
}

TEST(PlanGroups, ColoursAreOfTheFirstCellsOrPointsOfAGroup) {
  Figure figure = cell_figure(2, 3, ColourKind::sequential);
  figure.panels[0].heat_map[0].cells = {1, 2, 3, 4, 5, 6};
  Panel beside = cell_figure(2, 3, ColourKind::sequential).panels[0];
  beside.heat_map[0].cells = {10, 20, 30, 40, 50, 60};
  beside.beside = true;
  figure.panels.push_back(beside);
  figure.panels.push_back(panel_of({0, 1}, {0, 1}));  // a group without colours
  Panel points;
  points.points.resize(2);
  points.points[1].x = points.points[1].y = {0, 1};
  points.points[1].value = {7, 9};
  figure.panels.push_back(points);
  const auto groups = plan_groups(figure);
  ASSERT_EQ(groups.size(), 3u);
  ASSERT_TRUE(groups[0].colours);
  EXPECT_EQ(groups[0].scale, &figure.panels[0].heat_map[0].colours);
  EXPECT_EQ(groups[0].colours->low(), 1);
  EXPECT_EQ(groups[0].colours->high(), 6);
  EXPECT_EQ(groups[1].scale, nullptr);
  EXPECT_FALSE(groups[1].colours);
  ASSERT_TRUE(groups[2].colours);
  EXPECT_EQ(groups[2].scale, &figure.panels[3].points[1].colours);
  EXPECT_EQ(groups[2].colours->low(), 7);
}

TEST(PlanGroups, PartsThatDifferInSizeAreOurMistake) {
  Figure figure;
  figure.panels = {panel_of({0, 1}, {0, 1}), panel_of({0, 1}, {0})};
  figure.panels[1].title = "second";
  EXPECT_EQ(testing::error_of([&] { plan_groups(figure); }),
            "1 panel 'second': parts of a mark differ in size");
}

TEST(PreparedFigure, PartsGoOnPointingToItselfWhenItMoves) {
  Figure figure = mark_figure();
  figure.panels.push_back(cell_figure(3, 4, ColourKind::diverging).panels[0]);
  figure.panels.emplace_back();
  PreparedFigure made(std::move(figure));
  const PreparedFigure moved(std::move(made));
  ASSERT_EQ(moved.figure.panels.size(), 7u);
  std::size_t next = 0;
  for (const PanelGroupPlan& group : moved.groups) {
    for (const Panel* panel : group.panels) { EXPECT_EQ(panel, &moved.figure.panels[next++]); }
  }
  EXPECT_EQ(next, 7u);
  EXPECT_EQ(moved.groups[3].empty, std::vector<bool>{false});
  EXPECT_EQ(moved.groups[4].empty, std::vector<bool>{true});
  for (std::size_t i = 0; i < 7; ++i) { EXPECT_EQ(moved.cells[i] != nullptr, i == 5) << i; }
  EXPECT_EQ(moved.groups[3].scale, &moved.figure.panels[5].heat_map[0].colours);
  ASSERT_FALSE(moved.groups[3].keys.empty());
  EXPECT_EQ(moved.groups[3].keys.back().name, "dropped");
  EXPECT_FALSE(moved.failure);
}

}  // namespace
}  // namespace kappascope
