#include "core/figure/readout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/figure/catalogue.h"
#include "figure_fixture.h"
#include "stats_fixture.h"

namespace kappascope {
namespace {

using Lines = std::vector<std::string>;

Lines lines_at(const Figure& figure, std::size_t panel, double x, double y, double reach_x = 0.1,
               double reach_y = 0.1) {
  const auto found = readout(figure, panel, x, y, reach_x, reach_y);
  return found ? found->lines : Lines{"nothing"};
}

// Two passes over layers 4 and 6, three tokens, experts 0 and 1.
struct Sample {
  HandTrace hand{4, 3, 14, 2};
  std::array<const Trace*, 1> traces = {&hand.trace};

  Sample() {
    hand.layer_index = {4, 6, 4, 6};
    hand.pass_index = {0, 0, 1, 1};
    hand.trace.token_text = {"The", " king", "2"};
    for (std::int64_t m = 0; m < 4; ++m) {
      for (std::int64_t t = 0; t < 3; ++t) { hand.keep(m, t, 0, t % 2, 0.75f, 1.25f); }
    }
    hand.keep(3, 1, 1, 13);
    hand.margin[4] = kNaN;
    hand.margin[10] = 0;
  }
  Figure figure(const char* id, const FigureChoices& choices = {}) const {
    return figure_entry(id).make(traces, choices);
  }
};

TEST(Readout, ACellNamesItsLayerItsTokenAndItsValue) {
  const Sample sample;
  const Figure figure = sample.figure("router-confidence");
  const auto found = readout(figure, 0, 1.4, 2.6, 0.1, 0.1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines,
            (Lines{"Pass 1, layer 6", "Token 1 '␣king'", "Largest routing probability: 0.500"}));
  EXPECT_EQ(found->subject.row, 3);
  EXPECT_EQ(found->subject.token, 1);
  EXPECT_EQ(found->subject.expert, -1);
  EXPECT_EQ(lines_at(figure, 0, -0.5, -0.5)[0], "Pass 0, layer 4");
  EXPECT_EQ(lines_at(figure, 0, 2.5, 0), Lines{"nothing"});
  EXPECT_EQ(lines_at(figure, 0, 0, -0.51), Lines{"nothing"});
  EXPECT_EQ(lines_at(figure, 0, 0, 1e300), Lines{"nothing"});
  EXPECT_EQ(lines_at(figure, 0, kNaN, 0), Lines{"nothing"});
  EXPECT_EQ(lines_at(figure, 7, 0, 0), Lines{"nothing"});
}

TEST(Readout, ACellWithoutAValueSaysWhatThatMeans) {
  const Sample sample;
  const Figure figure = sample.figure("router-margin");
  const std::string label = "Lowest chosen minus highest unchosen score: ";
  EXPECT_EQ(lines_at(figure, 0, 1, 1)[2], label + "not known");
  EXPECT_EQ(lines_at(figure, 0, 1, 3)[2], label + "0.000 logits (tie)");
  EXPECT_EQ(lines_at(figure, 0, 1, 2)[2], label + "0.500 logits");
}

TEST(Readout, ACellOfExpertsLeadsToTheExpert) {
  const Sample sample;
  FigureChoices second;
  second.slot = 1;
  const Figure figure = sample.figure("expert-choice", second);
  const auto found = readout(figure, 0, 1, 3, 0.1, 0.1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines[2], "Expert 13");
  EXPECT_EQ(found->subject.expert, 13);
  EXPECT_EQ(lines_at(figure, 0, 0, 3)[2], "Expert: no expert");
}

TEST(Readout, FiguresOfOneLayerSelectIt) {
  const Sample sample;
  FigureChoices choices;
  choices.layer = 6;
  const auto found = readout(sample.figure("router-probability", choices), 0, 2, 0, 0.1, 0.1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines[0], "Token 2");  // its text is its number
  EXPECT_EQ(found->lines[1], "Expert 0");
  EXPECT_EQ(found->lines[3], "chosen");
  EXPECT_EQ(found->subject.row, 1);
  EXPECT_EQ(found->subject.token, 2);
  EXPECT_EQ(found->subject.expert, 0);
}

TEST(Readout, PositionsOfSomeExpertsAreNotTheirNumbers) {
  HandTrace hand(1, 40, 100, 2);
  for (std::int64_t t = 0; t < 40; ++t) {
    hand.keep(0, t, 0, 99 - 2 * t);
    hand.keep(0, t, 1, 98 - 2 * t);
  }
  const std::array<const Trace*, 1> traces = {&hand.trace};
  const Figure figure = figure_entry("expert-coactivation").make(traces, {});
  const auto found = readout(figure, 0, 63, 62, 0.1, 0.1);  // the 64 busiest: ties by number
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines[0], "Expert 83");
  EXPECT_EQ(found->lines[1], "Expert 82");
  EXPECT_EQ(found->subject.expert, 82);
}

TEST(Readout, ALineGivesItsNearestSampleAndItsBand) {
  const Sample sample;
  const Figure figure = sample.figure("expert-budget");
  const double depth = figure.panels[0].lines[0].x[3];  // pass 1, layer 6
  EXPECT_EQ(lines_at(figure, 0, depth + 0.01, 1.3, 0.1, 0.1),
            (Lines{"experts run, mean", "Relative depth: 1.000", "Experts run per token: 1.333",
                   "Band: 1.000 to 1.900"}));
  EXPECT_EQ(lines_at(figure, 0, depth, 1.5, 0.1, 0.1), Lines{"nothing"});
}

TEST(Readout, OfSeveralLinesTheNearest) {
  Figure figure;
  figure.panels.emplace_back();
  Panel& panel = figure.panels[0];
  panel.x.name = "Position";
  panel.x.unit = "mm";
  panel.y.name = "κ";
  panel.y.scale = Scale::log;
  for (const double level : {1.0, 100.0}) {
    Line line;
    line.name = value_text(level);
    for (int i = 0; i < 1000; ++i) {
      line.x.push_back(i);
      line.y.push_back(i == 500 ? kNaN : level);
    }
    panel.lines.push_back(line);
  }
  EXPECT_EQ(lines_at(figure, 0, 7.2, 8, 1, 3), (Lines{"1.000", "Position: 7.000 mm", "κ: 1.000"}));
  EXPECT_EQ(lines_at(figure, 0, 7.8, 12, 1, 3), (Lines{"100.0", "Position: 8.000 mm", "κ: 100.0"}));
  EXPECT_EQ(lines_at(figure, 0, 7.8, 10, 1, 2), Lines{"nothing"});
  EXPECT_EQ(lines_at(figure, 0, 500, 1, 0.5, 0.1), Lines{"nothing"});  // a gap
  EXPECT_EQ(lines_at(figure, 0, 499.3, 1, 0.5, 0.1)[1], "Position: 499.0 mm");
  EXPECT_EQ(lines_at(figure, 0, 500.7, 1, 0.5, 0.1)[1], "Position: 501.0 mm");
  EXPECT_EQ(lines_at(figure, 0, 1000, 1, 2, 0.1)[1], "Position: 999.0 mm");
  EXPECT_EQ(lines_at(figure, 0, 5, -1, 1, 1), Lines{"nothing"});  // no place on a log axis
}

TEST(Readout, TheLastSampleOfALineHasNoneBehindIt) {
  Figure figure;
  figure.panels.emplace_back();
  figure.panels[0].x.name = "Position";
  Line line;
  line.x = {0, 1};  // no room for another
  line.y = {2, 3};
  figure.panels[0].lines.push_back(line);
  EXPECT_EQ(lines_at(figure, 0, 1.05, 3, 0.2, 0.2)[0], "Position: 1.000");
}

TEST(Readout, OfSeveralPointsTheNearestAndWhatItIsAbout) {
  Sample sample;
  for (std::size_t i = 0; i < sample.hand.mass.size(); ++i) {
    sample.hand.mass[i] = 0.01f * static_cast<float>(i);
  }
  const Figure figure = sample.figure("kappa-confidence");
  const auto found = readout(figure, 0, 0.072, 1.25, 0.01, 0.2);  // token 1 of recorded layer 2
  ASSERT_TRUE(found);
  EXPECT_EQ(
      found->lines,
      (Lines{"Pass 1, layer 4", "Token 1", "Expert 1", "Probability of the chosen experts: 0.0700",
             "κ (mean over gates): 1.250", "Relative depth of the layer: 0.846"}));
  EXPECT_EQ(found->subject.row, 2);
  EXPECT_EQ(found->subject.token, 1);
  EXPECT_EQ(found->subject.expert, 1);
}

TEST(Readout, BarsStacksAndBinsAreHitInside) {
  const Sample sample;
  const Figure drops = sample.figure("expert-drops");
  EXPECT_EQ(lines_at(drops, 1, 0.05, 1.2), (Lines{"Pass 0, layer 6", "Drop rate: 0.0 %"}));
  EXPECT_EQ(lines_at(drops, 1, 0.05, 1.45), Lines{"nothing"});  // between two bars
  EXPECT_EQ(lines_at(drops, 1, 0.5, 1), Lines{"nothing"});      // beyond its end
  const Figure marks = mark_figure();
  EXPECT_EQ(lines_at(marks, 2, 11, 0.9), (Lines{"0.600", "Rate: 12.0 %"}));
  EXPECT_EQ(lines_at(marks, 1, 0.3, 0.6), (Lines{"Layer 3", "knee", "Share of gate units: 0.300"}));
  EXPECT_EQ(lines_at(marks, 1, 1, 0.6), Lines{"nothing"});  // above the second stack
  const Lines bin = lines_at(marks, 4, 0.2, 4);
  EXPECT_EQ(bin, (Lines{"Layer: 0.000 to 0.500", "Count: 5"}));
  EXPECT_EQ(lines_at(marks, 4, 0.7, 4), Lines{"nothing"});
}

TEST(Readout, ViolinsGiveTheirQuantiles) {
  const Figure marks = mark_figure();
  EXPECT_EQ(lines_at(marks, 3, 0.7, 2),
            (Lines{"Layer 1", "κ, 5 %: 0.600", "κ, median: 1.000", "κ, 95 %: 2.000"}));
  EXPECT_EQ(lines_at(marks, 3, 0.5, 2), Lines{"nothing"});
  EXPECT_EQ(lines_at(marks, 3, 0.5, 1.05), (Lines{"κ: 1.000 (κ = 1)"}));
}

TEST(Readout, NumbersAsTheyAreReadOff) {
  EXPECT_EQ(value_text(-0.000012345678), "−1.23×10⁻⁵");
  EXPECT_EQ(value_text(25165824), "25,165,824");
  EXPECT_EQ(value_text(1234), "1,234");
  EXPECT_EQ(value_text(1234.5), "1,235");
  EXPECT_EQ(value_text(999.96), "1,000");
  EXPECT_EQ(value_text(3.25, "nats"), "3.250 nats");
  EXPECT_EQ(value_text(1), "1.000");
  EXPECT_EQ(value_text(0), "0.000");
  EXPECT_EQ(value_text(-0.0334449), "−0.0334");
  EXPECT_EQ(value_text(0.00031), "0.000310");
  EXPECT_EQ(value_text(12.3456), "12.35");
  EXPECT_EQ(value_text(9.9999), "10.00");
  EXPECT_EQ(value_text(-1234567), "−1,234,567");
  EXPECT_EQ(value_text(100, "%"), "100.0 %");
  EXPECT_EQ(whole_text(12), "12");
  EXPECT_EQ(whole_text(2.5), "2.500");
  EXPECT_EQ(value_text(kNaN, "nats"), "–");
}

// The search for samples relies on it.
TEST(Readout, LinesOfTheCatalogueAscend) {
  const Sample sample;
  for (const FigureEntry& entry : figure_catalogue()) {
    const Figure figure = figure_of(entry, *sample.traces[0]);
    for (const Panel& panel : figure.panels) {
      for (const Line& line : panel.lines) {
        EXPECT_TRUE(std::is_sorted(line.x.begin(), line.x.end())) << entry.id;
      }
    }
  }
}

}  // namespace
}  // namespace kappascope
