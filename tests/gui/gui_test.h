// Driven tests of the window: each is a function that the Dear ImGui Test Engine runs while the
// real interface is drawn, frame by frame.
#pragma once

#include <imgui_te_context.h>
#include <imgui_te_engine.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "app/gui/gui.h"
#include "app/gui/window.h"

namespace kappascope::gui::test {

// What a test has in its hands.
struct Driver {
  ImGuiTestContext* ctx;
  std::function<Gui&()> gui;
  std::filesystem::path folder;  // of its own, removed after it

  Workspace& workspace() const { return gui().workspace; }

  // Frames until nothing is open to be made; false after a minute.
  bool settle();
  // Closes everything and starts again with the folder's settings, as a new process would.
  std::function<void()> restart;
  std::function<void(int width, int height)> resize;
  // Of one more frame: texts that are not drawn whole.
  std::function<std::vector<std::string>()> cut_texts;
  Window* window = nullptr;  // the test engine has a clipboard of its own
};

struct GuiTest {
  const char* name;
  void (*run)(Driver& driver);
};

// GUI_TEST(opens_a_model) { … driver … }
#define GUI_TEST(test_name)                                                      \
  static void run_##test_name(Driver& driver);                                   \
  static const bool added_##test_name = add_test({#test_name, run_##test_name}); \
  static void run_##test_name([[maybe_unused]] Driver& driver)

bool add_test(GuiTest test);

// What is open is saved as a session and opened again by a window that was started anew.
void restart_with_session(Driver& driver);

std::filesystem::path source_folder();
// Opens a trace of a text that the figures' tests have, too.
void open_demo(Driver& driver);
std::string read_file(const std::filesystem::path& file);

}  // namespace kappascope::gui::test
