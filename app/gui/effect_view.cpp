#include "app/gui/effect_view.h"

#include <imgui.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "core/figure/caption.h"
#include "core/figure/readout.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

// With its sign: what was added.
std::string change_text(double value, const std::string& unit = "") {
  if (std::isnan(value)) { return "–"; }
  return (value > 0 ? "+" : "") + value_text(value, unit);
}

std::string layer_name(const EffectCard::Layer& layer) {
  const std::string name = std::to_string(layer.layer);
  return layer.pass > 0 ? name + "." + std::to_string(layer.pass) : name;
}

void draw_loss(const Theme& theme, const EffectCard& card) {
  const LossDifference& loss = card.loss;
  if (!begin_key_values("###loss")) { return; }
  key_value(theme, "ΔNLL", change_text(loss.mean, "nats a token"),
            "Mean negative log-likelihood of this run less that of the unedited one");
  key_value(theme, "   in total",
            change_text(loss.sum, "nats") + " over " + count_text(loss.tokens) + " tokens");
  if (!std::isnan(loss.bits_per_byte)) {
    key_value(theme, "   per byte", change_text(loss.bits_per_byte, "bits"),
              "ΔNLL / (ln 2 · bytes of the text)");
  }
  if (!std::isnan(card.divergence)) {
    key_value(theme, "KL", value_text(card.divergence, "nats a token"),
              "Mean KL divergence of this run's predictions from those of the unedited one");
  }
  ImGui::EndTable();
}

void choose_statistic(const EffectCard& card, int& chosen) {
  const auto& names = card.layers.front().statistics;
  if (chosen >= int(names.size())) { chosen = -1; }
  const std::string shown =
      chosen < 0 ? "kappa.mean" : std::string(names[std::size_t(chosen)].name);
  ImGui::SetNextItemWidth(std::min(14 * em(), ImGui::GetContentRegionAvail().x));
  if (ImGui::BeginCombo("###statistic", shown.c_str(), ImGuiComboFlags_HeightLarge)) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (ImGui::Selectable(std::string(names[i].name).c_str(), chosen == int(i))) {
        chosen = int(i);
      }
    }
    ImGui::EndCombo();
  }
  explain("The statistic whose change is shown for each layer");
}

const StatisticDifference* statistic_of(const EffectCard::Layer& layer, int chosen) {
  if (chosen >= 0 && chosen < int(layer.statistics.size())) {
    return &layer.statistics[std::size_t(chosen)];
  }
  const auto found = std::find_if(layer.statistics.begin(), layer.statistics.end(),
                                  [](const auto& one) { return one.name == "kappa.mean"; });
  return found == layer.statistics.end() ? nullptr : &*found;
}

void draw_layer(Gui& gui, const EffectCard::Layer& layer, int statistic) {
  const Theme& theme = *gui.theme;
  ImGui::PushID(int(layer.row));
  if (row_item("###layer", gui.workspace.selection().row == layer.row)) {
    gui.workspace.pick({.row = int(layer.row)});
  }
  number_here(layer_name(layer));
  const double share = layer.routing.layer < 0 ? kNaN : layer.routing.share();
  const ImU32 bar = (theme.accent & ~IM_COL32_A_MASK) | (ImU32{90} << IM_COL32_A_SHIFT);
  bar_cell(std::isnan(share) ? 0 : share, percent_text(share), "100.0 %", bar);
  number_cell(std::isnan(share) ? "–" : count_text(layer.routing.near_ties), theme.quiet_text);
  const StatisticDifference* one = statistic_of(layer, statistic);
  number_cell(one ? change_text(one->difference()) : "–");
  ImGui::PopID();
}

float height_of(std::size_t rows, std::size_t most) {
  const float line = ImGui::GetTextLineHeight() + 2 * ImGui::GetStyle().CellPadding.y;
  return line * float(std::min(rows, most) + 1) + 0.6F * em();
}

void draw_layers(Gui& gui, const EffectCard& card) {
  heading(gui.fonts.bold, "By layer");
  int& statistic = gui.interventions.statistic;
  choose_statistic(card, statistic);
  const bool shown = begin_table(
      "###layers",
      {{"layer", 3, true, "Number of the layer in the model; layer.pass where it runs again"},
       {"routed otherwise", 0, true,
        "Share of tokens whose set of chosen experts is another one than in the unedited run"},
       {"near ties", 4.5F, true, "Of these, tokens whose choice was a near tie", 0, 0, 1},
       {"Δ", 5, true, "This run's value of the statistic less that of the unedited one"}},
      {0, height_of(card.layers.size(), 12)});
  if (!shown) { return; }
  for (const EffectCard::Layer& layer : card.layers) { draw_layer(gui, layer, statistic); }
  ImGui::EndTable();
}

// Every statistic of the selected layer.
void draw_statistics(Gui& gui, const EffectCard& card) {
  const auto found = std::find_if(card.layers.begin(), card.layers.end(), [&](const auto& layer) {
    return layer.row == gui.workspace.selection().row;
  });
  if (found == card.layers.end()) { return; }
  heading(gui.fonts.bold, ("Layer " + layer_name(*found)).c_str());
  std::vector<const StatisticDifference*> known;
  for (const StatisticDifference& one : found->statistics) {
    if (!std::isnan(one.a) || !std::isnan(one.b)) { known.push_back(&one); }
  }
  const bool shown =
      begin_table("###statistics",
                  {{"statistic", 0, false, "As in summary.json; docs/metrics.md defines it"},
                   {"unedited", 4.5F, true, nullptr, 0, 0, 1},
                   {"this run", 4.5F, true, nullptr, 0, 0, 2},
                   {"Δ", 5}},
                  {0, height_of(known.size(), 16)});
  if (!shown) { return; }
  ImGuiListClipper clipper;
  clipper.Begin(int(known.size()));
  while (clipper.Step()) {
    for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
      const StatisticDifference& one = *known[std::size_t(i)];
      ImGui::TableNextRow();
      text_cell(std::string(one.name), gui.theme->quiet_text);
      number_cell(value_text(one.b));
      number_cell(value_text(one.a));
      number_cell(change_text(one.difference()));
    }
  }
  ImGui::EndTable();
}

}  // namespace

void draw_effect(Gui& gui) {
  const Theme& theme = *gui.theme;
  Workspace& workspace = gui.workspace;
  const Trace* trace = workspace.current_trace();
  heading(gui.fonts.bold, "Effect");
  const auto words = trace ? trace->meta.find("interventions") : Json::const_iterator();
  if (!trace || words == trace->meta.end() || words->empty()) {
    return quiet_text(theme,
                      "The current trace has no interventions. Of one that has, this is what they "
                      "change, against the same run without them.");
  }
  std::string edits;
  for (const Json& word : *words) {
    edits +=
        (edits.empty() ? "" : ", ") + plain_text(word.is_string() ? word.get<std::string>() : "");
  }
  ImGui::TextWrapped("%s", edits.c_str());
  const ShownTrace unedited = workspace.unedited();
  if (!unedited.trace) {
    return quiet_text(theme, "No run of the same text without interventions is open.");
  }
  const OpenTrace* beside = workspace.trace(unedited.id);
  ImGui::BeginDisabled(beside && beside->compared);
  if (ImGui::Button("Show the unedited run beside###beside")) { workspace.show_unedited(); }
  ImGui::EndDisabled();
  const auto card = workspace.effect();
  if (!card) { return quiet_text(theme, "…"); }
  draw_loss(theme, *card);
  if (card->layers.empty()) { return; }
  draw_layers(gui, *card);
  draw_statistics(gui, *card);
}

}  // namespace kappascope::gui
