#include "app/gui/figure_panel.h"

#include <imgui.h>

#include <algorithm>
#include <cmath>

#include "app/gui/export_dialog.h"
#include "app/gui/figure_panes.h"
#include "app/gui/gui.h"
#include "app/gui/panels.h"
#include "app/gui/start_note.h"
#include "app/gui/widgets.h"
#include "core/figure/axis.h"
#include "core/figure/text.h"
#include "core/figure/token_range.h"
#include "core/figure/training_figures.h"

namespace kappascope::gui {
namespace {

std::string layer_name(const Trace& trace, std::int64_t row) {
  std::string name = "layer " + std::to_string(trace.layer_index[row]);
  const auto& passes = trace.pass_index;
  if (std::any_of(passes.begin(), passes.end(), [](std::int32_t pass) { return pass > 0; })) {
    name += ", pass " + std::to_string(passes[row]);
  }
  return name;
}

// A combo of the width of its longest entries; true while it is open.
bool begin_choice(const char* id, const std::string& shown) {
  ImGui::SetNextItemWidth(ImGui::CalcTextSize(shown.c_str()).x + 3.2f * em());
  return ImGui::BeginCombo(id, shown.c_str(), ImGuiComboFlags_HeightLarge);
}

void choose_layer(const Trace& trace, FigurePanelState& state, const FigureChoices& now) {
  std::string shown = now.layer < 0 ? "middle layer" : "layer " + std::to_string(now.layer);
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    if (trace.layer_index[row] == now.layer && trace.pass_index[row] == now.pass) {
      shown = layer_name(trace, row);
    }
  }
  if (!begin_choice("###layer", shown)) { return; }
  if (ImGui::Selectable("follow the selection###follow", state.follow_layer)) {
    state.follow_layer = true;
  }
  for (std::int64_t row = 0; row < trace.layers; ++row) {
    const bool chosen = !state.follow_layer && state.chosen.layer == trace.layer_index[row] &&
                        state.chosen.pass == trace.pass_index[row];
    ImGui::PushID(static_cast<int>(row));
    if (ImGui::Selectable(layer_name(trace, row).c_str(), chosen)) {
      state.follow_layer = false;
      state.chosen.layer = trace.layer_index[row];
      state.chosen.pass = trace.pass_index[row];
    }
    ImGui::PopID();
  }
  ImGui::EndCombo();
}

// A combo of numbers 0 … count−1, `first` standing for −1 where there is one.
void choose_number(const char* id, const char* what, const char* first, std::int64_t count,
                   std::int64_t now, bool& follow, std::int64_t& chosen) {
  const std::string shown = now < 0 ? first : what + std::to_string(now);
  if (!begin_choice(id, shown)) { return; }
  if (ImGui::Selectable("follow the selection###follow", follow)) { follow = true; }
  if (*first &&
      ImGui::Selectable((std::string(first) + "###first").c_str(), !follow && chosen < 0)) {
    follow = false;
    chosen = -1;
  }
  ImGuiListClipper clipper;
  clipper.Begin(static_cast<int>(count));
  while (clipper.Step()) {
    for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
      if (!ImGui::Selectable((what + std::to_string(i)).c_str(), !follow && chosen == i)) {
        continue;
      }
      follow = false;
      chosen = i;
    }
  }
  ImGui::EndCombo();
}

// Choices are beside each other where they fit.
class ChoiceRow {
 public:
  void next(float width) {
    if (!first_) { next_item(width); }
    first_ = false;
  }
  void checkbox(const char* label, bool& value) {
    const float text = ImGui::CalcTextSize(label, nullptr, true).x;
    next(ImGui::GetFrameHeight() + ImGui::GetStyle().ItemInnerSpacing.x + text);
    ImGui::Checkbox(label, &value);
  }

 private:
  bool first_ = true;
};

void choose_gates(ChoiceRow& row, std::int64_t& chosen) {
  int gates = static_cast<int>(chosen);
  const std::string text = std::to_string(gates) + (gates == 1 ? " gate unit" : " gate units");
  row.next(6.5f * em() + ImGui::CalcTextSize("128 gate units").x);
  ImGui::SetNextItemWidth(6 * em());
  if (ImGui::SliderInt("###gates", &gates, 1, 128, "",
                       ImGuiSliderFlags_Logarithmic | ImGuiSliderFlags_AlwaysClamp)) {
    chosen = gates;
  }
  ImGui::SameLine(0, 0.5f * em());
  ImGui::TextUnformatted(text.c_str());
}

void draw_choices(Gui& gui, const FigureEntry& entry, const Trace& trace, FigurePanelState& state) {
  const unsigned choices = entry.heeded(state.chosen);
  const FigureChoices now = figure_choices(gui, std::string(entry.id));
  const float combo = 8 * em();
  ChoiceRow row;
  if (choices & kByExpertChoice) { row.checkbox("by expert###by_expert", state.chosen.by_expert); }
  if (choices & kByRankChoice) { row.checkbox("by rank###by_rank", state.chosen.by_rank); }
  if (choices & kLayerChoice) {
    row.next(combo);
    choose_layer(trace, state, now);
  }
  if (choices & kExpertChoice) {
    row.next(combo);
    choose_number("###expert", "expert ", "most loaded expert", trace.experts, now.expert,
                  state.follow_expert, state.chosen.expert);
  }
  if (choices & kSlotChoice) {
    row.next(combo);
    choose_number("###slot", "slot ", "", trace.slots, now.slot, state.follow_slot,
                  state.chosen.slot);
  }
  if (choices & kGatesChoice) { choose_gates(row, state.chosen.gates); }
  if (state.view.shown && has_log_axis(state.view.shown->figure)) {
    bool logarithmic = !state.view.linear;
    row.checkbox("log scale###log", logarithmic);
    state.view.linear = !logarithmic;
  }
}

// On: the figure zooms along tokens together with the others of its trace.
void draw_link(const Theme& theme, FigurePanelState& state) {
  const bool linked = !state.parted;
  ImGui::PushStyleColor(ImGuiCol_Text, linked ? theme.accent : theme.quiet_text);
  if (ImGui::Button("Link###linked")) { state.parted = linked; }
  ImGui::PopStyleColor();
  explain(linked ? "Zooms along tokens together with the other figures of this trace. Press to "
                   "zoom it by itself."
                 : "Zooms along tokens by itself. Press to zoom it together with the other figures "
                   "of this trace.");
  ImGui::SameLine();
}

// What of it has room beside the title; the pointer shows all.
void draw_subtitle(const Theme& theme, const std::string& subtitle, float room) {
  const std::string shown = parts_that_fit(subtitle, room - 1.2f * em());
  if (shown.empty()) { return; }
  ImGui::SameLine(0, 1.2f * em());
  ImGui::PushStyleColor(ImGuiCol_Text, theme.quiet_text);
  ImGui::TextUnformatted(shown.c_str());
  ImGui::PopStyleColor();
  if (shown != subtitle) { explain(subtitle.c_str()); }
}

void draw_header(Gui& gui, const FigureEntry& entry, FigurePanelState& state) {
  const ImGuiStyle& style = ImGui::GetStyle();
  const auto width = [&](const char* text) {
    return ImGui::CalcTextSize(text).x + 2 * style.FramePadding.x;
  };
  const PreparedFigure* shown = state.view.shown.get();
  const bool linkable = shown && has_token_axis(shown->figure);
  const float buttons = width("?") + width("Export…") + style.ItemSpacing.x +
                        (linkable ? width("Link") + style.ItemSpacing.x : 0);
  const float start = ImGui::GetCursorPosX(), room = ImGui::GetContentRegionAvail().x;
  ImGui::AlignTextToFramePadding();
  const bool one = shown && !shown->figure.title.empty() && state.panes < 2;
  const std::string title = one ? plain_text(shown->figure.title) : std::string(entry.title);
  const float rest = room - buttons - 1.5f * em() - ImGui::CalcTextSize(title.c_str()).x;
  ImGui::BeginGroup();
  ImGui::PushTextWrapPos();
  ImGui::TextUnformatted(title.c_str());
  ImGui::PopTextWrapPos();
  explain((std::string(entry.id) + ": " + std::string(entry.what)).c_str());
  if (shown && rest > 0 && state.panes < 2) {
    draw_subtitle(*gui.theme, plain_text(shown->figure.subtitle), rest);
  }
  ImGui::EndGroup();
  if (rest > 0) { ImGui::SameLine(); }
  ImGui::SetCursorPosX(start + std::max(0.0f, room - buttons));
  if (linkable) { draw_link(*gui.theme, state); }
  if (ImGui::Button("?###help")) { gui.help = entry.metric; }
  ImGui::SetItemTooltip("What it means");
  ImGui::SameLine();
  if (ImGui::Button("Export…###export")) { open_export_dialog(gui, std::string(entry.id)); }
}

// The figure that was looked at last is what "export" and the history mean.
void note_focus(Gui& gui, const std::string& id, FigurePanelState& state) {
  const bool focused = ImGui::IsWindowFocused(ImGuiFocusedFlags_RootAndChildWindows);
  if (focused && !state.focused) {
    ViewState view = gui.workspace.view();
    view.figure = id;
    gui.workspace.set_view(std::move(view));
  }
  state.focused = focused;
}

}  // namespace

std::string figure_title(const std::string& id) {
  const TrainingFigure* training = training_figure(id);
  return std::string(training ? training->title : figure_entry(id).title);
}

std::string figure_help(const std::string& id) {
  const TrainingFigure* training = training_figure(id);
  return std::string(training ? training->what : figure_entry(id).what);
}

FigureChoices figure_choices(const Gui& gui, const std::string& id) {
  const FigureEntry& entry = figure_entry(id);
  const auto found = gui.figures.find(id);
  static const FigurePanelState fresh;
  const FigurePanelState& state = found == gui.figures.end() ? fresh : found->second;
  const Trace* trace = gui.workspace.current_trace();
  const Subject& selection = gui.workspace.selection();
  FigureChoices choices;
  const unsigned heed = entry.heeded(state.chosen);
  if (heed & kByExpertChoice) { choices.by_expert = state.chosen.by_expert; }
  if (heed & kByRankChoice) { choices.by_rank = state.chosen.by_rank; }
  if (heed & kGatesChoice) { choices.gates = state.chosen.gates; }
  if (heed & kSlotChoice) { choices.slot = state.follow_slot ? selection.slot : state.chosen.slot; }
  if (heed & kLayerChoice) {
    const bool selected = trace && selection.row >= 0 && selection.row < trace->layers;
    if (!state.follow_layer) {
      choices.layer = state.chosen.layer;
      choices.pass = state.chosen.pass;
    } else if (selected) {
      choices.layer = trace->layer_index[selection.row];
      choices.pass = trace->pass_index[selection.row];
    }
  }
  // The selected expert is one of the selected row; of another layer it would be another one.
  if (heed & kExpertChoice) {
    if (!state.follow_expert) {
      choices.expert = state.chosen.expert;
    } else if (state.follow_layer) {
      choices.expert = selection.expert;
    }
  }
  return choices;
}

TokenRange tokens_in_sight(const Gui& gui, const std::string& id) {
  std::optional<AxisSpan> span;
  const auto found = gui.figures.find(id);
  if (found != gui.figures.end() && found->second.parted) {
    if (found->second.view.shown) { span = span_of_tokens(found->second.view); }
  } else if (const auto all = gui.tokens_in_sight.find(gui.workspace.view().trace);
             all != gui.tokens_in_sight.end()) {
    span = all->second;
  }
  if (!span) { return {}; }
  return {std::max<std::int64_t>(0, std::llround(std::floor(span->low + 0.5))),
          std::llround(std::ceil(span->high - 0.5))};
}

void draw_figure_panel(Gui& gui, const std::string& id) {
  FigurePanelState& state = gui.figures[id];
  note_focus(gui, id, state);
  const FigureEntry& entry = figure_entry(id);
  const Trace* trace = gui.workspace.current_trace();
  if (!trace) {
    state.view = {};
    state.beside = {};
    return start_note(gui, std::string(entry.title).c_str(),
                      "Open a trace, or run a text through a checkpoint.");
  }
  draw_header(gui, entry, state);
  draw_choices(gui, entry, *trace, state);
  draw_panes(gui, id, state);
}

}  // namespace kappascope::gui
