#include "core/figure/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/figure/cells.h"
#include "core/figure/layout.h"
#include "core/figure/render.h"
#include "figure_fixture.h"
#include "stats_fixture.h"

namespace kappascope {
namespace {

// Routing drawn by chance, one κ a layer; every third second choice dropped.
void fill(HandTrace& hand, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const Trace& trace = hand.trace;
  for (std::int64_t m = 0; m < trace.layers; ++m) {
    for (std::int64_t t = 0; t < trace.tokens; ++t) {
      for (std::int64_t k = 0; k < trace.slots; ++k) {
        const auto expert = static_cast<std::int64_t>((random() % 97 + 7 * k) %
                                                      static_cast<std::uint64_t>(trace.experts));
        if (k == 1 && t % 3 == 0) {
          hand.drop(m, t, k, expert);
        } else {
          hand.keep(m, t, k, expert, 0.5f, 1 + 0.1f * static_cast<float>(m));
        }
      }
      hand.margin[m * trace.tokens + t] = t == 0 ? 1e-5f : 0.1f * static_cast<float>(t);
    }
  }
}

void name(Trace& trace, const std::string& model) {
  trace.model_name = model;
  trace.step = 4000;
  for (std::int64_t t = 0; t < trace.tokens; ++t) {
    trace.token_text.push_back(" w" + std::to_string(t));
  }
}

void expect_good(const Figure& figure, const std::string& what, TextMeter& meter) {
  for (const double width : {85.0, 178.0}) {
    FigureStyle style;
    style.width_mm = width;
    expect_tidy(lay_out(figure, style, {}, &meter), what);
  }
}

void expect_all_good(const Trace& trace, const std::string& what) {
  FileTextMeter meter;
  const std::array<const Trace*, 3> three = {&trace, &trace, &trace};
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string where = what + " " + std::string(entry.id);
    const Figure figure = figure_of(entry, trace);
    EXPECT_EQ(figure.id, entry.id);
    EXPECT_FALSE(figure.title.empty()) << where;
    EXPECT_FALSE(figure.tables.empty()) << where;
    expect_good(figure, where, meter);
    if (entry.shows_all()) { expect_good(entry.make(three, {}), where + " of three", meter); }
    FigureChoices by_expert;
    by_expert.by_expert = true;
    expect_good(figure_of(entry, trace, by_expert), where + " by expert", meter);
  }
}

TEST(Catalogue, EveryFigureOfEveryShapeIsTidy) {
  const std::int64_t shapes[][4] = {{2, 1, 4, 2}, {2, 12, 8, 2}, {28, 40, 64, 4}, {1, 3, 1, 1}};
  for (const auto& [layers, tokens, experts, slots] : shapes) {
    HandTrace hand(layers, tokens, experts, slots);
    fill(hand, 11);
    name(hand.trace, std::string(200, 'm'));
    expect_all_good(hand.trace, std::to_string(layers) + " layers, " + std::to_string(tokens));
  }
}

TEST(Catalogue, LinesOfOnePanelLookDifferent) {
  HandTrace hand(2, 12, 8, 2, 16);
  fill(hand, 11);
  name(hand.trace, "model");
  std::vector<float> kappa(2 * 12 * 2 * 16, 1.5f), pre(kappa.size());
  for (std::size_t i = 0; i < pre.size(); ++i) { pre[i] = float(i % 16) / 8 - 1; }
  hand.trace.kappa_values = kappa;
  hand.trace.gate_pre = pre;
  const Figure effect = figure_of(figure_entry("effect"), hand.trace);
  EXPECT_EQ(effect.panels[0].lines.size(), 5U);
  for (const FigureEntry& entry : figure_catalogue()) {
    for (const Panel& panel : figure_of(entry, hand.trace).panels) {
      std::set<std::pair<int, int>> looks;
      std::set<std::string> names;
      for (const Line& line : panel.lines) {
        if (line.name.empty() || !names.insert(line.name).second) { continue; }
        EXPECT_TRUE(looks.insert({line.colour, line.dash}).second) << entry.id << ": " << line.name;
      }
    }
  }
}

TEST(Catalogue, NothingRecordedIsAPictureOfNothing) {
  HandTrace none(0, 0, 0, 0), empty(2, 0, 4, 2), unfilled(2, 5, 4, 2);
  for (HandTrace* hand : {&none, &empty, &unfilled}) {
    name(hand->trace, "nothing");
    expect_all_good(hand->trace, "nothing");
  }
  HandTrace dropped(2, 5, 4, 2);
  for (std::int64_t i = 0; i < 20; ++i) { dropped.drop(i / 10, i / 2 % 5, i % 2, i % 4); }
  name(dropped.trace, "dropped");
  expect_all_good(dropped.trace, "dropped");
  const std::array<const Trace*, 1> traces = {&dropped.trace};
  const std::string svg = render_svg(figure_entry("kappa-tokens").make(traces, {}), {});
  EXPECT_NE(svg.find("every assignment was dropped"), std::string::npos);
}

TEST(Catalogue, ValuesThatAreNotFiniteAreNoValue) {
  HandTrace hand(2, 9, 4, 2);
  fill(hand, 5);
  for (auto* values : {&hand.entropy, &hand.top1, &hand.mass, &hand.margin, &hand.gate}) {
    for (std::size_t i = 0; i < values->size(); ++i) {
      (*values)[i] = i % 3 == 0 ? kNaN : i % 3 == 1 ? INFINITY : 3e38f;
    }
  }
  name(hand.trace, "wild");
  expect_all_good(hand.trace, "wild");
}

TEST(Catalogue, ChoicesStandInTheTitleAndAreChecked) {
  HandTrace hand(4, 12, 8, 2);
  fill(hand, 2);
  name(hand.trace, "model");
  const std::array<const Trace*, 1> traces = {&hand.trace};
  FigureChoices choices;
  choices.layer = 3;
  EXPECT_NE(figure_entry("router-probability").make(traces, choices).title.find("layer 3"),
            std::string::npos);
  choices.slot = 1;
  EXPECT_NE(figure_entry("expert-choice").make(traces, choices).title.find("second choice"),
            std::string::npos);
  choices.layer = 9;
  EXPECT_THROW(figure_entry("router-probability").make(traces, choices), Error);
  EXPECT_THROW(figure_entry("no-such-figure"), Error);
}

AxisSubject subject_named(const std::string& axis) {
  return axis == "Token" || axis == "Token position" ? AxisSubject::token
         : axis == "Layer" || axis == "Pass : layer" ? AxisSubject::recorded_layer
         : axis == "Expert"                          ? AxisSubject::expert
                                                     : AxisSubject::none;
}

TEST(Catalogue, AxesSayWhatTheirPositionsStandFor) {
  HandTrace hand(3, 12, 80, 2);
  fill(hand, 2);
  name(hand.trace, "model");
  const std::array<const Trace*, 1> traces = {&hand.trace};
  FigureChoices by_expert;
  by_expert.by_expert = true;
  for (const FigureEntry& entry : figure_catalogue()) {
    for (const FigureChoices& choices : {FigureChoices{}, by_expert}) {
      const Figure figure = figure_of(entry, hand.trace, choices);
      for (const Panel& panel : figure.panels) {
        for (const FigureAxis* axis : {&panel.x, &panel.y}) {
          EXPECT_EQ(axis->subject, subject_named(axis->name)) << entry.id << ": " << axis->name;
          EXPECT_TRUE(axis->subjects.empty() || axis->subjects.size() == axis->names.size());
        }
      }
    }
  }
  const Figure pairs = figure_entry("expert-coactivation").make(traces, {});
  const FigureAxis& shown = pairs.panels[0].x;
  ASSERT_EQ(shown.subjects.size(), 64u);  // of 80: positions are not numbers of experts
  for (std::size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(std::to_string(shown.subjects[i]), shown.names[i]);
  }
}

// Of many experts none is one of the "others": every number has its own place between pale and
// dark.
TEST(Catalogue, ManyExpertsHaveColoursOfTheirOwn) {
  HandTrace hand(2, 64, 128, 1);
  for (std::int64_t t = 0; t < 64; ++t) {
    for (std::int64_t m = 0; m < 2; ++m) { hand.keep(m, t, 0, 2 * t + m, 1, 1); }
  }
  name(hand.trace, "model");
  const std::array<const Trace*, 1> traces = {&hand.trace};
  const Figure figure = figure_entry("expert-choice").make(traces, {});
  const HeatMap& map = figure.panels[0].heat_map[0];
  const ColourMap colours(map.colours, map.cells);
  std::set<std::string> seen;
  for (const float value : map.cells) { seen.insert(hex(colours.colour(value))); }
  EXPECT_GT(seen.size(), 120u);
  EXPECT_FALSE(seen.contains(hex(palette_colour(-1))));
  FileTextMeter meter;
  expect_good(figure, "128 experts", meter);
}

TEST(Catalogue, ScalesEndWhereValuesCan) {
  HandTrace hand(1, 100, 8, 2);
  for (std::int64_t t = 0; t < 100; ++t) {
    hand.keep(0, t, 0, t == 0 ? 1 : 0, 0.5f, 1);
    hand.keep(0, t, 1, 2 + t % 6, 0.5f, 1);
  }
  name(hand.trace, "model");
  const std::array<const Trace*, 1> traces = {&hand.trace};
  const HeatMap map = figure_entry("expert-load").make(traces, {}).panels[0].heat_map[0];
  const ColourMap colours(map.colours, map.cells);
  EXPECT_NEAR(colours.low(), 8.0 / 200, 1e-6);  // one of 200 assignments
  EXPECT_EQ(colours.high(), 4);                 // every token chose it, and one other
  EXPECT_EQ(colours.colour(1), diverging_colour(0));
  EXPECT_EQ(colours.colour(colours.low()), diverging_colour(-1));
}

TEST(Catalogue, ACaptionSaysWhichPartOfTheTokensIsShown) {
  HandTrace hand(2, 6, 4, 2);
  fill(hand, 4);
  name(hand.trace, "a");
  const Trace* trace = &hand.trace;
  const auto end_of = [&](const char* id, TokenRange part) {
    FigureChoices choices;
    choices.tokens = part;
    const std::string text = figure_entry(id).make({&trace, 1}, choices).subtitle;
    return text.substr(text.rfind(" · ") + 4);
  };
  EXPECT_EQ(end_of("router-margin", {}), "6 tokens");
  EXPECT_EQ(end_of("router-margin", {1, 3}), "tokens 1–3 of 6");
  EXPECT_EQ(end_of("router-margin", {2, 2}), "token 2 of 6");
  EXPECT_EQ(end_of("router-margin", {4, 99}), "tokens 4–5 of 6");
  EXPECT_EQ(end_of("expert-load", {1, 3}), "6 tokens");  // a statistic of all of them
}

TEST(Catalogue, NearTiesAreCountedInThePartThatIsShown) {
  HandTrace hand(2, 6, 4, 2);
  fill(hand, 4);
  name(hand.trace, "a");
  hand.layer_index = {4, 6};
  std::fill(hand.margin.begin(), hand.margin.end(), 0.5f);
  hand.margin[0 * 6 + 1] = hand.margin[1 * 6 + 1] = hand.margin[1 * 6 + 5] = 0;
  const Trace* trace = &hand.trace;
  const auto counted = [&](TokenRange tokens, std::vector<std::int64_t> layers) {
    FigureChoices choices;
    choices.tokens = tokens;
    choices.layers = std::move(layers);
    const std::string note = figure_entry("router-margin").make({&trace, 1}, choices).notes.at(0);
    return note.substr(0, note.find(" choices"));
  };
  EXPECT_EQ(counted({}, {}), "3 of 12");
  EXPECT_EQ(counted({1, 3}, {}), "2 of 6");
  EXPECT_EQ(counted({4, 99}, {}), "1 of 4");
  EXPECT_EQ(counted({}, {6}), "2 of 6");
  EXPECT_EQ(counted({1, 1}, {4}), "1 of 1");
}

TEST(Catalogue, AModelWithoutKappaSaysSo) {
  HandTrace with(2, 6, 4, 2), without(2, 6, 4, 2);
  for (HandTrace* hand : {&with, &without}) { fill(*hand, 4); }
  name(with.trace, "kappa");
  name(without.trace, "base");
  with.trace.kappa = true;
  with.trace.meta = {{"kappa", {{"model", true}, {"in_force", true}}}};
  without.trace.meta = {{"kappa", {{"model", false}, {"in_force", false}}}};
  const std::array<const Trace*, 2> traces = {&without.trace, &with.trace};
  const Figure both = figure_entry("kappa-depth").make(traces, {});
  ASSERT_EQ(both.panels[0].lines.size(), 1u);
  EXPECT_EQ(both.panels[0].lines[0].name, "kappa");
  EXPECT_EQ(both.subtitle.find("base"), std::string::npos);
  EXPECT_NE(both.notes.back().find("base is not drawn"), std::string::npos);
  const Figure none = figure_entry("kappa-tokens").make(Traces(traces).first(1), {});
  EXPECT_EQ(none.panels[0].empty, "nothing to show: this model has no κ");
  EXPECT_EQ(none.tables[0].rows, 0);
  EXPECT_EQ(none.subtitle.find("κ on"), std::string::npos);
}

TEST(Catalogue, FiguresOfOneLayerOrExpertSayWhich) {
  HandTrace hand(3, 12, 20, 2);
  fill(hand, 2);
  hand.layer_index = {4, 6, 8};
  name(hand.trace, "model");
  const std::array<const Trace*, 1> traces = {&hand.trace};
  FigureChoices choices;
  choices.layer = 8;
  choices.expert = 3;
  const auto made = [&](const char* id) { return figure_entry(id).make(traces, choices); };
  EXPECT_EQ(made("kappa-tokens").row, -1);
  EXPECT_EQ(made("router-probability").row, 2);
  EXPECT_EQ(made("expert-coactivation").row, 2);
  EXPECT_EQ(made("kappa-parameters").row, -1);
  for (const char* id : {"kappa-vs-score", "silu-kappa"}) {
    EXPECT_EQ(made(id).row, 2) << id;
    EXPECT_EQ(made(id).expert, 3) << id;
  }
  choices.by_expert = true;
  EXPECT_EQ(made("kappa-parameters").row, 2);
  const Figure confidence = made("kappa-confidence");
  const Points& points = confidence.panels[0].points[0];
  ASSERT_EQ(points.subjects.size(), points.x.size());
  ASSERT_EQ(points.x.size(), 60u);  // 36 first choices, 24 of 36 second ones
  for (const Subject& at : points.subjects) {
    const std::size_t first = hand.at(at.row, at.token, 0);
    EXPECT_TRUE(hand.expert_index[first] == at.expert || hand.expert_index[first + 1] == at.expert);
  }
  const Figure choice = made("expert-choice");
  const HeatMap& chosen = choice.panels[0].heat_map[0];
  ASSERT_EQ(chosen.experts.size(), chosen.cells.size());
  for (std::int64_t i = 0; i < 36; ++i) { EXPECT_EQ(chosen.experts[i], hand.expert_index[2 * i]); }
}

TEST(Catalogue, DistributionsOfTheExpertsOfALayer) {
  HandTrace hand(2, 4, 5, 1);
  for (std::int64_t t = 0; t < 4; ++t) {
    hand.keep(1, t, 0, t == 0 ? 4 : 1, 1, t == 0 ? 0.5f : 2.0f);
  }
  hand.trace.kappa = true;
  hand.trace.meta = {{"kappa", {{"bound_moe", 3.0}, {"start_layer", 0}}}};
  hand.kappa_hist[9 * kKappaBins + 20] = 1;  // layer 1, expert 4
  hand.kappa_hist[6 * kKappaBins + 50] = 3;  // expert 1
  name(hand.trace, "model");
  const std::array<const Trace*, 1> traces = {&hand.trace};
  FigureChoices choices;
  choices.layer = 1;
  choices.by_expert = true;
  const Figure all = figure_entry("kappa-distribution").make(traces, choices);
  EXPECT_EQ(all.row, 1);
  EXPECT_EQ(all.expert, -1);
  const auto& violins = all.panels[0].violins;
  ASSERT_EQ(violins.size(), 5u);
  EXPECT_EQ(violins[1].middle, 2);
  EXPECT_EQ(violins[1].value.size(), 3u);  // one bin and its edges
  EXPECT_TRUE(violins[2].value.empty());   // no token
  EXPECT_TRUE(std::isnan(violins[2].middle));
  EXPECT_EQ(violins[4].middle, 0.5);
  ASSERT_EQ(all.tables[0].rows, 5 * 64);
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(all.tables[0].columns[7].values)[64 + 50], 3);
  choices.expert = 4;
  const Figure alone = figure_entry("kappa-distribution").make(traces, choices);
  EXPECT_EQ(alone.expert, 4);
  ASSERT_EQ(alone.panels[0].violins.size(), 1u);
  EXPECT_EQ(alone.panels[0].violins[0].middle, 0.5);
  EXPECT_EQ(alone.panels[0].x.subjects, std::vector<std::int64_t>{4});
  EXPECT_NE(alone.title.find("layer 1, expert 4"), std::string::npos);
  choices.expert = 5;
  EXPECT_THROW(figure_entry("kappa-distribution").make(traces, choices), Error);
}

TEST(Catalogue, TablesHoldTheNumbersOfTheTrace) {
  HandTrace hand(2, 3, 4, 2);
  fill(hand, 3);
  name(hand.trace, "model");
  const std::array<const Trace*, 1> traces = {&hand.trace};
  const Figure figure = figure_entry("router-margin").make(traces, {});
  ASSERT_EQ(figure.tables[0].rows, 6);
  const Column& last = figure.tables[0].columns.back();
  EXPECT_EQ(last.name, "router_margin");
  EXPECT_EQ(std::get<std::vector<float>>(last.values), hand.margin);
  const Figure drops = figure_entry("expert-drops").make(traces, {});
  const auto& rates = std::get<std::vector<double>>(drops.tables[1].columns.back().values);
  EXPECT_DOUBLE_EQ(rates[0], 1.0 / 6);  // one of six assignments a layer
}

}  // namespace
}  // namespace kappascope
