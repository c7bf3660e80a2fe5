#include "app/gui/export_dialog.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>

#include "app/gui/export_job.h"
#include "app/gui/gui.h"
#include "app/gui/path_listing.h"
#include "app/gui/picture_clipboard.h"
#include "app/gui/widgets.h"
#include "core/figure/restyle.h"

namespace kappascope::gui {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTitle = "Export###export";
constexpr double kSingle = 85, kDouble = 178;  // mm

void row(const char* name) {
  ImGui::AlignTextToFramePadding();
  ImGui::TextUnformatted(name);
  ImGui::SameLine(7 * em());
}

std::string suggested_folder(const Gui& gui) {
  const std::vector<WatchedRun>& runs = gui.workspace.training()->runs;
  if (gui.workspace.traces().empty() && !runs.empty()) {
    return (fs::absolute(runs.front().log).parent_path() / "figures").string();
  }
  for (const OpenTrace& open : gui.workspace.traces()) {
    if (open.id != gui.workspace.view().trace || open.run) { continue; }
    return (fs::absolute(open.path).parent_path() / "figures").string();
  }
  return fs::absolute("figures").string();
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < 3; ++i) { text += (i ? ", " : "") + names[i]; }
  if (names.size() > 3) { text += " and " + std::to_string(names.size() - 3) + " more"; }
  return text;
}

void take_outcome(Gui& gui, const ExportOutcome& outcome, const std::string& folder) {
  ExportState& state = gui.exporting;
  state.job = 0;
  state.failed = false;
  if (!outcome.in_the_way.empty()) {
    state.in_the_way = listed(outcome.in_the_way);
    state.said.clear();
    return;
  }
  for (const std::string& one : outcome.left_out) { gui.workspace.say(true, one); }
  for (const std::string& one : outcome.said) { gui.workspace.say(false, one); }
  state.said = listed(outcome.written) + " written to " + folder;
  gui.workspace.say(false, state.said);
}

void start(Gui& gui, bool replace) {
  ExportState& state = gui.exporting;
  ExportOrder order;
  order.views = export_views(gui, state.figure);
  order.formats.assign(state.formats.begin(), state.formats.end());
  order.style = state.style;
  order.folder = export_folder(state);
  order.replace = replace;
  state.in_the_way.clear();
  state.said.clear();
  const std::string title =
      state.figure.empty() ? "Export of all views" : "Export of " + figure_title(state.figure);
  state.job = gui.workspace.long_jobs().add(
      title,
      [&gui, order](Progress& progress) -> JobQueue::Finish {
        ExportOutcome outcome = write_export(order, progress);
        return
            [&gui, outcome, folder = order.folder.string()] { take_outcome(gui, outcome, folder); };
      },
      [&gui](const Failure& failure) {
        gui.exporting.job = 0;
        gui.exporting.failed = true;
        gui.exporting.said = failure.message;
        gui.workspace.say(failure);
      });
}

void draw_formats(ExportState& state) {
  row("Formats");
  const std::pair<const char*, FigureFormat> formats[] = {{"SVG###svg", FigureFormat::svg},
                                                          {"PDF###pdf", FigureFormat::pdf},
                                                          {"EPS###eps", FigureFormat::eps},
                                                          {"PNG###png", FigureFormat::png},
                                                          {"CSV###csv", FigureFormat::csv}};
  bool first = true;
  for (const auto& [label, format] : formats) {
    if (!first) { ImGui::SameLine(); }
    first = false;
    bool chosen = state.formats.count(format) > 0;
    if (!ImGui::Checkbox(label, &chosen)) { continue; }
    if (chosen) {
      state.formats.insert(format);
    } else {
      state.formats.erase(format);
    }
    state.in_the_way.clear();  // those were other files
  }
}

// All tokens, or those in sight of the view (of all views: where they zoom together).
void draw_range(Gui& gui) {
  ExportState& state = gui.exporting;
  const TokenRange seen = tokens_in_sight(gui, state.figure);
  if (seen.all() || training_figure(state.figure)) { return; }
  row("Tokens");
  if (ImGui::RadioButton("all###all_tokens", !state.in_sight)) { state.in_sight = false; }
  ImGui::SameLine();
  const std::string label = "in sight: " + std::to_string(seen.first) + " to " +
                            std::to_string(seen.last) + "###in_sight";
  if (ImGui::RadioButton(label.c_str(), state.in_sight)) { state.in_sight = true; }
}

void number_field(const char* id, double& value, double low, double high, const char* format) {
  ImGui::SetNextItemWidth(7 * em());
  ImGui::InputDouble(id, &value, 0, 0, format);
  if (ImGui::IsItemDeactivatedAfterEdit()) { value = std::clamp(value, low, high); }
}

void draw_size(ExportState& state) {
  FigureStyle& style = state.style;
  row("Width");
  if (ImGui::RadioButton("single column###single", style.width_mm == kSingle)) {
    style.width_mm = kSingle;
  }
  ImGui::SameLine();
  if (ImGui::RadioButton("double column###double", style.width_mm == kDouble)) {
    style.width_mm = kDouble;
  }
  ImGui::SameLine();
  number_field("###width", style.width_mm, 40, 2000, "%.4g mm");
  row("Height");
  bool fixed = style.height_mm > 0;
  if (ImGui::Checkbox("fixed###fixed_height", &fixed)) { style.height_mm = fixed ? 80 : 0; }
  ImGui::SameLine();
  if (fixed) {
    number_field("###height", style.height_mm, 10, 2000, "%.4g mm");
  } else {
    ImGui::TextDisabled("as the contents need");
  }
  row("Text");
  number_field("###font", style.font_pt, 3, 40, "%.3g pt");
  ImGui::SameLine();
  ImGui::Checkbox("letters at the panels###letters", &style.panel_letters);
  row("Metadata");
  ImGui::Checkbox("in the files###metadata", &style.metadata);
  explain("Model, text, hashes and version inside SVG, PDF and PNG; never a path");
  if (!state.formats.count(FigureFormat::png)) { return; }
  row("Resolution");
  number_field("###dpi", style.dpi, 10, 2400, "%.4g dpi");
}

void draw_copies(Gui& gui, bool any) {
  ExportState& state = gui.exporting;
  row("Copy");
  ImGui::BeginDisabled(!any);
  if (!state.figure.empty()) {
    if (ImGui::Button("values###copy_values")) { copy_values(gui, state.figure); }
    ImGui::SameLine();
    if (ImGui::Button("picture###copy_picture")) { copy_figure_picture(gui, state.figure); }
    ImGui::SameLine();
  }
  if (ImGui::Button("command###copy_command")) { copy_command(gui, state.figure); }
  ImGui::EndDisabled();
  explain("The command line that writes the same files");
}

// A dialog that has grown downwards goes up, so that its buttons stay in sight.
void keep_inside() {
  const ImGuiViewport& all = *ImGui::GetMainViewport();
  const ImVec2 at = ImGui::GetWindowPos();
  const float lowest = all.WorkPos.y + all.WorkSize.y - ImGui::GetWindowSize().y;
  if (at.y > lowest) { ImGui::SetWindowPos({at.x, std::max(all.WorkPos.y, lowest)}); }
}

// The running export, files that are there already, or the outcome.
void draw_outcome(Gui& gui) {
  ExportState& state = gui.exporting;
  const std::vector<JobStatus> jobs = gui.workspace.long_jobs().status();
  const auto job = std::find_if(jobs.begin(), jobs.end(),
                                [&](const JobStatus& one) { return one.id == state.job; });
  // One that ended by itself reports its outcome in a moment.
  if (state.job != 0 && job == jobs.end() && gui.workspace.long_jobs().nothing_done()) {
    state.job = 0;
    state.said = "Stopped; nothing was written.";
  }
  if (state.job != 0 && job != jobs.end()) {
    const float share = job->total > 0 ? float(double(job->done) / double(job->total)) : 0;
    ImGui::ProgressBar(share, {-6 * em(), 0});
    ImGui::SameLine();
    if (ImGui::Button("Cancel###cancel_job")) { gui.workspace.cancel(state.job); }
  } else if (!state.in_the_way.empty()) {
    ImGui::PushStyleColor(ImGuiCol_Text, gui.theme->warning);
    ImGui::TextWrapped("Already there: %s", state.in_the_way.c_str());
    ImGui::PopStyleColor();
  } else if (!state.said.empty()) {
    ImGui::PushStyleColor(ImGuiCol_Text, state.failed ? gui.theme->error : gui.theme->quiet_text);
    ImGui::TextWrapped("%s", state.said.c_str());
    ImGui::PopStyleColor();
  }
}

}  // namespace

fs::path export_folder(const ExportState& state) {
  if (state.folder.empty()) { return "figures"; }
  return fs::absolute(without_tilde(state.folder));
}

FigureChoices exported_choices(const Gui& gui, const std::string& figure) {
  FigureChoices choices = figure_choices(gui, figure);
  if (gui.exporting.in_sight) { choices.tokens = tokens_in_sight(gui, figure); }
  return choices;
}

namespace {

void add_training_views(const Gui& gui, const std::string& figure, std::vector<ExportView>& views) {
  ExportView view;
  for (const WatchedRun& watched : gui.workspace.training()->runs) {
    if (!watched.run) { continue; }
    view.runs.push_back(watched.run);
    view.logs.push_back(watched.log);
  }
  for (const TrainingFigure& entry : training_figures()) {
    const bool shown = std::any_of(view.runs.begin(), view.runs.end(),
                                   [&](const auto& run) { return entry.shows(*run); });
    if (!shown || (!figure.empty() && figure != entry.id)) { continue; }
    view.training = &entry;
    views.push_back(view);
  }
}

// "All 29 figures": those of traces, of training runs, or both, as there are.
std::string all_text(const std::vector<ExportView>& views) {
  std::size_t count = figure_catalogue().size();
  const auto of_training =
      std::count_if(views.begin(), views.end(), [](const ExportView& view) { return !view.entry; });
  if (of_training == std::ssize(views) && of_training > 0) { count = 0; }
  return "All " + std::to_string(count + std::size_t(of_training)) + " figures";
}

}  // namespace

std::vector<ExportView> export_views(const Gui& gui, const std::string& figure) {
  std::vector<ExportView> views;
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string id(entry.id);
    if (!figure.empty() && figure != id) { continue; }
    auto traces = gui.workspace.figure_traces(id);
    if (traces.empty()) { continue; }  // it compares traces, and there is one alone
    views.push_back({&entry, exported_choices(gui, id), std::move(traces), nullptr, {}, {}});
  }
  add_training_views(gui, figure, views);
  return views;
}

void open_export_dialog(Gui& gui, const std::string& figure) {
  ExportState& state = gui.exporting;
  state.wanted = true;
  state.figure = figure;
  state.said.clear();
  state.in_the_way.clear();
  if (state.folder.empty()) { state.folder = suggested_folder(gui); }
}

void draw_export_dialog(Gui& gui) {
  ExportState& state = gui.exporting;
  if (state.wanted) { ImGui::OpenPopup(kTitle); }
  state.wanted = false;
  ImGui::SetNextWindowPos(ImGui::GetMainViewport()->GetCenter(), ImGuiCond_Appearing, {0.5f, 0.5f});
  const ImVec2 room = ImGui::GetMainViewport()->WorkSize;
  ImGui::SetNextWindowSize({std::min(38 * em(), room.x), 0});
  ImGui::SetNextWindowSizeConstraints({0, 0}, room);  // what is more is scrolled to
  bool open = true;
  if (!ImGui::BeginPopupModal(kTitle, &open, ImGuiWindowFlags_NoSavedSettings)) { return; }
  keep_inside();
  const std::vector<ExportView> views = export_views(gui, state.figure);
  elided_text(state.figure.empty() ? all_text(views) : figure_title(state.figure));
  if (!state.figure.empty()) { explain((state.figure + ": " + figure_help(state.figure)).c_str()); }
  ImGui::Separator();
  draw_formats(state);
  draw_range(gui);
  if (state.formats != std::set{FigureFormat::csv}) {
    draw_size(state);
    draw_style(state.typed, state.style);
  }
  row("Folder");
  ImGui::SetNextItemWidth(-1);
  if (ImGui::InputText("###folder", &state.folder)) { state.in_the_way.clear(); }
  const bool any = !views.empty();
  draw_copies(gui, any);
  ImGui::Separator();
  const bool replacing = !state.in_the_way.empty();
  ImGui::BeginDisabled(state.job != 0 || state.folder.empty() || state.formats.empty() || !any);
  if (single_button(replacing ? "Replace###write" : "Export###write")) { start(gui, replacing); }
  ImGui::EndDisabled();
  ImGui::SameLine();
  if (ImGui::Button("Close###close") || ImGui::IsKeyPressed(ImGuiKey_Escape)) {
    ImGui::CloseCurrentPopup();
  }
  if (!any && gui.workspace.current_trace()) { quiet_text(*gui.theme, "Nothing to compare"); }
  draw_outcome(gui);  // below, so that no button moves away under the pointer
  ImGui::EndPopup();
}

void copy_values(Gui& gui, const std::string& figure) {
  const std::vector<ExportView> views = export_views(gui, figure);
  if (views.empty()) { return; }
  const ExportView& view = views.front();
  gui.workspace.long_jobs().add(
      "Copy values of " + figure_title(figure),
      [&gui, view](Progress&) -> JobQueue::Finish {
        const Figure made = make_view(view);
        std::string text;
        for (const Table& table : made.tables) {
          text +=
              (text.empty() ? "" : "\n") + tab_separated(table, kMostClipboard - text.size() - 1);
        }
        return [&gui, text = std::move(text), name = figure_title(made.id)] {
          ImGui::SetClipboardText(text.c_str());
          gui.workspace.say(false, "Values copied: " + name);
        };
      },
      [&gui](const Failure& failure) { gui.workspace.say(failure); });
}

void copy_figure_picture(Gui& gui, const std::string& figure) {
  const std::vector<ExportView> views = export_views(gui, figure);
  if (views.empty()) { return; }
  const ExportView& view = views.front();
  gui.workspace.long_jobs().add(
      "Copy picture of " + figure_title(figure),
      [&gui, view, style = gui.exporting.style](Progress&) -> JobQueue::Finish {
        Figure made = make_view(view);
        restyle(made, style);
        copy_picture(render_png(made, style));
        return [&gui, name = figure_title(view.id())] {
          gui.workspace.say(false, "Picture copied: " + name);
        };
      },
      [&gui](const Failure& failure) { gui.workspace.say(failure); });
}

void draw_copy_items(Gui& gui, const std::string& figure) {
  if (ImGui::MenuItem("Copy values###copy_values")) { copy_values(gui, figure); }
  if (ImGui::MenuItem("Copy picture###copy_picture")) { copy_figure_picture(gui, figure); }
  if (ImGui::MenuItem("Copy the command that makes this file###copy_command")) {
    copy_command(gui, figure);
  }
}

}  // namespace kappascope::gui
