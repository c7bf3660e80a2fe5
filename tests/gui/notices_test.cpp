// Errors until they were seen, the dialog that asks for a path, what the clipboard carries.
#include <cstdio>
#include <fstream>
#include <future>

#include "app/gui/path_dialog.h"
#include "app/gui/picture_clipboard.h"
#include "core/engine/memory_plan.h"
#include "tests/gui/gui_test.h"

namespace kappascope::gui::test {

namespace fs = std::filesystem;

namespace {

bool is_shown(Driver& driver, const char* window) {
  const ImGuiWindow* found = driver.ctx->WindowInfo(window, ImGuiTestOpFlags_NoError).Window;
  return found && found->Active;
}

void open_dialog(Driver& driver) {
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_O);
  driver.ctx->Yield(3);
  IM_CHECK(driver.gui().path_dialog.open);
}

std::string typed(Driver& driver) {
  return driver.gui().path_dialog.typed;
}

}  // namespace

GUI_TEST(errors_are_shown_until_they_were_seen) {
  Workspace& workspace = driver.workspace();
  IM_CHECK(!is_shown(driver, "//###errors"));
  workspace.open(driver.folder / "missing.npz");
  workspace.open(driver.folder / "absent.npz");
  IM_CHECK(driver.settle());
  driver.ctx->Yield(120);
  IM_CHECK(is_shown(driver, "//###errors"));
  driver.ctx->ItemClick("//###errors/###close");  // the first; the second waits
  driver.ctx->Yield(3);
  IM_CHECK(is_shown(driver, "//###errors"));
  driver.ctx->ItemClick("//###errors/###all");
  for (int i = 0; i < 1000 && is_shown(driver, "//###errors"); ++i) {
    driver.ctx->SleepNoSkip(0.01F, 0.01F);
  }
  IM_CHECK(!is_shown(driver, "//###errors"));
  IM_CHECK_EQ(driver.gui().messages_seen, workspace.messages_said());
}

GUI_TEST(errors_speak_the_words_of_the_window) {
  Workspace& workspace = driver.workspace();
  workspace.open(source_folder() / "assets" / "d8-kappa");
  IM_CHECK(driver.settle());
  std::string text;
  while (text.size() < 60000) {
    text += "The king went out to see what had become of his garden. ";
  }
  workspace.next_run = {.text = text};
  workspace.run();
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(workspace.messages().size(), std::size_t(1));
  const std::string& said = workspace.messages().back().text;
  IM_CHECK_STR_EQ(said.find("--") == std::string::npos ? "" : said.c_str(), "");
  IM_CHECK(said.find("tick Window") != std::string::npos);
}

GUI_TEST(what_a_gpu_cannot_do_is_offered_the_cpu) {
  Workspace& workspace = driver.workspace();
  workspace.open(source_folder() / "assets" / "d4-kappa");
  IM_CHECK(driver.settle());
  OpenModel& open = *workspace.current_model();
  IM_CHECK(!open.device.empty());
  IM_CHECK(open.memory.starts_with("weights "));
  workspace.next_run = {.text = "Once upon a time"};
  // As the engine says it where there is such a GPU.
  workspace.say({ExitCode::memory, "GPU memory: too little", Remedy::stream_or_use_cpu}, open.id);
  driver.ctx->Yield(3);
  IM_CHECK_STR_EQ(workspace.messages().back().text.c_str(), "GPU memory: too little");
  driver.ctx->ItemClick("//###errors/###cpu");
  IM_CHECK(driver.settle());
  IM_CHECK(workspace.current_trace() != nullptr);
  IM_CHECK(open.loaded_as.device == ComputeDevice::cpu);
  IM_CHECK_STR_EQ(open.device.c_str(), "cpu");
  IM_CHECK(!is_shown(driver, "//###errors"));
  workspace.say({ExitCode::unsupported, "gate-keep: it does not act on a GPU", Remedy::use_cpu},
                open.id);
  driver.ctx->Yield(3);
  IM_CHECK(driver.ctx->ItemExists("//###errors/###cpu"));
  driver.ctx->ItemClick("//###errors/###close");
  workspace.say({ExitCode::memory, "memory: too little"}, open.id);
  driver.ctx->Yield(3);
  IM_CHECK(is_shown(driver, "//###errors"));
  IM_CHECK(!driver.ctx->ItemExists("//###errors/###cpu"));
}

GUI_TEST(tab_completes_a_path_and_typing_narrows) {
  fs::create_directories(driver.folder / "runs-one");
  fs::create_directories(driver.folder / "runs-two");
  fs::create_directories(driver.folder / "Other");
  fs::copy_file(source_folder() / "tests" / "figures" / "demo" / "trace.npz",
                driver.folder / "runs-one" / "trace.npz");
  const std::string folder = driver.folder.string() + "/";
  open_dialog(driver);
  driver.ctx->KeyCharsReplace(folder.c_str());
  IM_CHECK(driver.settle());
  driver.ctx->KeyChars("run");
  driver.ctx->Yield(2);
  IM_CHECK_EQ(driver.gui().path_dialog.found.size(), std::size_t(2));
  driver.ctx->KeyPress(ImGuiKey_Tab);
  driver.ctx->Yield(2);
  IM_CHECK_STR_EQ(typed(driver).c_str(), (folder + "runs-").c_str());
  driver.ctx->KeyChars("o");
  driver.ctx->KeyPress(ImGuiKey_Tab);
  driver.ctx->Yield(2);
  IM_CHECK_STR_EQ(typed(driver).c_str(), (folder + "runs-one/").c_str());
  IM_CHECK(driver.settle());
  driver.ctx->KeyPress(ImGuiKey_DownArrow);
  driver.ctx->KeyPress(ImGuiKey_Enter);
  IM_CHECK(driver.settle());
  IM_CHECK(!driver.gui().path_dialog.open);
  IM_CHECK_EQ(driver.workspace().traces().size(), std::size_t(1));
}

GUI_TEST(a_wrong_path_says_so_and_stays) {
  open_dialog(driver);
  const std::string wrong = (driver.folder / "no such" / "trace.npz").string();
  driver.ctx->KeyCharsReplaceEnter(wrong.c_str());
  IM_CHECK(driver.settle());
  IM_CHECK(driver.gui().path_dialog.open);
  IM_CHECK_STR_EQ(typed(driver).c_str(), wrong.c_str());
  IM_CHECK(driver.gui().path_dialog.problem.find(driver.folder.string()) != std::string::npos);
  IM_CHECK_EQ(driver.workspace().messages().size(), std::size_t(0));
  std::ofstream(driver.folder / "notes.txt") << "no trace";
  driver.ctx->ItemClick("//###path/###typed");
  driver.ctx->KeyCharsReplaceEnter((driver.folder / "notes.txt").c_str());
  driver.ctx->Yield(2);
  IM_CHECK(driver.gui().path_dialog.open);
  IM_CHECK(!driver.gui().path_dialog.problem.empty());
  // Corrected where it is: the field still has the keys.
  driver.ctx->KeyCharsReplaceEnter((source_folder() / "assets" / "d4-kappa").c_str());
  IM_CHECK(driver.settle());
  IM_CHECK(!driver.gui().path_dialog.open);
  IM_CHECK_EQ(driver.workspace().models().size(), std::size_t(1));
}

GUI_TEST(models_and_traces_are_marked) {
  const FolderListing listing = list_folder(source_folder() / "assets");
  int models = 0;
  for (const FolderListing::Entry& entry : listing.entries) {
    if (entry.kind == EntryKind::model) { ++models; }
    if (entry.name == "d8-kappa") { IM_CHECK_STR_EQ(entry.mark.c_str(), "model, step 4,800"); }
    if (entry.name == "tokenizer") { IM_CHECK(entry.kind == EntryKind::folder); }
  }
  IM_CHECK_GE(models, 2);
  const FolderListing figures = list_folder(source_folder() / "tests" / "figures");
  for (const FolderListing::Entry& entry : figures.entries) {
    if (entry.name == "demo") { IM_CHECK(entry.kind == EntryKind::trace); }
  }
  IM_CHECK(!list_folder(driver.folder / "missing").problem.empty());

  // A newer step without its meta is not the one that opens.
  const fs::path copied = driver.folder / "models" / "d4";
  fs::create_directories(copied.parent_path());
  fs::copy(source_folder() / "assets" / "d4-kappa", copied);
  std::ofstream(copied / "model_009999.pt") << "half";
  IM_CHECK_STR_EQ(list_folder(copied.parent_path()).entries.at(0).mark.c_str(),
                  "model, step 4,800");
}

GUI_TEST(too_long_a_text_is_not_given_to_the_clipboard) {
  const std::string small(100000, 'k'), large(18 << 20, 'x');
  Window& window = *driver.window;
  window.copy(small.c_str());
  window.copy(large.c_str());
  IM_CHECK_EQ(driver.workspace().messages().size(), std::size_t(1));
  IM_CHECK(driver.workspace().messages().back().text.find("save it as a file") !=
           std::string::npos);
  IM_CHECK_EQ(std::string_view(window.pasted()).size(), large.size());
  // Another program asks for the clipboard: the window answers, with what was small enough.
  auto asked = std::async(std::launch::async, [] {
    std::size_t bytes = 0;
    if (FILE* pipe = popen("xclip -selection clipboard -o", "r")) {
      char block[65536];
      while (const std::size_t got = fread(block, 1, sizeof block, pipe)) { bytes += got; }
      pclose(pipe);
    }
    return bytes;
  });
  while (asked.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    driver.ctx->Yield();
  }
  IM_CHECK_EQ(asked.get(), small.size());
  window.copy("short");
  IM_CHECK_STR_EQ(window.pasted(), "short");
}

}  // namespace kappascope::gui::test
