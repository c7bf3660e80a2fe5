#include "app/gui/theme.h"

#include <algorithm>

namespace kappascope::gui {

namespace {

constexpr ImU32 rgb(std::uint32_t hex) {
  return IM_COL32((hex >> 16) & 255, (hex >> 8) & 255, hex & 255, 255);
}

constexpr Theme kDark = {.dark = true,
                         .text = rgb(0xe3e6ea),
                         .quiet_text = rgb(0x98a1ab),
                         .accent = rgb(0x4d9de0),
                         .warning = rgb(0xe3b341),
                         .error = rgb(0xf47067),
                         .panel = rgb(0x1c2127),
                         .paper = rgb(0x15191e),
                         .line = rgb(0x343c45),
                         .chosen = rgb(0xff9f43)};
constexpr Theme kLight = {.dark = false,
                          .text = rgb(0x1f2328),
                          .quiet_text = rgb(0x59636e),
                          .accent = rgb(0x0b64b5),
                          .warning = rgb(0x8a5a00),
                          .error = rgb(0xb3261e),
                          .panel = rgb(0xf3f4f6),
                          .paper = rgb(0xffffff),
                          .line = rgb(0xd0d5db),
                          .chosen = rgb(0xd9480f)};

ImVec4 vec(ImU32 colour, float alpha = 1) {
  ImVec4 value = ImGui::ColorConvertU32ToFloat4(colour);
  value.w = alpha;
  return value;
}

// `share` of b in a.
ImVec4 mix(ImU32 a, ImU32 b, float share) {
  const ImVec4 x = vec(a), y = vec(b);
  return {x.x + (y.x - x.x) * share, x.y + (y.y - x.y) * share, x.z + (y.z - x.z) * share, 1};
}

void set_measures(ImGuiStyle& style) {
  style.WindowPadding = {8, 7};
  style.FramePadding = {7, 3};
  style.ItemSpacing = {8, 5};
  style.ItemInnerSpacing = {6, 4};
  style.CellPadding = {4, 2.5f};
  style.IndentSpacing = 16;
  style.ScrollbarSize = 11;
  style.GrabMinSize = 9;
  style.WindowBorderSize = 1;
  style.ChildBorderSize = 1;
  style.PopupBorderSize = 1;
  style.FrameBorderSize = 0;
  style.TabBorderSize = 0;
  style.TabBarBorderSize = 1;
  style.TabBarOverlineSize = 2;
  style.WindowRounding = 4;
  style.ChildRounding = 3;
  style.FrameRounding = 3;
  style.PopupRounding = 4;
  style.ScrollbarRounding = 6;
  style.GrabRounding = 3;
  style.TabRounding = 3;
  style.DockingSeparatorSize = 3;
  style.SeparatorTextBorderSize = 1;
  style.WindowMenuButtonPosition = ImGuiDir_Right;  // the list of tabs
  style.DisabledAlpha = 0.5f;
  style.HoverDelayNormal = 0.35f;
}

}  // namespace

const Theme& theme(bool dark) {
  return dark ? kDark : kLight;
}

void apply_theme(const Theme& theme, ImGuiStyle& style) {
  if (theme.dark) {
    ImGui::StyleColorsDark(&style);
  } else {
    ImGui::StyleColorsLight(&style);
  }
  set_measures(style);
  ImVec4* colours = style.Colors;
  const ImVec4 field = mix(theme.panel, theme.text, theme.dark ? 0.08f : 0.06f);
  const ImVec4 raised = mix(theme.panel, theme.text, theme.dark ? 0.13f : 0.10f);
  const ImVec4 hovered = mix(theme.panel, theme.accent, 0.30f);
  const ImVec4 pressed = mix(theme.panel, theme.accent, 0.50f);
  const ImVec4 chosen = mix(theme.panel, theme.accent, 0.22f);
  const auto set = [&](std::initializer_list<ImGuiCol_> which, const ImVec4& colour) {
    for (const ImGuiCol_ one : which) { colours[one] = colour; }
  };
  set({ImGuiCol_Text}, vec(theme.text));
  set({ImGuiCol_TextDisabled}, vec(theme.quiet_text));
  set({ImGuiCol_WindowBg, ImGuiCol_DockingEmptyBg, ImGuiCol_MenuBarBg}, vec(theme.panel));
  set({ImGuiCol_ChildBg}, ImVec4(0, 0, 0, 0));
  set({ImGuiCol_PopupBg}, mix(theme.panel, theme.text, theme.dark ? 0.04f : 0.0f));
  set({ImGuiCol_Border, ImGuiCol_Separator, ImGuiCol_TableBorderLight, ImGuiCol_TableBorderStrong},
      vec(theme.line));
  set({ImGuiCol_FrameBg, ImGuiCol_TableHeaderBg}, field);
  set({ImGuiCol_Button}, raised);
  set({ImGuiCol_FrameBgHovered, ImGuiCol_ButtonHovered, ImGuiCol_HeaderHovered, ImGuiCol_TabHovered,
       ImGuiCol_SeparatorHovered},
      hovered);
  set({ImGuiCol_FrameBgActive, ImGuiCol_ButtonActive, ImGuiCol_HeaderActive,
       ImGuiCol_SeparatorActive},
      pressed);
  set({ImGuiCol_Header}, chosen);
  set({ImGuiCol_TitleBg, ImGuiCol_TitleBgActive, ImGuiCol_TitleBgCollapsed, ImGuiCol_Tab,
       ImGuiCol_TabDimmed},
      mix(theme.panel, theme.dark ? IM_COL32_BLACK : theme.line, theme.dark ? 0.25f : 0.45f));
  set({ImGuiCol_TabSelected, ImGuiCol_TabDimmedSelected}, vec(theme.panel));
  set({ImGuiCol_TabSelectedOverline}, vec(theme.accent));
  set({ImGuiCol_TabDimmedSelectedOverline}, vec(theme.line));
  set({ImGuiCol_CheckMark, ImGuiCol_SliderGrab, ImGuiCol_SliderGrabActive, ImGuiCol_PlotHistogram,
       ImGuiCol_TextLink, ImGuiCol_NavCursor},
      vec(theme.accent));
  set({ImGuiCol_ResizeGrip}, ImVec4(0, 0, 0, 0));
  set({ImGuiCol_ScrollbarBg}, ImVec4(0, 0, 0, 0));
  set({ImGuiCol_ScrollbarGrab}, mix(theme.panel, theme.text, 0.22f));
  set({ImGuiCol_TextSelectedBg, ImGuiCol_DockingPreview}, vec(theme.accent, 0.35f));
  set({ImGuiCol_TableRowBgAlt}, vec(theme.text, 0.025f));
  set({ImGuiCol_ModalWindowDimBg}, ImVec4(0, 0, 0, theme.dark ? 0.45f : 0.25f));
}

}  // namespace kappascope::gui
