// The panel "Text": what to run, and below it the tokens of the current trace.
#include "app/gui/text_panel.h"

#include <imgui_internal.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <iterator>
#include <sstream>
#include <string>

#include "app/gui/generate_controls.h"
#include "app/gui/gui.h"
#include "app/gui/notices.h"
#include "app/gui/panels.h"
#include "app/gui/running_text.h"
#include "app/gui/start_note.h"
#include "app/gui/widgets.h"
#include "core/checkpoint/input_file.h"
#include "core/figure/text.h"
#include "core/stats/layer.h"
#include "core/trace/trace_meta.h"
#include "core/utf8.h"

namespace kappascope::gui {

namespace {

constexpr float kLeastRows = 2, kMostRows = 6;
constexpr float kInputShare = 0.16F;  // of the panel, beside tokens
constexpr float kFieldWidth = 14;     // em, of the interventions
constexpr std::uint64_t kLongestText = std::uint64_t{64} << 20;
constexpr std::size_t kMostWrapped =
    20000;  // bytes; longer texts are not wrapped as they are typed

float checkbox_width(const char* label) {
  return ImGui::GetFrameHeight() + ImGui::GetStyle().ItemInnerSpacing.x +
         ImGui::CalcTextSize(label, nullptr, true).x;
}

// The Enter key of the keypad runs the text from within the field and writes no line break there.
void run_by_keypad(Gui& gui, ImGuiID field) {
  if (ImGui::GetActiveID() != field || ImGui::GetIO().KeyMods != 0) { return; }
  if (!ImGui::IsKeyDown(ImGuiKey_KeypadEnter)) { return; }
  const ImGuiID owner = ImGui::GetID("###keypad");
  ImGui::SetKeyOwner(ImGuiKey_KeypadEnter, owner, ImGuiInputFlags_LockThisFrame);
  if (ImGui::IsKeyPressed(ImGuiKey_KeypadEnter, ImGuiInputFlags_None, owner)) {
    gui.workspace.run();
  }
}

// Where the text is wanted under the hands: the field's, with the cursor at its end.
void give_focus(TextPanelState& panel, ImGuiID field) {
  if (!panel.edit) { return; }
  if (ImGui::GetActiveID() != field) { return ImGui::SetKeyboardFocusHere(); }
  panel.edit = false;
  if (ImGuiInputTextState* state = ImGui::GetInputTextState(field)) {
    state->ReloadUserBufAndMoveToEnd();
  }
}

void draw_input(Gui& gui) {
  std::string& text = gui.workspace.next_run.text;
  const float line = ImGui::GetTextLineHeight(), frame = 2 * ImGui::GetStyle().FramePadding.y;
  const bool wrapped = text.size() <= kMostWrapped;
  float height = kMostRows * line;
  if (wrapped) {
    const float room = ImGui::GetContentRegionAvail().x - ImGui::GetStyle().ScrollbarSize - em();
    height = ImGui::CalcTextSize((text + "\n").c_str(), nullptr, false, room).y;
  }
  // Where there is little room most of it is for the tokens below.
  const float most = gui.workspace.current_trace() ? kInputShare * ImGui::GetContentRegionAvail().y
                                                   : kMostRows * line;
  height =
      std::clamp(height, kLeastRows * line, std::clamp(most, kLeastRows * line, kMostRows * line));
  const ImVec2 at = ImGui::GetCursorScreenPos();
  run_by_keypad(gui, ImGui::GetID("###input"));
  give_focus(gui.text, ImGui::GetID("###input"));
  if (ImGui::InputTextMultiline("###input", &text, {-1, height + frame},
                                wrapped ? ImGuiInputTextFlags_WordWrap : 0)) {
    gui.workspace.next_run.source.clear();  // it is no longer what the file has
    gui.fonts.need(text);
  }
  // Into the list of the field's own child window, whose background covers what is drawn before.
  const auto& children = ImGui::GetCurrentWindow()->DC.ChildWindows;
  if (text.empty() && !ImGui::IsItemActive() && !children.empty()) {
    const ImVec2 padding = ImGui::GetStyle().FramePadding;
    ImDrawList* list = children.back()->DrawList;
    list->PushClipRect(ImGui::GetItemRectMin(), ImGui::GetItemRectMax());
    list->AddText(nullptr, 0, {at.x + padding.x, at.y + padding.y}, gui.theme->quiet_text,
                  "Type or paste a text, or drop a file here", nullptr,
                  ImGui::GetItemRectSize().x - 2 * padding.x);
    list->PopClipRect();
  }
}

void draw_progress(Gui& gui) {
  Workspace& workspace = gui.workspace;
  const JobId id = workspace.run_job();
  JobStatus status;
  for (const JobStatus& job : workspace.long_jobs().status()) {
    if (job.id == id) { status = job; }
  }
  const std::string words = job_text(status);
  const float share = status.total > 0 ? float(status.done) / float(status.total) : 0;
  const auto generated = workspace.generated();
  const bool stopping = generated && generated->status.stopping;
  if (status.stage == Stage::generate && !stopping && !status.cancelled) {
    if (ImGui::Button("Stop###stop")) { workspace.stop_generating(); }
    explain("Ends the text after the token that is being computed; it can go on from there.");
  } else {
    if (ImGui::Button("Cancel###cancel")) { workspace.cancel(id); }
    explain("Stops within a layer. What is open stays as it is.");
  }
  ImGui::SameLine();
  ImGui::ProgressBar(share, {-1, 0}, "");
  const ImVec2 low = ImGui::GetItemRectMin(), high = ImGui::GetItemRectMax();
  const ImVec2 size = ImGui::CalcTextSize(words.c_str());
  ImGui::GetWindowDrawList()->PushClipRect(low, high, true);
  ImGui::GetWindowDrawList()->AddText(
      {low.x + ImGui::GetStyle().FramePadding.x, (low.y + high.y - size.y) / 2}, gui.theme->text,
      words.c_str());
  ImGui::GetWindowDrawList()->PopClipRect();
}

void draw_run_button(Gui& gui) {
  Workspace& workspace = gui.workspace;
  const bool possible = workspace.can_run();
  const Theme& theme = *gui.theme;
  ImGui::BeginDisabled(!possible);
  if (possible) {
    ImGui::PushStyleColor(ImGuiCol_Button, theme.accent);
    ImGui::PushStyleColor(ImGuiCol_Text, theme.dark ? IM_COL32_BLACK : IM_COL32_WHITE);
  }
  if (single_button("Run###run", {4.5F * em(), 0})) { workspace.run(); }
  if (possible) { ImGui::PopStyleColor(2); }
  ImGui::EndDisabled();
  const OpenModel* model = workspace.current_model();
  if (possible) {
    explain("Run this text through the model (Ctrl+Enter, or Enter of the keypad)");
  } else if (workspace.run_job() != 0) {
    explain("A text is being run");
  } else if (!model) {
    explain("Open a model first: drop its folder here, or File, Open");
  } else {
    explain("This model has no tokenizer: put tokenizer/ beside it and open it again");
  }
}

std::string interventions_help() {
  std::string help =
      "What this run changes in the model: words with spaces between them. NAME=VALUE acts "
      "everywhere; @LAYERS or @LAYERS:EXPERTS behind it say where: kappa-mul=2@3-5,7:0\n";
  for (const EditKind& kind : edit_kinds()) {
    help += join_words('\n', kind.name, '=', kind.value, "  ", kind.help);
  }
  return help;
}

// Its text is what was typed until the interventions change otherwise.
void draw_interventions(Gui& gui) {
  RunSettings& next = gui.workspace.next_run;
  TextPanelState& state = gui.text;
  if (state.words_taken != next.interventions || state.words_wrong != next.wrong) {
    state.words.clear();
    for (const std::string& word : canonical_words(next.interventions)) {
      state.words += (state.words.empty() ? "" : " ") + word;
    }
  }
  const float width = kFieldWidth * em();
  next_item(width);
  ImGui::SetNextItemWidth(std::min(width, ImGui::GetContentRegionAvail().x));
  if (ImGui::InputTextWithHint("###interventions", "Interventions", &state.words)) {
    gui.fonts.need(state.words);
    std::istringstream typed(state.words);
    next.take({std::istream_iterator<std::string>(typed), {}});
  }
  static const std::string help = interventions_help();
  if (!ImGui::IsItemActive()) { explain(help.c_str()); }
  state.words_taken = next.interventions;
  state.words_wrong = next.wrong;
}

bool has_capacity(const Architecture& architecture) {
  return std::any_of(architecture.layers.begin(), architecture.layers.end(),
                     [](const auto& layer) { return layer.moe() && layer.moe()->router.capacity; });
}

// Off is an intervention like any other.
void draw_switch(RunSettings& next, const char* label, Edit edit, const char* help) {
  next_item(checkbox_width(label));
  bool on = !next.is_off(edit);
  if (ImGui::Checkbox(label, &on)) { next.switch_off(edit, !on); }
  explain(help);
}

void draw_options(Gui& gui) {
  RunSettings& next = gui.workspace.next_run;
  const OpenModel* of = gui.workspace.current_model();
  if (!of || of->model->architecture.has_kappa()) {
    draw_switch(
        next, "κ###kappa", Edit::kappa,
        "On: κ as learned. Off: κ = 1 everywhere, which is plain SwiGLU with the same weights.");
  }
  if (!of || has_capacity(of->model->architecture)) {
    draw_switch(
        next, "Capacity###capacity", Edit::capacity,
        "On: an expert takes at most its capacity of tokens and the rest is dropped, as in the "
        "checkpoint's own evaluation. Off: nothing is dropped.");
  }
  next_item(checkbox_width("Window"));
  ImGui::Checkbox("Window###window", &next.window);
  explain(
      "For texts longer than the model's context: run in overlapping chunks, each token with at "
      "least half a context before it. Off: a longer text is an error.");
  next_item(checkbox_width("Lens"));
  ImGui::Checkbox("Lens###lens", &next.lens);
  explain(
      "Record what the model would predict if it ended after each layer, for the view Logit lens. "
      "Every layer then costs a product with the output head more.");
  draw_interventions(gui);
  const bool typing = ImGui::IsItemActive();
  if (const OpenModel* model = gui.workspace.current_model()) {
    const CheckpointFiles& files = model->model->files;
    const std::string name =
        plain_text(model->model->name()) + (files.step ? ", step " + count_text(*files.step) : "");
    const float width = ImGui::CalcTextSize(name.c_str()).x;
    next_item(width);  // else on a line of its own
    const float room = ImGui::GetContentRegionAvail().x;
    ImGui::SetCursorPosX(ImGui::GetCursorPosX() + std::max(0.0F, room - width));
    ImGui::AlignTextToFramePadding();
    elided_text(name, 0, gui.theme->quiet_text);
  }
  if (!next.wrong.empty() && !typing) {
    ImGui::PushStyleColor(ImGuiCol_Text, gui.theme->error);
    ImGui::TextWrapped("%s", next.wrong.c_str());
    ImGui::PopStyleColor();
  }
}

void choose_colour(Gui& gui) {
  Workspace& workspace = gui.workspace;
  ViewState view = workspace.view();
  std::string shown = view.token_colour;
  const TokenQuantity* chosen = nullptr;
  for (const TokenQuantity& quantity : token_quantities()) {
    if (quantity.id != view.token_colour) { continue; }
    chosen = &quantity;
    shown = quantity.name;
  }
  ImGui::SetNextItemWidth(std::min(15 * em(), ImGui::GetContentRegionAvail().x));
  if (ImGui::BeginCombo("###colour", shown.c_str(), ImGuiComboFlags_HeightLarge)) {
    for (const TokenQuantity& quantity : token_quantities()) {
      const std::string label = std::string(quantity.name) + "###" + std::string(quantity.id);
      if (!ImGui::Selectable(label.c_str(), chosen == &quantity)) { continue; }
      view.token_colour = quantity.id;
      if (quantity.layers == TokenQuantity::Layers::one) { view.colour_by_layer = true; }
      workspace.set_view(view);
    }
    ImGui::EndCombo();
  }
  explain("What the colour of a token means");
  if (!chosen || chosen->layers == TokenQuantity::Layers::none || view.selection.row < 0) {
    return;
  }
  const TraceLayer layer(*workspace.current_trace(), view.selection.row);
  std::string label = "of layer " + std::to_string(layer.layer);
  if (layer.pass > 0) { label += ", pass " + std::to_string(layer.pass); }
  if (chosen->slots) { label += ", slot " + std::to_string(view.selection.slot); }
  label += "###of_layer";
  next_item(checkbox_width(label.c_str()));
  const bool only = chosen->layers == TokenQuantity::Layers::one;
  ImGui::BeginDisabled(only);
  bool by_layer = view.colour_by_layer || only;
  if (ImGui::Checkbox(label.c_str(), &by_layer)) {
    view.colour_by_layer = by_layer;
    workspace.set_view(view);
  }
  ImGui::EndDisabled();
  explain("On: of the selected layer. Off: over all recorded layers.");
}

void draw_text(Gui& gui) {
  Workspace& workspace = gui.workspace;
  if (!workspace.current_trace()) {
    if (workspace.run_job() != 0) {
      return waiting_note(*gui.theme, "The tokens will appear here");
    }
    return workspace.current_model()
               ? empty_note(*gui.theme, "No text has been run", "Type one above and press Run")
               : start_note(gui, "Nothing is open", "Drop a model folder or a trace.npz here");
  }
  choose_colour(gui);
  next_item(checkbox_width("Raw"));
  ImGui::Checkbox("Raw###whitespace", &gui.text.show_whitespace);
  explain(
      "Show spaces at the ends of tokens, tabs and line feeds, and as bytes the characters that "
      "are cut into several tokens");
  draw_go_on(gui);
  draw_find_bar(gui);
  draw_running_text(gui);
}

}  // namespace

void load_text(Gui& gui, const std::filesystem::path& path) {
  auto work = [&gui, path](Progress& progress) -> JobQueue::Finish {
    progress.update(Stage::read, 0, 1);
    std::string text = read_text_file(path, kLongestText);
    require(is_utf8(text), ExitCode::damaged,
            {.file = path.native(), .offset = std::int64_t(utf8_error(text))}, "not valid UTF-8");
    return [&gui, path, text = std::move(text)] {
      gui.fonts.need(text);
      gui.workspace.next_run.text = text;
      gui.workspace.next_run.source = path.string();
      gui.shown["text"] = true;
      gui.focus = "text";
    };
  };
  gui.workspace.long_jobs().add("Read " + plain_text(path.filename().string()), std::move(work),
                                [&gui](const Failure& failure) { gui.workspace.say(failure); });
}

void draw_text_panel(Gui& gui) {
  draw_input(gui);
  draw_run_button(gui);
  draw_generate_button(gui);
  // The bar at the bottom shows live runs: what is typed here begins them, and goes on meanwhile.
  const auto generated = gui.workspace.generated();
  const bool generating = generated && generated->going;
  if (gui.workspace.run_job() != 0 && (generating || !gui.interventions.live)) {
    ImGui::SameLine();  // not in its place, where a second click would cancel
    draw_progress(gui);
  } else {
    draw_options(gui);
  }
  ImGui::Separator();
  draw_text(gui);
}

}  // namespace kappascope::gui
