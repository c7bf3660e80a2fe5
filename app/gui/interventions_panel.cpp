// The panel "Interventions": what the next run changes in the model, a row for each edit, and what
// the current trace's interventions did, against the same run without them.
#include "app/gui/interventions_panel.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "app/gui/effect_view.h"
#include "app/gui/gui.h"
#include "app/gui/panels.h"
#include "app/gui/widgets.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

constexpr double kPause = 0.15, kPatience = 1;  // seconds until a change is run; of a run before
constexpr float kNameWidth = 7.5F, kValueWidth = 6.5F, kLeastScope = 4.5F;  // em

using Row = InterventionsState::Row;

std::string word_of(const Row& row) {
  return row.name + "=" + row.value + (row.scope.empty() ? "" : "@" + row.scope);
}

Row row_of(const Intervention& edit) {
  const std::string word = edit.text();
  const std::size_t equals = word.find('=');
  const std::size_t at = kind_of(edit.edit).layers ? word.find('@') : word.npos;
  return {word.substr(0, equals), word.substr(equals + 1, at - equals - 1),
          at == word.npos ? "" : word.substr(at + 1), ""};
}

const EditKind& kind_called(const std::string& name) {
  const auto kinds = edit_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(),
                                  [&](const EditKind& kind) { return name == kind.name; });
  require(found != kinds.end(), ExitCode::internal, {}, "an edit of no kind");
  return *found;
}

// What `value` should be instead; "" where it is right.
std::string wrong_with(const std::string& name, const std::string& value) {
  try {
    parse_intervention(name, value);
    return "";
  } catch (const Error& error) { return error.what(); }
}

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// Rows that say what the next run is to do, after it was changed elsewhere.
void follow_next_run(Gui& gui) {
  InterventionsState& state = gui.interventions;
  const RunSettings& next = gui.workspace.next_run;
  if (state.taken == next.interventions && state.taken_wrong == next.wrong) { return; }
  state.rows.clear();
  for (const Intervention& edit : in_order(next.interventions)) {
    state.rows.push_back(row_of(edit));
  }
  state.taken = next.interventions;
  state.taken_wrong = next.wrong;
}

void take_rows(Gui& gui) {
  InterventionsState& state = gui.interventions;
  RunSettings& next = gui.workspace.next_run;
  std::vector<std::string> words;
  for (Row& row : state.rows) {
    words.push_back(word_of(row));
    row.wrong = wrong_with(row.name, row.value + (row.scope.empty() ? "" : "@" + row.scope));
  }
  next.take(words);
  state.taken = next.interventions;
  state.taken_wrong = next.wrong;
}

const char* first_number(const EditKind& kind) {
  return kind.takes == EditValue::count ? "1" : "0.5";
}

// A value that a new edit of this kind may begin with: a number, or what is selected; "" where it
// can be anything.
std::string first_value(Gui& gui, const EditKind& kind) {
  if (kind.off) { return "off"; }
  if (kind.takes != EditValue::text) { return first_number(kind); }
  const Subject& at = gui.workspace.selection();
  const Trace* trace = gui.workspace.current_trace();
  const bool selected = trace && at.row >= 0 && at.row < trace->layers;
  const std::string layer = join_words(selected ? trace->layer_index[at.row] : 0, ':');
  const std::string expert = join_words(std::max(0, at.expert));
  if (kind.edit == Edit::ablate) { return layer + expert; }
  if (kind.edit == Edit::route) { return layer + join_words(std::max(0, at.token), ':') + expert; }
  return "";
}

// A number is dragged, or typed after a double click; anything else is typed.
bool draw_value(const EditKind& kind, Row& row) {
  const bool numeric = kind.takes != EditValue::text;
  bool changed = false;
  if (kind.off && numeric) {
    bool off = row.value == "off";
    if (ImGui::Checkbox("off###off", &off)) {
      row.value = off ? "off" : first_number(kind);
      changed = true;
    }
    explain("Turned off");
    ImGui::SameLine();
    if (off) {
      ImGui::Dummy({kValueWidth * em(), 0});
      return changed;
    }
  }
  ImGui::SetNextItemWidth(kValueWidth * em());
  const std::optional<double> number = number_in(row.value);
  if (numeric && number) {
    const bool fractions = kind.takes == EditValue::fraction;
    double value = *number;
    const float speed = fractions ? 0.01F * float(std::max(0.1, std::abs(value))) : 0.05F;
    if (ImGui::DragScalar("###value", ImGuiDataType_Double, &value, speed, nullptr, nullptr,
                          fractions ? "%.6g" : "%.0f")) {
      row.value = number_text(fractions ? value : std::round(value), 6);
      changed = true;
    }
    explain("Drag to change it; double-click to type a number");
    return changed;
  }
  changed |= ImGui::InputTextWithHint("###value", kind.value, &row.value);
  return changed;
}

bool draw_scope(const EditKind& kind, Row& row, float room) {
  if (!kind.layers) { return false; }
  ImGui::SetNextItemWidth(std::max(kLeastScope * em(), room));
  const bool changed = ImGui::InputTextWithHint(
      "###scope", kind.experts ? "all layers:experts" : "all layers", &row.scope);
  if (!ImGui::IsItemActive()) {
    explain(kind.experts ? "Where it acts: layers, and behind a colon experts: 3, 2-5,7, *:0-3 or "
                           "4:1; empty: everywhere"
                         : "Where it acts: layers such as 3 or 2-5,7; empty: everywhere");
  }
  return changed;
}

// True when the row was changed; `closed`: it is to go.
bool draw_row(const Theme& theme, Row& row, bool& closed) {
  const EditKind& kind = kind_called(row.name);
  ImGui::AlignTextToFramePadding();
  ImGui::TextUnformatted(row.name.c_str());
  explain(join_words(kind.name, '=', kind.value, "  ", kind.help).c_str());
  ImGui::SameLine(kNameWidth * em());
  bool changed = draw_value(kind, row);
  const float close = ImGui::CalcTextSize("×").x + 2 * ImGui::GetStyle().FramePadding.x;
  const float gap = ImGui::GetStyle().ItemSpacing.x;
  next_item(kind.layers ? kLeastScope * em() + gap + close : close);
  changed |= draw_scope(kind, row, ImGui::GetContentRegionAvail().x - gap - close);
  if (kind.layers) { ImGui::SameLine(); }
  closed = ImGui::Button("×###close");
  explain("Without this edit");
  if (!row.wrong.empty()) {
    ImGui::PushStyleColor(ImGuiCol_Text, theme.error);
    ImGui::TextWrapped("%s", row.wrong.c_str());
    ImGui::PopStyleColor();
  }
  return changed || closed;
}

void draw_rows(Gui& gui) {
  std::vector<Row>& rows = gui.interventions.rows;
  bool changed = false;
  std::size_t removed = rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    bool closed = false;
    ImGui::PushID(int(i));
    changed |= draw_row(*gui.theme, rows[i], closed);
    ImGui::PopID();
    if (closed) { removed = i; }
  }
  if (removed < rows.size()) { rows.erase(rows.begin() + std::ptrdiff_t(removed)); }
  if (changed) { take_rows(gui); }
}

void draw_adding(Gui& gui) {
  ImGui::SetNextItemWidth(12 * em());
  if (!ImGui::BeginCombo("###add", "Add an edit", ImGuiComboFlags_HeightLarge)) { return; }
  for (const EditKind& kind : edit_kinds()) {
    if (ImGui::Selectable(kind.name)) {
      Row row{kind.name, first_value(gui, kind), "", ""};
      gui.interventions.rows.push_back(std::move(row));
      take_rows(gui);
    }
    explain(join_words(kind.name, '=', kind.value, "  ", kind.help).c_str());
  }
  ImGui::EndCombo();
}

void draw_controls(Gui& gui) {
  InterventionsState& state = gui.interventions;
  heading(gui.fonts.bold, "Next run");
  if (state.rows.empty()) { quiet_text(*gui.theme, "The model as it is: no interventions."); }
  draw_rows(gui);
  draw_adding(gui);
  const float box = ImGui::GetFrameHeight() + ImGui::GetStyle().ItemInnerSpacing.x;
  next_item(box + ImGui::CalcTextSize("Live").x);
  ImGui::Checkbox("Live###live", &state.live);
  explain(
      "Runs the text again as its interventions change; the trace takes the place of the last one "
      "made so");
  next_item(5 * em());
  ImGui::BeginDisabled(!gui.workspace.can_run());
  if (single_button("Run###run", {4.5F * em(), 0})) { gui.workspace.run(); }
  ImGui::EndDisabled();
}

// Whoever changed them: the rows, the text panel, an action.
void note_change(InterventionsState& state, const RunSettings& next) {
  if (!next.wrong.empty() || state.noticed == next.interventions) { return; }
  state.noticed = next.interventions;
  if (state.live && state.changed_at < 0) { state.changed_at = ImGui::GetTime(); }
}

}  // namespace

void run_when_due(Gui& gui) {
  InterventionsState& state = gui.interventions;
  Workspace& workspace = gui.workspace;
  note_change(state, workspace.next_run);
  const auto generated = workspace.generated();
  const bool generating = generated && generated->going;  // which no change is to end
  if (state.changed_at < 0 || gui.restore.going || generating) { return; }
  const bool going = workspace.run_job() != 0;
  const OpenModel* model = workspace.current_model();
  if (going && model && !model->loaded) { return; }  // its weights would be read anew
  if (ImGui::GetTime() - state.changed_at < (going ? kPatience : kPause)) { return; }
  state.changed_at = -1;
  const bool worth = state.live && workspace.next_run.wrong.empty() &&
                     !workspace.next_run.text.empty() && (going || workspace.can_run());
  if (worth) { workspace.run(/*live=*/true); }
}

void draw_interventions_panel(Gui& gui) {
  follow_next_run(gui);
  if (!ImGui::BeginChild("###edits")) { return ImGui::EndChild(); }
  draw_controls(gui);
  draw_effect(gui);
  ImGui::EndChild();
}

}  // namespace kappascope::gui
