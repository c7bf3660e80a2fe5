// kappascope_gui_test NAME: runs one driven test in a window; --list names all.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "app/gui/layouts.h"
#include "app/gui/session.h"
#include "app/gui/window.h"
#include "tests/gui/cut_texts.h"
#include "tests/gui/gui_test.h"
#include "tests/gui/id_conflicts.h"

namespace kappascope::gui::test {

namespace fs = std::filesystem;

namespace {

std::vector<GuiTest>& all_tests() {
  static std::vector<GuiTest> tests;
  return tests;
}

constexpr int kMostSettlingFrames = 6000;

// A window with all that open_window() puts behind it, and the engine that drives it.
class TestWindow {
 public:
  explicit TestWindow(const GuiTest& test) : test_(test) {
    std::string pattern = (fs::temp_directory_path() / "kappascope-gui-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }

  ~TestWindow() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  bool run() {
    window_ = std::make_unique<Window>(WindowOptions{.width = 1600, .height = 1000});
    start();
    ImGuiTestEngine* engine = ImGuiTestEngine_CreateContext();
    ImGuiTestEngineIO& io = ImGuiTestEngine_GetIO(engine);
    io.ConfigRunSpeed = ImGuiTestRunSpeed_Fast;
    io.ConfigVerboseLevelOnError = ImGuiTestVerboseLevel_Info;
    io.ConfigLogToTTY = true;
    io.ConfigNoThrottle = true;
    io.ConfigSavedSettings = false;
    io.ConfigWatchdogWarning = io.ConfigWatchdogKillTest = 280;
    ImGuiTest* test = IM_REGISTER_TEST(engine, "gui", test_.name);
    test->TestFunc = [this](ImGuiTestContext* ctx) { drive(ctx); };
    ImGuiTestEngine_Start(engine, ImGui::GetCurrentContext());
    ImGuiTestEngine_QueueTest(engine, test);
    while (!ImGuiTestEngine_IsTestQueueEmpty(engine)) { frame(engine); }
    const bool passed = test->Output.Status == ImGuiTestStatus_Success && conflicts_ == 0;
    ImGuiTestEngine_Stop(engine);
    gui_.reset();
    workspace_.reset();
    window_.reset();
    ImGuiTestEngine_DestroyContext(engine);
    return passed;
  }

 private:
  void start() {
    settings_ = load_settings(settings_file());
    workspace_ = std::make_unique<Workspace>(
        WorkspaceOptions{.wake = Window::wake, .scratch_parent = folder_ / "runs"});
    gui_ = std::make_unique<Gui>(*workspace_, settings_);
    gui_->settings_file = settings_file();
    gui_->layout_to_load = settings_.last;
    Gui& gui = *gui_;
    window_->on_copy_refused([&gui](const std::string& why) { gui.workspace.say(true, why); });
  }

  fs::path settings_file() const { return folder_ / "config" / "settings.json"; }

  void frame(ImGuiTestEngine* engine) {
    window_->wait(0);
    if (restart_) {
      gui_.reset();
      workspace_.reset();
      start();
      restart_ = false;
    }
    prepare_frame(*gui_);
    bool looking = false;  // the test may ask for it in the middle of a frame
    window_->frame([&] {
      watch_ids();
      looking = look_at_texts_;
      if (looking) { watch_texts(); }
      draw_frame(*gui_);
    });
    if (looking) {
      cut_texts_ = take_cut_texts();
      look_at_texts_ = false;
    }
    for (const std::string& conflict : take_id_conflicts()) {
      std::fprintf(stderr, "%s\n", conflict.c_str());
      ++conflicts_;
    }
    ImGuiTestEngine_PostSwap(engine);
  }

  void drive(ImGuiTestContext* ctx) {
    Driver driver{ctx, [this]() -> Gui& { return *gui_; }, folder_, {}, {}, {}, window_.get()};
    driver.restart = [this, ctx] {
      settings_.last = current_layout(*gui_);
      save_settings(settings_, settings_file());
      restart_ = true;
      ctx->Yield(3);
    };
    driver.resize = [this, ctx](int width, int height) {
      window_->resize(width, height);
      ctx->Yield(5);
    };
    driver.cut_texts = [this, ctx] {
      look_at_texts_ = true;
      while (look_at_texts_) { ctx->Yield(); }
      return std::exchange(cut_texts_, {});
    };
    driver.settle();  // the first layout stands
    test_.run(driver);
  }

  const GuiTest& test_;
  fs::path folder_;
  Settings settings_;
  std::unique_ptr<Window> window_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<Gui> gui_;
  bool restart_ = false, look_at_texts_ = false;
  std::vector<std::string> cut_texts_;
  int conflicts_ = 0;  // ids that several items had
};

}  // namespace

bool add_test(GuiTest test) {
  all_tests().push_back(test);
  return true;
}

void open_demo(Driver& driver) {
  driver.workspace().open(source_folder() / "tests" / "figures" / "demo" / "trace.npz");
  IM_CHECK(driver.settle());
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path source_folder() {
  return KAPPASCOPE_SOURCE_DIR;
}

void restart_with_session(Driver& driver) {
  const fs::path file = driver.folder / "session.json";
  save_session(driver.gui(), file);
  driver.restart();
  restore_session(driver.gui(), file);
  IM_CHECK(driver.settle());
}

bool Driver::settle() {
  int quiet = 0;
  for (int i = 0; i < kMostSettlingFrames && quiet < 4; ++i) {
    ctx->Yield();
    quiet = workspace().busy() || gui().wants_frame() ? 0 : quiet + 1;
    if (workspace().busy()) { std::this_thread::sleep_for(std::chrono::milliseconds(10)); }
  }
  return quiet >= 4;
}

int run_test(const std::string& name) {
  for (const GuiTest& test : all_tests()) {
    if (test.name == name) { return TestWindow(test).run() ? 0 : 1; }
  }
  std::fprintf(stderr, "no test is called %s\n", name.c_str());
  return 2;
}

void list_tests() {
  for (const GuiTest& test : all_tests()) { std::printf("%s\n", test.name); }
}

}  // namespace kappascope::gui::test

int main(int count, char** words) {
  using namespace kappascope::gui::test;
  if (count == 2 && std::string(words[1]) == "--list") { return list_tests(), 0; }
  if (count == 2) { return run_test(words[1]); }
  std::fprintf(stderr, "usage: kappascope_gui_test NAME | --list\n");
  return 2;
}
