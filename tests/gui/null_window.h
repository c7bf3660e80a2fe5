// The interface on Dear ImGui's null backend: everything is drawn, nothing is shown. For tests of
// what is drawn and for the benchmark of what it costs.
#pragma once

#include <imgui.h>
#include <imgui_impl_null.h>
#include <imgui_internal.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>

#include "app/gui/gui.h"
#include "app/gui/layouts.h"
#include "tests/gui/id_conflicts.h"

namespace kappascope::gui {

class NullWindow {
 public:
  explicit NullWindow(ImVec2 size = {1600, 1000}) : size_(size) {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "kappascope-null-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    ImGui::CreateContext();
    ImGui::GetIO().IniFilename = nullptr;
    ImGui::GetIO().ConfigFlags |= ImGuiConfigFlags_DockingEnable;
    ImGui_ImplNull_Init();
    // What Dear ImGui has to say of our calls is a mistake of ours.
    ImGui::GetCurrentContext()->ErrorCallback = [](ImGuiContext*, void* count, const char* text) {
      std::fprintf(stderr, "Dear ImGui: %s\n", text);
      ++*static_cast<int*>(count);
    };
    ImGui::GetCurrentContext()->ErrorCallbackUserData = &errors_;
    workspace_ = std::make_unique<Workspace>(
        WorkspaceOptions{.wake = [] {}, .scratch_parent = folder_ / "runs"});
    gui_ = std::make_unique<Gui>(*workspace_, settings_);
    gui_->next_layout = built_in_layouts().front();
  }

  ~NullWindow() {
    gui_.reset();
    workspace_.reset();
    ImGui_ImplNull_Shutdown();
    ImGui::DestroyContext();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  Gui& gui() { return *gui_; }
  Workspace& workspace() { return *workspace_; }
  Settings& settings() { return settings_; }

  // One frame of everything, or of what `draw` draws.
  template <typename Draw>
  const ImDrawData& frame(Draw&& draw) {
    prepare_frame(*gui_);
    ImGui_ImplNull_NewFrame();
    ImGui::GetIO().DisplaySize = size_;
    ImGui::NewFrame();
#ifdef IMGUI_ENABLE_TEST_ENGINE
    test::watch_ids();
#endif
    draw();
    ImGui::Render();
#ifdef IMGUI_ENABLE_TEST_ENGINE
    for (const std::string& conflict : test::take_id_conflicts()) {
      std::fprintf(stderr, "%s\n", conflict.c_str());
      ++errors_;
    }
#endif
    ImGui_ImplNullRender_RenderDrawData(ImGui::GetDrawData());
    return *ImGui::GetDrawData();
  }
  const ImDrawData& frame() {
    return frame([this] { draw_frame(*gui_); });
  }

  // Frames until nothing is left to be made.
  void settle() {
    for (int quiet = 0; quiet < 4;) {
      frame();
      const bool busy = workspace_->busy();
      quiet = busy || gui_->wants_frame() ? 0 : quiet + 1;
      if (busy) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }
    }
  }

  const std::filesystem::path& folder() const { return folder_; }  // of its own, removed with it
  void resize(ImVec2 size) { size_ = size; }
  int errors() const { return errors_; }  // said by Dear ImGui

 private:
  ImVec2 size_;
  int errors_ = 0;
  std::filesystem::path folder_;
  Settings settings_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<Gui> gui_;
};

}  // namespace kappascope::gui
