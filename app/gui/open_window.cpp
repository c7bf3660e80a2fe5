#include "app/gui/open_window.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "app/cli/command_line.h"
#include "app/cli/interrupts.h"
#include "app/gui/gui.h"
#include "app/gui/layouts.h"
#include "app/gui/panels.h"
#include "app/gui/session_keeper.h"
#include "app/gui/user_folders.h"
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
constexpr int kFramesToSettle = 3;          // hover, layout, a new figure and its header
constexpr double kSecondsAfterInput = 0.6;  // tooltips appear late
constexpr double kFrameWhileMoving = 0.05;  // seconds: progress bars, tooltips
constexpr double kFrameWhileMaking = 0.15;  // what is made wakes the window when it is there
constexpr double kBlink = 0.4, kLongestSleep = 0.5;

struct WindowWords {
  std::vector<std::string> paths;
  std::string prompt, file, screenshot, size = "1600x1000", view, look = "dark";
  std::optional<std::int64_t> step;

  void add_to(CLI::App& app) {
    app.add_option("PATH", paths,
                   "models, traces, folders of runs, of training runs, a session or a text");
    app.add_option("-p,--prompt", prompt, "a text to run at once");
    app.add_option("-f,--file", file, "a UTF-8 file with the text to run at once");
    app.add_option("--step", step, "training step; the newest unless given")
        ->check(at_least_zero());
    app.add_option("--screenshot", screenshot, "write a picture of the window and end");
    app.add_option("--size", size, "of the picture in pixels")->capture_default_str();
    app.add_option("--view", view, "panel or figure to bring to the front");
    app.add_option("--theme", look, "of the picture")->check(CLI::IsMember({"dark", "light"}));
  }

  void check() const {
    require(prompt.empty() || file.empty(), ExitCode::usage, {}, "expected one of -p and -f");
    require(view.empty() || has_view(), ExitCode::usage, {}, "no view has the name '", view,
            "'; `kappascope plot --help` lists the figures");
    picture_size();
  }

  bool has_view() const {
    for (const DockPanel& panel : panels()) {
      if (view == panel.id) { return true; }
    }
    for (const FigureEntry& entry : figure_catalogue()) {
      if (view == entry.id) { return true; }
    }
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

// The text of the command line, once all that it names is open.
void run_asked(Gui& gui) {
  Workspace& workspace = gui.workspace;
  if (!workspace.can_run()) {
    const OpenModel* model = workspace.current_model();
    return workspace.say(Failure{
        ExitCode::usage, model ? model->model->name() + ": no tokenizer was found, so the text "
                                                        "cannot be run"
                               : "no model is open that could run the text"});
  }
  workspace.run();
  workspace.after_opening([&workspace] {
    if (!workspace.traces().empty() && workspace.traces().back().run) {
      workspace.trace(workspace.traces().back().id)->asked = true;
    }
  });
}

// What is asked for on the command line, in turn: models and traces, then the run.
void open_asked(Gui& gui, const WindowWords& words, const std::string& text) {
  for (const std::string& path : words.paths) {
    if (path.ends_with(".json") || path.ends_with(".txt")) {
      drop_path(gui, path);
    } else {
      gui.workspace.open(path, words.step);
    }
  }
  if (text.empty()) { return; }
  gui.workspace.next_run.text = text;
  gui.workspace.next_run.source = words.file == "-" ? "standard input" : words.file;
  gui.workspace.after_opening([&gui] { run_asked(gui); });
}

void show_view(Gui& gui, const std::string& view) {
  if (view.empty()) { return; }
  gui.shown[view] = true;
  gui.raise.push_back(view);
  gui.asked_view = view;
  gui.training.raise = false;  // another view was asked for
}

void warn(const std::string& text) {
  std::fprintf(stderr, "kappascope: warning: %s\n", text.c_str());
}

// What must not be lost although something cannot be written.
template <typename Write>
void write_or(Failure& failure, Write&& write) {
  try {
    write();
  } catch (...) { failure = failure_in_flight(); }
}

class OpenWindow {
 public:
  explicit OpenWindow(const WindowWords& words)
      : words_(words),
        folders_(user_folders()),
        runs_(folders_.scratch, "runs"),
        text_(words.text()) {
    interrupts_.protect(runs_.path(), {});
    std::error_code ignored;
    for (const fs::path& folder : runs_.left_behind()) { fs::remove_all(folder, ignored); }
    if (!folders_.warning.empty()) { warn(folders_.warning); }
  }

  ~OpenWindow() { interrupts_.protect({}, {}); }

  int picture() {
    const auto [width, height] = words_.picture_size();
    Window window({.width = width, .height = height, .visible = false});
    Settings settings;
    settings.dark = words_.look == "dark";
    Workspace workspace({.wake = Window::wake, .scratch_parent = runs_.path()});
    Gui gui(workspace, settings);
    gui.next_layout = built_in_layouts().front();
    open_asked(gui, words_, text_);
    int settled = 0;
    for (int frames = 0; settled < 4; ++frames) {
      interrupts_.check();
      window.wait(workspace.busy() ? kFrameWhileMaking : 0);
      prepare_frame(gui);
      window.frame([&] { draw_frame(gui); });
      if (frames == 1) { show_view(gui, words_.view); }
      settled = workspace.busy() || gui.wants_frame() ? 0 : settled + 1;
      for (const Message& message : workspace.messages()) {
        if (message.code != ExitCode::ok) { throw Error(message.code, message.text); }
      }
    }
    write_picture(words_.screenshot, window.pixels(), width, height);
    return int(ExitCode::ok);
  }

  int window() {
    SessionKeeper keeper(folders_.sessions);
    Settings settings;
    Failure broken;
    write_or(broken, [&] { settings = load_settings(folders_.settings); });
    Window window({.width = settings.width, .height = settings.height});
    Workspace workspace({.wake = Window::wake, .scratch_parent = runs_.path()});
    Gui gui(workspace, settings);
    gui.settings_file = folders_.settings;
    gui.last_session = keeper.last_session();
    gui.session_offer = session_summary(gui.last_session);
    if (broken) { workspace.say(broken); }
    if (!folders_.warning.empty()) { workspace.say(false, folders_.warning); }
    workspace.on_opened = [&gui](const fs::path& path) {
      change_settings(gui, [&](Settings& kept) { remember_recent(kept, path); });
    };
    window.on_copy_refused([&workspace](const std::string& why) { workspace.say(true, why); });
    window.on_lost_display([&] { end_without_display(gui, keeper); });
    gui.layout_to_load = settings.last;
    open_asked(gui, words_, text_);
    loop(window, gui, keeper);
    return finish(window, gui, keeper);
  }

 private:
  void loop(Window& window, Gui& gui, SessionKeeper& keeper) {
    Workspace& workspace = gui.workspace;
    bool shown = false;
    int frames_left = kFramesToSettle;
    double last_input = 0;
    while (!gui.quit && !interrupts_.requested()) {
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
        frames_left = kFramesToSettle;
        last_input = now;
      }
      keeper.keep(gui, seconds_now());
      // A timeout of the long sleep is no reason to draw.
      if (!input && sleep == kLongestSleep && workspace.nothing_to_take_over()) { continue; }
      --frames_left;
      gui.monitor_scale = window.content_scale();
      for (const fs::path& path : window.take_dropped()) { drop_path(gui, path); }
      if (window.take_close_request()) { ask_to_quit(gui); }
      if (prepare_frame(gui) || gui.wants_frame()) { frames_left = kFramesToSettle; }
      window.frame([&] { draw_frame(gui); });
      if (!std::exchange(shown, true)) { show_view(gui, words_.view); }
    }
  }

  static double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  int finish(const Window& window, Gui& gui, SessionKeeper& keeper) {
    Failure failure;
    write_or(failure, [&] { keeper.finish(gui); });
    write_or(failure, [&] {
      const Settings now = gui.settings;
      const Layout last = current_layout(gui);
      update_settings(gui.settings, gui.settings_file, [&](Settings& kept) {
        kept.dark = now.dark;
        kept.scale = now.scale;
        kept.width = window.width();
        kept.height = window.height();
        kept.last = last;
      });
    });
    if (failure) { throw Error(failure); }
    return interrupts_.requested() ? int(ExitCode::interrupted) : int(ExitCode::ok);
  }

  // The process ends in here: without its display there is no way back.
  [[noreturn]] void end_without_display(const Gui& gui, SessionKeeper& keeper) {
    Failure failure;
    write_or(failure, [&] { keeper.finish(gui); });
    remove_unfinished(runs_.path(), {});
    std::fprintf(stderr, "kappascope: the connection to the display was lost; %s\n",
                 failure                         ? failure.message.c_str()
                 : keeper.last_session().empty() ? "sessions are not kept"
                                                 : "the next start offers what was open and typed");
    std::fflush(nullptr);
    _exit(int(ExitCode::gpu));
  }

  const WindowWords& words_;
  Interrupts interrupts_;  // before all that starts threads
  UserFolders folders_;
  HeldFolder runs_;
  std::string text_;
};

}  // namespace

int open_window(const Arguments& arguments) {
  CLI::App app("The window: what the router, κ and the gates do with every token", "kappascope");
  app.footer(kExamples);
  WindowWords words;
  words.add_to(app);
  if (!parse_words(app, arguments.words, WordsOf::window)) { return int(ExitCode::ok); }
  words.check();
  OpenWindow open(words);
  return words.screenshot.empty() ? open.window() : open.picture();
}

}  // namespace kappascope
