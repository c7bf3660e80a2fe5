#include "core/figure/runs.h"

#include <gtest/gtest.h>

#include "core/figure/catalogue.h"

namespace kappascope {
namespace {

using Names = std::vector<std::string>;

const std::string kHome = "/home/";

struct Run {
  std::string model = "d8", folder = kHome + "a/runs/d8", text = kHome + "a/texts/prose.txt";
  std::int64_t step = 100;
  bool has_kappa = true, kappa = true, capacity = true;
  std::vector<std::string> interventions = {};
  std::string trace = "/x/out";

  Trace made() const {
    Trace result;
    result.model_name = model;
    result.step = step;
    result.kappa = has_kappa && kappa;
    result.path = std::filesystem::path(trace) / "trace.npz";
    static constexpr std::int32_t kStarts[] = {0, 0, 4}, ends[] = {0, 4, 9};
    result.token_text = {"<|bos|>", "Once", " upon"};
    result.char_start = kStarts;
    result.char_end = ends;
    result.meta = {{"model", {{"path", folder + "/model.pt"}}},
                   {"kappa", {{"model", has_kappa}}},
                   {"capacity", {{"in_force", capacity}}},
                   {"interventions", interventions},
                   {"document", {{"source", text}, {"sha256", text}, {"index", 0}}}};
    return result;
  }
};

Names names_of(const std::vector<Run>& runs) {
  std::vector<Trace> traces;
  for (const Run& run : runs) { traces.push_back(run.made()); }
  std::vector<const Trace*> all;
  for (const Trace& trace : traces) { all.push_back(&trace); }
  return run_names(all);
}

TEST(RunNames, SayWhatDiffersAndOnlyThat) {
  EXPECT_EQ(names_of({{}}), Names{"d8"});
  EXPECT_EQ(names_of({{}, {.model = "d4", .folder = "/m/d4", .step = 7}}), (Names{"d8", "d4"}));
  EXPECT_EQ(names_of({{}, {.kappa = false}}), (Names{"d8 · κ on", "d8 · κ off"}));
  EXPECT_EQ(names_of({{}, {.capacity = false}}), (Names{"d8 · capacity on", "d8 · capacity off"}));
  EXPECT_EQ(names_of({{.interventions = {"expert=off@3:1"}}, {.interventions = {"top-k=4@3"}}}),
            (Names{"d8 · expert=off@3:1", "d8 · top-k=4@3"}));
  EXPECT_EQ(names_of({{}, {.step = 2000}}), (Names{"d8 · step 100", "d8 · step 2000"}));
  EXPECT_EQ(names_of({{}, {.text = kHome + "b/code.txt"}}),
            (Names{"d8 · prose.txt", "d8 · code.txt"}));
  EXPECT_EQ(names_of({{.folder = "/x/seed1/d8"}, {.folder = "/x/seed2/d8"}}),
            (Names{"seed1/d8", "seed2/d8"}));
  EXPECT_EQ(names_of({{.folder = "/x/seed1/d8"}, {.folder = "seed1/d8"}}),
            (Names{"d8", "d8 · run 2"}));  // one model, named in two ways, run twice
  EXPECT_EQ(names_of({{}, {.trace = "/x/again"}}), (Names{"d8 · out", "d8 · again"}));
}

TEST(RunNames, SayTwoThingsWhereTwoDiffer) {
  EXPECT_EQ(names_of({{}, {.step = 2000, .kappa = false}}),
            (Names{"d8 · step 100 · κ on", "d8 · step 2000 · κ off"}));
  EXPECT_EQ(names_of({{}, {.kappa = false}, {.model = "base", .has_kappa = false}}),
            (Names{"d8 · κ on", "d8 · κ off", "base"}));
  EXPECT_EQ(names_of({{}, {.model = "base", .has_kappa = false}}), (Names{"d8", "base"}));
}

TEST(RunNames, NameTextsByTheirBeginningWithoutAFile) {
  EXPECT_EQ(names_of({{.text = "prompt"}, {.text = "standard input"}})[0], "d8 · “Once upon”");
}

// Whoever reads a paper must not learn whose machine it was.
TEST(RunNames, NeverHoldAHomeFolder) {
  for (const std::string& name :
       names_of({{.folder = kHome + "alice/d8"}, {.folder = kHome + "bob/d8"}})) {
    EXPECT_EQ(name.find("alice"), std::string::npos) << name;
    EXPECT_EQ(name.find("bob"), std::string::npos) << name;
  }
}

TEST(FileWords, AreSafeAndDifferent) {
  EXPECT_EQ(file_word("d8-kappa · κ off"), "d8-kappa-kappa-off");
  EXPECT_EQ(file_word("../a/b"), "a-b");
  EXPECT_EQ(file_word("\x1b\xff"), "run");
  EXPECT_EQ(file_word("модель 1"), "модель-1");
  EXPECT_LE(file_word(std::string(1000, 'x')).size(), 80u);
  EXPECT_EQ(file_word("kappa-mul=2.5@3,5-7:1"), "kappa-mul-2p5-at-3_5-7-expert1");
  EXPECT_EQ(file_word("kappa-bias=-1@*:0"), "kappa-bias-minus1-at-all-expert0");
  const Names alike = file_words({"a b", "a/b", "c"}), other = file_words({"c", "a/b", "a b"});
  EXPECT_TRUE(alike[0].starts_with("a-b-") && alike[1].starts_with("a-b-"));
  EXPECT_NE(alike[0], alike[1]);
  EXPECT_EQ(alike[2], "c");
  EXPECT_EQ(alike, (Names{other[2], other[1], other[0]}));  // whatever their order
  EXPECT_NE(file_words({"Run", "run"})[0], "Run");          // one file where case does not count
}

TEST(FileNames, CarryTheChoice) {
  const FigureEntry& entry = figure_entry("router-probability");
  EXPECT_EQ(entry.file_name({}), "router-probability");
  EXPECT_EQ(entry.file_name({.layer = 3}), "router-probability-layer3");
  EXPECT_EQ(figure_entry("loss").file_name({.layer = 3}), "loss");
  EXPECT_EQ(figure_entry("kappa-vs-score").file_name({.layer = 3, .expert = 7, .gates = 4}),
            "kappa-vs-score-layer3-expert7-gates4");
  EXPECT_EQ(figure_entry("gate-active").file_name({.by_expert = true}), "gate-active-by-expert");
}

}  // namespace
}  // namespace kappascope
