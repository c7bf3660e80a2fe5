// Runs of shipped models and the controls of interventions, for driven tests.
#pragma once

#include <imgui_internal.h>

#include <string>
#include <vector>

#include "tests/gui/gui_test.h"

namespace kappascope::gui::test {

using Words = std::vector<std::string>;

inline void open_model(Driver& driver, const char* name) {
  driver.workspace().open(source_folder() / "assets" / name);
  IM_CHECK(driver.settle());
}

inline void run(Driver& driver, const char* text, const Words& words = {}) {
  driver.workspace().next_run.text = text;
  driver.workspace().next_run.take(words);
  driver.workspace().run();
  IM_CHECK(driver.settle());
}

// The item with that id in any window that is shown: some have no label that the test engine could
// find them by.
template <typename IdIn>
inline void click(Driver& driver, const char* what, const IdIn& id_in) {
  // ItemExists() lets frames pass, in which the list may grow and move.
  const ImVector<ImGuiWindow*> windows = ImGui::GetCurrentContext()->Windows;
  for (ImGuiWindow* window : windows) {
    if (!window->WasActive) { continue; }  // one unused for a minute has no stack of ids
    const ImGuiID id = id_in(*window);
    if (!driver.ctx->ItemExists(id)) { continue; }
    driver.ctx->ItemClick(id);
    driver.ctx->Yield(2);
    return;
  }
  IM_ERRORF("%s is not shown", what);
}

// An item of a combo box.
inline void choose(Driver& driver, const char* combo, const char* item) {
  click(driver, combo, [&](ImGuiWindow& window) { return window.GetID(combo); });
  driver.ctx->ItemClick((std::string("//$FOCUSED/") + item).c_str());
  driver.ctx->Yield(2);
}

// A shown table that has such a column, and the place of the column in it.
struct ShownColumn {
  ImGuiTable* table = nullptr;
  int place = -1;
};

inline ShownColumn column_in_sight(const std::string& name) {
  ImGuiContext& context = *ImGui::GetCurrentContext();
  for (int i = 0; i < context.Tables.GetMapSize(); ++i) {
    ImGuiTable* table = context.Tables.TryGetMapData(i);
    if (!table || table->LastFrameActive < context.FrameCount - 1) { continue; }
    for (int n = 0; n < table->ColumnsCount; ++n) {
      if (ImGui::TableGetColumnName(table, n) == name) { return {table, n}; }
    }
  }
  return {};
}

// A cell of the table that has such a column; line 0: its heading.
inline void click_in_table(Driver& driver, const std::string& column, int line) {
  const auto [table, place] = column_in_sight(column);
  if (!table) {
    IM_ERRORF("no table with a column %s is shown", column.c_str());
    return;
  }
  const ImGuiTableColumn& found = table->Columns[place];
  ImGui::SetScrollX(table->InnerWindow,
                    table->InnerWindow->Scroll.x + found.MinX - table->OuterRect.Min.x - 300);
  driver.ctx->Yield(3);
  const float height = ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().CellPadding.y;
  driver.ctx->MouseMoveToPos(
      {(found.MinX + found.MaxX) / 2, table->OuterRect.Min.y + (float(line) + 0.5F) * height});
  driver.ctx->MouseClick();
  driver.ctx->Yield(3);
}

inline void show_controls(Driver& driver) {
  driver.gui().shown["interventions"] = true;
  driver.ctx->Yield(2);
  driver.gui().focus = "interventions";
  IM_CHECK(driver.settle());
}

// Lets the window wait as long as a change is held back, and then finish.
inline void wait_for_live(Driver& driver) {
  driver.ctx->SleepNoSkip(0.4F, 0.05F);
  IM_CHECK(driver.settle());
}

}  // namespace kappascope::gui::test
