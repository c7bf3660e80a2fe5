#include "app/gui/layouts.h"

#include <imgui_internal.h>

#include <algorithm>
#include <array>
#include <climits>
#include <string>
#include <utility>
#include <vector>

#include "app/gui/gui.h"
#include "app/gui/panels.h"
#include "app/gui/tab_bars.h"

namespace kappascope::gui {

namespace {

constexpr std::array kNames = {"Overview", "Router", "κ", "Gates", "Corpus", "Training"};
constexpr std::string_view kOfCorpus = kNames[4];    // figures that show no single token
constexpr std::string_view kOfTraining = kNames[5];  // the panel of training runs alone

bool shows_a_text(std::string_view layout) {
  return layout != kOfCorpus && layout != kOfTraining;
}

// The two stacks of figures in the middle; the rest is the same everywhere.
struct Middle {
  std::vector<std::string> upper, lower;
};

Middle middle(const std::string& name) {
  if (name == "Router") {
    return {{"router-probability", "router-confidence", "router-margin", "router-entropy"},
            {"expert-choice", "expert-load", "expert-drops", "expert-coactivation", "expert-budget",
             "expert-importance", "loss"}};
  }
  if (name == "κ") {
    return {
        {"kappa-tokens", "kappa-experts", "kappa-confidence"},
        {"kappa-depth", "kappa-distribution", "kappa-parameters", "kappa-vs-score", "silu-kappa"}};
  }
  if (name == "Gates") {
    return {{"gate-sharpness", "gate-active", "gate-top16"}, {"gate-saturation", "silu-kappa"}};
  }
  if (name == kOfCorpus) {
    return {{"expert-load", "expert-domains", "kappa-experts", "expert-coactivation"},
            {"expert-tokens", "kappa-depth", "kappa-distribution", "gate-saturation",
             "expert-importance"}};
  }
  if (name == kOfTraining) { return {{"training"}, {}}; }
  return {{"kappa-tokens", "router-confidence", "gate-sharpness"},
          {"loss", "expert-load", "kappa-depth", "expert-choice"}};
}

ImGuiID dock_of(const std::string& id) {
  const std::string name = "###" + id;
  if (const ImGuiWindow* window = ImGui::FindWindowByName(name.c_str())) { return window->DockId; }
  const ImGuiWindowSettings* kept = ImGui::FindWindowSettingsByID(ImHashStr(name.c_str()));
  return kept ? kept->DockId : 0;
}

void describe(const ImGuiDockNode& node, std::string& text) {
  if (node.IsLeafNode()) { return; }
  const ImGuiAxis axis = ImGuiAxis(node.SplitAxis);
  const float first = node.ChildNodes[0]->SizeRef[axis], second = node.ChildNodes[1]->SizeRef[axis];
  text += join_words(' ', node.ID, ':', int(100 * first / std::max(1.0f, first + second)));
  for (const ImGuiDockNode* child : node.ChildNodes) { describe(*child, text); }
}

// Which panels are shown, where, and how the room is split: equal texts, equal arrangements.
std::string arrangement(const Gui& gui, ImGuiID dockspace) {
  std::string text;
  for (const auto& [id, shown] : gui.shown) {
    if (shown) { text += join_words(id, '@', dock_of(id), ' '); }
  }
  if (const ImGuiDockNode* root = ImGui::DockBuilderGetNode(dockspace)) { describe(*root, text); }
  return text;
}

void dock(const std::string& id, ImGuiID node) {
  ImGui::DockBuilderDockWindow(("###" + id).c_str(), node);
}

// What the built-in layouts adapt to: columns and rows that fit, in letters.
constexpr float kThreeColumns = 92, kTwoRows = 54;  // em

SizeClass size_class() {
  const ImVec2 room = ImGui::GetMainViewport()->Size;
  const ImGuiStyle& style = ImGui::GetStyle();
  const float letter = style.FontSizeBase * style.FontScaleMain;  // em(), from the first frame on
  return {room.x < kThreeColumns * letter, room.y < kTwoRows * letter};
}

// Text and cards in columns beside the figures; where there is no room, in one, the cards as tabs.
// A card that is not shown takes no room: a corpus has no single tokens, a training run no trace.
void split(ImGuiID& centre, bool narrow, bool token, bool expert) {
  ImGuiID left =
      ImGui::DockBuilderSplitNode(centre, ImGuiDir_Left, narrow ? 0.43f : 0.28f, nullptr, &centre);
  const ImGuiID left_lower =
      ImGui::DockBuilderSplitNode(left, ImGuiDir_Down, narrow ? 0.48f : 0.34f, nullptr, &left);
  ImGuiID right = left_lower, right_lower = left_lower;
  if (!narrow && expert) {
    right = ImGui::DockBuilderSplitNode(centre, ImGuiDir_Right, 0.39f, nullptr, &centre);
    right_lower =
        token ? ImGui::DockBuilderSplitNode(right, ImGuiDir_Down, 0.56f, nullptr, &right) : right;
  }
  dock("text", left);
  dock("model", left_lower);
  dock("interventions", narrow ? left : left_lower);
  dock("messages", left_lower);
  dock("token", right);
  dock("expert", right_lower);
}

void build_layout(Gui& gui, const std::string& name, ImGuiID dockspace) {
  const Middle figures = middle(name);
  const SizeClass size = size_class();
  gui.shown.clear();
  for (const DockPanel& panel : panels()) { gui.shown[panel.id] = panel.usual; }
  for (const auto& stack : {figures.upper, figures.lower}) {
    for (const std::string& id : stack) { gui.shown[id] = true; }
  }
  gui.shown["token"] = shows_a_text(name);
  gui.shown["expert"] = name != kOfTraining;
  ImGui::DockBuilderRemoveNode(dockspace);
  ImGui::DockBuilderAddNode(dockspace, ImGuiDockNodeFlags_DockSpace);
  ImGui::DockBuilderSetNodeSize(dockspace, ImGui::GetMainViewport()->WorkSize);
  ImGuiID centre = dockspace;
  split(centre, size.narrow, gui.shown["token"], gui.shown["expert"]);
  ImGuiID lower = centre;
  if (!size.low && !figures.lower.empty()) {
    lower = ImGui::DockBuilderSplitNode(centre, ImGuiDir_Down, 0.5f, nullptr, &centre);
  }
  for (const FigureEntry& entry : figure_catalogue()) {
    const std::string id(entry.id);
    const bool below =
        std::find(figures.upper.begin(), figures.upper.end(), id) == figures.upper.end();
    dock(id, below ? lower : centre);
  }
  dock("training", lower);
  ImGui::DockBuilderFinish(dockspace);
  gui.raise = {!size.narrow || name == kOfTraining ? "model"
               : name == kOfCorpus                 ? "expert"
                                                   : "token",
               figures.upper.front(), "text"};
  if (!figures.lower.empty()) { gui.raise.insert(gui.raise.begin() + 1, figures.lower.front()); }
  gui.built_in = {name, size, arrangement(gui, dockspace)};
}

// Panels and figures that are not behind others; the focused one last.
std::vector<std::string> in_front(const Gui& gui) {
  std::vector<std::string> ids;
  for (const auto& [id, shown] : gui.shown) {
    const ImGuiWindow* window = ImGui::FindWindowByName(("###" + id).c_str());
    if (shown && window && window->DockIsActive && window->DockTabIsVisible) { ids.push_back(id); }
  }
  const ImGuiWindow* focused = ImGui::GetCurrentContext()->NavWindow;
  std::stable_partition(ids.begin(), ids.end(), [&](const std::string& id) {
    return !focused || focused->RootWindow != ImGui::FindWindowByName(("###" + id).c_str());
  });
  return ids;
}

// A built-in layout that the user left as it is follows the window's size; what is in front stays.
void follow_size(Gui& gui, ImGuiID dockspace) {
  const SizeClass now = size_class();
  if (gui.built_in.name.empty() || !gui.next_layout.empty()) { return; }
  if (gui.built_in.arrangement.empty()) { gui.built_in.arrangement = arrangement(gui, dockspace); }
  if (now == gui.built_in.size) { return; }
  const BuiltIn was = std::exchange(gui.built_in, BuiltIn());
  if (was.arrangement != arrangement(gui, dockspace)) { return; }
  std::vector<std::string> front = in_front(gui);
  const bool settled = gui.raise.empty();
  build_layout(gui, was.name, dockspace);
  if (settled) { gui.raise = std::move(front); }
}

// The built-in layout for what is shown, where it is no text; "": for a text.
std::string_view wanted_layout(const Trace* trace) {
  if (!trace) { return kOfTraining; }
  return trace->corpus ? kOfCorpus : std::string_view();
}

// A corpus has no single tokens, a text nothing that only a corpus has, and training runs alone
// leave all figures empty: when something else is shown, a built-in layout that the user left as it
// is gives way to one for its kind.
void follow_trace(Gui& gui, ImGuiID dockspace) {
  const DocumentId shown = gui.workspace.view().trace;
  const Trace* trace = gui.workspace.current_trace();
  const bool training = !gui.workspace.training()->runs.empty();
  if (!trace && !training) { return; }
  if (std::exchange(gui.laid_out_for, shown) == shown) { return; }
  const std::string asked = std::exchange(gui.asked_view, std::string());
  const std::string_view wanted = wanted_layout(trace);
  const std::string now = gui.built_in.name;
  if (now.empty() || !gui.next_layout.empty()) { return; }
  if (wanted.empty() ? shows_a_text(now) : now == wanted) { return; }
  const bool touched =
      !gui.built_in.arrangement.empty() && gui.built_in.arrangement != arrangement(gui, dockspace);
  if (touched) { return; }
  if (shows_a_text(now)) { gui.last_of_texts = now; }
  const std::string last = gui.last_of_texts.empty() ? kNames.front() : gui.last_of_texts;
  build_layout(gui, wanted.empty() ? last : std::string(wanted), dockspace);
  if (training) { show_by_itself(gui, "training"); }
  if (!asked.empty()) {
    gui.shown[asked] = true;
    gui.raise.push_back(asked);
  }
}

void sort_tabs(const std::map<ImGuiID, int>& places, ImGuiDockNode& node) {
  for (ImGuiDockNode* child : node.ChildNodes) {
    if (child) { sort_tabs(places, *child); }
  }
  if (!node.TabBar) { return; }
  const auto place = [&](const ImGuiTabItem& tab) {
    const auto found = tab.Window ? places.find(tab.Window->ID) : places.end();
    return found == places.end() ? INT_MAX : found->second;
  };
  std::stable_sort(node.TabBar->Tabs.begin(), node.TabBar->Tabs.end(),
                   [&](const auto& a, const auto& b) { return place(a) < place(b); });
}

// Dear ImGui adds the tabs of a layout that is taken while the window is open in any order.
void restore_tab_order(TabOrder& order, ImGuiDockNode& root) {
  constexpr int kFramesToAppear = 2;
  if (order.places.empty() || ++order.frames <= kFramesToAppear) { return; }
  sort_tabs(order.places, root);
  order = {};
}

// The central node of a dock space takes all that a wider window gives and loses all that a
// narrower one takes; without one every split keeps its proportion.
void share_sizes(ImGuiDockNode& node) {
  if (node.IsLeafNode()) { return; }
  for (ImGuiDockNode* child : node.ChildNodes) {
    child->SetLocalFlags(child->LocalFlags & ~ImGuiDockNodeFlags_CentralNode);
    share_sizes(*child);
  }
}

const ImGuiDockNode* largest_leaf(const ImGuiDockNode& node) {
  if (node.IsLeafNode()) { return &node; }
  const ImGuiDockNode* first = largest_leaf(*node.ChildNodes[0]);
  const ImGuiDockNode* second = largest_leaf(*node.ChildNodes[1]);
  const auto area = [](const ImGuiDockNode* leaf) { return leaf->Size.x * leaf->Size.y; };
  return area(second) > area(first) ? second : first;
}

}  // namespace

std::span<const char* const> built_in_layouts() {
  return kNames;
}

void load_layout(Gui& gui) {
  const auto own = gui.settings.layouts.find(gui.next_layout);
  if (own != gui.settings.layouts.end()) {
    gui.layout_to_load = own->second;
    gui.next_layout.clear();
  }
  if (!gui.layout_to_load) { return; }
  const Layout layout = *std::exchange(gui.layout_to_load, std::nullopt);
  if (layout.ini.find("DockId=") == std::string::npos) {
    gui.next_layout = kNames.front();
    return;
  }
  gui.shown.clear();
  gui.raise = layout.front;
  gui.frames_raising = 0;
  gui.built_in = {layout.built_in, {layout.narrow, layout.low}, ""};
  for (const std::string& id : layout.shown) { gui.shown[id] = true; }
  ImGui::LoadIniSettingsFromMemory(layout.ini.data(), layout.ini.size());
  gui.tab_order = {};
  for (const std::string& id : layout.shown) {
    const std::string name = "###" + id;
    const ImGuiWindowSettings* kept = ImGui::FindWindowSettingsByID(ImHashStr(name.c_str()));
    if (kept && kept->DockOrder >= 0) {
      gui.tab_order.places[ImHashStr(name.c_str())] = kept->DockOrder;
    }
  }
}

void draw_dockspace(Gui& gui) {
  const ImGuiID dockspace = gui.dockspace = ImGui::GetID("dockspace");
  // One of the user's, chosen in this frame's menu, is taken before the next one.
  const bool own = gui.settings.layouts.count(gui.next_layout) != 0;
  if (!gui.next_layout.empty() && !own) {
    build_layout(gui, std::exchange(gui.next_layout, std::string()), dockspace);
  }
  follow_size(gui, dockspace);
  follow_trace(gui, dockspace);
  if (ImGuiDockNode* root = ImGui::DockBuilderGetNode(dockspace)) {
    share_sizes(*root);
    restore_tab_order(gui.tab_order, *root);
    page_tabs(*root);
  }
  ImGui::DockSpaceOverViewport(dockspace, ImGui::GetMainViewport());
  gui.largest_node = largest_leaf(*ImGui::DockBuilderGetNode(dockspace))->ID;
}

void show_by_itself(Gui& gui, const std::string& id) {
  std::string& kept = gui.built_in.arrangement;
  const bool touched = kept != arrangement(gui, gui.dockspace);
  gui.shown[id] = true;
  if (!touched) { kept = arrangement(gui, gui.dockspace); }
}

Layout current_layout(const Gui& gui) {
  std::size_t size = 0;
  const char* ini = ImGui::SaveIniSettingsToMemory(&size);
  Layout layout;
  layout.ini.assign(ini, size);
  layout.front = in_front(gui);
  if (!gui.built_in.name.empty() && gui.built_in.arrangement == arrangement(gui, gui.dockspace)) {
    layout.built_in = gui.built_in.name;
    layout.narrow = gui.built_in.size.narrow;
    layout.low = gui.built_in.size.low;
  }
  for (const auto& [id, shown] : gui.shown) {
    if (shown) { layout.shown.push_back(id); }
  }
  return layout;
}

}  // namespace kappascope::gui
