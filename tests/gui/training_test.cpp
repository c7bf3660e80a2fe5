// A training run watched while the real program trains: what its log and its folder gain is in the
// window without being opened again.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "app/gui/export_dialog.h"
#include "core/figure/training_figures.h"
#include "tests/gui/runs.h"

extern char** environ;

namespace kappascope::gui::test {

namespace fs = std::filesystem;

namespace {

// `kappascope train` of a tiny model into a folder; killed in the end.
class Training {
 public:
  Training(const fs::path& folder, const char* tokens, const Words& more = {}) {
    const fs::path source = source_folder();
    Words words = {KAPPASCOPE_PROGRAM,
                   "train",
                   "--text",
                   source / "docs" / "metrics.md",
                   "--tokenizer",
                   source / "assets" / "tokenizer",
                   "--layers",
                   "4",
                   "--width",
                   "32",
                   "--experts",
                   "4",
                   "--context",
                   "32",
                   "--batch",
                   "2",
                   "--threads",
                   "1",
                   "--kappa-delay",
                   "2",
                   "--kappa-warmup",
                   "3",
                   "--tokens",
                   tokens,
                   "--save-every",
                   "20",
                   "--eval-every",
                   "10",
                   "-o",
                   folder.string()};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) { arguments.push_back(word.data()); }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawn(&process_, arguments[0], &quiet, nullptr, arguments.data(), environ) != 0) {
      process_ = -1;
    }
    posix_spawn_file_actions_destroy(&quiet);
  }
  ~Training() { end(); }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  void hold() const { kill(process_, SIGSTOP); }
  void go_on() const { kill(process_, SIGCONT); }
  void end() {
    if (process_ < 0) { return; }
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = -1;
  }

 private:
  pid_t process_ = -1;
};

template <typename Condition>
void wait_until(Driver& driver, const char* what, const Condition& condition) {
  for (int i = 0; i < 1200; ++i) {
    if (condition()) { return; }
    driver.ctx->Yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  IM_ERRORF("not after a minute: %s", what);
}

// Chooses a step from the list of the first model in the panel Model.
void choose_step(Driver& driver, const std::string& step) {
  driver.gui().focus = "model";
  IM_CHECK(driver.settle());
  const int model = int(driver.workspace().models().front().id);
  click(driver, "the list of steps", [&](ImGuiWindow& window) {
    ImGuiContext& context = *ImGui::GetCurrentContext();
    for (int i = 0; i < context.Tables.GetMapSize(); ++i) {
      const ImGuiTable* table = context.Tables.TryGetMapData(i);
      if (!table || table->InnerWindow != &window) { continue; }
      const ImGuiID id = ImHashStr("###step", 0, ImHashData(&model, sizeof model, table->ID));
      if (driver.ctx->ItemExists(id)) { return id; }
    }
    return window.GetID("###none");
  });
  driver.ctx->ItemClick(("//$FOCUSED/" + step).c_str());
  IM_CHECK(driver.settle());
}

const LoggedRun* run_of(Driver& driver, std::size_t i = 0) {
  const TrainingState& training = *driver.workspace().training();
  return i < training.runs.size() ? training.runs[i].run.get() : nullptr;
}

std::int64_t step_of(Driver& driver) {
  const LoggedRun* run = run_of(driver);
  return run ? run->last_step() : 0;
}

}  // namespace

GUI_TEST(a_training_run_grows_in_the_window) {
  const fs::path folder = driver.folder / "book";
  Training training(folder, "6400000");
  wait_until(driver, "the second checkpoint",
             [&] { return fs::exists(folder / "model_000020.pt"); });
  training.hold();
  drop_path(driver.gui(), folder);
  Workspace& workspace = driver.workspace();
  wait_until(driver, "the run and its model",
             [&] { return run_of(driver) && !workspace.models().empty(); });
  IM_CHECK(driver.settle());
  IM_CHECK(driver.gui().shown["training"]);
  const OpenModel& open = workspace.models().front();
  const std::int64_t first = step_of(driver), opened = *open.model->files.step;
  const std::size_t steps = open.steps.size();
  IM_CHECK_GE(first, 20);
  IM_CHECK(driver.gui().training.views.count("train-loss") == 1);
  const auto points = [&] {
    const auto& shown = driver.gui().training.views["train-loss"].shown;
    return shown ? shown->figure.panels.at(0).lines.at(0).x.back() : 0;
  };
  IM_CHECK_EQ(points(), double(first));
  // One that is zoomed stays so while the others grow.
  FigureViewState& view = driver.gui().training.views["train-loss"];
  view.x.at(1) = {3, 7};
  training.go_on();
  wait_until(driver, "a new step in the list", [&] { return open.steps.size() > steps + 1; });
  wait_until(driver, "a longer curve", [&] { return points() > double(first); });
  IM_CHECK_EQ(view.x.at(1).low, 3.0);
  IM_CHECK_GE(view.x.at(0).high, points());
  IM_CHECK_EQ(*open.model->files.step, opened);  // what was chosen stays
  training.end();
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
  // The newest one is chosen from the list, in which one more may be found meanwhile.
  const std::int64_t newest = open.steps.back();
  choose_step(driver, count_text(newest));
  IM_CHECK_EQ(*workspace.models().front().model->files.step, newest);
  // A step that vanishes is one line, and the model stays.
  const std::int64_t gone = workspace.models().front().steps.front();
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename() == "model_000000.pt") { fs::remove(entry.path()); }
  }
  workspace.open(folder, gone);
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(1));
  IM_CHECK_EQ(workspace.models().size(), std::size_t(1));
  wait_until(driver, "a shorter list", [&] { return workspace.models()[0].steps.front() != gone; });
  // Nor does a folder that vanishes say more than a line for each of its files.
  const std::int64_t last = step_of(driver);
  fs::remove(folder / "train.jsonl");
  wait_until(driver, "the message", [&] { return workspace.messages().size() > 1; });
  driver.ctx->SleepNoSkip(2.5F, 0.05F);
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(2));
  IM_CHECK_EQ(step_of(driver), last);
}

GUI_TEST(a_pair_of_training_runs_is_drawn_together) {
  const fs::path pair = driver.folder / "pair";
  {
    Training training(pair, "1600", {"--twin", "kappa=off"});
    wait_until(driver, "the end of the second run",
               [&] { return fs::exists(pair / "kappa-off" / "model_000025.pt"); });
  }
  driver.resize(1024, 640);
  drop_path(driver.gui(), pair);
  Workspace& workspace = driver.workspace();
  wait_until(driver, "both runs", [&] { return run_of(driver, 1) != nullptr; });
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.models().size(), std::size_t(2));
  IM_CHECK_STR_EQ(workspace.current_model()->model->name().c_str(), "kappa");
  const auto& shown = driver.gui().training.views["train-loss"].shown;
  IM_CHECK(shown != nullptr);
  IM_CHECK_EQ(shown->figure.panels.at(0).lines.size(), std::size_t(2));
  IM_CHECK_STR_EQ(shown->figure.panels[0].lines[1].name.c_str(), "kappa-off");
  IM_CHECK(run_of(driver)->finished());
  IM_CHECK(run_of(driver)->has_kappa());
  IM_CHECK(!run_of(driver, 1)->has_kappa());
  IM_CHECK_EQ(driver.gui().training.views.count("train-budget"), std::size_t(0));
  for (const std::string& text : driver.cut_texts()) { IM_ERRORF("%s", text.c_str()); }
  const std::string command = export_command(driver.gui(), "train-load");
  IM_CHECK(command.find("/pair/kappa/train.jsonl ") != command.npos);
  IM_CHECK(command.find(" --figures train-load ") != command.npos);
  open_export_dialog(driver.gui(), "train-loss");
  IM_CHECK(driver.settle());
  driver.gui().exporting.folder = (driver.folder / "figures").string();
  driver.gui().exporting.formats = {FigureFormat::svg, FigureFormat::csv};
  driver.ctx->ItemClick("//$FOCUSED/###write");
  IM_CHECK(driver.settle());
  for (const char* name :
       {"train-loss.svg", "train-loss-kappa.csv", "train-loss-2-kappa-off.csv"}) {
    if (!fs::exists(driver.folder / "figures" / name)) { IM_ERRORF("%s is missing", name); }
  }
  driver.ctx->PopupCloseAll();
  workspace.close_training(pair / "kappa-off" / "train.jsonl");
  wait_until(driver, "one run", [&] { return workspace.training()->runs.size() == 1; });
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(1));  // of the export
}

}  // namespace kappascope::gui::test
