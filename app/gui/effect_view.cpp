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

std::string layer_name(const LayerDifference& layer) {
  const std::string name = std::to_string(layer.layer);
  return layer.pass > 0 ? name + "." + std::to_string(layer.pass) : name;
}

void draw_loss(const Theme& theme, const RunDifference& effect) {
  const LossDifference& loss = effect.loss;
  if (!begin_key_values("###loss")) { return; }
  key_value(theme, "ΔNLL", change_text(loss.mean, "nats a token"),
            "Mean negative log-likelihood of this run less that of the unedited one");
  key_value(theme, "   in total",
            change_text(loss.sum, "nats") + " over " + count_text(loss.tokens) + " tokens");
  if (!std::isnan(loss.bits_per_byte)) {
    key_value(theme, "   per byte", change_text(loss.bits_per_byte, "bits"),
              "ΔNLL / (ln 2 · bytes of the text)");
  }
  if (!std::isnan(effect.divergence)) {
    key_value(theme, "KL", value_text(effect.divergence, "nats a token"),
              "Mean KL divergence of this run's predictions from those of the unedited one");
  }
  ImGui::EndTable();
}

void choose_statistic(const RunDifference& effect, int& chosen) {
  const auto& names = effect.layers.front().statistics;
  if (chosen >= int(names.size())) { chosen = -1; }
  const std::string shown = chosen < 0 ? "kappa.mean" : std::string(names[chosen].name);
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

const StatisticDifference* statistic_of(const LayerDifference& layer, int chosen) {
  if (chosen >= 0 && chosen < int(layer.statistics.size())) { return &layer.statistics[chosen]; }
  const auto found = std::find_if(layer.statistics.begin(), layer.statistics.end(),
                                  [](const auto& one) { return one.name == "kappa.mean"; });
  return found == layer.statistics.end() ? nullptr : &*found;
}

void draw_layer(Gui& gui, const LayerDifference& layer, int statistic) {
  const Theme& theme = *gui.theme;
  ImGui::PushID(int(layer.rows.a));
  if (row_item("###layer", gui.workspace.selection().row == layer.rows.a)) {
    gui.workspace.pick({.row = int(layer.rows.a)});
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

void draw_layers(Gui& gui, const RunDifference& effect) {
  heading(gui.fonts.bold, "By layer");
  int& statistic = gui.interventions.statistic;
  choose_statistic(effect, statistic);
  const bool shown = begin_table(
      "###layers",
      {{"layer", 3, true, "Number of the layer in the model; layer.pass where it runs again"},
       {"routed otherwise", 0, true,
        "Share of tokens whose set of chosen experts is another one than in the unedited run"},
       {"near ties", 4.5F, true, "Of these, tokens whose choice was a near tie", 0, 0, 1},
       {"Δ", 5, true, "This run's value of the statistic less that of the unedited one"}},
      {0, height_of(effect.layers.size(), 12)});
  if (!shown) { return; }
  for (const LayerDifference& layer : effect.layers) { draw_layer(gui, layer, statistic); }
  ImGui::EndTable();
}

// What became of the experts of a layer.
void draw_experts(Gui& gui, const LayerDifference& layer) {
  if (layer.experts.empty()) { return; }
  const bool shown = begin_table(
      "###experts",
      {{"expert", 3, true, "Those whose load changed most first"},
       {"Δ load", 4.5F, true, "Change of its share of the layer's assignments"},
       {"Δ gate mass", 4.5F, true, "Change of the sum of its combine weights over tokens", 0, 0, 3},
       {"Δ κ effect", 4.5F, true, "Change of the mean of z·σ(κz) − z·σ(z)"},
       {"Δ relative", 4.5F, true, "The same over silu(z)", 0, 0, 2},
       {"Δ saliency", 4.5F, true, "Change of the mean of weight × norm of its output", 0, 0, 1}},
      {0, height_of(layer.experts.size(), 10)});
  if (!shown) { return; }
  ImGuiListClipper clipper;
  clipper.Begin(int(layer.experts.size()));
  while (clipper.Step()) {
    for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
      const ExpertDifference& one = layer.experts[i];
      ImGui::PushID(int(one.expert));
      if (row_item("###expert", gui.workspace.selection().expert == one.expert)) {
        gui.workspace.pick({.row = int(layer.rows.a), .expert = int(one.expert)});
      }
      number_here(std::to_string(one.expert));
      for (const double value :
           {one.load, one.gate_mass, one.effect, one.effect_relative, one.saliency}) {
        number_cell(change_text(value));
      }
      ImGui::PopID();
    }
  }
  ImGui::EndTable();
}

// Every statistic of the selected layer.
void draw_statistics(Gui& gui, const RunDifference& effect) {
  const auto found = std::find_if(
      effect.layers.begin(), effect.layers.end(),
      [&](const auto& layer) { return layer.rows.a == gui.workspace.selection().row; });
  if (found == effect.layers.end()) { return; }
  heading(gui.fonts.bold, ("Layer " + layer_name(*found)).c_str());
  draw_experts(gui, *found);
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
      const StatisticDifference& one = *known[i];
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
  const auto effect = workspace.effect();
  if (!effect) { return quiet_text(theme, "…"); }
  draw_loss(theme, *effect);
  if (effect->layers.empty()) { return; }
  draw_layers(gui, *effect);
  draw_statistics(gui, *effect);
}

}  // namespace kappascope::gui
