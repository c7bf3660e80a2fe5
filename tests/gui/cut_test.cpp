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

}  // namespace kappascope::gui::test
