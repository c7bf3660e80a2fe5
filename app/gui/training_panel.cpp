// The panel "Training": runs of `kappascope train` as their logs grow, by step.
#include "app/gui/training_panel.h"

#include <imgui.h>

#include <algorithm>
#include <cmath>

#include "app/gui/export_dialog.h"
#include "app/gui/gui.h"
#include "app/gui/layouts.h"
#include "app/gui/panels.h"
#include "app/gui/start_note.h"
#include "app/gui/widgets.h"
#include "core/figure/axis.h"
#include "core/figure/text.h"
#include "core/figure/training_figures.h"

namespace kappascope::gui {
namespace {

constexpr float kPaneWidth = 34, kPaneHeight = 17;  // em, at least

std::string loss_text(double loss) {
  return std::isfinite(loss) ? fixed_text(loss, 3) : "–";
}

std::string step_text(const LoggedRun& run) {
  const std::string at = count_text(run.last_step());
  return run.steps > 0 ? at + " of " + count_text(run.steps) : at;
}

std::string state_text(const WatchedRun& watched) {
  if (!watched.problem.empty()) { return watched.problem; }
  if (!watched.run) { return "no step yet"; }
  if (watched.run->finished()) { return "finished"; }
  return watched.quiet ? "no new line for a minute" : "in training";
}

void draw_run(Gui& gui, const WatchedRun& watched, bool& closed) {
  const Theme& theme = *gui.theme;
  const LoggedRun* run = watched.run.get();
  const auto last = [](const std::vector<double>& values) {
    return values.empty() ? "–" : loss_text(values.back());
  };
  gui.fonts.need(watched.name);
  row_item("###run", false);
  explain(plain_text(watched.log.string()).c_str());
  elided_text(watched.name);
  number_cell(run ? step_text(*run) : "–");
  number_cell(run ? last(run->loss) : "–");
  number_cell(run ? last(run->held_out) : "–");
  number_cell(run ? last(run->held_out_bits) : "–");
  text_cell(state_text(watched), watched.problem.empty() ? theme.quiet_text : theme.error);
  ImGui::TableNextColumn();
  closed = ImGui::SmallButton("×###close");
  explain("Close this run; it is trained on");
}

void draw_runs(Gui& gui, const TrainingState& training) {
  float names = 4, steps = 4;
  for (const WatchedRun& watched : training.runs) {
    const auto wider = [](float& width, const std::string& text, float most) {
      width = std::max(width, std::min(most, ImGui::CalcTextSize(text.c_str()).x / em() + 0.1F));
    };
    wider(names, watched.name, 14);
    if (!watched.run) { continue; }
    LoggedRun last = {.steps = watched.run->steps};  // what the column will need
    last.step = {std::max(last.steps, watched.run->last_step())};
    wider(steps, step_text(last), 16);
  }
  const float line = ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().CellPadding.y;
  const auto rows = float(std::min<std::size_t>(training.runs.size(), 4));
  if (!begin_table(
          "###runs",
          {{.name = "run", .width = names, .number = false},
           {.name = "step", .width = steps, .spare = 4},
           {.name = "loss", .width = 3.5F, .help = "Of the last step, nats per token"},
           {.name = "held out",
            .width = 4,
            .help = "Of the last evaluation, nats per token",
            .spare = 3},
           {.name = "bits per byte", .width = 4, .help = "Of the last evaluation", .spare = 1},
           {.name = "state", .width = 0, .number = false, .spare = 2, .least = 8},
           {.name = "", .width = 1.6F, .number = false}},
          {0, (rows + 1) * line + 0.3F * em()})) {
    return;
  }
  for (const WatchedRun& watched : training.runs) {
    bool closed = false;
    ImGui::PushID(watched.log.c_str());
    draw_run(gui, watched, closed);
    ImGui::PopID();
    if (closed) { gui.workspace.close_training(watched.log); }
  }
  ImGui::EndTable();
}

// Title and buttons over a figure.
void draw_pane_header(Gui& gui, const TrainingFigure& entry, FigureViewState& view) {
  const std::string id(entry.id);
  ImGui::AlignTextToFramePadding();
  elided_text(std::string(entry.title));
  explain((id + ": " + std::string(entry.what)).c_str());
  const ImGuiStyle& style = ImGui::GetStyle();
  const auto button = [&](const char* text) {
    return ImGui::CalcTextSize(text).x + 2 * style.FramePadding.x;
  };
  const bool log = view.shown && has_log_axis(view.shown->figure);
  if (log) {
    next_item(ImGui::GetFrameHeight() + style.ItemInnerSpacing.x +
              ImGui::CalcTextSize("log scale").x);
    bool logarithmic = !view.linear;
    ImGui::Checkbox("log scale###log", &logarithmic);
    view.linear = !logarithmic;
  }
  next_item(button("?"));
  if (ImGui::Button("?###help")) { gui.help = entry.metric; }
  ImGui::SetItemTooltip("What it means");
  next_item(button("Export…"));
  if (ImGui::Button("Export…###export")) { open_export_dialog(gui, id); }
}

void draw_notes(const Theme& theme, const Figure& figure) {
  std::string text;
  for (const std::string& note : figure.notes) {
    text += (text.empty() ? "" : " ") + plain_text(note);
  }
  if (text.empty()) { return; }
  ImGui::PushFont(nullptr, 0.88F * ImGui::GetStyle().FontSizeBase);
  ImGui::PushTextWrapPos();
  ImGui::PushStyleColor(ImGuiCol_Text, theme.quiet_text);
  ImGui::TextUnformatted(text.c_str());
  ImGui::PopStyleColor();
  ImGui::PopTextWrapPos();
  ImGui::PopFont();
}

float notes_height(const Figure& figure) {
  std::string text;
  for (const std::string& note : figure.notes) { text += note + " "; }
  if (text.empty()) { return 0; }
  ImGui::PushFont(nullptr, 0.88F * ImGui::GetStyle().FontSizeBase);
  const float height =
      ImGui::CalcTextSize(text.c_str(), nullptr, false, ImGui::GetContentRegionAvail().x).y;
  ImGui::PopFont();
  return height + ImGui::GetStyle().ItemSpacing.y;
}

void draw_pane(Gui& gui, const TrainingFigure& entry,
               const std::shared_ptr<const PreparedFigure>& figure, ImVec2 size) {
  const std::string id(entry.id);
  FigureViewState& view = gui.training.views[id];
  view.grows = true;
  ImGui::BeginChild(id.c_str(), size, ImGuiChildFlags_None, ImGuiWindowFlags_NoNavInputs);
  draw_pane_header(gui, entry, view);
  if (figure->failure) {
    quiet_text(*gui.theme, figure->failure.message);
  } else {
    for (const Panel& panel : figure->figure.panels) {
      for (const Line& line : panel.lines) { gui.fonts.need(line.name); }
    }
    const ImVec2 room = ImGui::GetContentRegionAvail();
    const float notes = std::min(notes_height(figure->figure), 3 * em());
    draw_figure("###figure", figure, {}, *gui.theme, view,
                {room.x, std::max(6 * em(), room.y - notes)});
    draw_notes(*gui.theme, figure->figure);
  }
  const bool inside = ImGui::IsWindowHovered(ImGuiHoveredFlags_ChildWindows);
  if (inside && ImGui::IsMouseReleased(ImGuiMouseButton_Right)) { ImGui::OpenPopup("###menu"); }
  if (ImGui::BeginPopup("###menu")) {
    if (ImGui::MenuItem("Show all###fit")) { view.fit = true; }
    ImGui::Separator();
    draw_copy_items(gui, id);
    if (ImGui::MenuItem("Export…###export")) { open_export_dialog(gui, id); }
    ImGui::EndPopup();
  }
  ImGui::EndChild();
}

// Beside and below each other, as large as there is room, and scrolled where there is none.
void draw_figures(Gui& gui, const TrainingState& training) {
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < training.figures.size(); ++i) {
    const auto shows = [&](const WatchedRun& watched) {
      return watched.run && training_figures()[i].shows(*watched.run);
    };
    if (std::any_of(training.runs.begin(), training.runs.end(), shows)) { shown.push_back(i); }
  }
  if (shown.empty()) { return; }
  if (!ImGui::BeginChild("###figures")) { return ImGui::EndChild(); }
  const ImVec2 room = ImGui::GetContentRegionAvail(), gap = ImGui::GetStyle().ItemSpacing;
  const auto across = std::clamp<std::size_t>(std::size_t(room.x / (kPaneWidth * em())), 1,
                                              std::min<std::size_t>(shown.size(), 2));
  const std::size_t rows = (shown.size() + across - 1) / across;
  const ImVec2 size((room.x - float(across - 1) * gap.x) / float(across),
                    std::max(kPaneHeight * em(), (room.y + gap.y) / float(rows) - gap.y));
  for (std::size_t k = 0; k < shown.size(); ++k) {
    if (k % across > 0) { ImGui::SameLine(); }
    draw_pane(gui, training_figures()[shown[k]], training.figures[shown[k]], size);
  }
  ImGui::EndChild();
}

}  // namespace

void show_new_training(Gui& gui) {
  TrainingPanelState& state = gui.training;
  if (state.opened == gui.workspace.training_opened()) { return; }
  state.opened = gui.workspace.training_opened();
  show_by_itself(gui, "training");
  if (state.raise && !gui.restore.going) { gui.raise.push_back("training"); }
}

void draw_training_panel(Gui& gui) {
  const std::shared_ptr<const TrainingState> training = gui.workspace.training();
  if (training->runs.empty()) {
    return start_note(gui, "No training run",
                      "Open the folder in which kappascope train writes, or one of a pair.");
  }
  draw_runs(gui, *training);
  draw_figures(gui, *training);
}

}  // namespace kappascope::gui
