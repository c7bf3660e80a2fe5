#include "app/gui/layouts.h"

#include <imgui_internal.h>

#include <algorithm>
#include <array>

#include "app/gui/gui.h"
#include "app/gui/panels.h"

namespace kappascope::gui {

namespace {

constexpr std::array kNames = {"Overview", "Router", "κ", "Gates"};

// What stands in the two stacks of figures in the middle; the rest is the same everywhere.
struct Middle {
  std::vector<std::string> upper, lower;
};

Middle middle(const std::string& name) {
  if (name == "Router")
    return {{"router-probability", "router-confidence", "router-margin", "router-entropy"},
            {"expert-choice", "expert-load", "expert-drops", "expert-coactivation", "expert-budget",
             "loss"}};
  if (name == "κ")
    return {
        {"kappa-tokens", "kappa-experts", "kappa-confidence"},
        {"kappa-depth", "kappa-distribution", "kappa-parameters", "kappa-vs-score", "silu-kappa"}};
  if (name == "Gates")
    return {{"gate-sharpness", "gate-active", "gate-top16"}, {"gate-saturation", "silu-kappa"}};
  return {{"kappa-tokens", "router-confidence", "gate-sharpness"},
          {"loss", "expert-load", "kappa-depth", "expert-choice"}};
}

void dock(const std::string& id, ImGuiID node) {
  ImGui::DockBuilderDockWindow(("###" + id).c_str(), node);
}

}  // namespace

std::span<const char* const> built_in_layouts() {
  return kNames;
}

void apply_layout(Gui& gui, const std::string& name, unsigned int dockspace) {
  const auto own = gui.settings.layouts.find(name);
  if (own != gui.settings.layouts.end()) return apply_layout(gui, own->second);
  const Middle figures = middle(name);
  gui.shown.clear();
  for (const Panel& panel : panels()) gui.shown[panel.id] = true;
  for (const auto& stack : {figures.upper, figures.lower}) {
    for (const std::string& id : stack) gui.shown[id] = true;
  }
  ImGui::DockBuilderRemoveNode(dockspace);
  ImGui::DockBuilderAddNode(dockspace, ImGuiDockNodeFlags_DockSpace);
  ImGui::DockBuilderSetNodeSize(dockspace, ImGui::GetMainViewport()->WorkSize);
  ImGuiID centre = dockspace;
  ImGuiID left = ImGui::DockBuilderSplitNode(centre, ImGuiDir_Left, 0.29f, nullptr, &centre);
  ImGuiID right = ImGui::DockBuilderSplitNode(centre, ImGuiDir_Right, 0.36f, nullptr, &centre);
  const ImGuiID left_lower =
      ImGui::DockBuilderSplitNode(left, ImGuiDir_Down, 0.34f, nullptr, &left);
  const ImGuiID lower = ImGui::DockBuilderSplitNode(centre, ImGuiDir_Down, 0.5f, nullptr, &centre);
  const ImGuiID right_lower =
      ImGui::DockBuilderSplitNode(right, ImGuiDir_Down, 0.56f, nullptr, &right);
  dock("text", left);
  dock("model", left_lower);
  dock("messages", left_lower);
  dock("token", right);
  dock("expert", right_lower);
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string id(entry.id);
    const bool below =
        std::find(figures.upper.begin(), figures.upper.end(), id) == figures.upper.end();
    dock(id, below ? lower : centre);
  }
  ImGui::DockBuilderFinish(dockspace);
  gui.raise = {"model", figures.upper.front(), figures.lower.front(), "text"};
}

void apply_layout(Gui& gui, const Layout& layout) {
  if (layout.ini.empty()) return;
  gui.shown.clear();
  for (const std::string& id : layout.shown) gui.shown[id] = true;
  ImGui::LoadIniSettingsFromMemory(layout.ini.data(), layout.ini.size());
}

Layout current_layout(const Gui& gui) {
  std::size_t size = 0;
  const char* ini = ImGui::SaveIniSettingsToMemory(&size);
  Layout layout{std::string(ini, size), {}};
  for (const auto& [id, shown] : gui.shown) {
    if (shown) layout.shown.push_back(id);
  }
  return layout;
}

}  // namespace kappascope::gui
