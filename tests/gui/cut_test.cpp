// The smallest window, driven: nothing of it is cut, at the first start and at the second.
#include "tests/gui/gui_test.h"

namespace kappascope::gui::test {

namespace {

void expect_whole(Driver& driver, const char* id) {
  driver.gui().shown[id] = true;
  driver.ctx->Yield(2);
  driver.gui().focus = id;
  IM_CHECK(driver.settle());
  for (const std::string& text : driver.cut_texts()) { IM_ERRORF("%s: %s", id, text.c_str()); }
}

}  // namespace

GUI_TEST(the_smallest_window_cuts_no_text) {
  driver.workspace().open(source_folder() / "tests" / "figures" / "demo" / "trace.npz");
  driver.resize(1024, 640);
  IM_CHECK(driver.settle());
  for (int start = 1; start <= 2; ++start) {
    for (const char* id : {"messages", "token", "expert", "model", "kappa-parameters",
                           "gate-saturation", "kappa-tokens", "expert-load"}) {
      expect_whole(driver, id);
    }
    driver.restart();
    driver.workspace().open(source_folder() / "tests" / "figures" / "demo" / "trace.npz");
    IM_CHECK(driver.settle());
  }
}

GUI_TEST(a_narrow_pane_cuts_no_title) {
  driver.workspace().open(source_folder() / "tests" / "figures" / "demo" / "trace.npz");
  driver.resize(1024, 640);
  IM_CHECK(driver.settle());
  const ImGuiWindow* left = driver.ctx->WindowInfo("//###text").Window;
  const float edge = left->DockNode->Pos.x + left->DockNode->Size.x, y = left->Pos.y + 60;
  driver.ctx->MouseMoveToPos({edge + 1, y});
  driver.ctx->MouseDown();
  driver.ctx->MouseMoveToPos({0.7F * 1024, y});
  driver.ctx->MouseUp();
  IM_CHECK(driver.settle());
  IM_CHECK_GT(left->DockNode->Size.x, 0.69F * 1024);
  for (const FigureEntry& entry : figure_catalogue()) {
    if (entry.title.size() < 30) { continue; }
    const std::string id(entry.id);
    driver.gui().shown[id] = true;
    driver.ctx->Yield(2);
    driver.gui().focus = id;
    IM_CHECK(driver.settle());
    for (const std::string& text : driver.cut_texts()) {
      if (text.find(entry.title) != std::string::npos) { IM_ERRORF("%s", text.c_str()); }
    }
  }
}

}  // namespace kappascope::gui::test
