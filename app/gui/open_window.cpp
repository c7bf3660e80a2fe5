#include "app/gui/open_window.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "app/cli/command_line.h"
#include "app/cli/interrupts.h"
#include "app/gui/gui.h"
#include "app/gui/layouts.h"
#include "app/gui/panels.h"
#include "app/gui/window.h"
#include "core/checkpoint/input_file.h"

namespace kappascope {

namespace fs = std::filesystem;
using namespace gui;

namespace {

constexpr const char* kExamples = R"(
Examples:
  kappascope
  kappascope assets/d8-kappa -f assets/texts/prose.txt
  kappascope out/trace.npz
  kappascope --screenshot window.png --view kappa-tokens -p "Once upon a time" assets/d8-kappa)";

constexpr std::uint64_t kLongestText = std::uint64_t(64) << 20;
constexpr int kFramesAfterInput = 3;        // hover and layout settle over frames
constexpr double kSecondsAfterInput = 0.6;  // tooltips come late
constexpr double kFrameWhileMoving = 0.05;  // seconds: progress bars, tooltips
constexpr double kFrameWhileMaking = 0.15;  // what is made wakes the window when it is there
constexpr double kBlink = 0.4, kLongestSleep = 0.5;

struct WindowWords {
  std::vector<std::string> paths;
  std::string prompt, file, screenshot, size = "1600x1000", view, look = "dark";
  std::optional<std::int64_t> step;

  void add_to(CLI::App& app) {
    app.add_option("PATH", paths, "models, traces or folders of runs");
    app.add_option("-p,--prompt", prompt, "a text to run at once");
    app.add_option("-f,--file", file, "a UTF-8 file with the text to run at once");
    app.add_option("--step", step, "training step; the newest unless given")
        ->check(CLI::NonNegativeNumber);
    app.add_option("--screenshot", screenshot, "write a picture of the window and end");
    app.add_option("--size", size, "of the picture in pixels")->capture_default_str();
    app.add_option("--view", view, "panel or figure to bring to the front");
    app.add_option("--theme", look, "of the picture")->check(CLI::IsMember({"dark", "light"}));
  }

  void check() const {
    require(prompt.empty() || file.empty(), ExitCode::usage, {}, "expected one of -p and -f");
    require(view.empty() || has_view(), ExitCode::usage, {}, "no view is called '", view,
            "'; `kappascope plot --help` lists the figures");
    picture_size();
  }

  bool has_view() const {
    for (const gui::Panel& panel : panels())
      if (view == panel.id) return true;
    for (const FigureEntry& entry : figure_catalogue())
      if (view == entry.id) return true;
    return false;
  }

  std::pair<int, int> picture_size() const {
    int width = 0, height = 0;
    char rest = 0;
    const int read = std::sscanf(size.c_str(), "%dx%d%c", &width, &height, &rest);
    require(read == 2 && width >= 320 && height >= 240 && width <= 8192 && height <= 8192,
            ExitCode::usage, {}, "--size: expected WIDTHxHEIGHT from 320x240 to 8192x8192, found '",
            size, "'");
    return {width, height};
  }

  std::string text() const { return file.empty() ? prompt : read_text_file(file, kLongestText); }
};

// Where the traces of this process's runs lie; those of processes that are gone are removed.
fs::path runs_folder() {
  const fs::path cache = cache_folder();
  std::error_code error;
  for (fs::directory_iterator at(cache, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with("runs-")) continue;
    const long process = std::strtol(name.c_str() + 5, nullptr, 10);
    std::error_code ignored;
    if (process > 0 && kill(pid_t(process), 0) != 0 && errno == ESRCH)
      fs::remove_all(at->path(), ignored);
  }
  return cache / ("runs-" + std::to_string(getpid()));
}

// What is asked for on the command line, in turn: models and traces, then the run.
void open_asked(Gui& gui, const WindowWords& words, const std::string& text) {
  Workspace& workspace = gui.workspace;
  for (const std::string& path : words.paths) workspace.open(path, words.step);
  if (text.empty()) return;
  workspace.next_run.text = text;
  workspace.after_opening([&workspace] { workspace.run(); });
}

void show_view(Gui& gui, const std::string& view) {
  if (view.empty()) return;
  gui.shown[view] = true;
  gui.raise.push_back(view);
}

void start_layout(Gui& gui) {
  if (gui.settings.last.ini.empty())
    gui.next_layout = built_in_layouts().front();
  else
    gui.layout_to_load = gui.settings.last;
}

class OpenWindow {
 public:
  explicit OpenWindow(const WindowWords& words)
      : words_(words), runs_(runs_folder()), text_(words.text()) {
    interrupts_.protect(runs_, {});
  }

  ~OpenWindow() {
    std::error_code ignored;
    fs::remove_all(runs_, ignored);
    interrupts_.protect({}, {});
  }

  int picture() {
    const auto [width, height] = words_.picture_size();
    Window window({.width = width, .height = height, .visible = false});
    Settings settings;
    settings.dark = words_.look == "dark";
    Workspace workspace({.wake = Window::wake, .scratch_parent = runs_});
    Gui gui(workspace, settings);
    gui.next_layout = built_in_layouts().front();
    open_asked(gui, words_, text_);
    int settled = 0;
    for (int frames = 0; settled < 4; ++frames) {
      interrupts_.check();
      window.wait(workspace.busy() ? kFrameWhileMaking : 0);
      prepare_frame(gui);
      window.frame([&] { draw_frame(gui); });
      if (frames == 1) show_view(gui, words_.view);
      settled = workspace.busy() || gui.wants_frame() ? 0 : settled + 1;
      for (const Message& message : workspace.messages())
        if (message.code != ExitCode::ok) throw Error(message.code, message.text);
    }
    write_picture(words_.screenshot, window.pixels(), width, height);
    return int(ExitCode::ok);
  }

  int window() {
    const fs::path settings_file = config_folder() / "settings.json";
    Settings settings;
    Failure broken;
    try {
      settings = load_settings(settings_file);
    } catch (const Error& error) {
      broken = error.failure();
    }
    Window window({.width = settings.width, .height = settings.height});
    Workspace workspace({.wake = Window::wake, .scratch_parent = runs_});
    Gui gui(workspace, settings);
    if (broken) workspace.say(broken);
    workspace.on_opened = [&settings](const fs::path& path) { remember_recent(settings, path); };
    start_layout(gui);
    open_asked(gui, words_, text_);
    bool shown = false;
    int frames_left = kFramesAfterInput;
    double last_input = 0;
    while (!window.closing() && !gui.quit && !interrupts_.requested()) {
      const double now = ImGui::GetTime();
      const bool awake = frames_left > 0 || gui.wants_frame();
      const bool moving = workspace.loading() || now - last_input < kSecondsAfterInput;
      const double sleep = awake                          ? 0
                           : moving                       ? kFrameWhileMoving
                           : workspace.busy()             ? kFrameWhileMaking
                           : ImGui::GetIO().WantTextInput ? kBlink
                                                          : kLongestSleep;
      const bool input = window.wait(sleep);
      if (input) {
        frames_left = kFramesAfterInput;
        last_input = now;
      }
      // A timeout of the long sleep is no reason to draw.
      if (!input && sleep == kLongestSleep && workspace.nothing_to_take_over()) continue;
      --frames_left;
      gui.monitor_scale = window.content_scale();
      for (const fs::path& path : window.take_dropped()) drop_path(gui, path);
      prepare_frame(gui);
      window.frame([&] { draw_frame(gui); });
      if (!std::exchange(shown, true)) show_view(gui, words_.view);
    }
    settings.width = window.width();
    settings.height = window.height();
    settings.last = current_layout(gui);
    save_settings(settings, settings_file);
    if (!workspace.models().empty() || !workspace.traces().empty())
      save_session(gui, last_session_file());
    return interrupts_.requested() ? int(ExitCode::interrupted) : int(ExitCode::ok);
  }

 private:
  const WindowWords& words_;
  Interrupts interrupts_;  // before all that starts threads
  fs::path runs_;
  std::string text_;
};

}  // namespace

int open_window(const Arguments& arguments) {
  CLI::App app("The window: what the router, κ and the gates do with every token", "kappascope");
  app.footer(kExamples);
  WindowWords words;
  words.add_to(app);
  if (!parse_words(app, arguments.words)) return int(ExitCode::ok);
  words.check();
  OpenWindow open(words);
  return words.screenshot.empty() ? open.window() : open.picture();
}

}  // namespace kappascope
