#include "app/gui/generate_controls.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "core/figure/text.h"
#include "core/utf8.h"

namespace kappascope::gui {
namespace {

constexpr std::int64_t kMostTokens = std::int64_t(1) << 31;
constexpr double kMostTemperature = 100, kLeastMass = 1e-9;

// Of a text field: each line is one.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) { lines.push_back(text.substr(at, end - at)); }
    at = end + 1;
  }
  return lines;
}

void whole_number(const char* label, std::int64_t& value, std::int64_t least, const char* help) {
  ImGui::SetNextItemWidth(9 * em());
  const std::int64_t one = 1, ten = 10;
  ImGui::InputScalar(label, ImGuiDataType_S64, &value, &one, &ten);
  value = std::clamp(value, least, kMostTokens);
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
  if (lines_of(text) != rules.stops) {  // they changed otherwise: a session was restored
    text.clear();
    for (const std::string& stop : rules.stops) { text += (text.empty() ? "" : "\n") + stop; }
  }
  const float height = 2 * ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().FramePadding.y;
  if (ImGui::InputTextMultiline("Stop texts###stops", &text, {14 * em(), height})) {
    gui.fonts.need(text);
    rules.stops = lines_of(text);
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
  const bool greedy = sampling.temperature == 0;
  if (greedy) {
    sampling.most = 0;
    sampling.mass = 1;
  }
  ImGui::BeginDisabled(greedy);
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
  const auto found = trace.meta.find("generation");
  if (found == trace.meta.end() || !found->is_object()) { return ""; }
  const auto generated = found->value("generated_tokens", std::int64_t(0));
  return join_words(count_text(generated), " generated · ended by ",
                    plain_text(found->value("ended_by", std::string())));
}

std::string of_status(const GeneratingStatus& status) {
  std::string text = join_words(count_text(status.generated), " generated");
  if (status.per_second > 0) {
    text += join_words(" · ", number_text(status.per_second), " a second");
  }
  return text;
}

// The current trace's text up to a token, without what the tokenizer put in front.
std::string text_up_to(const Trace& trace, std::int64_t token) {
  std::string text;
  for (std::int64_t t = 0; t <= token && t < trace.tokens; ++t) {
    const bool special = t == 0 && trace.char_start[std::size_t(t)] < 0;
    if (!special) { text += token_bytes(trace, t); }
  }
  while (!text.empty() && !is_utf8(text)) { text.pop_back(); }
  return text;
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
