// At every size of the window every text of it is drawn whole: tabs, headings, buttons, headers of
// tables, values, names of axes and of colours. On the null backend, where frames cost little.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "app/gui/panels.h"
#include "tests/gui/cut_texts.h"
#include "tests/gui/demo_window.h"
#include "tests/tools/synthetic.h"
#include "tests/tools/synthetic_trace.h"

namespace kappascope::gui {
namespace {

constexpr std::pair<int, int> kSizes[] = {{1024, 640}, {1280, 720}, {1600, 1000}, {3840, 2160}};
const std::string kText = "Once upon a time, there was a king who had three sons.";

void look(NullWindow& window, const std::string& where) {
  window.frame([&] {
    test::watch_texts();
    draw_frame(window.gui());
  });
  for (const std::string& text : test::take_cut_texts()) { ADD_FAILURE() << where << ": " << text; }
}

// All as it is, and once more with everything scrolled to its end.
void expect_whole(NullWindow& window, const std::string& where) {
  window.settle();
  look(window, where);
  for (ImGuiWindow* one : ImGui::GetCurrentContext()->Windows) {
    if (one->Active && one->ScrollMax.y > 0) { ImGui::SetScrollY(one, one->ScrollMax.y); }
  }
  window.frame();
  look(window, where + ", scrolled");
}

// Every panel and every figure in front of the others in turn, where the layout has them.
void expect_every_view_whole(NullWindow& window, const std::string& where) {
  std::vector<std::string> ids;
  for (const DockPanel& panel : panels()) { ids.emplace_back(panel.id); }
  for (const FigureEntry& entry : figure_catalogue()) { ids.emplace_back(entry.id); }
  expect_whole(window, where);
  for (const std::string& id : ids) {
    const bool shown = std::exchange(window.gui().shown[id], true);
    window.settle();
    window.gui().focus = id;
    expect_whole(window, where + ", " + id);
    window.gui().shown[id] = shown;
  }
}

void expect_whole_at_every_size(NullWindow& window, const std::string& what) {
  for (const auto& [width, height] : kSizes) {
    window.resize({float(width), float(height)});
    window.settle();
    expect_every_view_whole(window,
                            what + " at " + std::to_string(width) + "×" + std::to_string(height));
  }
}

void run(NullWindow& window, const char* model) {
  window.workspace().open(kSource / "assets" / model);
  window.settle();
  window.workspace().next_run.text = kText;
  window.workspace().run();
  window.settle();
}

TEST(CutTexts, NoneOfThreeDocuments) {
  Layout layout;
  {
    NullWindow window;
    run(window, "d8-kappa");
    run(window, "d4-kappa");
    open_demo(window);
    ASSERT_EQ(window.workspace().traces().size(), 3u);
    expect_whole_at_every_size(window, "three documents");
    window.resize({1024, 640});
    window.settle();
    layout = current_layout(window.gui());
  }
  NullWindow again({1024, 640});
  again.gui().next_layout.clear();
  again.gui().layout_to_load = layout;
  open_demo(again);
  expect_every_view_whole(again, "the second start");
}

TEST(CutTexts, NoneOfManyExperts) {
  NullWindow window;
  const std::filesystem::path folder = window.folder() / "wide-64e";
  synthetic::write_model(folder / "model", {.layers = 8, .experts = 64, .slots = 8});
  synthetic::write_trace(folder / "run", open_model(folder / "model"), {.tokens = 120});
  window.workspace().open(folder / "run");
  window.settle();
  ASSERT_EQ(window.workspace().traces().size(), 1u);
  expect_whole_at_every_size(window, "64 experts");
}

// A corpus, with the card of one of its experts.
TEST(CutTexts, NoneOfACorpus) {
  NullWindow window({1280, 720});
  window.workspace().open(kSource / "tests" / "figures" / "demo-corpus");
  window.settle();
  ASSERT_EQ(window.workspace().traces().size(), 1u);
  window.workspace().pick({.row = 1, .expert = 2});
  expect_every_view_whole(window, "a corpus");
  window.resize({1024, 640});
  window.settle();
  for (const char* id : {"expert", "expert-domains", "expert-tokens"}) {
    window.gui().focus = id;
    expect_whole(window, std::string("a corpus, small, ") + id);
  }
}

// Numbers of six digits have their room.
TEST(CutTexts, NoneOfManyTokens) {
  NullWindow window;
  const std::filesystem::path folder = window.folder() / "long";
  synthetic::write_model(folder / "model", {.layers = 2, .experts = 2, .slots = 1});
  synthetic::write_trace(folder / "run", open_model(folder / "model"), {.tokens = 120000});
  window.workspace().open(folder / "run");
  window.settle();
  ASSERT_EQ(window.workspace().traces().size(), 1u);
  for (const char* panel : {"model", "token", "expert"}) {
    window.gui().focus = panel;
    expect_whole(window, panel);
  }
}

// All figures open in one place: tabs that do not fit whole are not shown, and a list names them.
TEST(CutTexts, NoneOfManyTabs) {
  NullWindow window({1024, 640});
  open_demo(window);
  for (const FigureEntry& entry : figure_catalogue()) {
    window.gui().shown[std::string(entry.id)] = true;
  }
  expect_whole(window, "all figures");
  int lists = 0;
  for (const ImGuiWindow* one : ImGui::GetCurrentContext()->Windows) {
    lists += one->DockNode && one->DockNode->HasWindowMenuButton && one->DockTabIsVisible;
  }
  EXPECT_EQ(lists, 1);
  for (const FigureEntry& entry : figure_catalogue()) {
    window.gui().focus = std::string(entry.id);
    expect_whole(window, std::string(entry.id));
    const ImGuiWindow* one = ImGui::FindWindowByName(("###" + std::string(entry.id)).c_str());
    ASSERT_TRUE(one && one->DockNode && one->DockNode->TabBar) << entry.id;
    const ImGuiTabBar& bar = *one->DockNode->TabBar;
    const ImRect tab = one->DC.DockTabItemRect;
    EXPECT_GE(tab.Min.x, bar.BarRect.Min.x - 1) << entry.id;
    EXPECT_LE(tab.Max.x, bar.BarRect.Max.x + 1) << entry.id;
  }
}

}  // namespace
}  // namespace kappascope::gui
