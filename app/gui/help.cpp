#include "app/gui/help.h"

#include <imgui.h>

#include <algorithm>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "app/metrics.h"

namespace kappascope::gui {

namespace {

using WordFace = HelpWords::Face;
using BlockKind = HelpBlock::Kind;

ImFont* font_of(const Gui& gui, BlockKind kind, WordFace face) {
  if (kind == BlockKind::heading || face == WordFace::bold) { return gui.fonts.bold; }
  return face == WordFace::code ? gui.fonts.mono : gui.fonts.regular;
}

// Words wrap at the right edge; lines after the first start at `left`.
void draw_words(const Gui& gui, const HelpBlock& block, float left) {
  const float right = ImGui::GetCursorPosX() + ImGui::GetContentRegionAvail().x;
  bool first = true;
  const auto place = [&](std::string_view word) {
    const float width = ImGui::CalcTextSize(word.data(), word.data() + word.size()).x;
    if (!first) { ImGui::SameLine(0, 0); }
    if (!first && word != " " && ImGui::GetCursorPosX() + width > right) {
      ImGui::NewLine();
      ImGui::SetCursorPosX(left);
    }
    ImGui::TextUnformatted(word.data(), word.data() + word.size());
    first = false;
  };
  ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, {0, 0.25F * em()});
  for (const HelpWords& words : block.words) {
    const float size =
        ImGui::GetStyle().FontSizeBase * (block.kind == BlockKind::heading ? 1.2F : 1.0F);
    ImGui::PushFont(font_of(gui, block.kind, words.face), size);
    if (words.face == WordFace::emphasised) {
      ImGui::PushStyleColor(ImGuiCol_Text, gui.theme->accent);
    }
    const std::string_view text = words.text;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text[at] == ' ' ? at + 1 : std::min(text.find(' ', at), text.size());
      place(text.substr(at, end - at));
      at = end;
    }
    if (words.face == WordFace::emphasised) { ImGui::PopStyleColor(); }
    ImGui::PopFont();
  }
  ImGui::PopStyleVar();
}

void draw_block(const Gui& gui, const HelpBlock& block) {
  const float left = ImGui::GetCursorPosX(), indent = 1.7F * em();
  if (block.kind == BlockKind::item) {
    ImGui::Bullet();
    ImGui::SameLine(left + indent);
  }
  draw_words(gui, block, block.kind == BlockKind::item ? left + indent : left);
  ImGui::Dummy({0, (block.kind == BlockKind::item ? 0.1F : 0.4F) * em()});
}

void choose_metric(Gui& gui) {
  ImGui::SetNextItemWidth(-1);
  if (!ImGui::BeginCombo("###metric", gui.help.c_str())) { return; }
  for (const std::string_view name : metric_names()) {
    const std::string text(name);
    if (ImGui::Selectable(text.c_str(), text == gui.help)) { gui.help = text; }
    if (text == gui.help) { ImGui::SetItemDefaultFocus(); }
  }
  ImGui::EndCombo();
}

}  // namespace

void draw_help(Gui& gui) {
  if (gui.help.empty()) { return; }
  bool open = true;
  const ImGuiViewport* viewport = ImGui::GetMainViewport();
  ImGui::SetNextWindowPos(viewport->GetCenter(), ImGuiCond_Appearing, {0.5F, 0.5F});
  ImGui::SetNextWindowSize({std::min(44 * em(), 0.95F * viewport->WorkSize.x),
                            std::min(26 * em(), 0.95F * viewport->WorkSize.y)},
                           ImGuiCond_Appearing);
  if (ImGui::Begin("What it means###help", &open,
                   ImGuiWindowFlags_NoDocking | ImGuiWindowFlags_NoSavedSettings)) {
    choose_metric(gui);
    ImGui::BeginChild(("###definition" + gui.help).c_str());
    for (const HelpBlock& block : help_blocks(metric_definition(gui.help))) {
      draw_block(gui, block);
    }
    ImGui::EndChild();
  }
  if (ImGui::IsWindowFocused(ImGuiFocusedFlags_RootAndChildWindows) &&
      ImGui::IsKeyPressed(ImGuiKey_Escape)) {
    open = false;
  }
  ImGui::End();
  if (!open) { gui.help.clear(); }
}

}  // namespace kappascope::gui
