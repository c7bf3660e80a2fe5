// Figures of very much: a sample where there are too many points, progress and an end on request.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/figure/catalogue.h"
#include "core/figure/render.h"
#include "tests/unit/stats_fixture.h"

namespace kappascope {
namespace {

// Says stop at the call of that number; 0: never.
class CountingProgress final : public Progress {
 public:
  explicit CountingProgress(std::uint64_t last = 0) : last_(last) {}
  bool update(Stage, std::uint64_t done, std::uint64_t total) noexcept override {
    done_ = done, total_ = total;
    return ++calls_ != last_;
  }
  std::uint64_t calls_ = 0, done_ = 0, total_ = 0;

 private:
  std::uint64_t last_;
};

void fill_all(HandTrace& hand) {
  for (std::int64_t m = 0; m < hand.trace.layers; ++m) {
    for (std::int64_t t = 0; t < hand.trace.tokens; ++t) {
      hand.mass[m * hand.trace.tokens + t] = 0.25F + 0.5F * float(t % 64) / 64;
      for (std::int64_t k = 0; k < hand.trace.slots; ++k) {
        hand.keep(m, t, k, (t + k) % hand.trace.experts, 0.5F, 1 + 0.25F * float((t + m) % 7));
      }
    }
  }
  hand.trace.meta = Json{{"model", {{"name", "many"}, {"step", 1}}}};
  hand.trace.model_name = "many";
}

Figure confidence_of(const Trace& trace, Progress* progress = nullptr) {
  const std::array<const Trace*, 1> traces = {&trace};
  FigureChoices choices;
  choices.progress = progress;
  return figure_entry("kappa-confidence").make(traces, choices);
}

TEST(ManyPoints, MoreThanAPictureShowsAreSampledAndCounted) {
  HandTrace hand(3, 40000, 4, 2);  // 240,000 points
  fill_all(hand);
  const Figure figure = confidence_of(hand.trace);
  const Points& points = figure.panels[0].points[0];
  ASSERT_EQ(points.x.size(), 200000U);
  EXPECT_EQ(figure.tables[0].rows, 200000);
  ASSERT_FALSE(figure.notes.empty());
  EXPECT_EQ(figure.notes.back(), "200,000 of 240,000 points, evenly drawn from all; ρ is of all.");
  std::set<std::array<std::int32_t, 3>> places;
  std::array<std::int64_t, 3> of_layer{};
  for (std::size_t i = 0; i < points.subjects.size(); ++i) {
    const Subject& at = points.subjects[i];
    places.insert({at.row, at.token, at.expert});
    ++of_layer[std::size_t(at.row)];
    const std::size_t entry = hand.at(at.row, at.token, 0);
    EXPECT_EQ(points.y[i], hand.kappa_mean[entry]);
    EXPECT_EQ(points.x[i], hand.mass[std::size_t(at.row * hand.trace.tokens + at.token)]);
  }
  EXPECT_EQ(places.size(), 200000U);  // none twice
  for (const std::int64_t count : of_layer) { EXPECT_NEAR(double(count), 200000.0 / 3, 2); }
}

TEST(ManyPoints, FewAreAllThere) {
  HandTrace hand(2, 100, 4, 2);
  fill_all(hand);
  const Figure figure = confidence_of(hand.trace);
  EXPECT_EQ(figure.panels[0].points[0].x.size(), 400U);
  EXPECT_EQ(figure.panels[0].title, "Each kept (token, expert)");
  for (const std::string& note : figure.notes) { EXPECT_EQ(note.find("drawn"), std::string::npos); }
}

// The picture of a line of that many points along x, one of them high above the others.
std::string svg_of_line(std::size_t points, std::size_t high) {
  Figure figure;
  Panel panel;
  Line line;
  for (std::size_t i = 0; i < points; ++i) {
    line.x.push_back(double(i));
    line.y.push_back(i == high ? 9 : double(i * 7919 % 1000) / 1000);
  }
  panel.lines.push_back(std::move(line));
  figure.panels.push_back(std::move(panel));
  return render_svg(figure, {});
}

TEST(ManyPoints, ALineInAFileHasNoMoreThanPrintCanShow) {
  EXPECT_LT(svg_of_line(300000, 0).size(), 600000U);
  // It goes as high and as low, wherever that is.
  for (const std::size_t high : {1UL, 150001UL, 299998UL}) {
    EXPECT_NE(svg_of_line(300000, high), svg_of_line(300000, 0)) << high;
  }
  EXPECT_GT(svg_of_line(20000, 0).size(), 12 * 20000U);  // all of them
}

TEST(ManyPoints, FiguresOfMuchWorkReportAndStop) {
  HandTrace hand(6, 20, 4, 2);
  fill_all(hand);
  const std::array<const Trace*, 1> traces = {&hand.trace};
  for (const char* id : {"kappa-confidence", "kappa-depth", "kappa-distribution", "kappa-tokens",
                         "kappa-experts", "kappa-parameters"}) {
    CountingProgress all, stopping(3);
    FigureChoices choices;
    choices.progress = &all;
    figure_entry(id).make(traces, choices);
    EXPECT_EQ(all.calls_, 6U) << id;
    // Before a layer, so that it is never all; how much depends on which threads have ended.
    EXPECT_GE(all.total_, 6U) << id;
    EXPECT_LT(all.done_, all.total_) << id;
    choices.progress = &stopping;
    try {
      figure_entry(id).make(traces, choices);
      ADD_FAILURE() << id << " did not stop";
    } catch (const Error& error) { EXPECT_EQ(error.code(), ExitCode::interrupted) << id; }
  }
}

TEST(ManyPoints, APartMovesTheWholeOnWithinItself) {
  CountingProgress whole;
  PartOfProgress part(whole, Stage::figures, 1, 4);
  EXPECT_TRUE(part.update(Stage::read, 0, 0));
  EXPECT_EQ(whole.done_ * 4, whole.total_);
  part.update(Stage::read, 3, 6);
  EXPECT_EQ(whole.done_ * 8, whole.total_ * 3);
  part.update(Stage::read, 9, 6);  // no further than its end
  EXPECT_EQ(whole.done_ * 2, whole.total_);
}

}  // namespace
}  // namespace kappascope
