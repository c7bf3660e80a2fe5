// The panel "Expert": all about the selected expert.
#include "app/gui/expert_panel.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "app/gui/gui.h"
#include "app/gui/panels.h"
#include "app/gui/start_note.h"
#include "app/gui/widgets.h"
#include "core/figure/caption.h"
#include "core/figure/readout.h"
#include "core/figure/text.h"
#include "core/stats/layer.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/meta.h"
#include "core/trace/token_bytes.h"

namespace kappascope::gui {

namespace {

constexpr float kFigureWidth = 25, kFigureHeight = 22;  // em

std::string times(double value) {
  return std::isnan(value) ? "–" : value_text(value) + " ×";
}

void draw_steppers(Gui& gui, const Trace& trace, const ExpertCard& card) {
  std::int64_t row = card.row, expert = card.expert;
  std::string name = std::to_string(card.layer);
  if (card.pass > 0) { name += "." + std::to_string(card.pass); }
  if (stepper("###layer", "Layer", row, trace.layers, name)) {
    const std::int64_t experts = TraceLayer(trace, row).experts;
    gui.workspace.pick({.row = int(row), .expert = int(std::min(expert, experts - 1))});
  }
  next_item(13 * em());
  if (stepper("###expert", "Expert", expert, card.experts, std::to_string(expert))) {
    gui.workspace.pick({.row = int(card.row), .expert = int(expert)});
  }
  ImGui::SameLine(0, em());
  ImGui::AlignTextToFramePadding();
  elided_text("of " + std::to_string(card.experts), 0, gui.theme->quiet_text);
}

void draw_load(const Theme& theme, const ExpertCard& card, bool can_drop) {
  key_value(theme, "Load",
            percent_text(card.load) + ", " + times(card.load_over_even) + " the even share",
            "Share of all assignments of this layer, kept and dropped, that name this expert; the "
            "even share is one over the number of experts");
  key_value(
      theme, "Rank by load",
      card.load_rank < 0 ? "–" : count_text(card.load_rank) + " of " + count_text(card.experts));
  key_value(theme, "Gate mass", value_text(card.gate_mass),
            "Sum of its combine weights, divided by the number of tokens");
  const std::string kept = ": " + count_text(card.kept) + " kept, ";
  key_value(
      theme, "Assignments",
      count_text(card.assigned) + (can_drop ? kept + count_text(card.dropped) + " dropped" : ""));
}

void draw_kappa(const Theme& theme, const ExpertCard& card) {
  const Band& band = card.kappa.band;
  key_value(theme, "κ",
            (card.kappa.exact && card.kappa.rank_error == 0 ? "" : "≈ ") + value_text(band.p50) +
                " (" + value_text(band.p05) + " … " + value_text(band.p95) + ")",
            "Median and 5–95 % over all gate units of all tokens that it served");
  key_value(theme, "Mean of κ", value_text(band.mean));
  key_value(theme, "Mean of ln κ", value_text(card.kappa.log_mean));
  key_value(theme, "Bounds of κ",
            std::isnan(card.kappa_lower)
                ? "– (κ is fixed)"
                : value_text(card.kappa_lower) + " … " + value_text(card.kappa_upper),
            "1/U and U, times the factor of an intervention");
  key_value(theme, "Sharpness", value_text(card.gates.gate_kz_rms),
            "Effective sharpness: root mean square of κ·z over gate units, mean over its tokens");
}

void draw_gates(const Theme& theme, const Trace& trace, const ExpertCard& card) {
  const GateMeans& gates = card.gates;
  key_value(theme, "Linear gates", percent_text(gates.gate_linear_fraction), "|κz| < 1");
  key_value(theme, "Saturated gates", percent_text(gates.gate_saturated_fraction), "|κz| > 4");
  key_value(theme, "Active gates", percent_text(gates.gate_active_fraction),
            "Gate units whose activation is above the threshold of the checkpoint");
  const std::string top = number_text(trace_threshold(trace, "gate_top", 16));
  key_value(theme, ("Top-" + top + " share").c_str(), percent_text(gates.gate_top16_share),
            ("Share of the " + top + " largest activations in the sum of all").c_str());
}

void draw_effect(const Theme& theme, const ExpertCard& card) {
  key_value(theme, "Effect of κ",
            value_text(card.effect.mean) + " mean, " + value_text(card.effect.rms) + " rms",
            "z·σ(κz) − z·σ(z): what κ adds to the gate activations");
  key_value(theme, "Relative effect",
            percent_text(card.effect_relative.mean) + " mean, " +
                percent_text(card.effect_relative.positive_share) + " above 0",
            "σ(κz)/σ(z) − 1: above 0 where κ makes the activation of a gate unit larger, of "
            "either sign");
  key_value(theme, "Alignment", value_text(card.alignment_mean),
            "Cosine of the router's weights of this expert with the mean column of its gate "
            "projection");
  key_value(theme, "Energy alignment", value_text(card.alignment_energy),
            "Cosine with each column, weighted by the column's squared norm");
}

// A row only where the trace has the number.
void known_value(const Theme& theme, const char* name, double value, const std::string& text,
                 const char* help) {
  if (!std::isnan(value)) { key_value(theme, name, text, help); }
}

void draw_importance(const Theme& theme, const ExpertCard& card) {
  known_value(theme, "Saliency", card.saliency, value_text(card.saliency),
              "Mean of combine weight × norm of the output, over the tokens that it served");
  known_value(theme, "Share of its layer", card.contribution, percent_text(card.contribution),
              "Its sum of combine weight × norm of the output, over that of all experts");
  known_value(theme, "Utility", card.utility, percent_text(card.utility),
              "Kept assignments over the capacity of the expert");
  known_value(theme, "Mean logit", card.mean_logit, value_text(card.mean_logit),
              "Router logit of the expert, over the tokens that chose it");
  known_value(theme, "Mean u²", card.slope_square, value_text(card.slope_square),
              "κ = U^tanh u: how far κ's argument is from 0, where κ is 1");
}

void draw_numbers(const Theme& theme, const Trace& trace, const ExpertCard& card, bool can_drop) {
  const bool two = ImGui::GetContentRegionAvail().x > 46 * em();
  if (two && !ImGui::BeginTable("###numbers", 2, ImGuiTableFlags_SizingStretchSame)) { return; }
  if (two) { ImGui::TableNextColumn(); }
  if (begin_key_values("###left")) {
    draw_load(theme, card, can_drop);
    draw_kappa(theme, card);
    ImGui::EndTable();
  }
  if (two) { ImGui::TableNextColumn(); }
  if (begin_key_values("###right")) {
    draw_gates(theme, trace, card);
    draw_effect(theme, card);
    draw_importance(theme, card);
    ImGui::EndTable();
  }
  if (two) { ImGui::EndTable(); }
}

// The word in bold amid its neighbours, words of all rows below each other.
void draw_in_context(Gui& gui, const std::string& before, const std::string& word,
                     const std::string& after) {
  const Theme& theme = *gui.theme;
  const ImVec2 at = ImGui::GetCursorScreenPos();
  const float width = ImGui::GetContentRegionAvail().x, height = ImGui::GetTextLineHeight();
  const float middle = at.x + 0.42F * width;
  const float before_width = ImGui::CalcTextSize(before.c_str()).x;
  ImGui::PushFont(gui.fonts.bold, 0);
  const float word_width = ImGui::CalcTextSize(word.c_str()).x;
  ImGui::PopFont();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw->PushClipRect(at, {at.x + width, at.y + height}, true);
  draw->AddText({middle - before_width, at.y}, theme.quiet_text, before.c_str());
  draw->AddText(gui.fonts.bold, em(), {middle, at.y}, theme.text, word.c_str());
  draw->AddText({middle + word_width, at.y}, theme.quiet_text, after.c_str());
  draw->PopClipRect();
  ImGui::Dummy({width, height});
}

void draw_context(Gui& gui, const Trace& trace, std::int64_t token) {
  constexpr std::int64_t kNeighbours = 8;
  // Whole: a character may be cut into several tokens.
  const auto text = [&](std::int64_t first, std::int64_t end) {
    std::string bytes;
    for (std::int64_t t = std::max<std::int64_t>(0, first); t < std::min(trace.tokens, end); ++t) {
      bytes += token_bytes(trace, t);
    }
    const std::string shown = plain_text(display_text(bytes));
    gui.fonts.need(shown);
    return shown;
  };
  draw_in_context(gui, text(token - kNeighbours, token), text(token, token + 1),
                  text(token + 1, token + 1 + kNeighbours));
}

void draw_served_row(Gui& gui, const Trace& trace, const ExpertCard& card,
                     const ServedEntry& entry) {
  const Theme& theme = *gui.theme;
  ImGui::PushID(static_cast<int>(entry.token));
  if (row_item("###row", gui.workspace.selection().token == entry.token)) {
    gui.workspace.pick({int(card.row), int(entry.token), int(entry.slot), int(card.expert)});
  }
  draw_context(gui, trace, entry.token);
  number_cell(std::to_string(entry.token), theme.quiet_text);
  number_cell(std::to_string(entry.slot), theme.quiet_text);
  number_cell(entry.kept ? value_text(entry.weight) : "dropped",
              entry.kept ? theme.text : theme.warning);
  number_cell(value_text(entry.kappa_mean));
  number_cell(value_text(entry.sharpness));
  ImGui::PopID();
}

void sort_served(ExpertPanelState& state, const std::shared_ptr<const ExpertCard>& card) {
  const ImGuiTableSortSpecs* specs = ImGui::TableGetSortSpecs();
  ServedOrder order = state.order;
  if (specs && specs->SpecsCount > 0) {
    order = static_cast<ServedOrder>(specs->Specs[0].ColumnUserID);
  }
  if (state.card == card && state.order == order) { return; }
  state.card = card;
  state.order = order;
  state.served = served_by(*card, order);
}

// Of a corpus: the word of each place where it was chosen, in bold.
void draw_places(Gui& gui, const ExpertCard& card) {
  for (const ChosenPlace& place : card.places) {
    const std::string before = plain_text(place.before), word = token_label(place.word),
                      after = plain_text(place.after);
    for (const std::string* part : {&before, &word, &after}) { gui.fonts.need(*part); }
    draw_in_context(gui, before, word, after);
  }
}

// Of a corpus.
void draw_frequent(Gui& gui, const ExpertCard& card) {
  const Theme& theme = *gui.theme;
  if (card.frequent.empty()) {
    return quiet_text(theme, "No token of this corpus was assigned to it.");
  }
  const float row = ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().CellPadding.y;
  const float height = row * float(card.frequent.size() + 1) + 0.6F * em();
  const bool shown = begin_table(
      "###frequent",
      {{"token", 0, false}, {"assignments", 6, true, "How often it was assigned to the expert"}},
      {0, height}, 0);
  if (!shown) { return; }
  for (const FrequentToken& token : card.frequent) {
    ImGui::TableNextRow();
    ImGui::TableNextColumn();
    const std::string text =
        token.text.empty() ? "token id " + std::to_string(token.id) : token_label(token.text);
    gui.fonts.need(text);
    ImGui::TextUnformatted(text.c_str());
    number_cell(count_text(token.count), theme.text);
  }
  ImGui::EndTable();
}

void draw_served(Gui& gui, const Trace& trace, const std::shared_ptr<const ExpertCard>& card) {
  if (trace.corpus) { return draw_frequent(gui, *card); }
  if (card->served.empty()) {
    return quiet_text(*gui.theme, trace.only_assistant
                                      ? "None of the assistant's tokens was assigned to it."
                                      : "No token of this text was assigned to it.");
  }
  constexpr int kDown =
      ImGuiTableColumnFlags_NoSortAscending | ImGuiTableColumnFlags_PreferSortDescending;
  constexpr int kUp = ImGuiTableColumnFlags_NoSortDescending | ImGuiTableColumnFlags_DefaultSort;
  const auto id = [](ServedOrder order) { return static_cast<int>(order); };
  const float row = ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().CellPadding.y;
  const float height =
      row * float(std::min<std::size_t>(card->served.size(), 10) + 1) + 0.6F * em();
  const std::string last = std::to_string(trace.tokens - 1);
  const float token = std::max(3.0F, ImGui::CalcTextSize(last.c_str()).x / em() + 0.1F);
  const bool shown = begin_table(
      "###served",
      {{.name = "in its text",
        .width = 0,
        .number = false,
        .flags = ImGuiTableColumnFlags_NoSort,
        .least = 8},
       {"token", token, true, nullptr, kUp, id(ServedOrder::token), 3},
       {"slot", 2, true, "0: it was the first choice", ImGuiTableColumnFlags_NoSort, 0, 1},
       {"weight", 5, true, "Combine weight", kDown, id(ServedOrder::weight), 4},
       {"κ", 3.2F, true, "Mean over its gate units", kDown, id(ServedOrder::kappa)},
       {"sharpness", 3.2F, true, "Effective sharpness: root mean square of κ·z", kDown,
        id(ServedOrder::sharpness), 2}},
      {0, height}, ImGuiTableFlags_Sortable);
  if (!shown) { return; }
  sort_served(gui.expert, card);
  ImGuiListClipper clipper;
  clipper.Begin(static_cast<int>(gui.expert.served.size()));
  while (clipper.Step()) {
    for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
      draw_served_row(gui, trace, *card, gui.expert.served[i]);
    }
  }
  ImGui::EndTable();
}

void draw_one_figure(Gui& gui, const char* id, const FigureChoices& choices, ImVec2 size) {
  ImGui::BeginChild(id, size);
  const auto figure = gui.workspace.figure(id, choices);
  FigureViewState& view = gui.expert.figures[id];
  const auto shown = figure ? figure : view.shown;
  if (!shown) {
    waiting_note(*gui.theme, figure_title(id).c_str());
  } else if (shown->failure) {
    quiet_text(*gui.theme, shown->failure.message);
  } else {
    elided_text(shown->figure.title);
    const auto click = draw_figure(id, shown, gui.workspace.selection(), *gui.theme, view,
                                   ImGui::GetContentRegionAvail());
    if (click) { gui.workspace.pick(*click); }
  }
  ImGui::EndChild();
}

void draw_figures(Gui& gui, const Trace& trace, const ExpertCard& card) {
  FigureChoices choices{.layer = card.layer, .pass = card.pass, .expert = card.expert};
  FigureChoices alone = choices;
  alone.by_expert = true;
  std::vector<std::pair<const char*, FigureChoices>> figures = {{"kappa-distribution", alone}};
  if (!trace.corpus) { figures.emplace_back("kappa-vs-score", choices); }
  figures.emplace_back("silu-kappa", choices);
  const int count = int(figures.size());
  const ImVec2 room = ImGui::GetContentRegionAvail();
  const float gap = ImGui::GetStyle().ItemSpacing.x;
  const int across = std::clamp(int(room.x / (kFigureWidth * em())), 1, count);
  const float width = (room.x - float(across - 1) * gap) / float(across);
  // In one row they take what is left.
  const float height =
      across == count ? std::max(kFigureHeight * em(), room.y) : kFigureHeight * em();
  for (int i = 0; i < count; ++i) {
    if (i % across > 0) { ImGui::SameLine(); }
    const bool alone_in_row = i % across == 0 && i + 1 == count;
    draw_one_figure(gui, figures[i].first, figures[i].second,
                    {alone_in_row ? room.x : width, height});
  }
}

}  // namespace

void draw_expert_panel(Gui& gui) {
  const Trace* trace = gui.workspace.current_trace();
  if (!trace) { return start_note(gui, "No expert", "Open a trace or run a text first"); }
  if (trace->layers == 0) {
    return empty_note(*gui.theme, "No expert", "No MoE layer was recorded in this trace");
  }
  const auto card = gui.workspace.expert_card();
  if (!card) {
    return gui.workspace.busy() ? waiting_note(*gui.theme, "Collecting the numbers of this expert")
                                : empty_note(*gui.theme, "No expert is selected",
                                             "Click one in a figure or in the panel Token");
  }
  draw_steppers(gui, *trace, *card);
  if (!ImGui::BeginChild("###card")) { return ImGui::EndChild(); }
  draw_numbers(*gui.theme, *trace, *card, !without_capacity(*trace));
  if (!card->places.empty()) {
    heading(gui.fonts.bold, "Where it was chosen, places drawn by lot");
    draw_places(gui, *card);
  }
  heading(gui.fonts.bold, trace->corpus ? "Its most frequent tokens" : "Tokens it served");
  draw_served(gui, *trace, card);
  heading(gui.fonts.bold, "κ and gates");
  draw_figures(gui, *trace, *card);
  ImGui::EndChild();
}

}  // namespace kappascope::gui
