#include "app/gui/generate_controls.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "app/said_text.h"
#include "core/figure/text.h"
#include "core/stats/importance.h"
#include "core/trace/meta.h"
#include "core/trace/token_bytes.h"

namespace kappascope::gui {
namespace {

void whole_number(const char* label, std::int64_t& value, std::int64_t least, const char* help) {
  ImGui::SetNextItemWidth(9 * em());
  const std::int64_t one = 1, ten = 10;
  ImGui::InputScalar(label, ImGuiDataType_S64, &value, &one, &ten);
  value = std::clamp(value, least, kMostGenerated);
  explain(help);
}

void number(const char* label, double& value, double least, double most, const char* help) {
  ImGui::SetNextItemWidth(9 * em());
  ImGui::InputDouble(label, &value, 0.05, 0.1, "%.3g");
  value = std::isnan(value) ? least : std::clamp(value, least, most);
  explain(help);
}

void draw_stops(Gui& gui, GenerationRules& rules) {
  std::string& text = gui.text.stops;
  if (lines_typed(text) != rules.stops) {  // they changed otherwise: a session was restored
    text.clear();
    for (const std::string& stop : rules.stops) { text += (text.empty() ? "" : "\n") + stop; }
  }
  const float height = 2 * ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().FramePadding.y;
  if (ImGui::InputTextMultiline("Stop texts###stops", &text, {14 * em(), height})) {
    gui.fonts.need(text);
    rules.stops = lines_typed(text);
  }
  explain("The text ends where one of them comes; one a line");
}

void draw_rules(Gui& gui) {
  GenerationRules& rules = gui.workspace.next_run.rules;
  SamplingRule& sampling = rules.sampling;
  heading(gui.fonts.bold, "Generate");
  whole_number("Tokens###most", rules.tokens, 1, "At most so many, within the model's context");
  number("Temperature###temperature", sampling.temperature, 0, kMostTemperature,
         "Draws from softmax(logits / temperature). 0: the likeliest token (greedy)");
  ImGui::BeginDisabled(sampling.temperature == 0);
  number("Top-p###mass", sampling.mass, kLeastMass, 1,
         "Draws from the fewest likeliest tokens that have so much of the probability");
  whole_number("Top-k tokens###top_k", sampling.most, 0,
               "Draws from so many of the likeliest tokens. 0: from all");
  ImGui::SetNextItemWidth(9 * em());
  const std::uint64_t one = 1;
  ImGui::InputScalar("Seed###seed", ImGuiDataType_U64, &sampling.seed, &one);
  explain("The same seed draws the same tokens");
  ImGui::EndDisabled();
  draw_stops(gui, rules);
  ImGui::Checkbox("Go on after the end token###ends", &rules.go_on_at_end);
  explain("Off: the text ends with the tokens that the model's folder names as its end");
}

std::string how_it_ended(const Trace& trace) {
  const double generated = number_of(meta_at(trace, "generation", "generated_tokens"));
  if (!(generated >= 0)) { return ""; }
  return join_words(count_text(std::llround(generated)), " generated · ended by ",
                    plain_text(text_of(meta_at(trace, "generation", "ended_by"))));
}

std::string of_status(const GeneratingStatus& status) {
  std::string text = join_words(count_text(status.generated), " generated");
  if (status.per_second > 0) {
    text += join_words(" · ", number_text(status.per_second), " a second");
  }
  return text;
}

// The current trace's text up to a token, without what begins a document. Bytes that are no UTF-8
// are U+FFFD; a character that the token ends within is left out.
std::string text_up_to(const Trace& trace, std::int64_t token) {
  SaidText shown({});
  for (std::int64_t t = is_control_token(trace, 0) ? 1 : 0; t <= token && t < trace.tokens; ++t) {
    shown.add(token_bytes(trace, t));
  }
  return shown.text();
}

}  // namespace

void draw_generate_button(Gui& gui) {
  Workspace& workspace = gui.workspace;
  ImGui::SameLine();
  ImGui::BeginDisabled(!workspace.can_run());
  if (single_button("Generate###generate")) { workspace.generate(); }
  ImGui::EndDisabled();
  explain("Let the model go on with this text, token by token (Ctrl+Shift+Enter)");
  ImGui::SameLine(0, 0);
  if (ImGui::ArrowButton("###rules", ImGuiDir_Down)) { ImGui::OpenPopup("###rules_of_generating"); }
  explain("How many tokens, and how they are drawn");
  if (ImGui::BeginPopup("###rules_of_generating")) {
    draw_rules(gui);
    ImGui::EndPopup();
  }
}

void draw_go_on(Gui& gui) {
  Workspace& workspace = gui.workspace;
  const Trace& trace = *workspace.current_trace();
  const auto generated = workspace.generated();
  const bool going = generated && generated->going && generated->trace == workspace.view().trace;
  const std::string words = going ? of_status(generated->status) : how_it_ended(trace);
  if (!going && workspace.can_go_on()) {
    const std::int64_t selected = workspace.selection().token;
    const bool at_end = selected < 0 || selected + 1 >= trace.tokens;
    const char* label = at_end ? "Go on###go_on" : "Go on from here###go_on";
    next_item(ImGui::CalcTextSize(label, nullptr, true).x + 2 * ImGui::GetStyle().FramePadding.x);
    if (single_button(label)) { workspace.go_on(at_end ? trace.tokens - 1 : selected); }
    explain(at_end ? "Let the model go on after the last token"
                   : "Let the model go on after the selected token, as a text of its own");
  }
  if (words.empty()) { return; }
  next_item(ImGui::CalcTextSize(words.c_str()).x);
  ImGui::AlignTextToFramePadding();
  elided_text(words, 0, gui.theme->quiet_text);
}

void draw_token_menu(Gui& gui) {
  if (!ImGui::BeginPopup("###token_menu")) { return; }
  Workspace& workspace = gui.workspace;
  const std::int64_t token = workspace.selection().token;
  if (ImGui::MenuItem("Generate from here###go_on", nullptr, false,
                      workspace.can_go_on() && token >= 0)) {
    workspace.go_on(token);
  }
  if (ImGui::MenuItem("Edit from here###edit", nullptr, false, token >= 0)) {
    workspace.next_run.text = text_up_to(*workspace.current_trace(), token);
    workspace.next_run.source.clear();
    gui.fonts.need(workspace.next_run.text);
    gui.text.edit = true;
  }
  ImGui::EndPopup();
}

}  // namespace kappascope::gui
