// What the panels and dialogs draw, against drawings that were looked at:
// tests/gui/drawings/NAME.txt. KAPPASCOPE_NEW_DRAWINGS=1 writes them anew; look at what git then
// shows.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "app/gui/panels.h"
#include "app/gui/start_note.h"
#include "tests/gui/demo_window.h"
#include "tests/gui/drawing.h"

namespace kappascope::gui {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> lines_of(std::istream&& in) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) { lines.push_back(line); }
  return lines;
}

void compare(const std::string& name, const std::vector<std::string>& found) {
  const fs::path file = kSource / "tests" / "gui" / "drawings" / (name + ".txt");
  std::string all;  // a text of several lines is several lines of the file
  for (const std::string& line : found) { all += line + "\n"; }
  if (std::getenv("KAPPASCOPE_NEW_DRAWINGS")) { std::ofstream(file) << all; }
  EXPECT_EQ(test::difference_of(lines_of(std::ifstream(file)), lines_of(std::istringstream(all))),
            "")
      << name;
}

// One frame of `draw` in a window of its own, once it has come to rest.
template <typename Draw>
void compare_alone(NullWindow& window, const std::string& name, const Draw& draw,
                   ImVec2 size = {560, 600}) {
  const auto alone = [&] {
    test::watch_texts();
    ImGui::SetNextWindowPos({20, 20});
    ImGui::SetNextWindowSize(size);
    ImGui::Begin("alone", nullptr, ImGuiWindowFlags_NoDecoration);
    draw();
    ImGui::End();
  };
  for (int i = 0; i < 8 || window.workspace().busy(); ++i) {
    window.frame(alone);
    test::take_drawn_texts();
  }
  const ImDrawData& data = window.frame(alone);
  compare(name, test::drawing_of(data, test::take_drawn_texts(), "alone"));
  EXPECT_EQ(window.errors(), 0) << name;
}

void compare_panel(NullWindow& window, std::string_view id, const std::string& name) {
  for (const DockPanel& panel : panels()) {
    if (panel.id == id) {
      compare_alone(window, name, [&] { panel.draw(window.gui()); });
    }
  }
}

// What the whole window shows in the windows whose names begin so.
void compare_dialog(NullWindow& window, const std::string& name, std::string_view begin) {
  window.settle();
  test::watch_texts();
  const ImDrawData& data = window.frame();
  compare(name, test::drawing_of(data, test::take_drawn_texts(), begin));
  EXPECT_EQ(window.errors(), 0) << name;
}

TEST(Drawings, OfWhatIsSelected) {
  NullWindow window;
  open_demo(window);
  window.workspace().pick({.token = 5});
  window.workspace().pick({.row = 1, .expert = 5});
  window.settle();
  for (const char* id : {"text", "model", "token", "expert"}) { compare_panel(window, id, id); }
}

TEST(Drawings, OfFigures) {
  NullWindow window;
  open_demo(window);
  window.workspace().pick({.row = 1, .token = 5});
  window.settle();
  for (const char* id : {"kappa-tokens", "loss", "expert-importance"}) {
    compare_alone(window, id, [&] { draw_figure_panel(window.gui(), id); });
  }
}

TEST(Drawings, OfALightWindow) {
  NullWindow window;
  window.settings().dark = false;
  open_demo(window);
  window.workspace().pick({.row = 1, .expert = 5});
  window.settle();
  compare_panel(window, "expert", "expert-light");
}

TEST(Drawings, OfATextThatIsSearched) {
  NullWindow window;
  open_demo(window);
  open_find_bar(window.gui(), FindState::Mode::words);
  window.gui().text.find.words = "the";
  window.gui().text.show_whitespace = true;
  window.settle();
  window.workspace().pick({.token = 0});  // none of the matches
  window.settle();
  compare_panel(window, "text", "text-found");
  open_find_bar(window.gui(), FindState::Mode::number);
  window.gui().text.find.number = "100000";
  window.settle();
  compare_panel(window, "text", "text-number");
}

TEST(Drawings, OfAnEmptyWindow) {
  NullWindow window;
  window.gui().session_offer = "two traces";
  window.settings().recent = {"/models/one", "/models/two"};
  window.settle();
  compare_alone(window, "start-note",
                [&] { start_note(window.gui(), "No tokens", "Run a model on a text."); });
}

// Its panels that say nothing of this machine.
TEST(Drawings, OfAModel) {
  NullWindow window;
  window.workspace().open(kSource / "assets" / "d8-kappa");
  window.settle();
  for (const char* id : {"interventions", "weights"}) { compare_panel(window, id, id); }
}

TEST(Drawings, OfDialogs) {
  NullWindow window;
  open_demo(window);
  window.gui().help = "nll";
  compare_dialog(window, "help", "What it means");
  window.gui().help.clear();
  open_export_dialog(window.gui(), "loss");
  window.gui().exporting.folder = "figures";
  window.gui().exporting.formats.insert(FigureFormat::png);
  compare_dialog(window, "export", "Export");
}

}  // namespace
}  // namespace kappascope::gui
