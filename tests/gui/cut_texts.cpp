#include "tests/gui/cut_texts.h"

#include <imgui.h>
#include <imgui_internal.h>

#include <algorithm>
#include <cfloat>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

namespace kappascope::gui::test {

namespace {

constexpr float kTolerance = 1.5f;  // pixels: glyphs lean a little over their width
constexpr std::string_view kDots = "…";

struct Watch {
  bool on = false;
  std::set<std::string> cut;
  std::vector<DrawnText> drawn;
};

Watch& watch() {
  static Watch one;
  return one;
}

// Fields where one types show the end of a long text, and texts that users typed may be long.
bool is_field() {
  const ImGuiWindow* window = ImGui::GetCurrentContext()->CurrentWindow;
  return window && std::strstr(window->Name, "###input") != nullptr;
}

void add(const char* how, const char* begin, const char* end) {
  const ImGuiWindow* window = ImGui::GetCurrentContext()->CurrentWindow;
  watch().cut.insert(std::string(window ? window->Name : "") + ": " + how + ": " +
                     std::string(begin, end));
}

bool is_button(std::string_view text) {
  for (const char* name : {"Export…", "Open…", "Save…"}) {
    if (text == name) { return true; }
  }
  return text == kDots;
}

// The text of a trace is shown as far as there is room.
bool is_excerpt(const std::string& line) {
  for (const char* words : {"Once upon", "The lighthouse", "1001 1002"}) {
    if (line.find(words) != std::string::npos) { return true; }
  }
  return false;
}

void note(const ImDrawList& list, ImFont* font, float size, const ImVec2& at, const char* begin,
          const char* end, float wrap, const ImVec4* fine) {
  if (!watch().on || begin == end || is_field()) { return; }
  end = end ? end : begin + std::strlen(begin);
  const std::string_view text(begin, std::size_t(end - begin));
  if (text.ends_with(kDots) && !is_button(text)) { add("shortened", begin, end); }
  ImVec2 low = list.GetClipRectMin(), high = list.GetClipRectMax();
  // Upright names are written in the corner and turned then.
  if (at.x == std::round(low.x) && at.y == std::round(low.y)) { return; }
  if (fine) {
    low = {std::max(low.x, fine->x), std::max(low.y, fine->y)};
    high = {std::min(high.x, fine->z), std::min(high.y, fine->w)};
  }
  font = font ? font : list._Data->Font;
  size = size > 0 ? size : list._Data->FontSize;
  const ImVec2 extent = font->CalcTextSizeA(size, FLT_MAX, wrap, begin, end);
  const bool outside = at.x >= high.x - kTolerance || at.x + extent.x <= low.x + kTolerance ||
                       at.y >= high.y - kTolerance || at.y + extent.y <= low.y + kTolerance;
  if (outside) { return; }
  if (at.x < low.x - kTolerance || at.x + extent.x > high.x + kTolerance) {
    add("cut", begin, end);
  }
}

void keep(const ImDrawList& list, ImFont* font, float size, const ImVec2& at, ImU32 colour,
          const char* begin, const char* end) {
  if (!watch().on || begin == end) { return; }
  end = end ? end : begin + std::strlen(begin);
  size = size > 0 ? size : list._Data->FontSize;
  font = font ? font : list._Data->Font;
  const ImVec2 low = list.GetClipRectMin(), high = list.GetClipRectMax();
  const float width = font->CalcTextSizeA(size, FLT_MAX, 0, begin, end).x;
  if (at.x < high.x && at.x + width > low.x && at.y < high.y && at.y + size > low.y) {
    watch().drawn.push_back({&list, at, size, colour, std::string(begin, end)});
  }
}

void note_ellipsis(const ImVec2& low, const ImVec2& high, const char* begin, const char* end,
                   const ImVec2* known) {
  if (!watch().on) { return; }
  end = end ? end : ImGui::FindRenderedTextEnd(begin);
  const float width = known ? known->x : ImGui::CalcTextSize(begin, end).x;
  if (width > high.x - low.x) { add("shortened", begin, end); }
}

}  // namespace

void watch_texts() {
  watch() = {.on = true, .cut = {}, .drawn = {}};
}

std::vector<DrawnText> take_drawn_texts() {
  return std::exchange(watch(), {}).drawn;
}

std::vector<std::string> take_cut_texts() {
  watch().on = false;
  for (const ImGuiWindow* window : ImGui::GetCurrentContext()->Windows) {
    if (window->Active && !window->Hidden && window->ScrollMax.x > 0 &&
        !std::strstr(window->Name, "###input")) {
      watch().cut.insert(std::string(window->Name) + ": scrolls sideways");
    }
  }
  std::vector<std::string> cut;
  for (const std::string& line : std::exchange(watch().cut, {})) {
    if (!is_excerpt(line)) { cut.push_back(line); }
  }
  return cut;
}

}  // namespace kappascope::gui::test

// The linker puts these before Dear ImGui's own functions (--wrap in CMakeLists.txt).
extern "C" {
void __real__ZN10ImDrawList7AddTextEP6ImFontfRK6ImVec2jPKcS6_fPK6ImVec4(ImDrawList*, ImFont*, float,
                                                                        const ImVec2&, ImU32,
                                                                        const char*, const char*,
                                                                        float, const ImVec4*);
void __wrap__ZN10ImDrawList7AddTextEP6ImFontfRK6ImVec2jPKcS6_fPK6ImVec4(
    ImDrawList* list, ImFont* font, float size, const ImVec2& at, ImU32 colour, const char* begin,
    const char* end, float wrap, const ImVec4* fine) {
  kappascope::gui::test::note(*list, font, size, at, begin, end, wrap, fine);
  kappascope::gui::test::keep(*list, font, size, at, colour, begin, end);
  __real__ZN10ImDrawList7AddTextEP6ImFontfRK6ImVec2jPKcS6_fPK6ImVec4(list, font, size, at, colour,
                                                                     begin, end, wrap, fine);
}
// The shorter form, used for the text of a trace, which calls the other within its own file.
void __real__ZN10ImDrawList7AddTextERK6ImVec2jPKcS4_(ImDrawList*, const ImVec2&, ImU32, const char*,
                                                     const char*);
void __wrap__ZN10ImDrawList7AddTextERK6ImVec2jPKcS4_(ImDrawList* list, const ImVec2& at,
                                                     ImU32 colour, const char* begin,
                                                     const char* end) {
  kappascope::gui::test::keep(*list, nullptr, 0, at, colour, begin, end);
  __real__ZN10ImDrawList7AddTextERK6ImVec2jPKcS4_(list, at, colour, begin, end);
}
// What fields call for what was typed into them.
void __real__ZN6ImFont10RenderTextEP10ImDrawListfRK6ImVec2jRK6ImVec4PKcS9_fi(
    ImFont*, ImDrawList*, float, const ImVec2&, ImU32, const ImVec4&, const char*, const char*,
    float, ImDrawTextFlags);
void __wrap__ZN6ImFont10RenderTextEP10ImDrawListfRK6ImVec2jRK6ImVec4PKcS9_fi(
    ImFont* font, ImDrawList* list, float size, const ImVec2& at, ImU32 colour, const ImVec4& clip,
    const char* begin, const char* end, float wrap, ImDrawTextFlags flags) {
  kappascope::gui::test::keep(*list, font, size, at, colour, begin, end);
  __real__ZN6ImFont10RenderTextEP10ImDrawListfRK6ImVec2jRK6ImVec4PKcS9_fi(
      font, list, size, at, colour, clip, begin, end, wrap, flags);
}
void __real__ZN5ImGui18RenderTextEllipsisEP10ImDrawListRK6ImVec2S4_fPKcS6_PS3_(
    ImDrawList*, const ImVec2&, const ImVec2&, float, const char*, const char*, const ImVec2*);
void __wrap__ZN5ImGui18RenderTextEllipsisEP10ImDrawListRK6ImVec2S4_fPKcS6_PS3_(
    ImDrawList* list, const ImVec2& low, const ImVec2& high, float most, const char* begin,
    const char* end, const ImVec2* known) {
  kappascope::gui::test::note_ellipsis(low, high, begin, end, known);
  __real__ZN5ImGui18RenderTextEllipsisEP10ImDrawListRK6ImVec2S4_fPKcS6_PS3_(list, low, high, most,
                                                                            begin, end, known);
}
}
