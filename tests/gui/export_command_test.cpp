// The command that an export names: what a shell makes of it, and that it writes the same files.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "app/gui/export_job.h"
#include "app/shell_words.h"
#include "tests/gui/demo_window.h"
#include "tests/unit/temp_folder.h"

namespace kappascope::gui {
namespace {

namespace fs = std::filesystem;
using testing::TempFolder;
using Words = std::vector<std::string>;

// The words after "kappascope", of each of the commands, as a shell hands them over.
std::vector<Words> words_of(const std::string& command) {
  std::FILE* shell =
      popen(("kappascope() { printf '%s\\0' \"$@\" END; }; " + command).c_str(), "r");
  if (!shell) { return {}; }
  std::string out;
  std::array<char, 4096> block;
  for (std::size_t read; (read = std::fread(block.data(), 1, block.size(), shell)) > 0;) {
    out.append(block.data(), read);
  }
  EXPECT_EQ(pclose(shell), 0) << command;
  std::vector<Words> commands;
  Words words;
  for (std::size_t at = 0, end; (end = out.find('\0', at)) != std::string::npos; at = end + 1) {
    words.push_back(out.substr(at, end - at));
    if (words.back() != "END") { continue; }
    words.pop_back();
    commands.push_back(std::move(words));
    words.clear();
  }
  return commands;
}

int run_in_shell(const std::string& command) {
  const std::string program = fs::path(KAPPASCOPE_PROGRAM).parent_path().string();
  return std::system(
      ("PATH=" + quote_word(program) + ":$PATH\n{ " + command + "\n} >/dev/null").c_str());
}

// The files of an export and what they hold, as the dialog orders it.
std::map<std::string, std::string> exported(const Gui& gui, const std::string& figure) {
  ExportOrder order;
  order.views = export_views(gui, figure);
  order.formats.assign(gui.exporting.formats.begin(), gui.exporting.formats.end());
  order.style = gui.exporting.style;
  order.folder = export_folder(gui.exporting);
  NoProgress progress;
  std::map<std::string, std::string> files;
  for (const std::string& name : write_export(order, progress).written) {
    std::ifstream in(order.folder / name, std::ios::binary);
    files[name].assign(std::istreambuf_iterator<char>(in), {});
  }
  EXPECT_FALSE(files.empty());
  return files;
}

// Exports, runs the command in an empty place instead, and compares.
void expect_same_files(const Gui& gui, const std::string& figure) {
  const fs::path folder = export_folder(gui.exporting);
  const auto files = exported(gui, figure);
  fs::remove_all(folder);
  const std::string command = export_command(gui, figure);
  ASSERT_EQ(run_in_shell(command), 0) << command;
  for (const auto& [name, bytes] : files) {
    std::ifstream in(folder / name, std::ios::binary);
    const std::string made(std::istreambuf_iterator<char>(in), {});
    EXPECT_TRUE(made == bytes) << command << "\n"
                               << name << ": " << made.size() << " bytes, not " << bytes.size();
  }
  fs::remove_all(folder);
}

void choose(Gui& gui) {
  FigurePanelState& panel = gui.figures["kappa-vs-score"];
  panel.follow_layer = panel.follow_expert = false;
  panel.chosen.layer = 5;
  panel.chosen.expert = 3;
  panel.chosen.gates = 32;
}

TEST(ExportCommand, AShellReadsTheWordsThatAreMeant) {
  const TempFolder home;
  NullWindow window;
  open_demo(window);
  choose(window.gui());
  ExportState& state = window.gui().exporting;
  state.folder = (home.path() / "it's\n\"$HOME\" -κ").string();
  state.formats = {FigureFormat::png};
  state.style = {.width_mm = 85.123456789, .height_mm = 60, .font_pt = 8.5, .panel_letters = true};
  state.style.dpi = 200;
  std::istringstream choices(
      "--layer 5 --expert 3 --gates 32 --figures kappa-vs-score --figure-format png "
      "--width 85.123456789 --height 60 --font-size 8.5 --dpi 200 --panel-letters -o");
  Words expected = {"plot", kDemo.string()};
  for (std::string word; choices >> word;) { expected.push_back(word); }
  expected.push_back(state.folder);
  EXPECT_EQ(words_of(export_command(window.gui(), "kappa-vs-score")), std::vector<Words>{expected});
  // Values have no size.
  state.formats = {FigureFormat::csv};
  open_demo(window);
  for (const OpenTrace& open : window.workspace().traces()) {
    window.workspace().trace(open.id)->compared = true;
  }
  EXPECT_EQ(words_of(export_command(window.gui(), "loss")),
            (std::vector<Words>{{"plot", kDemo.string(), kDemo.string(), "--figures", "loss",
                                 "--figure-format", "csv", "-o", state.folder}}));
  // "~" is what the dialog takes it for.
  const char* const old_home = std::getenv("HOME");
  const std::string kept = old_home ? old_home : "";
  setenv("HOME", home.path().c_str(), 1);
  state.folder = "~/new figures";
  const auto commands = words_of(export_command(window.gui(), "loss"));
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0].back(), (home.path() / "new figures").string());
  state.folder = "here";
  EXPECT_EQ(words_of(export_command(window.gui(), "loss")).at(0).back(),
            fs::absolute("here").string());
  if (old_home) { setenv("HOME", kept.c_str(), 1); }
}

TEST(ExportCommand, WritesTheFileOfTheExport) {
  const TempFolder temp;
  NullWindow window;
  open_demo(window);
  choose(window.gui());
  window.workspace().pick({.row = 1, .expert = 2});
  ExportState& state = window.gui().exporting;
  state.folder = (temp.path() / "a b" / "it's").string();
  state.style = {.width_mm = 91.2345678, .height_mm = 70, .font_pt = 6.5, .panel_letters = true};
  for (const FigureFormat format : {FigureFormat::svg, FigureFormat::pdf, FigureFormat::png}) {
    state.formats = {format};
    for (const char* figure : {"kappa-vs-score", "router-probability"}) {
      expect_same_files(window.gui(), figure);
    }
  }
}

TEST(ExportCommand, WritesTheLookOfTheExport) {
  const TempFolder temp;
  NullWindow window;
  open_demo(window);
  ExportState& state = window.gui().exporting;
  state.folder = (temp.path() / "look").string();
  state.formats = {FigureFormat::svg, FigureFormat::eps};
  state.style = style_of({}, {{"preset", {"neurips"}},
                              {"bare", {"true"}},
                              {"title", {"-it's \"$HOME\""}},
                              {"label", {"d8-kappa=ours \\ `x`"}},
                              {"ylim", {"0.25:8"}},
                              {"theme", {"grey"}},
                              {"no-band", {"true"}}});
  const std::string command = export_command(window.gui(), "kappa-depth");
  EXPECT_NE(command.find(" --preset neurips --bare "), std::string::npos) << command;
  expect_same_files(window.gui(), "kappa-depth");
}

TEST(ExportCommand, AStyleFileIsReadAsItWasWritten) {
  const TempFolder temp;
  TypedStyle typed;
  typed.file = (temp.path() / "style.toml").string();
  const FigureStyle style = style_of({}, {{"preset", {"acl"}},
                                          {"width", {"100"}},
                                          {"label", {"a=b \"c\"", "d=e\\"}},
                                          {"xlim", {"0:1", ":2"}},
                                          {"vmax", {"-0.5"}},
                                          {"no-metadata", {"true"}}});
  write_style_file(typed, style);
  EXPECT_EQ(typed.problem, "");
  FigureStyle read;
  read_style_file(typed, read);
  EXPECT_EQ(typed.problem, "");
  EXPECT_EQ(words_of(read).size(), 6u);
  EXPECT_EQ(style_text(read), style_text(style));
  EXPECT_EQ(typed.text.at("label"), "a=b \"c\"\nd=e\\");
  EXPECT_EQ(typed.text.count("width"), 0u);  // it has a field of its own
  write_style_file(typed, read);             // its own file, which it replaces
  EXPECT_EQ(typed.problem, "");
  std::ofstream(typed.file) << "width = 85\nheight = \"x\"\n";
  read_style_file(typed, read);
  EXPECT_NE(typed.problem.find("line 2, column 10"), std::string::npos) << typed.problem;
  EXPECT_EQ(read.width_mm, 100);
  write_style_file(typed, read);  // of another hand
  EXPECT_NE(typed.problem.find("is there"), std::string::npos) << typed.problem;
}

TEST(ExportCommand, WritesSeveralFormatsOfTheTokensInSight) {
  const TempFolder temp;
  NullWindow window;
  open_demo(window);
  Gui& gui = window.gui();
  gui.tokens_in_sight[gui.workspace.view().trace] = AxisSpan{9.6, 20.4};
  gui.exporting.folder = (temp.path() / "part").string();
  gui.exporting.formats = {FigureFormat::svg, FigureFormat::csv};
  gui.exporting.in_sight = true;
  EXPECT_EQ(tokens_in_sight(gui, "kappa-tokens"), (TokenRange{10, 20}));
  const std::string command = export_command(gui, "kappa-tokens");
  EXPECT_NE(command.find(" --tokens 10:20 "), std::string::npos) << command;
  EXPECT_NE(command.find(" --figure-format svg,csv "), std::string::npos) << command;
  for (const char* figure : {"kappa-tokens", "kappa-depth"}) { expect_same_files(gui, figure); }
}

TEST(ExportCommand, WritesAllViewsOfSeveralTraces) {
  const TempFolder temp;
  NullWindow window;
  open_demo(window, 2);
  for (const OpenTrace& open : window.workspace().traces()) {
    window.workspace().trace(open.id)->compared = true;
  }
  choose(window.gui());
  window.gui().figures["gate-active"].chosen.by_expert = true;
  window.gui().exporting.folder = (temp.path() / "all").string();
  window.gui().exporting.formats = {FigureFormat::csv};
  expect_same_files(window.gui(), "");
}

// Each command has the settings that act on its figures, and shares a scale among them alone.
TEST(ExportCommand, WritesAllViewsInALookThatSomeDoNotTake) {
  const TempFolder temp;
  NullWindow window;
  open_demo(window);
  choose(window.gui());
  ExportState& state = window.gui().exporting;
  state.folder = (temp.path() / "scale").string();
  state.style = style_of({}, {{"same-scale", {"true"}}, {"vmin", {"0.5"}}, {"no-band", {"true"}}});
  const auto commands = words_of(export_command(window.gui(), ""));
  ASSERT_GT(commands.size(), 2u);
  std::size_t with_scale = 0;
  for (const Words& words : commands) {
    with_scale += std::size_t(std::count(words.begin(), words.end(), "--same-scale"));
  }
  EXPECT_GT(with_scale, 0u);
  EXPECT_LT(with_scale, commands.size());
  expect_same_files(window.gui(), "");
}

TEST(ExportCommand, MakesTheTraceOfARunFirst) {
  const TempFolder temp;
  NullWindow window;
  Workspace& workspace = window.workspace();
  workspace.open(kSource / "assets" / "d8-kappa");
  window.settle();
  window.gui().exporting.formats = {FigureFormat::csv};
  for (const char* text : {"-it's \"$HOME\"\n`x` \\ %s κ 漢", "Once upon a time"}) {
    workspace.next_run = {.text = text, .window = true};
    workspace.next_run.take(
        {"kappa-bias=-0.5@2", "capacity=off", "kappa-mul=2@3-5,7:*", "top-k=1"});
    workspace.run();
    window.settle();
    ASSERT_EQ(workspace.messages().size(), 0u) << workspace.messages()[0].text;
    window.gui().exporting.folder = (temp.path() / "of runs").string();
    const auto commands = words_of(export_command(window.gui(), "kappa-tokens"));
    ASSERT_EQ(commands.size(), 2u);
    EXPECT_EQ(commands[0].front(), "run");
    EXPECT_EQ(commands[1][1], (temp.path() / "of runs" / "run" / "trace.npz").string());
    expect_same_files(window.gui(), "kappa-tokens");
  }
  // Two runs in one figure have a folder each.
  for (const OpenTrace& open : workspace.traces()) { workspace.trace(open.id)->compared = true; }
  expect_same_files(window.gui(), "loss");
}

}  // namespace
}  // namespace kappascope::gui
