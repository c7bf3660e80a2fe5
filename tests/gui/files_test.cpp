// Opening, running, cancelling, dropping, sessions.
#include <chrono>
#include <fstream>
#include <thread>

#include "app/gui/session.h"
#include "tests/gui/gui_test.h"

namespace kappascope::gui::test {

namespace fs = std::filesystem;

namespace {

fs::path model_folder() {
  return source_folder() / "assets" / "d8-kappa";
}

fs::path demo_trace() {
  return source_folder() / "tests" / "figures" / "demo" / "trace.npz";
}

bool engine_is_mapped() {
  return read_file("/proc/self/maps").find("libkappascope_engine") != std::string::npos;
}

// Opens the shipped model and runs a text through it.
void run_text(Driver& driver, const std::string& text) {
  if (driver.workspace().models().empty()) { driver.workspace().open(model_folder()); }
  IM_CHECK(driver.settle());
  driver.workspace().next_run.text = text;
  driver.workspace().run();
  IM_CHECK(driver.settle());
}

// Runs a text of minutes and waits until tokens were run.
void start_long_run(Driver& driver) {
  Workspace& workspace = driver.workspace();
  workspace.open(model_folder());
  IM_CHECK(driver.settle());
  std::string text;
  while (text.size() < 200000) {
    text += "The king went out to see what had become of his garden. ";
  }
  workspace.next_run = {.text = text, .window = true};
  workspace.run();
  IM_CHECK_NE(workspace.run_job(), JobId(0));
  for (;;) {
    const auto jobs = workspace.long_jobs().status();
    IM_CHECK(!jobs.empty());
    if (jobs.front().stage == Stage::prefill && jobs.front().done > 0) {
      IM_CHECK_LT(jobs.front().total, text.size());  // tokens of more than a byte
      break;
    }
    driver.ctx->Yield();
  }
}

}  // namespace

GUI_TEST(opens_and_runs_without_torch_before_the_run) {
  Workspace& workspace = driver.workspace();
  workspace.open(demo_trace());
  workspace.open(model_folder());
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
  IM_CHECK_EQ(workspace.models().size(), std::size_t(1));
  IM_CHECK_NO_RET(!engine_is_mapped());
  driver.ctx->SetRef("###text");
  driver.ctx->ItemClick("**/###input");
  driver.ctx->KeyCharsReplace("Once upon a time");
  driver.ctx->ItemClick("**/###run");
  IM_CHECK(driver.settle());
  IM_CHECK(engine_is_mapped());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  const Trace& trace = *workspace.current_trace();
  IM_CHECK_EQ(trace.token_id[0], workspace.current_model()->tokenizer->bos());
  IM_CHECK_GT(trace.tokens, 3);
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
}

GUI_TEST(a_broken_file_leaves_what_is_open) {
  Workspace& workspace = driver.workspace();
  workspace.open(demo_trace());
  IM_CHECK(driver.settle());
  const Subject before = workspace.selection();
  const fs::path broken = driver.folder / "trace.npz";
  std::ofstream(broken) << read_file(demo_trace()).substr(0, 5000);
  workspace.open(broken);
  workspace.open(driver.folder / "missing.npz");
  workspace.open(source_folder() / "README.md");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(3));
  IM_CHECK_EQ(int(workspace.messages()[0].code), int(ExitCode::damaged));
  IM_CHECK_EQ(int(workspace.messages()[1].code), int(ExitCode::io));
  for (const Message& message : workspace.messages()) {
    IM_CHECK(message.text.find('\n') == std::string::npos);
  }
  IM_CHECK(workspace.selection() == before);
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
}

GUI_TEST(a_cancelled_run_leaves_nothing) {
  start_long_run(driver);
  Workspace& workspace = driver.workspace();
  driver.ctx->ItemClick("//###text/**/###cancel");
  IM_CHECK_EQ(workspace.run_job(), JobId(0));
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(0));
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
  for (const auto& entry : fs::recursive_directory_iterator(driver.folder / "runs")) {
    IM_CHECK(!entry.is_regular_file());
  }
  run_text(driver, "And after that it runs again.");
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(1));
}

GUI_TEST(a_job_is_cancelled_in_the_list_of_jobs) {
  driver.gui().shown["messages"] = true;
  driver.ctx->Yield(2);
  driver.gui().focus = "messages";
  start_long_run(driver);
  driver.ctx->ItemClick("//###messages/**/###cancel");
  IM_CHECK_EQ(driver.workspace().run_job(), JobId(0));
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(driver.workspace().traces().size(), std::size_t(0));
}

GUI_TEST(ctrl_q_quits_from_a_text_field_and_during_a_run) {
  start_long_run(driver);
  driver.ctx->ItemClick("//###text/**/###input");
  driver.ctx->KeyCharsReplace("q");
  IM_CHECK(!driver.gui().quit);
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_Q);
  IM_CHECK(driver.gui().quit);
  IM_CHECK_STR_EQ(driver.workspace().next_run.text.c_str(), "q");
  IM_CHECK_NE(driver.workspace().run_job(), JobId(0));
  driver.restart();  // closes all as the program does then
  IM_CHECK(fs::is_empty(driver.folder / "runs"));
}

GUI_TEST(every_format_can_be_dropped) {
  Workspace& workspace = driver.workspace();
  drop_path(driver.gui(), model_folder());
  drop_path(driver.gui(), source_folder() / "assets" / "d4-kappa");
  drop_path(driver.gui(), demo_trace());
  drop_path(driver.gui(), demo_trace().parent_path());
  drop_path(driver.gui(), source_folder() / "assets" / "texts" / "prose.txt");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.models().size(), std::size_t(2));
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  IM_CHECK_STR_EQ(workspace.next_run.text.c_str(),
                  read_file(source_folder() / "assets" / "texts" / "prose.txt").c_str());
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
}

GUI_TEST(a_session_is_restored_in_a_new_window) {
  run_text(driver, "A session remembers this text.");
  driver.workspace().open(demo_trace());
  IM_CHECK(driver.settle());
  ViewState view = driver.workspace().view();
  view.selection.token = 3;
  view.selection.row = 1;
  view.selection.expert = 2;
  view.token_colour = "kappa";
  view.colour_by_layer = true;
  driver.workspace().set_view(view);
  driver.gui().shown["gate-top16"] = true;
  driver.ctx->Yield(3);
  const fs::path file = driver.folder / "study" / "session.json";
  save_session(driver.gui(), file);
  const std::string text = read_file(file);
  IM_CHECK(text.find("\"/") == std::string::npos);  // no absolute path

  driver.restart();
  IM_CHECK_EQ(driver.workspace().traces().size(), std::size_t(0));
  restore_session(driver.gui(), file);
  IM_CHECK(driver.settle());
  const Workspace& workspace = driver.workspace();
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(0));
  IM_CHECK_EQ(workspace.models().size(), std::size_t(1));
  IM_CHECK_EQ(workspace.traces().size(), std::size_t(2));
  IM_CHECK_STR_EQ(workspace.next_run.text.c_str(), "A session remembers this text.");
  IM_CHECK_EQ(workspace.selection().token, 3);
  IM_CHECK_EQ(workspace.selection().row, 1);
  IM_CHECK_EQ(workspace.selection().expert, 2);
  IM_CHECK_STR_EQ(workspace.view().token_colour.c_str(), "kappa");
  IM_CHECK(workspace.view().colour_by_layer);
  IM_CHECK(driver.gui().shown["gate-top16"]);
}

GUI_TEST(hostile_sessions_are_one_message) {
  const fs::path file = driver.folder / "session.json";
  int said = 0;
  for (const char* text : {"", "{", "[]", "{\"schema\": \"kappascope.session/9\"}",
                           "{\"schema\": \"kappascope.session/1\", \"models\": 7, \"view\": [], "
                           "\"traces\": [{\"path\": 3}, {\"run\": {}}], \"layout\": null}"}) {
    std::ofstream(file) << text;
    restore_session(driver.gui(), file);
    IM_CHECK(driver.settle());
    IM_CHECK_GE(int(driver.workspace().messages_said()), said);
    said = int(driver.workspace().messages_said());
  }
  IM_CHECK_GE(said, 4);
  IM_CHECK_EQ(driver.workspace().traces().size(), std::size_t(0));
}

}  // namespace kappascope::gui::test
