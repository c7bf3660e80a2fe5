#include "app/gui/help.h"

#include <imgui.h>

#include <algorithm>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "app/metrics.h"

namespace kappascope::gui {

namespace {

using Face = HelpWords::Face;
using Kind = HelpBlock::Kind;

struct Mark {
  std::string_view sign;
  Face face;
};

constexpr Mark kMarks[] = {{"**", Face::bold}, {"`", Face::code}, {"*", Face::emphasised}};

void add_words(HelpBlock& block, std::string_view text, Face face) {
  if (text.empty()) return;
  if (!block.words.empty() && block.words.back().face == face)
    block.words.back().text += text;
  else
    block.words.push_back({std::string(text), face});
}

// A pair of marks encloses words, and no space follows the first or precedes the second.
void read_words(HelpBlock& block, std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Mark* found = nullptr;
    std::size_t end = 0;
    for (const Mark& mark : kMarks) {
      if (found || !text.substr(at).starts_with(mark.sign)) continue;
      const std::size_t begin = at + mark.sign.size();
      end = text.find(mark.sign, begin + 1);
      if (end == std::string_view::npos || text[begin] == ' ' || text[end - 1] == ' ') continue;
      found = &mark;
      add_words(block, text.substr(begin, end - begin), mark.face);
      at = end + mark.sign.size();
    }
    if (!found) add_words(block, text.substr(at++, 1), Face::plain);
  }
}

ImFont* font_of(const Gui& gui, Kind kind, Face face) {
  if (kind == Kind::heading || face == Face::bold) return gui.fonts.bold;
  return face == Face::code ? gui.fonts.mono : gui.fonts.regular;
}

// Words wrap at the right edge; lines after the first start at `left`.
void draw_words(const Gui& gui, const HelpBlock& block, float left) {
  const float right = ImGui::GetCursorPosX() + ImGui::GetContentRegionAvail().x;
  bool first = true;
  const auto place = [&](std::string_view word) {
    const float width = ImGui::CalcTextSize(word.data(), word.data() + word.size()).x;
    if (!first) ImGui::SameLine(0, 0);
    if (!first && word != " " && ImGui::GetCursorPosX() + width > right) {
      ImGui::NewLine();
      ImGui::SetCursorPosX(left);
    }
    ImGui::TextUnformatted(word.data(), word.data() + word.size());
    first = false;
  };
  ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, {0, 0.25F * em()});
  for (const HelpWords& words : block.words) {
    const float size = ImGui::GetStyle().FontSizeBase * (block.kind == Kind::heading ? 1.2F : 1.0F);
    ImGui::PushFont(font_of(gui, block.kind, words.face), size);
    if (words.face == Face::emphasised) ImGui::PushStyleColor(ImGuiCol_Text, gui.theme->accent);
    const std::string_view text = words.text;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text[at] == ' ' ? at + 1 : std::min(text.find(' ', at), text.size());
      place(text.substr(at, end - at));
      at = end;
    }
    if (words.face == Face::emphasised) ImGui::PopStyleColor();
    ImGui::PopFont();
  }
  ImGui::PopStyleVar();
}

void draw_block(const Gui& gui, const HelpBlock& block) {
  const float left = ImGui::GetCursorPosX(), indent = 1.2F * em();
  if (block.kind == Kind::item) {
    ImGui::Bullet();
    ImGui::SameLine(left + indent);
  }
  draw_words(gui, block, block.kind == Kind::item ? left + indent : left);
  ImGui::Dummy({0, (block.kind == Kind::item ? 0.1F : 0.4F) * em()});
}

void choose_metric(Gui& gui) {
  ImGui::SetNextItemWidth(-1);
  if (!ImGui::BeginCombo("###metric", gui.help.c_str())) return;
  for (const std::string_view name : metric_names()) {
    const std::string text(name);
    if (ImGui::Selectable(text.c_str(), text == gui.help)) gui.help = text;
    if (text == gui.help) ImGui::SetItemDefaultFocus();
  }
  ImGui::EndCombo();
}

}  // namespace

std::vector<HelpBlock> help_blocks(std::string_view markdown) {
  std::vector<HelpBlock> blocks;
  std::vector<std::string> texts;  // of each block, its lines joined
  bool open = false;               // the next line goes on with the last block
  while (!markdown.empty()) {
    const std::size_t end = std::min(markdown.find('\n'), markdown.size());
    std::string_view line = markdown.substr(0, end);
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
    while (line.starts_with(' ')) line.remove_prefix(1);
    while (line.ends_with(' ')) line.remove_suffix(1);
    const bool heading = line.starts_with('#'), item = line.starts_with("- ");
    if (line.empty()) {
      open = false;
    } else if (open && !heading && !item) {
      texts.back() += " " + std::string(line);
    } else {
      while (heading && line.starts_with('#')) line.remove_prefix(1);
      line.remove_prefix(item ? 2 : std::min(line.find_first_not_of(' '), line.size()));
      blocks.push_back({heading ? Kind::heading : item ? Kind::item : Kind::paragraph, {}});
      texts.emplace_back(line);
      open = !heading;
    }
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) read_words(blocks[i], texts[i]);
  return blocks;
}

void draw_help(Gui& gui) {
  if (gui.help.empty()) return;
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
    for (const HelpBlock& block : help_blocks(metric_definition(gui.help))) draw_block(gui, block);
    ImGui::EndChild();
  }
  if (ImGui::IsWindowFocused(ImGuiFocusedFlags_RootAndChildWindows) &&
      ImGui::IsKeyPressed(ImGuiKey_Escape))
    open = false;
  ImGui::End();
  if (!open) gui.help.clear();
}

}  // namespace kappascope::gui
