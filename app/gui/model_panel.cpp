// The panel "Model": what is open, and what the model in use is.
#include "app/gui/model_panel.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "app/gui/gui.h"
#include "app/gui/panels.h"
#include "app/gui/widgets.h"
#include "core/figure/runs.h"
#include "core/figure/text.h"
#include "core/trace/corpus_totals.h"

namespace kappascope::gui {

namespace {

float table_height(std::size_t rows, int lines = 1) {
  const float line = ImGui::GetTextLineHeight(), padding = 2 * ImGui::GetStyle().CellPadding.y;
  const auto shown = float(std::min<std::size_t>(rows, 6));
  return line + padding + shown * (float(lines) * line + padding) + 0.3F * em();
}

// Room for a name, in em; of very long ones only the beginning is shown.
float name_width(const std::string& name) {
  return std::min(16.0F, ImGui::CalcTextSize(name.c_str()).x / em() + 0.1F);
}

// "6.6 M"
std::string short_count(double count) {
  if (count >= 1e9) { return fixed_text(count / 1e9, 2) + " G"; }
  if (count >= 1e6) { return fixed_text(count / 1e6, 2) + " M"; }
  if (count >= 1e3) { return fixed_text(count / 1e3, 1) + " k"; }
  return fixed_text(count, 0);
}

bool close_cell() {
  ImGui::TableNextColumn();
  return ImGui::SmallButton("×###close");
}

void choose_step(Gui& gui, const OpenModel& open) {
  const CheckpointFiles& files = open.model->files;
  const std::string shown = files.step ? count_text(*files.step) : "";
  if (open.steps.size() < 2) { return number_here(shown); }
  ImGui::SetNextItemWidth(-1);
  ImGui::PushStyleVar(ImGuiStyleVar_FramePadding, {ImGui::GetStyle().FramePadding.x, 0});
  if (ImGui::BeginCombo("###step", shown.c_str())) {
    for (const std::int64_t step : open.steps) {
      if (ImGui::Selectable(count_text(step).c_str(), step == files.step) && step != files.step) {
        gui.workspace.open(files.weights.parent_path(), step, open.reading);
      }
    }
    ImGui::EndCombo();
  }
  ImGui::PopStyleVar();
  explain("Steps in this folder; choosing another one replaces this one");
}

void draw_models(Gui& gui) {
  Workspace& workspace = gui.workspace;
  const Theme& theme = *gui.theme;
  heading(gui.fonts.bold, "Models");
  if (workspace.models().empty()) {
    return quiet_text(theme, "None. Drop a model folder here or open one from the menu File.");
  }
  float names = 0, steps = 4.5F;
  for (const OpenModel& open : workspace.models()) {
    names = std::max(names, name_width(plain_text(open.model->name())));
    steps = std::max(steps, name_width(count_text(open.model->files.step.value_or(0))));
  }
  // In a narrow panel the family is below, in what is said of the model in use.
  if (!begin_table("###models",
                   {{.name = "name", .width = 0, .number = false, .least = names},
                    {.name = "family", .width = 6.5F, .number = false, .spare = 1},
                    {.name = "step", .width = steps, .spare = 3},
                    {.name = "parameters", .width = 5, .spare = 2},
                    {.name = "", .width = 1.6F, .number = false}},
                   {0, table_height(workspace.models().size())})) {
    return;
  }
  const OpenModel* used = workspace.current_model();
  DocumentId closed = -1;
  for (const OpenModel& open : workspace.models()) {
    ImGui::PushID(static_cast<int>(open.id));
    if (row_item("###model", used && used->id == open.id)) { workspace.use_model(open.id); }
    elided_text(plain_text(open.model->name()));
    text_cell(open.model->architecture.family, theme.quiet_text);
    if (ImGui::TableNextColumn()) { choose_step(gui, open); }
    number_cell(short_count(double(open.parameters.total)));
    if (close_cell()) { closed = open.id; }
    explain("Close this model; traces of its runs stay");
    ImGui::PopID();
  }
  ImGui::EndTable();
  if (closed >= 0) { workspace.close_model(closed); }
}

constexpr const char* kCompareHelp =
    "Show it beside the current one: between the same axes where a figure takes several traces, "
    "else side by side, the first four";

std::string settings_text(const Trace& trace) {
  std::string text;
  for (const std::string& word : run_settings(trace)) { text += (text.empty() ? "" : ", ") + word; }
  return text.empty() ? "not recorded" : text;
}

// All that distinguishes a trace from another.
void explain_trace(const OpenTrace& open) {
  const Trace& trace = *open.trace;
  std::string text = plain_text(trace.model_name);
  if (trace.step >= 0) { text += ", step " + count_text(trace.step); }
  text += "\n" + settings_text(trace) + "\n" + count_text(counted_tokens(trace)) + " tokens: “" +
          run_text(trace, 160) + "”\n";
  text += open.run ? "run here, not saved" : plain_text(open.path.string());
  explain(text.c_str());
}

// "d8-kappa, κ off", and "prose · Once upon a time…".
std::pair<std::string, std::string> label_parts(const OpenTrace& open) {
  const std::string_view gap = " · ";
  const std::size_t end = open.label.find(gap);
  if (end == std::string::npos) { return {open.label, ""}; }
  return {open.label.substr(0, end), open.label.substr(end + gap.size())};
}

void draw_traces(Gui& gui) {
  Workspace& workspace = gui.workspace;
  const Theme& theme = *gui.theme;
  heading(gui.fonts.bold, "Traces");
  if (workspace.traces().empty()) {
    return quiet_text(theme, "None. Run a text, or open a trace.");
  }
  float names = 0, settings = 0, tokens = 3.5F;
  for (const OpenTrace& open : workspace.traces()) {
    tokens = std::max(tokens, name_width(count_text(counted_tokens(*open.trace))));
    names = std::max(names, name_width(label_parts(open).first));
    settings = std::max(settings, name_width(settings_text(*open.trace)));
  }
  if (!begin_table(
          "###traces",
          {{.name = "model and text", .width = 0, .number = false, .least = names},
           {.name = "tokens", .width = tokens, .spare = 2},
           {.name = "settings", .width = settings, .number = false, .spare = 1},  // in the tooltip
           {.name = "compare", .width = 4, .number = false, .help = kCompareHelp, .spare = 3},
           {.name = "", .width = 1.6F, .number = false}},
          {0, table_height(workspace.traces().size(), 2)})) {
    return;
  }
  DocumentId chosen = -1, closed = -1;
  for (const OpenTrace& listed : workspace.traces()) {
    OpenTrace& open = *workspace.trace(listed.id);
    gui.fonts.need(open.label);
    const bool current = workspace.view().trace == open.id;
    ImGui::PushID(static_cast<int>(open.id));
    if (row_item("###trace", current, 2)) { chosen = open.id; }
    explain_trace(open);
    const auto [name, text] = label_parts(open);
    ImGui::BeginGroup();
    ImGui::PushStyleVarY(ImGuiStyleVar_ItemSpacing, 0);
    elided_text(name);
    elided_text(text, 0, theme.quiet_text);
    ImGui::PopStyleVar();
    ImGui::EndGroup();
    number_cell(count_text(counted_tokens(*open.trace)));
    text_cell(settings_text(*open.trace), theme.quiet_text);
    ImGui::TableNextColumn();
    ImGui::PushStyleVar(ImGuiStyleVar_FramePadding, {0, 0});
    ImGui::SetCursorPosX(ImGui::GetCursorPosX() +
                         (ImGui::GetContentRegionAvail().x - ImGui::GetFrameHeight()) / 2);
    ImGui::BeginDisabled(current);
    bool compared = open.compared || current;
    if (ImGui::Checkbox("###compare", &compared)) { open.compared = compared; }
    ImGui::EndDisabled();
    ImGui::PopStyleVar();
    if (close_cell()) { closed = open.id; }
    explain("Close this trace");
    ImGui::PopID();
  }
  ImGui::EndTable();
  if (closed >= 0) { return ask_to_close(gui, closed); }
  if (chosen >= 0) { workspace.show_trace(chosen); }
}

std::string tensors_text(const ParameterCounts& parameters) {
  std::string text;
  for (const auto& [dtype, tensors] : parameters.tensors_of) {
    text += (text.empty() ? "" : ", ") + dtype + " (" + count_text(tensors) + " tensors)";
  }
  return text;
}

void warning_text(const Theme& theme, const std::string& text) {
  ImGui::PushStyleColor(ImGuiCol_Text, theme.warning);
  ImGui::TextWrapped("%s", plain_text(text).c_str());
  ImGui::PopStyleColor();
}

// A choice of how the checkpoint is read; another one reads it again.
template <typename Value>
void choose_reading(Gui& gui, const OpenModel& open, const char* label, const char* help,
                    std::string now, std::optional<Value> KappaChoices::* part,
                    std::initializer_list<Value> values) {
  const bool asked = (open.reading.*part).has_value();
  if (!asked) { now += ", as found"; }
  const float width = ImGui::CalcTextSize((now + "  ").c_str()).x + 2 * ImGui::GetFrameHeight();
  next_item(width + ImGui::CalcTextSize(label, nullptr, true).x + em());
  ImGui::AlignTextToFramePadding();
  ImGui::PushStyleColor(ImGuiCol_Text, gui.theme->quiet_text);
  ImGui::TextUnformatted(label, std::strstr(label, "###"));
  ImGui::PopStyleColor();
  ImGui::SameLine();
  ImGui::SetNextItemWidth(std::min(width, ImGui::GetContentRegionAvail().x));
  std::optional<std::optional<Value>> chosen;
  if (ImGui::BeginCombo(std::strstr(label, "###"), now.c_str())) {
    if (ImGui::Selectable("as found###auto", !asked)) { chosen.emplace(); }
    for (const Value value : values) {
      const bool is_it = asked && open.reading.*part == value;
      if (ImGui::Selectable(std::string(name(value)).c_str(), is_it)) { chosen.emplace(value); }
    }
    ImGui::EndCombo();
  }
  explain(help);
  if (!chosen || *chosen == open.reading.*part) { return; }
  KappaChoices reading = open.reading;
  reading.*part = *chosen;
  const bool folder = std::filesystem::is_directory(open.path);
  gui.workspace.open(open.path, folder ? open.model->files.step : std::nullopt, reading);
}

// Where a checkpoint can be read in several ways.
void draw_reading(Gui& gui, const OpenModel& open) {
  const Architecture& architecture = open.model->architecture;
  if (!architecture.has_kappa()) { return; }
  const KappaSlots& slots = architecture.kappa_slots;
  ImGui::Dummy({0, 0});
  if (slots.side) {
    choose_reading(gui, open, "κ slot###kappa_slot",
                   "Which κ of a checkpoint that has one of base and one of chat training",
                   std::string(name(*slots.side)), &KappaChoices::side,
                   {KappaSide::base, KappaSide::sft});
  }
  if (slots.side == KappaSide::sft) {
    choose_reading(gui, open, "SFT κ###sft_kappa",
                   "What the SFT slot of κ holds: what is added to the base's, or all of it",
                   std::string(name(slots.sft)), &KappaChoices::sft,
                   {SftKappa::residual, SftKappa::independent});
  }
  choose_reading(gui, open, "κ formula###kappa_formula",
                 "The formula of κ that the weights were trained with, by its date",
                 std::string(name(architecture.kappa_formula)), &KappaChoices::formula,
                 {KappaFormula::v2026_06, KappaFormula::v2026_05_31, KappaFormula::v2026_05,
                  KappaFormula::v2026_05_20});
}

void draw_about(Gui& gui, const OpenModel& open) {
  const Theme& theme = *gui.theme;
  const Model& model = *open.model;
  heading(gui.fonts.bold, plain_text(model.name()).c_str());
  next_item(ImGui::CalcTextSize("Weights").x + 2 * ImGui::GetStyle().FramePadding.x, em());
  if (ImGui::SmallButton("Weights###weights")) {
    gui.shown["weights"] = true;
    gui.focus = "weights";
  }
  explain("Tables of its tensors, and of what changed from another open model");
  draw_reading(gui, open);
  if (!open.warning.empty()) { warning_text(theme, open.warning); }
  if (!begin_key_values("###about")) { return; }
  key_value(theme, "Family", model.architecture.family);
  key_value(theme, "File", plain_text(model.files.weights.string()));
  key_value(theme, "Parameters",
            count_text(open.parameters.total) + ", " +
                count_text(std::llround(open.parameters.active)) + " active for a token" +
                active_condition(open.parameters));
  for (const auto& [part, elements] : open.parameters.parts) {
    key_value(theme, ("   " + part).c_str(), count_text(elements));
  }
  key_value(theme, "Stored as", tensors_text(open.parameters));
  key_value(theme, "Tokenizer",
            open.tokenizer ? plain_text(std::string(open.tokenizer->name())) + ", " +
                                 count_text(open.tokenizer->size()) + " tokens"
                           : "none found: texts cannot be run");
  key_value(theme, "Runs on", plain_text(open.device));
  key_value(theme, "Memory", plain_text(open.memory));
  for (const LayerRange& range : open.layers) {
    const std::string name = range.first == range.last ? "Layer " + std::to_string(range.first)
                                                       : "Layers " + std::to_string(range.first) +
                                                             "–" + std::to_string(range.last);
    key_value(theme, name.c_str(), range.text);
  }
  for (const std::string& finding : model.findings) {
    key_value(theme, &finding == &model.findings.front() ? "Layout" : "", plain_text(finding));
  }
  ImGui::EndTable();
  for (const std::string& warning : model.warnings) { warning_text(theme, warning); }
}

void draw_notes(Gui& gui, const OpenModel& open) {
  std::string fields, tensors;
  for (const std::string& field : open.model->unknown_fields) {
    fields += (fields.empty() ? "" : ", ") + plain_text(field);
  }
  for (const std::string& tensor : open.model->unknown_tensors) {
    tensors += (tensors.empty() ? "" : ", ") + plain_text(tensor);
  }
  if (!fields.empty()) { quiet_text(*gui.theme, "Unknown fields, ignored: " + fields); }
  if (!tensors.empty()) { quiet_text(*gui.theme, "Unknown tensors, ignored: " + tensors); }
}

void draw_configuration(Gui& gui, const OpenModel& open) {
  const Theme& theme = *gui.theme;
  heading(gui.fonts.bold, "Configuration");
  ImGui::SameLine(0, 1.5F * em());
  std::string& filter = gui.model.filter;
  ImGui::SetNextItemWidth(std::min(14 * em(), ImGui::GetContentRegionAvail().x));
  ImGui::InputTextWithHint("###filter", "filter", &filter);
  float fields = 0;
  for (const auto& field : open.model->document.items()) {
    fields = std::max(fields, ImGui::CalcTextSize(plain_text(field.key()).c_str()).x / em() + 0.1F);
  }
  if (!begin_table("###configuration",
                   {{.name = "field", .width = fields, .number = false},
                    {.name = "value", .width = 0, .least = 3}},
                   {0, std::max(9 * em(), ImGui::GetContentRegionAvail().y)})) {
    return;
  }
  for (const auto& [field, value] : open.model->document.items()) {
    if (field.find(filter) == std::string::npos) { continue; }
    ImGui::TableNextRow();
    text_cell(plain_text(field));
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    number_cell(plain_text(text), theme.text);
  }
  ImGui::EndTable();
}

}  // namespace

void draw_model_panel(Gui& gui) {
  if (!ImGui::BeginChild("###open")) { return ImGui::EndChild(); }
  draw_models(gui);
  draw_traces(gui);
  if (const OpenModel* open = gui.workspace.current_model()) {
    draw_about(gui, *open);
    draw_notes(gui, *open);
    draw_configuration(gui, *open);
  }
  ImGui::EndChild();
}

}  // namespace kappascope::gui
