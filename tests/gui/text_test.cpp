// The running text: arrow keys and what is scrolled into sight.
#include <imgui_internal.h>

#include <cmath>
#include <string>

#include "app/gui/widgets.h"
#include "tests/gui/runs.h"

namespace kappascope::gui::test {
namespace {

// A text of many lines, with the keys in it.
ImGuiWindow* open_text(Driver& driver) {
  open_model(driver, "d4-kappa");
  std::string text;
  for (int i = 0; i < 200; ++i) { text += "The king went out to see his garden. "; }
  driver.workspace().next_run.window = true;
  run(driver, text.c_str());
  driver.ctx->ItemClick("//###text/**/###token");
  for (ImGuiWindow* window : ImGui::GetCurrentContext()->Windows) {
    if (window->WasActive && std::string(window->Name).find("###tokens") != std::string::npos) {
      return window;
    }
  }
  return nullptr;
}

int token_of(Driver& driver) {
  driver.ctx->Yield(3);
  return driver.workspace().selection().token;
}

float middle_of(const TextLayout& layout, std::int64_t token) {
  const std::size_t line = layout.line_of(token);
  for (std::size_t i = layout.first_piece(line); i < layout.end_piece(line); ++i) {
    const TextPiece& piece = layout.piece(i);
    if (piece.token == token) { return piece.x + piece.width / 2; }
  }
  return -1;
}

}  // namespace

GUI_TEST(arrows_go_to_what_is_above_and_below) {
  IM_CHECK(open_text(driver) != nullptr);
  const TextLayout& layout = driver.gui().text.layout;
  IM_CHECK_GT(layout.lines(), std::size_t(4));
  int tried = 0;
  for (std::int64_t token = 0; token < layout.tokens() && tried < 3; ++token) {
    // Its left side would lead elsewhere than its middle.
    if (layout.line_of(token) != 2) { continue; }
    const float middle = middle_of(layout, token);
    const auto above = layout.token_at(1, middle);
    if (above == layout.token_at(1, middle - 0.9F * em())) { continue; }
    ++tried;
    driver.workspace().pick({.token = int(token)});
    driver.gui().text.column = -1;
    driver.ctx->KeyPress(ImGuiKey_UpArrow);
    IM_CHECK_EQ(token_of(driver), int(above));
    driver.ctx->KeyPress(ImGuiKey_UpArrow);
    IM_CHECK_EQ(token_of(driver), int(layout.token_at(0, middle)));
    driver.ctx->KeyPress(ImGuiKey_UpArrow);  // there is none above
    IM_CHECK_EQ(token_of(driver), int(layout.token_at(0, middle)));
    driver.ctx->KeyPress(ImGuiKey_DownArrow, 2);  // the way back, whatever was in between
    IM_CHECK_EQ(token_of(driver), int(token));
  }
  IM_CHECK_EQ(tried, 3);
  const auto last = layout.lines() - 1;
  driver.workspace().pick({.token = int(layout.tokens() - 1)});
  driver.gui().text.column = -1;
  driver.ctx->KeyPress(ImGuiKey_DownArrow);
  IM_CHECK_EQ(layout.line_of(token_of(driver)), last);
}

GUI_TEST(the_selected_token_is_scrolled_into_sight) {
  ImGuiWindow* window = open_text(driver);
  IM_CHECK(window != nullptr);
  IM_CHECK_GT(window->ScrollMax.y, 0.0F);
  const TextLayout& layout = driver.gui().text.layout;
  const float line = std::round(1.6F * em());
  std::int64_t third = 0, last = layout.tokens() - 1;
  IM_CHECK_GT(layout.line_of(last), std::size_t(6));
  while (layout.line_of(third) < 3) { ++third; }
  driver.workspace().pick({.token = int(last)});
  driver.ctx->Yield(3);
  IM_CHECK_GT(window->Scroll.y, window->ScrollMax.y - 1);  // whole pixels
  // At the very top it is scrolled to, so that two lines are above it.
  IM_CHECK_GT(window->ScrollMax.y, 3 * line);
  ImGui::SetScrollY(window, 3 * line);
  driver.ctx->Yield(3);
  driver.workspace().pick({.token = int(third)});
  driver.ctx->Yield(3);
  IM_CHECK_EQ(window->Scroll.y, line);
  driver.workspace().pick({.token = 0});
  driver.ctx->Yield(3);
  IM_CHECK_EQ(window->Scroll.y, 0.0F);
}

GUI_TEST(layers_and_steps_go_by_keys_from_the_text_field) {
  open_demo(driver);
  Workspace& workspace = driver.workspace();
  driver.ctx->ItemClick("//###text/**/###token");
  const Subject before = workspace.selection();
  driver.ctx->ItemClick("//###text/**/###input");
  driver.ctx->KeyChars("two words");
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_UpArrow);
  IM_CHECK_EQ(workspace.selection().row, before.row + 1);
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_DownArrow);
  IM_CHECK_EQ(workspace.selection().row, before.row);
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_PageDown);
  IM_CHECK_NE(workspace.selection().expert, before.expert);
  const Subject after = workspace.selection();
  driver.ctx->KeyPress(ImGuiMod_Alt | ImGuiKey_LeftArrow);
  IM_CHECK(!(workspace.selection() == after));
  driver.ctx->KeyPress(ImGuiMod_Alt | ImGuiKey_RightArrow);
  IM_CHECK(workspace.selection() == after);
  IM_CHECK_STR_EQ(workspace.next_run.text.c_str(), "two words");
}

GUI_TEST(the_tooltip_of_a_token_cuts_no_number) {
  open_demo(driver);
  driver.ctx->MouseMove("//###text/**/$$5/###token");
  driver.ctx->SleepNoSkip(1, 0.05F);
  const auto shown = [&] {
    for (const ImGuiWindow* window : ImGui::GetCurrentContext()->Windows) {
      if (window->WasActive && (window->Flags & ImGuiWindowFlags_Tooltip) != 0) { return true; }
    }
    return false;
  };
  IM_CHECK(shown());
  const std::vector<std::string> cut = driver.cut_texts();
  IM_CHECK(shown());
  for (const std::string& text : cut) { IM_ERRORF("%s", text.c_str()); }
}

}  // namespace kappascope::gui::test
