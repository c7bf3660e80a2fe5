// What takes room in a panel: nothing is cut where splitters were moved, nothing is empty beside
// what scrolls, and numbers are never on what is drawn. On the null backend.
#include <gtest/gtest.h>
#include <imgui_internal.h>
#include <unistd.h>

#include <cstring>

#include "app/gui/panels.h"
#include "app/gui/session.h"
#include "app/gui/widgets.h"
#include "tests/gui/cut_texts.h"
#include "tests/gui/demo_window.h"

namespace kappascope::gui {
namespace {

ImGuiWindow* window_of(const char* id) {
  return ImGui::FindWindowByName((std::string("###") + id).c_str());
}

// Moves the splitter between the column of the panel Text and what is beside it.
void move_splitter(NullWindow& window, float share) {
  ImGuiDockNode* node = window_of("text")->DockNode;
  while (node->ParentNode->SplitAxis != ImGuiAxis_X) { node = node->ParentNode; }
  ImGuiDockNode* const* both = node->ParentNode->ChildNodes;
  const float all = both[0]->SizeRef.x + both[1]->SizeRef.x;
  both[0]->SizeRef.x = share * all;
  both[1]->SizeRef.x = (1 - share) * all;
  window.settle();
}

void expect_no_cut_text(NullWindow& window, const std::string& where) {
  window.settle();
  window.frame([&] {
    test::watch_texts();
    draw_frame(window.gui());
  });
  for (const std::string& text : test::take_cut_texts()) { ADD_FAILURE() << where << ": " << text; }
}

TEST(Room, NothingIsCutWhereASplitterWasMoved) {
  NullWindow window({1024, 640});
  for (int i = 0; i < 2; ++i) {
    window.workspace().open(kSource / "assets" / (i ? "d4-kappa" : "d8-kappa"));
  }
  open_demo(window);
  for (const float share : {0.25F, 0.33F, 0.6F, 0.66F}) {
    move_splitter(window, share);
    for (const DockPanel& panel : panels()) {
      window.gui().focus = panel.id;
      expect_no_cut_text(window, std::string(panel.id) + " at " + std::to_string(share));
    }
    for (const FigureEntry& entry : figure_catalogue()) {
      const std::string id(entry.id);
      window.gui().shown[id] = true;
      window.settle();
      window.gui().focus = id;
      expect_no_cut_text(window, id + " at " + std::to_string(share));
    }
  }
}

TEST(Room, AShortTextHasNoScrollbar) {
  NullWindow window({1600, 1000});
  open_demo(window);
  const auto tokens = [] {
    for (ImGuiWindow* one : ImGui::GetCurrentContext()->Windows) {
      const bool found = one->WasActive && std::strstr(one->Name, "###tokens");
      if (found || (one->WasActive && std::strstr(one->Name, "/tokens"))) { return one; }
    }
    return static_cast<ImGuiWindow*>(nullptr);
  };
  ASSERT_NE(tokens(), nullptr);
  EXPECT_FALSE(tokens()->ScrollbarY);
}

TEST(Room, ASubtitleEndsAfterAWholePart) {
  NullWindow window;
  window.frame([] {
    const std::string text = "d8 (κ on · 48 tokens); d4 (κ off · 12 tokens) · note";
    const auto width = [](const std::string& part) { return ImGui::CalcTextSize(part.c_str()).x; };
    for (std::size_t end = 0; end <= text.size(); ++end) {
      const std::string fits = parts_that_fit(text, width(text.substr(0, end)));
      EXPECT_TRUE(fits.empty() || fits == "d8 (κ on · 48 tokens)" || fits == text ||
                  fits == "d8 (κ on · 48 tokens); d4 (κ off · 12 tokens)")
          << fits;
    }
    EXPECT_EQ(parts_that_fit(text, width(text)), text);
    EXPECT_EQ(parts_that_fit("a · b", width("a ·")), "a");
  });
}

TEST(Room, RecentPathsSayWhichTraceTheyAre) {
  NullWindow window;
  Settings settings;
  for (const char* run : {"one", "two"}) {
    const std::filesystem::path folder = window.folder() / run;
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(kDemo, folder / "trace.npz");
    remember_recent(settings, folder);
    remember_recent(settings, folder / "trace.npz");
    remember_recent(settings, folder.string() + "/");
  }
  remember_recent(settings, window.folder() / "a" / "d12/");
  remember_recent(settings, window.folder() / "b" / "d12");
  remember_recent(settings, window.folder() / "d8");
  EXPECT_EQ(short_paths(settings.recent),
            (std::vector<std::string>{"d8", "b/d12", "a/d12", "two/trace.npz", "one/trace.npz"}));
}

// The column of a table that is shown, by its name.
ImGuiTableColumn* column_called(const std::string& name) {
  ImGuiContext& context = *ImGui::GetCurrentContext();
  for (int i = 0; i < context.Tables.GetMapSize(); ++i) {
    ImGuiTable* table = context.Tables.TryGetMapData(i);
    if (!table || table->LastFrameActive + 1 < context.FrameCount) { continue; }
    for (int column = 0; column < table->ColumnsCount; ++column) {
      if (name != ImGui::TableGetColumnName(table, column)) { continue; }
      table->IsSettingsDirty = true;
      return &table->Columns[column];
    }
  }
  return nullptr;
}

TEST(Room, AnOfferedSessionSaysWhatIsInIt) {
  NullWindow window;
  open_demo(window, 2);
  const std::filesystem::path file = window.folder() / "session.json";
  save_session(window.gui(), file);
  EXPECT_EQ(session_summary(file), "2 traces");
  window.workspace().open(kSource / "assets" / "d8-kappa");
  window.workspace().next_run.text = "Once";
  window.settle();
  save_session(window.gui(), file);
  EXPECT_EQ(session_summary(file), "d8-kappa, 2 traces, a text");
}

TEST(Room, ASessionKeepsTheWidthsOfColumns) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / join_words("kappascope-", getpid(), ".json");
  const auto open = [](NullWindow& window) {
    open_demo(window);
    window.gui().focus = "model";
    window.settle();
  };
  float was = 0;
  {
    NullWindow window;
    open(window);
    ASSERT_NE(column_called("tokens"), nullptr);
    was = column_called("tokens")->WidthGiven;
    column_called("tokens")->WidthRequest = was + 31;
    window.settle();
    save_session(window.gui(), file);
  }
  {
    NullWindow window;
    restore_session(window.gui(), file);
    window.settle();
    window.gui().focus = "model";
    window.settle();
    ASSERT_NE(column_called("tokens"), nullptr);
    EXPECT_FLOAT_EQ(column_called("tokens")->WidthGiven, was + 31);
  }
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace kappascope::gui
