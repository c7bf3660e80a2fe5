#include "core/figure/token_quantities.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "core/error.h"
#include "core/figure/catalogue.h"
#include "stats_fixture.h"

namespace kappascope {
namespace {

// Two layers, three tokens; the last token has nothing kept in layer 1.
struct TokenSample {
  HandTrace hand{2, 3, 20, 2};
  std::vector<float> nll = {kNaN, 1.5f, 2.5f};

  TokenSample() {
    hand.trace.nll = nll;
    for (std::int64_t t = 0; t < 3; ++t) {
      hand.keep(0, t, 0, t, 0.75f, 2);
      hand.keep(0, t, 1, 19, 0.25f, 2);
    }
    hand.keep(1, 0, 0, 7, 1, 8);
    hand.drop(1, 0, 1, 3);
    hand.keep(1, 1, 0, 7, 1, 0.5f);
    hand.drop(1, 2, 0, 7);
    hand.drop(1, 2, 1, 8);
    hand.margin = {0.5f, 0.1f, 0.3f, 0.2f, kNaN, 0.4f};
    hand.top1 = {0.5f, 0.6f, 0.7f, 0.3f, 0.2f, kNaN};
    for (std::size_t i = 0; i < hand.gate.size(); ++i) {
      if (hand.expert_kept[i] != 0) { hand.gate[i] = static_cast<float>(i); }
    }
  }
  std::vector<float> values(const char* id, std::int64_t m = -1, std::int64_t slot = 0) const {
    return token_colouring(hand.trace, id, m, slot).values;
  }
};

void expect_values(const std::vector<float>& found, const std::vector<float>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(found[i])) << i << ": " << found[i];
    } else {
      EXPECT_FLOAT_EQ(found[i], expected[i]) << i;
    }
  }
}

TEST(TokenQuantities, OfTheTextOfALayerAndOverAll) {
  const TokenSample sample;
  expect_values(sample.values("nll"), {kNaN, 1.5f, 2.5f});
  expect_values(sample.values("confidence", 1), {0.3f, 0.2f, kNaN});
  expect_values(sample.values("confidence"), {0.4f, 0.4f, 0.7f});  // mean
  expect_values(sample.values("margin", 1), {0.2f, kNaN, 0.4f});
  expect_values(sample.values("margin"), {0.2f, 0.1f, 0.3f});  // smallest
  expect_values(sample.values("kappa", 0), {2, 2, 2});
  expect_values(sample.values("kappa", 1), {8, 0.5f, kNaN});
  expect_values(sample.values("kappa"), {4, 1, 2});  // geometric mean
  expect_values(sample.values("sharpness", 1), {6, 8, kNaN});
  expect_values(sample.values("sharpness"), {3.125f, 5.125f, 4.25f});
  expect_values(sample.values("dropped", 1), {1, 0, 2});
  expect_values(sample.values("dropped"), {1, 0, 2});
  EXPECT_EQ(token_colouring(sample.hand.trace, "dropped", 1).colours.high, 2);
}

TEST(TokenQuantities, ExpertsHaveTheColoursOfTheirFigure) {
  const TokenSample sample;
  const std::array<const Trace*, 1> traces = {&sample.hand.trace};
  FigureChoices choices;
  choices.slot = 1;
  const Figure figure = figure_entry("expert-choice").make(traces, choices);
  const HeatMap& map = figure.panels[0].heat_map[0];
  const TokenColouring colouring = token_colouring(sample.hand.trace, "expert", 1, 1);
  EXPECT_EQ(colouring.colours.names, map.colours.names);
  expect_values(colouring.values, {map.cells[3], map.cells[4], map.cells[5]});
  EXPECT_TRUE(std::isnan(colouring.values[1]));  // token 1 has an empty second slot
  EXPECT_NE(colouring.name.find("layer 1"), std::string::npos);
}

TEST(TokenQuantities, WhatIsNotRecordedHasNoValue) {
  HandTrace hand(0, 2, 0, 0);
  for (const TokenQuantity& quantity : token_quantities()) {
    if (quantity.layers == TokenQuantity::Layers::one) { continue; }
    const TokenColouring colouring = token_colouring(hand.trace, quantity.id);
    expect_values(colouring.values, {kNaN, kNaN});
    EXPECT_FALSE(colouring.colours.label.empty()) << quantity.id;
  }
  TokenSample sample;
  sample.hand.trace.router_margin = {};
  expect_values(sample.values("margin", 1), {kNaN, kNaN, kNaN});
}

TEST(TokenQuantities, WrongWordsAndPlacesAreRefused) {
  const TokenSample sample;
  EXPECT_THROW(sample.values("colour"), Error);
  EXPECT_THROW(sample.values("margin", 2), Error);
  EXPECT_THROW(sample.values("margin", -2), Error);
  EXPECT_THROW(sample.values("expert", -1), Error);
  EXPECT_THROW(sample.values("expert", 0, 2), Error);
  try {
    sample.values("colour");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("nll, confidence"), std::string::npos);
  }
}

}  // namespace
}  // namespace kappascope
