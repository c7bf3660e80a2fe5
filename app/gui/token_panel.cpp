// The panel "Token": all about the selected token.
#include <algorithm>
#include <cmath>
#include <string>

#include "app/gui/gui.h"
#include "app/gui/panels.h"
#include "app/gui/start_note.h"
#include "app/gui/token_tooltip.h"
#include "app/gui/widgets.h"
#include "core/figure/readout.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/layer.h"

namespace kappascope::gui {

namespace {

void draw_header(Gui& gui, const Trace& trace, const TokenCard& card) {
  const Theme& theme = *gui.theme;
  gui.fonts.need(card.text);
  ImGui::PushFont(gui.fonts.bold, 1.5F * ImGui::GetStyle().FontSizeBase);
  elided_text(token_label(card.text));
  ImGui::PopFont();
  quiet_text(theme, "token " + count_text(card.token) + " of " + count_text(trace.tokens) +
                        " · id " + std::to_string(card.id));
  if (!begin_key_values("###about")) { return; }
  key_value(theme, "Bytes", card.bytes_hex.empty() ? "–" : spaced_hex(card.bytes_hex));
  key_value(theme, "Characters",
            card.char_start < 0 ? "– (added in front of the text)"
                                : characters_text(card.char_start, card.char_end));
  if (card.generated) { key_value(theme, "Phase", *card.generated ? "generated" : "prompt"); }
  if (card.assistant) { key_value(theme, "Assistant's", *card.assistant ? "yes" : "no"); }
  key_value(theme, "NLL", value_text(card.nll, "nats"), "−ln p(this token | those before it)");
  if (!std::isnan(card.bits_per_byte)) {
    key_value(theme, "Bits per byte", value_text(card.bits_per_byte), "NLL / (ln 2 · bytes)");
  }
  const std::string rank = card.target_rank < 0    ? "–"
                           : card.target_rank == 0 ? "0, the most probable"
                                                   : count_text(card.target_rank);
  key_value(theme, "Rank", rank,
            "Among all tokens by probability at this position; 0 is the most probable");
  ImGui::EndTable();
  const std::string note = token_note(trace, card.token, gui.fonts);
  if (note.empty()) { return; }
  ImGui::PushStyleColor(ImGuiCol_Text, theme.warning);
  ImGui::PushTextWrapPos();
  ImGui::TextUnformatted(note.c_str());
  ImGui::PopTextWrapPos();
  ImGui::PopStyleColor();
}

// The likeliest tokens at one place; `actual` is the one in the text.
void draw_predictions(Gui& gui, const char* id, const char* title, const char* help,
                      const std::vector<Prediction>& predictions, std::int32_t actual) {
  const Theme& theme = *gui.theme;
  ImGui::BeginGroup();
  heading(gui.fonts.bold, title);
  explain(help);
  if (predictions.empty()) {
    quiet_text(theme, "none recorded");
  } else if (ImGui::BeginTable(id, 2, ImGuiTableFlags_None,
                               {std::min(ImGui::GetContentRegionAvail().x, 18 * em()), 0})) {
    ImGui::TableSetupColumn("token", ImGuiTableColumnFlags_WidthStretch, 1);
    ImGui::TableSetupColumn("probability", ImGuiTableColumnFlags_WidthStretch, 1);
    const ImU32 bar = (theme.accent & ~IM_COL32_A_MASK) | (ImU32{90} << IM_COL32_A_SHIFT);
    for (const Prediction& prediction : predictions) {
      const std::string text = gui.workspace.token_text(prediction.id);
      gui.fonts.need(text);
      ImGui::TableNextRow();
      text_cell(text, prediction.id == actual ? theme.chosen : theme.text);
      bar_cell(prediction.probability(), percent_text(prediction.probability()), "100.0 %", bar);
    }
    ImGui::EndTable();
  }
  ImGui::EndGroup();
}

void draw_alternatives(Gui& gui, const Trace& trace, const TokenCard& card) {
  const bool beside = ImGui::GetContentRegionAvail().x > 34 * em();
  const auto next = static_cast<std::size_t>(card.token) + 1;
  draw_predictions(gui, "###instead", "Instead of it",
                   "The five most probable tokens at this position, predicted from those before it",
                   card.instead_of, card.id);
  if (beside) { ImGui::SameLine(0, 2 * em()); }
  draw_predictions(gui, "###after", "After it", "The five most probable next tokens", card.after,
                   next < trace.token_id.size() ? trace.token_id[next] : -1);
}

std::string layer_name(const TokenLayer& layer) {
  std::string name = std::to_string(layer.layer);
  return layer.pass > 0 ? name + "." + std::to_string(layer.pass) : name;
}

// What a click does, and by what the expert was chosen.
std::string slot_scores(const TokenSlot& slot) {
  std::string text = "Show this expert";
  if (!std::isnan(slot.logit)) { text += "\nRouter logit " + value_text(slot.logit); }
  if (!std::isnan(slot.selection_score)) {
    text += "\nChosen by its selection score " + value_text(slot.selection_score);
  }
  return text;
}

void draw_slot(Gui& gui, const TokenCard& card, const TokenLayer& layer, std::int64_t k) {
  const Theme& theme = *gui.theme;
  Workspace& workspace = gui.workspace;
  const TokenSlot& slot = layer.slots[k];
  const Subject& selection = workspace.selection();
  ImGui::PushID(static_cast<int>(layer.row));
  ImGui::PushID(static_cast<int>(k));
  if (row_item("###row", selection.row == layer.row && selection.slot == k)) {
    workspace.pick({int(layer.row), int(card.token), int(k), int(slot.expert)});
  }
  number_here(k == 0 ? layer_name(layer) : "", theme.text);
  number_cell(std::to_string(k), theme.quiet_text);
  ImGui::TableNextColumn();
  if (slot.expert >= 0) {
    const std::string name = std::to_string(slot.expert) + "###expert";
    const float room =
        ImGui::GetContentRegionAvail().x - ImGui::CalcTextSize(name.c_str(), nullptr, true).x;
    if (room > 0) { ImGui::SetCursorPosX(ImGui::GetCursorPosX() + room); }
    if (ImGui::TextLink(name.c_str())) {
      workspace.pick({.row = int(layer.row), .expert = int(slot.expert)});
      gui.shown["expert"] = true;
      gui.focus = "expert";
    }
    explain(slot_scores(slot).c_str());
  }
  const ImU32 bar = (theme.accent & ~IM_COL32_A_MASK) | (ImU32{90} << IM_COL32_A_SHIFT);
  if (slot.expert < 0 || !slot.kept) {
    const bool empty = slot.expert < 0;  // of soft routing
    number_cell(slot.unknown ? "unknown"
                : empty      ? "empty"
                             : "dropped",
                empty ? theme.quiet_text : theme.warning);
  } else {
    // Of the whole where the weights of a token add up to more than 1.
    double all = 0;
    for (const TokenSlot& other : layer.slots) { all += other.kept ? other.weight : 0; }
    bar_cell(slot.weight / std::max(all, 1.0), value_text(slot.weight), "0.00000", bar);
    if (!std::isnan(slot.contribution)) {
      explain(join_words("Times the norm of the expert's output, ", value_text(slot.output_norm),
                         ": ", value_text(slot.contribution))
                  .c_str());
    }
  }
  number_cell(value_text(slot.kappa_mean));
  const bool range = slot.kappa_p05 == slot.kappa_p05;
  number_cell(range ? value_text(slot.kappa_p05) + " … " + value_text(slot.kappa_p95) : "–",
              theme.quiet_text);
  number_cell(value_text(slot.sharpness));
  number_cell(k == 0 ? value_text(layer.margin) : "", layer.near_tie ? theme.warning : theme.text);
  if (k == 0 && layer.near_tie) {
    const double limit = gui.workspace.current_trace()->near_tie;
    explain(("A near tie: below " + value_text(limit)).c_str());
  }
  ImGui::PopID();
  ImGui::PopID();
}

void draw_layers(Gui& gui, const Trace& trace, const TokenCard& card) {
  const std::int64_t slots = trace.slots;
  heading(gui.fonts.bold, "Experts in every layer");
  if (card.layers.empty() || slots == 0) {
    return quiet_text(*gui.theme, "No MoE layer was recorded.");
  }
  const float height = std::max(8 * em(), ImGui::GetContentRegionAvail().y);
  const ColourScale scale = margin_colours(trace);
  const std::string margin =
      join_words(scale.label, ", in ", scale.unit, ". Below ", value_text(trace.near_tie),
                 " it is a near tie (coloured), which another precision may decide otherwise.");
  const bool shown = begin_table(
      "###layers",
      {{"layer", 2.6F, true, "Number of the layer in the model; layer.pass where it runs again"},
       {"slot", 2, true, "0: the first choice"},
       {"expert", 3},
       {"weight", 5.5F, true, "Combine weight; of a dropped assignment it is 0"},
       {"κ", 3.2F, true, "Mean over the gate units of the expert"},
       {.name = "κ 5–95 %", .width = 7.2F, .help = "Quantiles over the gate units", .spare = 1},
       {.name = "sharpness",
        .width = 3.2F,
        .help = "Effective sharpness: root mean square of κ·z over the gate units",
        .spare = 2},
       {.name = "margin", .width = 5, .help = margin.c_str(), .spare = 3}},
      {0, height});
  if (!shown) { return; }
  ImGuiListClipper clipper;
  clipper.Begin(static_cast<int>(card.layers.size()) * static_cast<int>(slots));
  while (clipper.Step()) {
    for (int row = clipper.DisplayStart; row < clipper.DisplayEnd; ++row) {
      draw_slot(gui, card, card.layers[row / slots], row % slots);
    }
  }
  ImGui::EndTable();
}

// The experts that a token chose, by their numbers.
std::string experts_of(const Trace& trace, const Subject& at) {
  if (at.row < 0 || at.token < 0) { return "–"; }
  const TraceLayer layer(trace, at.row, LayerTokens::all);
  std::string text;
  for (std::int64_t k = 0; k < trace.slots; ++k) {
    const std::int64_t expert = layer.expert(at.token * trace.slots + k);
    const bool known = expert >= 0 && layer.router_finite(at.token);
    text += (text.empty() ? "" : ", ") + (known ? std::to_string(expert) : "–");
  }
  return text;
}

// The token's counterparts in the traces beside this one.
void draw_beside(Gui& gui, const std::vector<ShownTrace>& shown) {
  Workspace& workspace = gui.workspace;
  const Theme& theme = *gui.theme;
  heading(gui.fonts.bold, "In each run");
  const auto names = workspace.names();
  // Another tokenizer may have cut the text elsewhere: then NLL and rank are of what is named here.
  const auto text_in = [&](const ShownTrace& run) -> std::string {
    const Subject at = workspace.selection_in(run);
    return at.token < 0 ? "–" : token_label(run.trace->token_text[at.token]);
  };
  const std::string text = text_in(shown.front());
  const bool differ = std::any_of(shown.begin(), shown.end(),
                                  [&](const ShownTrace& run) { return text_in(run) != text; });
  const float line = ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().CellPadding.y;
  const bool open = begin_table(
      "###beside",
      {{.name = "run", .width = 0, .number = false, .least = 8},
       {.name = "token",
        .width = 5,
        .number = false,
        .help = "The run's token at this place of the text: the tokenizers cut it differently",
        .flags = differ ? 0 : ImGuiTableColumnFlags_Disabled},
       {.name = "NLL", .width = 4, .help = "−ln p(this token | those before it), nats"},
       {.name = "rank", .width = 3.5F, .help = "Among all tokens by probability", .spare = 1},
       {.name = "experts", .width = 5, .help = "Of the selected layer, first choice first"}},
      {0, line * float(std::min<std::size_t>(shown.size(), 6) + 1) + 0.6F * em()});
  if (!open) { return; }
  DocumentId chosen = -1;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const Trace& trace = *shown[i].trace;
    const Subject at = workspace.selection_in(shown[i]);
    const bool known = at.token >= 0 && at.token < std::ssize(trace.nll);
    ImGui::PushID(int(shown[i].id));
    if (row_item("###run", i == 0)) { chosen = shown[i].id; }
    if (names) { gui.fonts.need((*names)[i]); }
    elided_text(names ? (*names)[i] : "…");
    const std::string own = text_in(shown[i]);
    gui.fonts.need(own);
    text_cell(own, theme.text);
    number_cell(known ? value_text(trace.nll[at.token]) : "–");
    const bool ranked = known && at.token < std::ssize(trace.target_rank);
    const std::int64_t rank = ranked ? trace.target_rank[at.token] : -1;
    number_cell(rank < 0 ? "–" : count_text(rank), theme.quiet_text);
    number_cell(experts_of(trace, at));
    ImGui::PopID();
  }
  ImGui::EndTable();
  if (chosen >= 0) { workspace.show_trace(chosen); }
}

}  // namespace

void draw_token_panel(Gui& gui) {
  const Workspace& workspace = gui.workspace;
  const Trace* trace = workspace.current_trace();
  if (!trace) { return start_note(gui, "No token", "Open a trace or run a text first"); }
  if (workspace.selection().token < 0) {
    return empty_note(*gui.theme, "No token is selected", "Click one in the text or in a figure");
  }
  const auto card = gui.workspace.token_card();
  if (!card) { return waiting_note(*gui.theme, "Collecting the numbers of this token"); }
  draw_header(gui, *trace, *card);
  const std::vector<ShownTrace> shown = workspace.shown();
  if (shown.size() > 1) { draw_beside(gui, shown); }
  draw_alternatives(gui, *trace, *card);
  draw_layers(gui, *trace, *card);
}

}  // namespace kappascope::gui
