// Palette, shortcuts, layouts, history, sizes.
#include <imgui_internal.h>

#include <algorithm>

#include "app/gui/actions.h"
#include "app/gui/help.h"
#include "app/gui/layouts.h"
#include "app/gui/panels.h"
#include "app/metrics.h"
#include "tests/gui/gui_test.h"

namespace kappascope::gui::test {

namespace {

// As a person: opens the menu and clicks the action of that name.
void click_in_menu(Driver& driver, const std::string& menu, const std::string& name) {
  const std::vector<Action> all = actions(driver.gui());
  const auto found = std::find_if(all.begin(), all.end(), [&](const Action& action) {
    return action.menu == menu && action.name == name;
  });
  IM_CHECK(found != all.end());
  driver.ctx->MenuClick(
      ("//##MainMenuBar/" + menu + "/" + name + "##" + std::to_string(found - all.begin()))
          .c_str());
}

}  // namespace

GUI_TEST(the_palette_runs_what_is_typed) {
  const bool dark = driver.gui().settings.dark;
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_P);
  driver.ctx->Yield(2);
  IM_CHECK(driver.gui().palette.open);
  driver.ctx->KeyChars(dark ? "light theme" : "dark mode");  // another word for it
  driver.ctx->KeyPress(ImGuiKey_Enter);
  driver.ctx->Yield(2);
  IM_CHECK_NE(driver.gui().settings.dark, dark);
  IM_CHECK(!driver.gui().palette.open);
}

GUI_TEST(the_palette_finds_figures_by_title_and_id) {
  const std::pair<const char*, const char*> wanted[] = {{"gate-top16", "gate-top16"},
                                                        {"gate top16", "gate-top16"},
                                                        {"GATES concentration", "gate-top16"},
                                                        {"Margin of the choice", "router-margin"}};
  for (const auto& [words, id] : wanted) {
    bool& shown = driver.gui().shown[id];
    shown = false;
    driver.ctx->Yield(2);
    driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_P);
    driver.ctx->Yield(2);
    driver.ctx->KeyChars(words);
    driver.ctx->KeyPress(ImGuiKey_Enter);
    driver.ctx->Yield(2);
    IM_CHECK(shown);
    const ImGuiWindow* window = driver.ctx->WindowInfo((std::string("//###") + id).c_str()).Window;
    IM_CHECK(window != nullptr);
    const std::string title(figure_entry(id).title);
    IM_CHECK_STR_EQ(std::string(window->Name).substr(0, title.size()).c_str(), title.c_str());
  }
}

GUI_TEST(every_action_has_its_own_shortcut) {
  std::map<ImGuiKeyChord, std::string> taken;
  for (const Action& action : actions(driver.gui())) {
    if (!action.shortcut) { continue; }
    const auto [at, fresh] = taken.emplace(action.shortcut, action.name);
    IM_CHECK_STR_EQ(fresh ? "" : at->second.c_str(), "");
  }
  driver.ctx->KeyPress(ImGuiKey_F1);
  IM_CHECK(driver.ctx->WindowInfo("//###shortcuts").Window != nullptr);
  driver.ctx->KeyPress(ImGuiKey_F1);
  driver.ctx->Yield(2);
  IM_CHECK(!driver.gui().palette.overlay);
}

GUI_TEST(back_and_forward_go_through_selections) {
  open_demo(driver);
  Workspace& workspace = driver.workspace();
  workspace.pick({.token = 4});
  workspace.pick({.row = 0, .expert = 1});
  workspace.pick({.token = 5});
  driver.ctx->KeyPress(ImGuiMod_Alt | ImGuiKey_LeftArrow);
  IM_CHECK_EQ(workspace.selection().token, 4);
  IM_CHECK_EQ(workspace.selection().expert, 1);
  driver.ctx->KeyPress(ImGuiMod_Alt | ImGuiKey_LeftArrow);
  IM_CHECK_EQ(workspace.selection().token, 4);
  driver.ctx->KeyPress(ImGuiMod_Alt | ImGuiKey_RightArrow);
  driver.ctx->KeyPress(ImGuiMod_Alt | ImGuiKey_RightArrow);
  IM_CHECK_EQ(workspace.selection().token, 5);
  IM_CHECK(!workspace.can_go_forward());
}

GUI_TEST(steps_by_keys_are_one_for_back) {
  open_demo(driver);
  Workspace& workspace = driver.workspace();
  driver.ctx->ItemClick("//###text/**/###token");
  const std::int64_t clicked = workspace.selection().token;
  const std::int64_t layer = workspace.selection().row;
  driver.ctx->KeyPress(ImGuiKey_RightArrow, 4);
  driver.ctx->KeyPress(ImGuiKey_LeftArrow);
  IM_CHECK_EQ(workspace.selection().token, clicked + 3);
  driver.ctx->KeyPress(ImGuiKey_DownArrow);
  const std::int64_t below = workspace.selection().token;
  IM_CHECK_GT(below, clicked + 4);
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_Period, 2);
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_UpArrow);
  const Subject after = workspace.selection();
  IM_CHECK_EQ(after.token, below + 2);
  IM_CHECK_EQ(after.row, layer + 1);
  driver.ctx->KeyPress(ImGuiMod_Alt | ImGuiKey_LeftArrow);
  IM_CHECK_EQ(workspace.selection().token, clicked);
  IM_CHECK_EQ(workspace.selection().row, layer);
  driver.ctx->KeyPress(ImGuiMod_Alt | ImGuiKey_RightArrow);
  IM_CHECK(workspace.selection() == after);
  IM_CHECK(!workspace.can_go_forward());
}

GUI_TEST(every_layout_shows_its_panels) {
  open_demo(driver);
  for (const char* name : built_in_layouts()) {
    driver.gui().next_layout = name;
    IM_CHECK(driver.settle());
    for (const auto& [id, shown] : driver.gui().shown) {
      if (!shown) { continue; }
      const ImGuiTestItemInfo info = driver.ctx->WindowInfo(("//###" + id).c_str());
      IM_CHECK(info.Window != nullptr);
      IM_CHECK_NE(info.Window->DockId, ImGuiID(0));
    }
  }
  driver.gui().shown["messages"] = false;
  driver.gui().settings.layouts["mine"] = current_layout(driver.gui());
  driver.gui().next_layout = built_in_layouts().front();
  IM_CHECK(driver.settle());
  IM_CHECK(driver.gui().shown["messages"]);
  driver.gui().next_layout = "mine";
  IM_CHECK(driver.settle());
  IM_CHECK(!driver.gui().shown["messages"]);
  driver.gui().next_layout = built_in_layouts().front();
  IM_CHECK(driver.settle());
  click_in_menu(driver, "Layout", "mine");
  IM_CHECK(driver.settle());
  IM_CHECK(!driver.gui().shown["messages"]);
}

GUI_TEST(small_large_and_scaled_windows_draw) {
  open_demo(driver);
  for (const auto& [width, height] : {std::pair{640, 480}, {3840, 2160}, {1600, 1000}}) {
    driver.resize(width, height);
    IM_CHECK(driver.settle());
    IM_CHECK_EQ(int(ImGui::GetIO().DisplaySize.x), width);
    IM_CHECK_EQ(int(ImGui::GetIO().DisplaySize.y), height);
    for (const auto& [id, shown] : driver.gui().shown) {
      if (!shown) { continue; }
      const ImGuiWindow* window = driver.ctx->WindowInfo(("//###" + id).c_str()).Window;
      IM_CHECK(window != nullptr);
      IM_CHECK_GE(window->Pos.x, 0.0f);
      IM_CHECK_LE(window->Pos.x + window->Size.x, float(width) + 1);
      IM_CHECK_LE(window->Pos.y + window->Size.y, float(height) + 1);
    }
  }
  const float before = ImGui::GetFontSize();
  driver.gui().settings.scale = 2;
  IM_CHECK(driver.settle());
  IM_CHECK_GT(ImGui::GetFontSize(), 1.9f * before);
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_0);
  driver.ctx->Yield(2);
  IM_CHECK_EQ(driver.gui().settings.scale, 1.0);
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_Equal);
  IM_CHECK_GT(driver.gui().settings.scale, 1.0);
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_Minus);
  IM_CHECK_LT(driver.gui().settings.scale, 1.01);
}

GUI_TEST(settings_survive_a_restart) {
  driver.gui().settings.dark = false;
  driver.gui().settings.scale = 1.25;
  driver.gui().shown["gate-active"] = true;
  driver.ctx->Yield(3);
  driver.restart();
  IM_CHECK(driver.settle());
  IM_CHECK(!driver.gui().settings.dark);
  IM_CHECK_EQ(driver.gui().settings.scale, 1.25);
  IM_CHECK(driver.gui().shown["gate-active"]);
}

// Rows of the tables are called by numbers: none may meet a column's.
GUI_TEST(many_documents_have_ids_of_their_own) {
  for (int i = 0; i < 7; ++i) { open_demo(driver); }
  for (const char* model : {"d4-kappa", "d8-kappa"}) {
    driver.workspace().open(source_folder() / "assets" / model);
  }
  IM_CHECK(driver.settle());
  for (const DockPanel& panel : panels()) {
    driver.gui().shown[panel.id] = true;
    driver.gui().focus = panel.id;
    IM_CHECK(driver.settle());
  }
  driver.gui().focus = "model";
  IM_CHECK(driver.settle());
  int compared = 0;
  for (const OpenTrace& open : driver.workspace().traces()) {
    if (open.id == driver.workspace().view().trace) { continue; }
    driver.ctx->SetRef("//###model");
    driver.ctx->ItemClick(("**/$$" + std::to_string(open.id) + "/###compare").c_str());
    compared += driver.workspace().trace(open.id)->compared;
  }
  IM_CHECK_EQ(compared, 6);
}

GUI_TEST(definitions_are_text) {
  driver.gui().help = "router_margin";
  driver.ctx->Yield(3);
  IM_CHECK(driver.ctx->WindowInfo("//###help").Window != nullptr);
  for (const std::string_view name : metric_names()) {
    std::string all;
    bool heading = false, bold = false;
    for (const HelpBlock& block : help_blocks(metric_definition(name))) {
      heading |= block.kind == HelpBlock::Kind::heading;
      for (const HelpWords& words : block.words) {
        bold |= words.face == HelpWords::Face::bold;
        all += words.text;
      }
    }
    IM_CHECK_SILENT(heading && bold);
    IM_CHECK_SILENT(all.find("**") == std::string::npos && all.find("##") == std::string::npos);
  }
  const auto blocks = help_blocks("## a\nb *c* 2 * 3\nd\n- **e:** `f`\n");
  IM_CHECK_EQ(blocks.size(), std::size_t(3));
  IM_CHECK_STR_EQ(blocks[1].words[1].text.c_str(), "c");
  IM_CHECK_STR_EQ(blocks[1].words[2].text.c_str(), " 2 * 3 d");
  IM_CHECK_STR_EQ(blocks[2].words[0].text.c_str(), "e:");
}

}  // namespace kappascope::gui::test
