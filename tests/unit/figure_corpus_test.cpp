// Figures of what a corpus adds up to: domains and tokens of experts, of hand-made totals.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <memory>

#include "core/figure/catalogue.h"
#include "core/figure/layout.h"
#include "core/figure/readout.h"
#include "core/figure/render.h"
#include "core/stats/domains.h"
#include "figure_fixture.h"
#include "stats_fixture.h"

namespace kappascope {
namespace {

// Every expert has 100 assignments of "web"; expert 0 all 40 of "code", expert 1 one of "rare".
std::shared_ptr<CorpusTotals> totals_of(std::int64_t experts) {
  auto totals = std::make_shared<CorpusTotals>();
  totals->experts = experts;
  totals->layer_index = {2, 5};
  totals->pass_index = {0, 0};
  totals->domains = {"web", "code\n\u202Elast", "rare"};
  totals->token_bytes = {
      {7, " the"}, {8, "\u202Eabc\x01"}, {9, std::string(300, 'w')}, {10, "العربية"}};
  for (int r = 0; r < 2; ++r) {
    RowTotals& row = totals->rows.emplace_back();
    std::vector<std::int64_t> web(std::size_t(experts), 100), code(web.size()), rare(web.size());
    code[0] = 40;
    rare[1] = 1;
    row.domain_assigned = {web, code, rare};
    row.choices.assigned = web;
    add_counts(row.choices.assigned, code);
    add_counts(row.choices.assigned, rare);
    row.choices.assigned[2] += 9;  // of documents without a domain
    row.choices.kept = row.choices.first_choice = row.choices.assigned;
    row.choices.gate_mass.resize(web.size());
    row.choices.tokens = 100 * experts;
    row.choices.assigned_by_slot = {150 * experts};
    for (std::int64_t e = 0; e < experts; ++e) {
      row.tokens.pairs.push_back({TokenCounts::key(e, 7), 50 - e % 3});
      for (std::int32_t id : {8, 9, 10, 11}) {
        row.tokens.pairs.push_back({TokenCounts::key(e, id), id - 5});
      }
    }
  }
  return totals;
}

Trace trace_of(std::int64_t experts) {
  Trace trace;
  const auto totals = totals_of(experts);
  trace.corpus = totals;
  trace.layers = 2;
  trace.experts = experts;
  trace.slots = 1;
  trace.layer_index = totals->layer_index;
  trace.pass_index = totals->pass_index;
  trace.model_layers = 8;
  trace.model_name = "model";
  return trace;
}

Figure figure_of(const char* id, const Trace& trace, const FigureChoices& choices = {}) {
  const std::array<const Trace*, 1> traces = {&trace};
  return figure_entry(id).make(traces, choices);
}

TEST(DomainShares, AreOfAssignmentsWithADomain) {
  const DomainShares shares = domain_shares(*totals_of(4), 0);
  EXPECT_EQ(shares.all, 441);
  EXPECT_EQ(shares.without, 9);
  EXPECT_EQ(shares.of_expert, (std::vector<std::int64_t>{140, 101, 100, 100}));
  EXPECT_DOUBLE_EQ(shares.of_corpus(1), 40.0 / 441);
  EXPECT_DOUBLE_EQ(shares.of_experts(1, 0), 40.0 / 140);
  EXPECT_DOUBLE_EQ(shares.over_corpus(1, 0), (40.0 / 140) / (40.0 / 441));
  EXPECT_DOUBLE_EQ(shares.expected(1, 0), 40.0 * 140 / 441);
  EXPECT_EQ(shares.over_corpus(1, 3), 0);
}

TEST(ExpertTokens, HaveTheirSharesOfTheExpertAndOfTheToken) {
  const auto tokens = expert_tokens(*totals_of(4), 0);
  ASSERT_EQ(tokens.size(), 4U);
  ASSERT_EQ(tokens[1].size(), 5U);
  EXPECT_EQ(tokens[1][0].id, 7);
  EXPECT_EQ(tokens[1][0].text, " the");
  EXPECT_DOUBLE_EQ(tokens[1][0].of_expert, 49.0 / 101);
  EXPECT_DOUBLE_EQ(tokens[1][0].of_token, 49.0 / (50 + 49 + 48 + 50));
  EXPECT_EQ(tokens[1][1].id, 11);
  EXPECT_EQ(tokens[1][1].text, "");
}

TEST(CorpusFigures, DomainsThatChanceWouldHardlyGiveAreGrey) {
  const Trace trace = trace_of(4);
  const Figure figure = figure_of("expert-domains", trace);
  ASSERT_EQ(figure.panels.size(), 2U);
  const HeatMap& map = figure.panels[0].heat_map[0];
  ASSERT_EQ(map.rows, 3);
  EXPECT_EQ(figure.panels[0].y.names.back(), "web");  // the largest at the top
  EXPECT_TRUE(std::isnan(map.cells[1]));              // "rare" and expert 1
  EXPECT_FLOAT_EQ(map.cells[4], float((40.0 / 140) / (40.0 / 441)));
  EXPECT_DOUBLE_EQ(figure.panels[1].bars[0].value[2], 100 * 400.0 / 441);
  EXPECT_EQ(figure.notes[0], "Left out: 9 assignments of documents without a domain.");
  EXPECT_EQ(figure.tables[0].rows, 12);
}

// Texts of all kinds, at journal sizes: inside the picture, none over another.
TEST(CorpusFigures, AreTidyForFewAndManyExperts) {
  FileTextMeter meter;
  for (const std::int64_t experts : {4, 64, 200}) {
    const Trace trace = trace_of(experts);
    for (const char* id : {"expert-domains", "expert-tokens"}) {
      const Figure figure = figure_of(id, trace, {.layer = 5});
      EXPECT_NE(figure.title.find("layer 5"), std::string::npos);
      for (const double width : {85.0, 178.0}) {
        const Scene scene = lay_out(figure, {.width_mm = width}, {}, &meter);
        expect_tidy(scene, id);
        for (const SceneText* text : texts_of(scene)) {
          EXPECT_EQ(text->text.find("\u202E"), std::string::npos) << id;
        }
      }
    }
  }
  const Figure many = figure_of("expert-tokens", trace_of(200));
  EXPECT_EQ(many.panels[0].heat_map[0].rows, 64);
  EXPECT_EQ(many.tables[0].rows, 200 * 5);
  EXPECT_EQ(many.notes[0], "The 64 most loaded of 200 experts.");
}

TEST(CorpusFigures, ACellOfATokenIsReadOutWithItsText) {
  const Trace trace = trace_of(4);
  const Figure figure = figure_of("expert-tokens", trace);
  const auto found = readout(figure, 0, 0, 1, 0.1, 0.1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines,
            (std::vector<std::string>{"Most frequent tokens 1", "Expert 1", "'␣the'",
                                      "Share of the token in the expert's assignments: 48.5 %"}));
  EXPECT_EQ(found->subject.expert, 1);
}

TEST(CorpusFigures, ALayerThatChoseNothingHasNoSharesOfDomains) {
  Trace trace = trace_of(4);
  EXPECT_EQ(figure_of("expert-domains", trace, {.layer = 2}).panels.size(), 2U);
  const auto totals = totals_of(4);
  RowTotals& row = totals->rows[0];
  for (auto& assigned : row.domain_assigned) { assigned.assign(4, 0); }
  row.choices.assigned.assign(4, 0);
  trace.corpus = totals;
  trace.layer_index = totals->layer_index;
  trace.pass_index = totals->pass_index;
  EXPECT_EQ(figure_of("expert-domains", trace, {.layer = 2}).panels.size(), 1U);
}

TEST(CorpusFigures, OfATextAreNothing) {
  HandTrace hand(2, 5, 4, 2);
  const std::array<const Trace*, 1> traces = {&hand.trace};
  for (const char* id : {"expert-domains", "expert-tokens"}) {
    EXPECT_TRUE(figure_entry(id).make_all(traces, {}, false).empty());
    EXPECT_NE(render_svg(figure_entry(id).make(traces, {}), {}).find("kappascope stats"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace kappascope
