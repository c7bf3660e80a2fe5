#include "app/gui/tab_bars.h"

#include <imgui_internal.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace kappascope::gui {

namespace {

// Tabs [first, last) of a bar, shown together.
struct Page {
  int first = 0, last = 0;
  float width = 0;  // with the gaps between
};

std::vector<float> widths_of(const ImGuiTabBar& bar) {
  std::vector<float> widths;
  for (const ImGuiTabItem& tab : bar.Tabs) {
    const bool closes = (tab.Flags & ImGuiTabItemFlags_NoCloseButton) == 0;
    widths.push_back(tab.Window ? ImGui::TabItemCalcSize(tab.Window->Name, closes).x : tab.Width);
  }
  return widths;
}

float gap() {
  return ImGui::GetStyle().ItemInnerSpacing.x;
}

// Of the tabs in turn, as many to a page as have room; the page that `selected` is on.
Page page_with(int selected, const std::vector<float>& widths, float room) {
  Page page{0, 0, -gap()};
  for (int i = 0; i < int(widths.size()); ++i) {
    if (i > page.first && page.width + gap() + widths[i] > room) {
      if (selected < i) { return page; }
      page = {i, i, -gap()};
    }
    page.width += gap() + widths[i];
    page.last = i + 1;
  }
  return page;
}

// Room for tabs where there is no button beside them, as Dear ImGui lays a bar out.
float whole_room(const ImGuiDockNode& node) {
  const ImGuiStyle& style = ImGui::GetStyle();
  const float close = node.HasCloseButton ? ImGui::GetFontSize() + style.ItemInnerSpacing.x : 0;
  return node.Size.x - 2 * (style.WindowBorderSize + style.FramePadding.x) - close;
}

void page_bar(ImGuiDockNode& node, ImGuiTabBar& bar) {
  const std::vector<float> widths = widths_of(bar);
  const Page all = page_with(0, widths, 1e9F);
  const bool fits = bar.Tabs.Size < 2 || all.width <= whole_room(node);
  // Each tab has its own cross: the room of another one is for titles.
  constexpr ImGuiDockNodeFlags kNoList = ImGuiDockNodeFlags_NoWindowMenuButton;
  const ImGuiDockNodeFlags flags = node.LocalFlags | ImGuiDockNodeFlags_NoCloseButton;
  node.SetLocalFlags(fits ? flags | kNoList : flags & ~kNoList);
  if (fits) { return; }
  int selected = 0;
  const ImGuiID id = bar.NextSelectedTabId ? bar.NextSelectedTabId : bar.SelectedTabId;
  for (int i = 0; i < bar.Tabs.Size; ++i) {
    if (bar.Tabs[i].ID == id) { selected = i; }
  }
  // The tabs of the page share what is left, so that the first beside them begins where the bar
  // ends.
  const float room = bar.BarRect.GetWidth();
  const Page page = page_with(selected, widths, room);
  const float more = std::max(0.0F, room - page.width) / float(page.last - page.first);
  float begin = 0, at = 0;
  for (int i = 0; i < bar.Tabs.Size; ++i) {
    const bool shown = i >= page.first && i < page.last;
    const float end = at + widths[i] + (shown ? more : 0);
    if (i == page.first) { begin = at; }
    bar.Tabs[i].RequestedWidth = i + 1 == page.last ? begin + room - at : std::floor(end - at);
    at += bar.Tabs[i].RequestedWidth + gap();
  }
  bar.ScrollingAnim = bar.ScrollingTarget = begin;
  bar.ScrollingSpeed = 0;
}

}  // namespace

void page_tabs(ImGuiDockNode& node) {
  for (ImGuiDockNode* child : node.ChildNodes) {
    if (child) { page_tabs(*child); }
  }
  if (node.TabBar) { page_bar(node, *node.TabBar); }
}

}  // namespace kappascope::gui
