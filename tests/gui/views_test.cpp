// Figures and cards: every view, clicks that select, files that are exported.
#include <imgui_internal.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "app/gui/find_bar.h"
#include "app/gui/layouts.h"
#include "tests/gui/gui_test.h"

namespace kappascope::gui::test {

namespace fs = std::filesystem;

namespace {

// Brings a panel to the front; its window.
ImGuiWindow* show(Driver& driver, const std::string& id) {
  driver.gui().shown[id] = true;
  driver.ctx->Yield(2);
  driver.gui().focus = id;
  driver.settle();
  return driver.ctx->WindowInfo(("//###" + id).c_str()).Window;
}

// All that lies in a folder, by path.
std::map<std::string, std::string> files_in(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    files[entry.path().string()] = entry.is_directory() ? "" : read_file(entry.path());
  }
  return files;
}

// A folder where files of the user's lie, "mine" in each.
fs::path folder_with(const Driver& driver, std::initializer_list<const char*> names) {
  const fs::path folder = driver.folder / "export";
  fs::create_directories(folder);
  for (const char* name : names) { std::ofstream(folder / name) << "mine"; }
  return folder;
}

// The dialog for a view, or for all: "".
void ask_for_export(Driver& driver, const std::string& figure, FigureFormat format,
                    const fs::path& folder) {
  open_export_dialog(driver.gui(), figure);
  driver.ctx->Yield(3);
  driver.gui().exporting.formats = {format};
  driver.gui().exporting.folder = folder.string();
  driver.ctx->Yield(2);
}

// Presses "Export", which is "Replace" once that was asked, and waits for what comes of it. Not so
// soon after the last press that both are a double click.
void confirm_export(Driver& driver) {
  driver.ctx->SleepNoSkip(2 * ImGui::GetIO().MouseDoubleClickTime, 0.1f);
  driver.ctx->ItemClick("//$FOCUSED/###write");
  IM_CHECK(driver.settle());
}

}  // namespace

GUI_TEST(every_view_can_be_shown) {
  open_demo(driver);
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string id(entry.id);
    const ImGuiWindow* window = show(driver, id);
    IM_CHECK(window != nullptr);
    IM_CHECK_SILENT(window->Active && !window->Hidden);
    const FigurePanelState& state = driver.gui().figures[id];
    if (entry.several == Several::difference ||
        entry.series) {  // of one trace: it says what is needed
      IM_CHECK(state.view.shown == nullptr);
      continue;
    }
    IM_CHECK(state.view.shown != nullptr);
    IM_CHECK_STR_EQ(state.view.shown->failure.message.c_str(), "");
  }
}

GUI_TEST(a_click_in_a_figure_selects_everywhere) {
  open_demo(driver);
  Workspace& workspace = driver.workspace();
  workspace.pick({.token = 0});
  const ImGuiWindow* window = show(driver, "kappa-tokens");
  IM_CHECK(window != nullptr);
  const Subject before = workspace.selection();
  driver.ctx->MouseMoveToPos(
      {window->Pos.x + 0.7f * window->Size.x, window->Pos.y + 0.45f * window->Size.y});
  driver.ctx->MouseClick();
  IM_CHECK(driver.settle());
  const Subject after = workspace.selection();
  IM_CHECK_NE(after.token, before.token);
  const Trace& trace = *workspace.current_trace();
  const TraceLayer layer(trace, after.row);
  IM_CHECK_EQ(after.expert, layer.expert(after.token * trace.slots));
  IM_CHECK(workspace.token_card() != nullptr);
  IM_CHECK_EQ(workspace.token_card()->token, after.token);
  IM_CHECK(workspace.expert_card() != nullptr);
  IM_CHECK_EQ(workspace.expert_card()->expert, after.expert);
  IM_CHECK(workspace.can_go_back());
}

GUI_TEST(the_wheel_zooms_and_a_double_click_shows_all) {
  open_demo(driver);
  const ImGuiWindow* window = show(driver, "kappa-tokens");
  IM_CHECK(window != nullptr);
  const auto span = [&] {
    const FigureViewState& view = driver.gui().figures["kappa-tokens"].view;
    return view.x[0].high - view.x[0].low;
  };
  const double all = span();
  driver.ctx->MouseMoveToPos(
      {window->Pos.x + 0.6f * window->Size.x, window->Pos.y + 0.45f * window->Size.y});
  driver.ctx->MouseWheelY(3);
  driver.ctx->Yield(3);
  IM_CHECK_LT(span(), all);
  // Seconds: a busy machine draws the frames between the two slowly.
  ImGui::GetIO().MouseDoubleClickTime = 60;
  driver.ctx->MouseDoubleClick();
  driver.ctx->Yield(3);
  IM_CHECK_EQ(span(), all);
}

GUI_TEST(each_format_can_be_exported) {
  open_demo(driver);
  const fs::path folder = driver.folder / "export";
  for (const auto& [format, begin] : {std::pair{FigureFormat::svg, "<?xml"},
                                      {FigureFormat::pdf, "%PDF"},
                                      {FigureFormat::eps, "%!PS"},
                                      {FigureFormat::png, "\x89PNG"},
                                      {FigureFormat::csv, "run,"}}) {
    ask_for_export(driver, "kappa-tokens", format, folder);
    driver.gui().exporting.style.width_mm = 85;
    confirm_export(driver);
    IM_CHECK(!driver.gui().exporting.failed);
    const std::string text =
        read_file(folder / join_words("kappa-tokens.", figure_extension(format)));
    IM_CHECK_STR_EQ(text.substr(0, std::string(begin).size()).c_str(), begin);
    driver.ctx->PopupCloseAll();
  }
}

GUI_TEST(several_formats_and_the_tokens_in_sight_are_exported) {
  open_demo(driver);
  const fs::path folder = driver.folder / "zoomed";
  const ImGuiWindow* window = show(driver, "kappa-tokens");
  driver.ctx->MouseMoveToPos(
      {window->Pos.x + 0.6f * window->Size.x, window->Pos.y + 0.45f * window->Size.y});
  driver.ctx->MouseWheelY(6);
  driver.ctx->Yield(3);
  // All figures of the trace show the same tokens.
  const TokenRange seen = tokens_in_sight(driver.gui(), "kappa-tokens");
  IM_CHECK(!seen.all());
  show(driver, "loss");
  IM_CHECK(tokens_in_sight(driver.gui(), "loss") == seen);
  const AxisSpan loss = driver.gui().figures["loss"].view.x[0];
  IM_CHECK_LT(loss.high - loss.low, 40.0);
  ask_for_export(driver, "kappa-tokens", FigureFormat::pdf, folder);
  driver.ctx->ItemClick("//$FOCUSED/###csv");
  driver.ctx->ItemClick("//$FOCUSED/###in_sight");
  confirm_export(driver);
  IM_CHECK_EQ(files_in(folder).size(), std::size_t(2));
  std::size_t rows = 0;
  for (const auto& [name, text] : files_in(folder)) {
    if (name.ends_with(".csv")) {
      rows = std::size_t(std::count(text.begin(), text.end(), '\n')) - 1;
    }
  }
  const auto layers = std::size_t(driver.workspace().current_trace()->layers);
  IM_CHECK_EQ(rows, layers * std::size_t(seen.last - seen.first + 1));
  // A figure that is parted zooms by itself.
  show(driver, "loss");
  driver.ctx->PopupCloseAll();
  driver.ctx->ItemClick("//###loss/###linked");
  driver.gui().figures["loss"].view.fit = true;
  driver.ctx->Yield(3);
  IM_CHECK(tokens_in_sight(driver.gui(), "loss").all());
  IM_CHECK(tokens_in_sight(driver.gui(), "kappa-tokens") == seen);
}

GUI_TEST(all_views_are_exported_at_once) {
  open_demo(driver);
  const fs::path folder = driver.folder / "all";
  ask_for_export(driver, "", FigureFormat::svg, folder);
  confirm_export(driver);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files += entry.path().extension() == ".svg";
  }
  std::size_t of_one = 0;  // a difference needs two traces, and some a corpus
  for (const FigureEntry& entry : figure_catalogue()) {
    of_one += entry.several != Several::difference && !entry.series && !entry.of_corpus_only &&
              entry.needs == FigureNeeds::nothing;
  }
  IM_CHECK_EQ(files, of_one);
  driver.ctx->PopupCloseAll();
}

GUI_TEST(a_cancelled_export_of_all_views_changes_nothing) {
  open_demo(driver);
  const fs::path folder = folder_with(driver, {"loss.png", "notes.txt"});
  const auto before = files_in(folder);
  ask_for_export(driver, "", FigureFormat::png, folder);
  ExportState& state = driver.gui().exporting;
  state.style.dpi = 1200;  // each takes much longer than a click
  confirm_export(driver);
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "loss.png");
  driver.ctx->SleepNoSkip(2 * ImGui::GetIO().MouseDoubleClickTime, 0.1f);
  driver.ctx->ItemClick("//$FOCUSED/###write");
  for (;;) {
    const auto jobs = driver.workspace().long_jobs().status();
    IM_CHECK(!jobs.empty());
    if (jobs.front().done > 0) { break; }
    driver.ctx->Yield();
  }
  driver.ctx->ItemClick("//$FOCUSED/###cancel_job");
  IM_CHECK(driver.settle());
  IM_CHECK_EQ(state.job, JobId(0));
  IM_CHECK_STR_EQ(state.said.c_str(), "Stopped; nothing was written.");
  IM_CHECK(files_in(folder) == before);
  IM_CHECK_EQ(driver.workspace().messages().size(), std::size_t(0));
  driver.ctx->PopupCloseAll();
}

GUI_TEST(an_export_asks_before_it_replaces) {
  open_demo(driver);
  const fs::path folder = folder_with(driver, {"kappa-tokens.svg", "kappa-tokens.pdf"});
  const auto before = files_in(folder);
  const ExportState& state = driver.gui().exporting;
  ask_for_export(driver, "kappa-tokens", FigureFormat::svg, folder);
  confirm_export(driver);
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "kappa-tokens.svg");
  driver.ctx->ItemClick("//$FOCUSED/###close");  // no
  IM_CHECK(driver.settle());
  IM_CHECK(files_in(folder) == before);
  IM_CHECK_EQ(driver.workspace().messages().size(), std::size_t(0));

  ask_for_export(driver, "kappa-tokens", FigureFormat::svg, folder);
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "");
  confirm_export(driver);
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "kappa-tokens.svg");
  driver.ctx->ItemClick("//$FOCUSED/###pdf");  // other files: another question
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "");
  driver.ctx->ItemClick("//$FOCUSED/###svg");
  confirm_export(driver);
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "kappa-tokens.pdf");
  IM_CHECK(files_in(folder) == before);
  confirm_export(driver);  // yes
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "");
  IM_CHECK_EQ(files_in(folder).size(), before.size());
  IM_CHECK_STR_EQ(read_file(folder / "kappa-tokens.pdf").substr(0, 4).c_str(), "%PDF");
  IM_CHECK_STR_EQ(read_file(folder / "kappa-tokens.svg").c_str(), "mine");
  driver.ctx->PopupCloseAll();
}

// The second press of a double click is not an answer to the question that the first one raised.
GUI_TEST(a_double_click_on_export_replaces_nothing) {
  open_demo(driver);
  const fs::path folder = folder_with(driver, {"kappa-tokens.csv"});
  const ExportState& state = driver.gui().exporting;
  ask_for_export(driver, "kappa-tokens", FigureFormat::csv, folder);
  driver.ctx->ItemDoubleClick("//$FOCUSED/###write");
  IM_CHECK(driver.settle());
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "kappa-tokens.csv");
  IM_CHECK_STR_EQ(read_file(folder / "kappa-tokens.csv").c_str(), "mine");
  driver.ctx->ItemClick("//$FOCUSED/###close");

  const fs::path fresh = driver.folder / "fresh";
  ask_for_export(driver, "kappa-tokens", FigureFormat::csv, fresh);
  driver.ctx->SleepNoSkip(2 * ImGui::GetIO().MouseDoubleClickTime, 0.1f);
  driver.ctx->ItemDoubleClick("//$FOCUSED/###write");
  IM_CHECK(driver.settle());
  IM_CHECK_STR_EQ(state.in_the_way.c_str(), "");
  IM_CHECK(!state.failed && fs::exists(fresh / "kappa-tokens.csv"));
  driver.ctx->PopupCloseAll();
}

GUI_TEST(values_and_commands_are_copied) {
  open_demo(driver);
  copy_values(driver.gui(), "kappa-tokens");
  IM_CHECK(driver.settle());
  IM_CHECK(std::string(ImGui::GetClipboardText()).starts_with("run\t"));
  const std::string command = export_command(driver.gui(), "kappa-tokens");
  IM_CHECK(command.find("kappascope plot ") != std::string::npos);
  IM_CHECK(command.find("--figures kappa-tokens") != std::string::npos);
}

GUI_TEST(places_in_the_text_are_found_both_ways) {
  open_demo(driver);
  Workspace& workspace = driver.workspace();
  const std::vector<FoundText> places = find_text(*workspace.current_trace(), "the");
  IM_CHECK_GT(places.size(), std::size_t(2));
  const auto selected = [&] {
    driver.ctx->Yield(2);
    return std::int64_t(workspace.selection().token);
  };
  workspace.pick({.token = int(places[1].first)});
  driver.ctx->KeyPress(ImGuiMod_Ctrl | ImGuiKey_F);
  driver.ctx->Yield(3);
  driver.ctx->KeyChars("The");  // in either case; where it is selected, it stays
  IM_CHECK_EQ(selected(), places[1].first);
  driver.ctx->KeyPress(ImGuiKey_Enter);
  IM_CHECK_EQ(selected(), places[2].first);
  driver.ctx->ItemClick("//###text/**/###before");
  IM_CHECK_EQ(selected(), places[1].first);
  driver.ctx->KeyPress(ImGuiMod_Shift | ImGuiKey_F3);
  driver.ctx->KeyPress(ImGuiMod_Shift | ImGuiKey_F3);  // from the first to the last
  IM_CHECK_EQ(selected(), places.back().first);
  driver.ctx->KeyPress(ImGuiKey_F3);
  IM_CHECK_EQ(selected(), places.front().first);
  driver.ctx->ItemClick("//###text/**/###next");
  IM_CHECK_EQ(selected(), places[1].first);
  for (std::int64_t token = 0; token < workspace.current_trace()->tokens; ++token) {
    const bool within = std::any_of(places.begin(), places.end(), [&](const FoundText& place) {
      return place.first <= token && token <= place.last;
    });
    IM_CHECK_SILENT(driver.gui().text.find.contains(token) == within);
  }
}

}  // namespace kappascope::gui::test
