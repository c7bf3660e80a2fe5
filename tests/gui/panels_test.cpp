// Every panel and figure on the null backend: empty, loading, with an error, full; and what large
// figures cost in vertices and texels.
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "app/gui/panels.h"
#include "core/trace/token_contexts.h"
#include "tests/gui/demo_window.h"
#include "tests/tools/synthetic.h"
#include "tests/tools/synthetic_trace.h"

namespace kappascope::gui {
namespace {

namespace fs = std::filesystem;

void show_everything(Gui& gui) {
  for (const DockPanel& panel : panels()) { gui.shown[panel.id] = true; }
  for (const FigureEntry& entry : figure_catalogue()) { gui.shown[std::string(entry.id)] = true; }
}

// Draws every panel and figure once by itself, so that none hides behind another's tab.
void draw_each(NullWindow& window) {
  for (const DockPanel& panel : panels()) {
    const int errors = window.errors();
    const ImDrawData& data = window.frame([&] {
      draw_frame(window.gui());
      ImGui::SetNextWindowSize({800, 600});
      ImGui::Begin("alone", nullptr, ImGuiWindowFlags_NoDocking);
      panel.draw(window.gui());
      ImGui::End();
    });
    EXPECT_GT(data.TotalVtxCount, 0) << panel.id;
    EXPECT_EQ(window.errors(), errors) << panel.id;
  }
  for (const FigureEntry& entry : figure_catalogue()) {
    window.frame([&] {
      draw_frame(window.gui());
      ImGui::SetNextWindowSize({800, 600});
      ImGui::Begin("alone", nullptr, ImGuiWindowFlags_NoDocking);
      draw_figure_panel(window.gui(), std::string(entry.id));
      ImGui::End();
    });
    EXPECT_EQ(window.errors(), 0) << entry.id;
  }
}

TEST(Panels, DrawWhenNothingIsOpen) {
  NullWindow window;
  window.settle();
  show_everything(window.gui());
  draw_each(window);
  EXPECT_EQ(window.workspace().messages().size(), 0u);
}

TEST(Panels, DrawWhileTheyLoad) {
  NullWindow window;
  window.workspace().open(kSource / "assets" / "d8-kappa");
  window.workspace().open(kDemo);
  show_everything(window.gui());
  for (int i = 0; i < 20; ++i) {
    draw_each(window);  // jobs come and go meanwhile
  }
  window.settle();
  EXPECT_EQ(window.workspace().traces().size(), 1u);
}

TEST(Panels, DrawAfterAnError) {
  NullWindow window;
  window.workspace().open(kSource / "nowhere");
  window.settle();
  ASSERT_EQ(window.workspace().messages().size(), 1u);
  EXPECT_EQ(window.workspace().messages()[0].code, ExitCode::io);
  draw_each(window);
}

void write_training_run(const fs::path& folder) {
  fs::create_directories(folder);
  std::ofstream(folder / "train.jsonl")
      << R"({"schema":"kappascope.train/1","settings":{"tokens":100,"batch":2,"context":10,"bound":4}})"
      << "\n"
      << R"({"step":1,"loss":7,"kappa_rate":0,"bound":1})"
      << "\n";
}

// On a slow display the first layout is laid out after the run has been found.
TEST(Panels, ATrainingRunFoundBeforeTheFirstFrameIsShown) {
  NullWindow window;
  const fs::path folder = window.folder() / "run";
  write_training_run(folder);
  window.workspace().open(folder);
  while (window.workspace().training_opened() == 0 || window.workspace().busy()) {
    window.workspace().take_over();
  }
  window.settle();
  EXPECT_TRUE(window.gui().shown["training"]);
  ASSERT_EQ(window.workspace().training()->runs.size(), 1u);
}

TEST(Panels, MoreTrainingRunsThanCanBeToldApartAreRefused) {
  NullWindow window;
  for (int seed = 0; seed < 17; ++seed) {
    write_training_run(window.folder() / "seeds" / std::to_string(seed));
  }
  window.workspace().open(window.folder() / "seeds");
  window.settle();
  ASSERT_EQ(window.workspace().messages().size(), 1u);
  EXPECT_EQ(window.workspace().messages()[0].code, ExitCode::usage);
  EXPECT_NE(window.workspace().messages()[0].text.find("at most 16, found 17"), std::string::npos);
  EXPECT_TRUE(window.workspace().training()->runs.empty());
}

TEST(Panels, DrawEverythingOfARun) {
  NullWindow window;
  for (const bool dark : {true, false}) {
    window.settings().dark = dark;
    if (dark) { window.workspace().open(kSource / "assets" / "d8-kappa"); }
    window.settle();
    window.workspace().next_run.text =
        "Once upon a time, in Ελλάδα and 日本, \xF0\x9F\x90\x99 swam.";
    window.workspace().run();
    window.settle();
    show_everything(window.gui());
    draw_each(window);
    window.settle();
    for (const FigureEntry& entry : figure_catalogue()) {
      window.workspace().figure(std::string(entry.id), {});
    }
    window.settle();
    for (const FigureEntry& entry : figure_catalogue()) {
      const auto figure = window.workspace().figure(std::string(entry.id), {});
      if (entry.several == Several::difference || entry.series) {  // of one trace there is none
        EXPECT_FALSE(figure) << entry.id;
        continue;
      }
      ASSERT_TRUE(figure) << entry.id;
      EXPECT_FALSE(figure->failure) << entry.id << ": " << figure->failure.message;
    }
  }
  EXPECT_EQ(window.workspace().messages().size(), 0u);
  EXPECT_EQ(window.workspace().traces().size(), 2u);
}

// Ids of the figures that are not behind others.
std::vector<std::string> figures_in_front() {
  std::vector<std::string> ids;
  for (const FigureEntry& entry : figure_catalogue()) {
    const ImGuiWindow* window = ImGui::FindWindowByName(("###" + std::string(entry.id)).c_str());
    if (window && window->WasActive && window->DockTabIsVisible) { ids.emplace_back(entry.id); }
  }
  return ids;
}

TEST(Layouts, ACorpusOpensOnFiguresThatItHas) {
  const fs::path corpus = kSource / "tests" / "figures" / "demo-corpus";
  NullWindow window;
  window.settle();
  EXPECT_EQ(window.gui().built_in.name, "Overview");
  window.gui().next_layout = "Gates";
  window.settle();
  window.workspace().open(corpus);
  window.settle();
  EXPECT_EQ(window.gui().built_in.name, "Corpus");
  EXPECT_EQ(figures_in_front(), (std::vector<std::string>{"expert-load", "expert-tokens"}));
  for (const auto& [id, shown] : window.gui().shown) {
    for (const FigureEntry& entry : figure_catalogue()) {
      if (shown && entry.id == id) { EXPECT_TRUE(entry.of_corpus) << id; }
    }
  }
  open_demo(window);
  EXPECT_EQ(window.gui().built_in.name, "Gates");  // which gave way
  window.gui().shown["loss"] = true;               // now it is the user's
  window.settle();
  window.workspace().show_trace(window.workspace().traces()[0].id);
  window.settle();
  EXPECT_TRUE(window.gui().shown["gate-active"]);
  EXPECT_TRUE(window.gui().shown["loss"]);
}

TEST(Layouts, TrainingRunsAloneHaveALayoutOfTheirOwn) {
  NullWindow window;
  Gui& gui = window.gui();
  window.settle();
  gui.next_layout = "Router";
  window.settle();
  write_training_run(window.folder() / "run");
  window.workspace().open(window.folder() / "run");
  window.settle();
  EXPECT_EQ(gui.built_in.name, "Training");
  EXPECT_TRUE(gui.shown["training"]);
  EXPECT_FALSE(gui.shown["token"] || gui.shown["expert"]);
  EXPECT_EQ(figures_in_front(), std::vector<std::string>());
  open_demo(window);
  EXPECT_EQ(gui.built_in.name, "Router");  // which gave way
  EXPECT_TRUE(gui.shown["training"]);      // as one tab of its figures
  window.workspace().close_trace(window.workspace().traces().front().id);
  window.settle();
  EXPECT_EQ(gui.built_in.name, "Training");
  gui.shown["messages"] = false;  // now it is the user's
  open_demo(window);
  EXPECT_FALSE(gui.shown["router-margin"] || gui.shown["messages"]);
  EXPECT_TRUE(gui.shown["training"]);
}

TEST(Panels, TheCardOfAnExpertHasItsPlacesInACorpus) {
  NullWindow window;
  window.workspace().open(kSource / "tests" / "figures" / "demo-corpus");
  window.settle();
  window.workspace().pick({.row = 1, .expert = 2});
  window.settle();
  const auto card = window.workspace().expert_card();
  ASSERT_TRUE(card);
  ASSERT_EQ(card->places.size(), kContexts);
  for (const ChosenPlace& place : card->places) {
    EXPECT_FALSE(place.word.empty());
    EXPECT_GE(place.position, 0);
    EXPECT_FALSE(place.before.empty() && place.after.empty());
  }
  window.gui().focus = "expert";
  window.settle();
  EXPECT_EQ(window.errors(), 0);
}

TEST(Panels, FollowOneSelection) {
  NullWindow window;
  open_demo(window);
  Workspace& workspace = window.workspace();
  workspace.pick({.token = 5});
  workspace.pick({.row = 1, .expert = 3});
  window.settle();
  ASSERT_TRUE(workspace.token_card());
  EXPECT_EQ(workspace.token_card()->token, 5);
  ASSERT_TRUE(workspace.expert_card());
  EXPECT_EQ(workspace.expert_card()->expert, 3);
}

TEST(Panels, StepsThatFollowEachOtherAreOneForBack) {
  NullWindow window;
  open_demo(window);
  Workspace& workspace = window.workspace();
  const auto step_to = [&](std::int32_t token) {
    workspace.pick({.token = token}, Move::step);
    return workspace.selection().token;
  };
  const auto back = [&] { return workspace.go_back(), workspace.selection().token; };
  const auto forward = [&] { return workspace.go_forward(), workspace.selection().token; };
  workspace.pick({.token = 5});
  for (const std::int64_t token : {6, 7, 8}) { EXPECT_EQ(step_to(token), token); }
  workspace.pick({.token = 20});  // a click ends a run of steps
  for (const std::int64_t token : {21, 22}) { EXPECT_EQ(step_to(token), token); }
  EXPECT_EQ(back(), 20);
  EXPECT_EQ(back(), 8);
  EXPECT_EQ(back(), 5);
  EXPECT_EQ(forward(), 8);
  // So does going back or forward: what was there stays.
  for (const std::int64_t token : {9, 10}) { EXPECT_EQ(step_to(token), token); }
  EXPECT_FALSE(workspace.can_go_forward());
  EXPECT_EQ(back(), 8);
  EXPECT_EQ(forward(), 10);
  // Steps there and back again leave nothing to go back to.
  for (const std::int64_t token : {11, 12, 11, 10, 11, 10}) { EXPECT_EQ(step_to(token), token); }
  EXPECT_EQ(back(), 8);
}

TEST(Panels, AFigureThatIsLongInTheMakingCanBeStopped) {
  NullWindow window;
  Workspace& workspace = window.workspace();
  workspace.open(kDemo);
  while (workspace.traces().empty()) { window.frame(); }
  window.settle();
  // A job that takes as long as it is let, in front of the figure.
  const auto endless = [](Progress& progress) -> JobQueue::Finish {
    while (progress.update(Stage::figures, 1, 3)) { std::this_thread::yield(); }
    return {};
  };
  const JobId first =
      workspace.quick_jobs().add("Figure kappa-depth", endless, [](const Failure&) {});
  const auto draw = [&] {
    window.frame([&] {
      draw_frame(window.gui());
      ImGui::Begin("alone", nullptr, ImGuiWindowFlags_NoDocking);
      draw_figure_panel(window.gui(), "kappa-depth");
      ImGui::End();
    });
  };
  FigureChoices choices;
  choices.layer = 3;  // not made before
  EXPECT_EQ(workspace.figure("kappa-depth", choices), nullptr);
  while (workspace.figure_job("kappa-depth").id != first) { draw(); }
  for (const double begin = ImGui::GetTime(); ImGui::GetTime() < begin + 2;) { draw(); }
  JobId waiting = 0;
  for (const JobStatus& job : workspace.quick_jobs().status()) {
    if (!job.running && job.title == "Figure kappa-depth") { waiting = job.id; }
  }
  workspace.stop_figure(waiting);
  workspace.stop_figure(first);
  while (!workspace.figure("kappa-depth", choices)) { draw(); }
  EXPECT_EQ(workspace.figure("kappa-depth", choices)->failure.code, ExitCode::interrupted);
  workspace.make_stopped_figures();
  EXPECT_EQ(workspace.figure("kappa-depth", choices), nullptr);
  while (!workspace.figure("kappa-depth", choices)) { draw(); }
  EXPECT_FALSE(workspace.figure("kappa-depth", choices)->failure);
  EXPECT_EQ(window.errors(), 0);
}

// "Threads" or "VmRSS" (kB) of this process.
long process_status(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) { return std::stol(line.substr(field.size() + 1)); }
  }
  return -1;
}

TEST(Panels, FiveHundredTracesOpenAndCloseWithoutGrowth) {
  const long threads = process_status("Threads");
  {
    NullWindow window;
    Workspace& workspace = window.workspace();
    long settled = 0;
    for (int i = 0; i < 500; ++i) {
      workspace.open(kDemo);
      while (workspace.traces().empty()) { window.frame(); }
      window.frame();  // figures and cards are asked for, and cancelled with the trace
      workspace.close_trace(workspace.traces().front().id);
      if (i == 100) { settled = process_status("VmRSS"); }
    }
    window.settle();
    EXPECT_LT(process_status("VmRSS"), settled + 30000);
    EXPECT_EQ(workspace.messages().size(), 0u);
  }
  EXPECT_EQ(process_status("Threads"), threads);
}

// A figure of rows × columns cells that a job made.
std::shared_ptr<const PreparedFigure> cells(std::int64_t rows, std::int64_t columns) {
  Figure figure;
  Panel panel;
  HeatMap map;
  map.rows = rows;
  map.columns = columns;
  for (std::int64_t i = 0; i < rows * columns; ++i) { map.cells.push_back(float(i % 977)); }
  panel.x.scale = panel.y.scale = Scale::linear;
  panel.x.low = panel.y.low = -0.5;
  panel.x.high = double(columns) - 0.5;
  panel.y.high = double(rows) - 0.5;
  panel.heat_map.push_back(std::move(map));
  figure.panels.push_back(std::move(panel));
  return std::make_shared<const PreparedFigure>(std::move(figure));
}

struct Cost {
  int vertices = 0;
  std::int64_t texels_at_most = 0;  // in one frame
  std::int64_t texels_at_rest = 0;
};

// Draws the figure while the mouse wheel zooms in and out over it, then at rest.
Cost cost_of(const std::shared_ptr<const PreparedFigure>& figure) {
  NullWindow window({1000, 800});
  window.settle();
  FigureViewState state;
  Cost cost;
  const auto draw = [&] {
    ImGui::SetNextWindowPos({0, 0});
    ImGui::SetNextWindowSize({1000, 800});
    ImGui::Begin("figure", nullptr, ImGuiWindowFlags_NoDecoration);
    draw_figure("figure", figure, {}, theme(true), state, ImGui::GetContentRegionAvail());
    ImGui::End();
  };
  ImGuiIO& io = ImGui::GetIO();
  for (int i = 0; i < 60; ++i) {
    io.AddMousePosEvent(500, 400);
    if (i > 10 && i < 50) { io.AddMouseWheelEvent(0, i % 12 < 8 ? 1.0f : -1.0f); }
    const ImDrawData& data = window.frame(draw);
    cost.vertices = std::max(cost.vertices, data.TotalVtxCount);
    cost.texels_at_most = std::max(cost.texels_at_most, state.tiles.at(0)->texels_made());
    cost.texels_at_rest = state.tiles.at(0)->texels_made();
  }
  EXPECT_FALSE(is_incomplete(state));
  return cost;
}

TEST(Panels, LargeHeatMapsCostWhatIsVisible) {
  const Cost small = cost_of(cells(500, 500)), large = cost_of(cells(5000, 5000));
  EXPECT_EQ(small.texels_at_rest, 0);
  EXPECT_EQ(large.texels_at_rest, 0);
  EXPECT_GT(large.texels_at_most, 0);
  // 1,000 × 800 pixels; a tile may hang over every edge.
  EXPECT_LE(large.texels_at_most, 4 * 1000 * 800);
  EXPECT_LE(large.vertices, 2 * small.vertices);
  EXPECT_LE(large.vertices, 20000);
}

}  // namespace
}  // namespace kappascope::gui
