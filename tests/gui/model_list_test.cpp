// Models that are on the machine are offered by name: those of the hub cache and of nanochat.
#include <cstdlib>
#include <fstream>

#include "tests/gui/gui_test.h"

namespace kappascope::gui::test {

namespace fs = std::filesystem;

GUI_TEST(models_of_the_hub_cache_are_listed_and_opened) {
  const fs::path hub = driver.folder / "hub", base = driver.folder / "base";
  const fs::path other = hub / "models--lab--other" / "snapshots" / "0123abc";
  fs::create_directories(other);
  std::ofstream(other / "config.json") << R"({"model_type": "never-heard-of", "num_experts": 8})";
  fs::create_directories(base / "base_checkpoints");
  fs::copy(source_folder() / "assets" / "d4-kappa", base / "base_checkpoints" / "d4");
  setenv("HF_HUB_CACHE", hub.c_str(), 1);
  setenv("NANOCHAT_BASE_DIR", base.c_str(), 1);
  open_path_dialog(driver.gui(), PathPurpose::open);
  IM_CHECK(driver.settle());
  ImGuiTestContext& ctx = *driver.ctx;
  ctx.ItemClick("**/###hub");
  IM_CHECK(driver.settle());
  const ModelListState& state = driver.gui().path_dialog.models;
  IM_CHECK(state.shown && state.places);
  IM_CHECK_EQ(state.places->size(), std::size_t(2));
  const auto& refused = state.places->at(0).models;
  IM_CHECK_EQ(refused.size(), std::size_t(1));
  IM_CHECK_STR_EQ(refused[0].name.c_str(), "lab/other");
  IM_CHECK(!refused[0].refusal.empty());
  const auto folders = models_to_open(state);
  IM_CHECK_EQ(folders.size(), std::size_t(1));
  for (const std::string& text : driver.cut_texts()) {
    if (text.find("never-heard-of") == std::string::npos) { IM_ERRORF("%s", text.c_str()); }
  }

  ctx.KeyPress(ImGuiKey_DownArrow);  // the one that can be opened
  ctx.KeyPress(ImGuiKey_Enter);
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(driver.workspace().models().size(), std::size_t(1));
  IM_CHECK(driver.workspace().models()[0].path == folders[0]);

  // A name that is not there says how to fetch it, and the dialog stays.
  open_path_dialog(driver.gui(), PathPurpose::open);
  IM_CHECK(driver.settle());
  ctx.KeyChars("lab/absent");  // in the place of what the field had
  ctx.KeyPress(ImGuiKey_Enter);
  IM_CHECK(driver.settle());
  IM_CHECK(driver.gui().path_dialog.open);
  IM_CHECK(driver.gui().path_dialog.problem.find("hf download lab/absent") != std::string::npos);
  ctx.PopupCloseAll();
}

}  // namespace kappascope::gui::test
