#include "app/gui/export_job.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>

#include "expect_error.h"
#include "stats_fixture.h"
#include "temp_folder.h"

namespace kappascope::gui {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::TempFolder;
using Contents = std::map<std::string, std::string>;  // of files by their path; "folder"

Contents contents(const fs::path& folder) {
  Contents found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::string& text = found[fs::relative(entry.path(), folder).string()];
    if (entry.is_directory()) {
      text = "folder";
      continue;
    }
    std::ifstream in(entry.path(), std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  return found;
}

// Says stop at the update after `updates` of them.
class StopAfter final : public Progress {
 public:
  explicit StopAfter(int updates) : left_(updates) {}
  bool update(Stage, std::uint64_t, std::uint64_t) noexcept override { return left_-- > 0; }

 private:
  int left_;
};

// Two layers, three tokens; figures of it into a folder that is not there.
class ExportJob : public ::testing::Test {
 protected:
  ExportJob() {
    for (std::int64_t m = 0; m < 2; ++m) {
      for (std::int64_t t = 0; t < 3; ++t) { hand_.keep(m, t, 0, t, 1, 1.5f); }
    }
    hand_.trace.model_name = "hand";
    order_.folder = temp_.path() / "a" / "b";
  }

  void add_view(const char* id) {
    order_.views.push_back({&figure_entry(id),
                            {},
                            {std::shared_ptr<const Trace>(std::shared_ptr<void>(), &hand_.trace)}});
  }
  // Something of a user's in the folder.
  void put(const std::string& name) {
    fs::create_directories(order_.folder);
    std::ofstream(order_.folder / name) << "mine";
  }
  ExportOutcome write() {
    NoProgress progress;
    return write_export(order_, progress);
  }
  std::string error(int updates = 1000) {
    StopAfter progress(updates);
    return error_of([&] { write_export(order_, progress); });
  }

  HandTrace hand_{2, 3, 4, 1};
  TempFolder temp_;
  ExportOrder order_;
};

TEST_F(ExportJob, WritesEachFormat) {
  add_view("router-confidence");
  add_view("kappa-tokens");
  for (const auto& [format, begin] :
       {std::pair<FigureFormat, std::string>{FigureFormat::svg, "<?xml"},
        {FigureFormat::pdf, "%PDF-"},
        {FigureFormat::png, "\x89PNG"},
        {FigureFormat::csv, "run,model,layer"}}) {
    const std::string extension = std::string(".") + figure_extension(format);
    EXPECT_EQ(figure_format(figure_extension(format)), format);
    order_.formats = {format};
    const ExportOutcome outcome = write();
    EXPECT_EQ(outcome.written, (std::vector<std::string>{"router-confidence" + extension,
                                                         "kappa-tokens" + extension}));
    EXPECT_TRUE(outcome.in_the_way.empty() && outcome.left_out.empty());
    const Contents files = contents(order_.folder);
    EXPECT_EQ(files.size(), 2u);
    for (const std::string& name : outcome.written) {
      EXPECT_EQ(files.at(name).substr(0, begin.size()), begin) << name;
    }
    fs::remove_all(order_.folder);
  }
}

TEST_F(ExportJob, KeepsNoPathInsideTheFile) {
  add_view("router-confidence");
  write();
  const std::string text = contents(order_.folder).at("router-confidence.svg");
  EXPECT_NE(text.find("kappascope"), std::string::npos);
  EXPECT_EQ(text.find("my trace.npz"), std::string::npos);
  EXPECT_EQ(text.find(order_.folder.string()), std::string::npos);
}

TEST_F(ExportJob, AsksBeforeItReplaces) {
  for (const char* id : {"router-confidence", "router-margin", "router-entropy"}) { add_view(id); }
  put("router-margin.svg");
  put("notes.txt");
  const Contents before = contents(temp_.path());
  const ExportOutcome asked = write();
  EXPECT_EQ(asked.in_the_way, std::vector<std::string>{"router-margin.svg"});
  EXPECT_EQ(contents(temp_.path()), before);
  order_.replace = true;
  EXPECT_EQ(write().written.size(), 3u);
  const Contents after = contents(order_.folder);
  EXPECT_EQ(after.size(), 4u);
  EXPECT_EQ(after.at("notes.txt"), "mine");
  EXPECT_EQ(after.at("router-margin.svg").substr(0, 5), "<?xml");
}

// Of these nothing is known before the figure is made.
TEST_F(ExportJob, AsksForFurtherTablesToo) {
  add_view("kappa-confidence");
  order_.formats = {FigureFormat::csv};
  put("kappa-confidence-2.csv");
  const Contents before = contents(temp_.path());
  EXPECT_EQ(write().in_the_way, std::vector<std::string>{"kappa-confidence-2.csv"});
  EXPECT_EQ(contents(temp_.path()), before);
  order_.replace = true;
  EXPECT_EQ(write().written,
            (std::vector<std::string>{"kappa-confidence.csv", "kappa-confidence-2.csv"}));
}

TEST_F(ExportJob, StoppedAtAnyTimeItChangesNothing) {
  order_.formats = {FigureFormat::csv};
  for (const char* id : {"router-confidence", "router-margin"}) {
    add_view(id);
    for (int updates = 0; updates <= static_cast<int>(order_.views.size()); ++updates) {
      EXPECT_EQ(error(updates), "130 interrupted; nothing was written");
      EXPECT_EQ(contents(temp_.path()), Contents{});
    }
  }
  put("router-margin.csv");
  order_.replace = true;
  const Contents before = contents(temp_.path());
  for (int updates = 0; updates <= 2; ++updates) {
    EXPECT_EQ(error(updates), "130 interrupted; nothing was written");
    EXPECT_EQ(contents(temp_.path()), before);
  }
  EXPECT_EQ(error(3), "no error");
}

TEST_F(ExportJob, LeavesOutWhatTheTraceDoesNotHave) {
  order_.formats = {FigureFormat::csv};
  add_view("router-probability");
  order_.views[0].choices.layer = 99;
  EXPECT_EQ(error().substr(0, 2), "2 ");
  EXPECT_EQ(contents(temp_.path()), Contents{});
  add_view("router-margin");
  const ExportOutcome outcome = write();
  EXPECT_EQ(outcome.written, std::vector<std::string>{"router-margin.csv"});
  ASSERT_EQ(outcome.left_out.size(), 1u);
  EXPECT_EQ(outcome.left_out[0].substr(0, 20), "router-probability: ");
  EXPECT_NE(outcome.left_out[0].find("99"), std::string::npos);
}

TEST_F(ExportJob, APlaceThatCannotBeLeavesNothing) {
  add_view("router-confidence");
  std::ofstream(temp_.path() / "file") << "mine";
  for (const char* place : {"file", "file/deeper", "new/\xF0\x9F\x90\x99/"}) {
    order_.folder = temp_.path() / place;
    if (order_.folder.filename().empty()) {  // longer than a file system takes
      order_.folder /= std::string(300, 'n');
    }
    EXPECT_EQ(error().substr(0, 2), "5 ") << place;
    EXPECT_EQ(contents(temp_.path()), (Contents{{"file", "mine"}})) << place;
  }
}

TEST_F(ExportJob, AFolderInPlaceOfAFileIsNotReplacedNorIsAnythingElse) {
  order_.formats = {FigureFormat::csv};
  for (const char* id : {"router-confidence", "router-margin"}) { add_view(id); }
  put("router-confidence.csv");
  fs::create_directory(order_.folder / "router-margin.csv");
  const Contents before = contents(temp_.path());
  EXPECT_EQ(write().in_the_way.size(), 2u);
  order_.replace = true;
  EXPECT_NE(error().find("router-margin.csv: is a folder"), std::string::npos);
  EXPECT_EQ(contents(temp_.path()), before);
}

}  // namespace
}  // namespace kappascope::gui
