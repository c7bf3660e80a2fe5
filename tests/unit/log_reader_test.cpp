// train.jsonl while it grows, is replaced or is damaged; what figures make of it.
#include "core/train/log_reader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/figure/training_figures.h"
#include "core/stats/training_course.h"
#include "expect_error.h"
#include "temp_folder.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::TempFolder;

const std::string kHead =
    R"({"schema":"kappascope.train/1","settings":{"tokens":100,"batch":2,"context":10,"bound":4}})"
    "\n";

std::string step(int number, double loss, const std::string& more = "") {
  return join_words(R"({"step":)", number, R"(,"loss":)", loss, R"(,"kappa_rate":0,"bound":1)",
                    more, "}\n");
}

std::string layer(const std::string& members) {
  return R"(,"layers":[{"layer":2,)" + members + "}]";
}

// A log in a folder of its own.
class LogReaderTest : public ::testing::Test {
 protected:
  void add(const std::string& text) { std::ofstream(file_, std::ios::app) << text; }
  void write(const std::string& text) { std::ofstream(file_) << text; }
  std::string error() {
    return error_of([this] { reader_.look(); });
  }
  // The error without the path of the file.
  std::string error_in_line() {
    std::string text = error();
    const std::size_t at = text.find(file_.string());
    return at == text.npos ? text : text.erase(at, file_.string().size());
  }

  TempFolder temp_;
  const fs::path file_ = temp_.path() / "train.jsonl";
  LogReader reader_{file_};
};

TEST_F(LogReaderTest, TakesWholeLinesAsTheyArrive) {
  EXPECT_EQ(error_in_line(), "5 : cannot open: No such file or directory");
  add(kHead + step(1, 7) + R"({"step":2,"lo)");
  EXPECT_TRUE(reader_.look());
  EXPECT_EQ(reader_.run().step, std::vector<std::int64_t>({1}));
  EXPECT_EQ(reader_.run().steps, 5);
  EXPECT_FALSE(reader_.look());
  add(R"(ss":6})"
      "\n"
      R"({"step":2,"held_out_loss":6.5,"held_out_bits_per_byte":null})"
      "\n");
  EXPECT_TRUE(reader_.look());
  EXPECT_EQ(reader_.run().loss, std::vector<double>({7, 6}));
  EXPECT_EQ(reader_.run().held_out, std::vector<double>({6.5}));
  EXPECT_TRUE(std::isnan(reader_.run().held_out_bits.at(0)));
  EXPECT_FALSE(reader_.run().finished());
}

TEST_F(LogReaderTest, NoticesAnotherFileInThePlace) {
  write(kHead + step(1, 7) + step(2, 6) + step(3, 5));
  reader_.look();
  fs::rename(file_, temp_.path() / "old");
  EXPECT_EQ(error_in_line(), "5 : cannot open: No such file or directory");
  EXPECT_EQ(reader_.run().last_step(), 3);  // what was read stays
  write(kHead + step(1, 8));
  EXPECT_TRUE(reader_.look());
  EXPECT_EQ(reader_.run().loss, std::vector<double>({8}));
  write(kHead + step(1, 9) + step(2, 9) + step(3, 9));  // in the same file, and longer
  EXPECT_TRUE(reader_.look());
  EXPECT_EQ(reader_.run().loss, std::vector<double>({9, 9, 9}));
  write(kHead);
  EXPECT_TRUE(reader_.look());
  EXPECT_TRUE(reader_.run().step.empty());
}

TEST_F(LogReaderTest, NamesTheLineThatIsWrong) {
  const auto found = [this](const std::string& text) {
    write(text);
    return error_in_line();
  };
  EXPECT_EQ(found("[1]\n"), "3 :1: expected an object, found [1]");
  EXPECT_EQ(
      found("{\"schema\":\"other/2\"}\n"),
      "4 :1: not the log of a training run; expected the schema \"kappascope.train/1\", found "
      "\"other/2\"");
  EXPECT_EQ(found(kHead + "{}\n"), "3 :2: expected an object with a whole \"step\", found none");
  EXPECT_EQ(found(kHead + step(2, 1) + step(2, 1)), "3 :3: step 2 after step 2");
  EXPECT_EQ(found(kHead + R"({"step":1,"loss":"x"})"
                          "\n"),
            "3 :2: \"loss\": expected a number, found \"x\"");
  EXPECT_EQ(
      found(kHead + step(1, 1, layer(R"("load":[0.5,0.5])")) + step(2, 1, layer(R"("load":[1])"))),
      "3 :3: layer 2: expected a load of 2 experts, found 1");
  EXPECT_EQ(reader_.run().step, std::vector<std::int64_t>({1}));  // what came before
  add(step(3, 1));
  EXPECT_EQ(error_in_line(), "3 :3: layer 2: expected a load of 2 experts, found 1");
  write(kHead + step(1, 1));
  EXPECT_EQ(error(), "no error");
  write(kHead + std::string(2 << 20, ' '));
  EXPECT_EQ(error_in_line(), "3 :2: a line of more than 1048576 bytes");
  fs::remove(file_);
  fs::create_directory(file_);
  EXPECT_EQ(error_in_line(), "3 : expected the log of a training run, found no regular file");
}

TEST_F(LogReaderTest, FindsTheLogsOfAPair) {
  temp_.write("pair/kappa/train.jsonl", kHead);
  temp_.write("pair/kappa-off/train.jsonl", kHead);
  temp_.write("pair/notes.txt", "");
  const fs::path pair = temp_.path() / "pair";
  EXPECT_EQ(training_logs(pair), std::vector<fs::path>({pair / "kappa" / "train.jsonl",
                                                        pair / "kappa-off" / "train.jsonl"}));
  EXPECT_EQ(training_logs(pair / "kappa").size(), 1u);
  EXPECT_EQ(training_logs(pair / "kappa" / "train.jsonl").size(), 1u);
  EXPECT_TRUE(training_logs(temp_.path() / "nowhere").empty());
  for (int seed = 0; seed < 30; ++seed) {
    temp_.write(join_words("seeds/", seed, "/train.jsonl"), kHead);
  }
  EXPECT_EQ(training_logs(temp_.path() / "seeds").size(), 30u);
}

TEST(TrainingCourse, BlocksAndLayers) {
  const std::vector<std::int64_t> steps = {1, 2, 3, 4, 5};
  const std::vector<double> values = {4, 2, NAN, 6, 1};
  EXPECT_TRUE(block_means(steps, values, 5).low.empty());
  const Course course = block_means(steps, values, 3);
  EXPECT_EQ(course.block, 2);
  EXPECT_EQ(course.step, std::vector<std::int64_t>({2, 4, 5}));
  EXPECT_EQ(course.value, std::vector<double>({3, 6, 1}));
  EXPECT_EQ(course.low, std::vector<double>({2, 6, 1}));
  EXPECT_EQ(course.high, std::vector<double>({4, 6, 1}));
  LoggedLayer logged;
  logged.experts = 4;
  logged.step = {1, 2};
  logged.load = {0.25f, 0.25f, 0.25f, 0.25f, 1, 0, 0, 0};
  const LoadCourse load = load_course(logged);
  EXPECT_NEAR(load.entropy[0], 1, 1e-12);
  EXPECT_EQ(load.entropy[1], 0);
  EXPECT_EQ(load.largest, std::vector<double>({1, 4}));
  EXPECT_EQ(load.smallest, std::vector<double>({1, 0}));
  const LayerValues layers[] = {{std::span(steps).first(2), std::span(values).first(2)},
                                {std::span(steps).first(2), std::span(values).subspan(3, 2)}};
  const Course all = over_layers(layers);
  EXPECT_EQ(all.value, std::vector<double>({5, 1.5}));
  EXPECT_EQ(all.low, std::vector<double>({4, 1}));
  EXPECT_EQ(all.high, std::vector<double>({6, 2}));
}

TEST(TrainingFigures, ShowWhatTheLogHasAndKeepColours) {
  LoggedRun off, kappa;
  off.folder = "/runs/kappa-off";
  kappa.folder = "/runs/kappa";
  off.step = kappa.step = {1, 2};
  off.loss = kappa.loss = {7, 6};
  LoggedLayer layer{.layer = 1, .experts = 2, .step = {1}, .load = {0.5f, 0.5f}};
  layer.kappa_mean = layer.kappa_spread = layer.budget = layer.experts_run = {NAN};
  off.layers = {layer};
  layer.kappa_mean = layer.kappa_spread = {1.5};
  kappa.layers = {layer};
  const LoggedRun* const runs[] = {&off, &kappa};
  const Figure loss = training_figure("train-loss")->make(runs);
  EXPECT_EQ(loss.panels.at(0).lines.at(1).name, "kappa");
  EXPECT_EQ(loss.panels[0].lines[1].colour, 1);
  EXPECT_EQ(loss.panels.at(1).lines.size(), 0u);  // no evaluation yet
  const Figure shown = training_figure("train-kappa")->make(runs);
  EXPECT_EQ(shown.subtitle, "kappa · step 2");
  EXPECT_EQ(shown.notes.back(), "kappa-off is not drawn: its log has no κ.");
  EXPECT_EQ(training_figure("train-budget")->make(runs).panels.at(0).empty,
            "nothing to show: the log has no budget");
  EXPECT_EQ(training_figure("loss"), nullptr);
}

}  // namespace
}  // namespace kappascope
