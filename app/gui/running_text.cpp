#include "app/gui/running_text.h"

#include <imgui_internal.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "app/gui/generate_controls.h"
#include "app/gui/gui.h"
#include "app/gui/token_legend.h"
#include "app/gui/token_tooltip.h"
#include "app/gui/widgets.h"
#include "core/trace/token_bytes.h"
#include "core/utf8.h"

namespace kappascope::gui {

namespace {

constexpr std::int64_t kTokensPerFrame = 8000;  // laid out; a few milliseconds
constexpr float kLine = 1.6F, kBand = 1.3F;     // em: from line to line, height of a token's colour
constexpr float kMargin = 0.6F;                 // em, beside the text
constexpr float kCodeSize = 0.82F, kCodePadding = 0.25F;

class FontMeasure final : public TextMeasure {
 public:
  explicit FontMeasure(const Fonts& fonts) : fonts_(fonts), size_(em()) {}
  float letters(std::string_view text) const override {
    return fonts_.regular->CalcTextSizeA(size_, FLT_MAX, 0, text.data(), text.data() + text.size())
        .x;
  }
  float code(std::string_view text) const override {
    const ImVec2 extent = fonts_.mono->CalcTextSizeA(kCodeSize * size_, FLT_MAX, 0, text.data(),
                                                     text.data() + text.size());
    return extent.x + 2 * kCodePadding * size_;
  }
  std::size_t fitting(std::string_view text, float room) const override {
    const char* end = nullptr;
    fonts_.regular->CalcTextSizeA(size_, std::max(room, 0.0F), 0, text.data(),
                                  text.data() + text.size(), &end);
    std::size_t bytes = end > text.data() ? std::size_t(end - text.data()) : 1;
    while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) {
      ++bytes;
    }
    return bytes;
  }
  bool is_missing(std::uint32_t character) const override { return fonts_.is_missing(character); }

 private:
  const Fonts& fonts_;
  float size_;
};

void lay_out(Gui& gui, const Trace& trace, float width) {
  TextPanelState& state = gui.text;
  const DocumentId id = gui.workspace.view().trace;
  const bool grown = state.key.trace == id && trace.tokens > state.tokens;
  if (state.key.trace != id || grown) {
    std::string text;  // whole, because tokens may hold parts of characters
    for (std::int64_t t = 0; t < trace.tokens; ++t) { text += token_bytes(trace, t); }
    gui.fonts.need(text);
  }
  // A character that the text ended within is whole now.
  const std::string next = grown ? token_bytes(trace, state.tokens) : "";
  if (!next.empty() && !starts_utf8(next[0])) { state.layout.start(width, state.show_whitespace); }
  state.tokens = trace.tokens;
  const TextPanelState::LayoutKey key{id, width, em(), gui.fonts.generation(),
                                      state.show_whitespace};
  if (!(key == state.key)) {
    state.key = key;
    state.layout.start(width, state.show_whitespace);
    state.shown_token = -1;
  }
  if (!state.layout.complete(trace)) {
    state.layout.go_on(trace, FontMeasure(gui.fonts), kTokensPerFrame);
  }
}

// Draws and handles the text; lines and pieces are those that are visible.
class TextView {
 public:
  TextView(Gui& gui, const Trace& trace)
      : gui_(gui),
        trace_(trace),
        theme_(*gui.theme),
        state_(gui.text),
        layout_(gui.text.layout),
        draw_(ImGui::GetWindowDrawList()),
        origin_(ImGui::GetCursorScreenPos()),
        line_(std::round(kLine * em())) {}

  void draw() {
    const auto lines = static_cast<std::int64_t>(layout_.lines());
    ImGui::Dummy({1, float(lines) * line_});
    handle_keys();
    scroll_to_selection();
    const float top = ImGui::GetScrollY(), height = ImGui::GetWindowHeight();
    const auto first = std::clamp<std::int64_t>(std::int64_t(top / line_) - 1, 0, lines);
    const auto end = std::clamp<std::int64_t>(std::int64_t((top + height) / line_) + 2, 0, lines);
    for (std::int64_t i = first; i < end; ++i) { draw_line(static_cast<std::size_t>(i)); }
    if (menu_) { ImGui::OpenPopup("###token_menu"); }
    draw_token_menu(gui_);
    if (hovered_ >= 0) { draw_token_tooltip(gui_, trace_, hovered_); }
  }

 private:
  std::int64_t selected() const { return gui_.workspace.selection().token; }

  ImVec2 place(std::size_t line, float x) const {
    return {origin_.x + x, origin_.y + float(line) * line_};
  }

  // Part of a token that is on one line.
  struct Part {
    std::size_t first, last;  // pieces
    ImVec2 low, high;         // of its colour
    ImU32 ink;
  };

  void draw_line(std::size_t line) {
    parts_.clear();
    const std::size_t end = layout_.end_piece(line);
    for (std::size_t i = layout_.first_piece(line); i < end;) {
      const std::int32_t token = layout_.piece(i).token;
      std::size_t last = i;
      while (last + 1 < end && layout_.piece(last + 1).token == token) { ++last; }
      draw_ground(line, i, last);
      i = last + 1;
    }
    // Letters reach into their neighbours' ground.
    for (const Part& part : parts_) {
      for (std::size_t i = part.first; i <= part.last; ++i) { draw_piece(line, i, part); }
    }
    for (const Part& part : parts_) { draw_frame(part); }
  }

  void draw_ground(std::size_t line, std::size_t first, std::size_t last) {
    const TextPiece &begin = layout_.piece(first), &end = layout_.piece(last);
    const float inset = std::round((line_ - kBand * em()) / 2);
    const float gap = 0.07F * em();  // between neighbours of the same colour
    const ImVec2 at = place(line, begin.x);
    Part part{first,
              last,
              {at.x, at.y + inset},
              {place(line, end.x + end.width).x - gap, at.y + line_ - inset},
              theme_.text};
    if (part.high.x <= part.low.x) { return; }
    const std::uint8_t index = colour_index(begin.token);
    if (const ImU32 fill = state_.colours.fill[index]) {
      draw_->AddRectFilled(part.low, part.high, fill, 0.15F * em());
      part.ink = state_.colours.ink[index];
    }
    parts_.push_back(part);
  }

  // The item of a part, and the frame that says that it is selected or under the pointer.
  void draw_frame(const Part& part) {
    const std::int64_t token = layout_.piece(part.first).token;
    // A token that continues in the next line has an item there with a name of its own.
    const bool begins = part.first == 0 || layout_.piece(part.first - 1).token != token;
    ImGui::SetCursorScreenPos(part.low);
    ImGui::PushID(begins ? "token" : "more");
    ImGui::PushID(static_cast<int>(token));
    if (ImGui::InvisibleButton("###token", {part.high.x - part.low.x, part.high.y - part.low.y},
                               ImGuiButtonFlags_PressedOnClick)) {
      state_.shown_token = token;  // it is in view
      state_.column = -1;
      gui_.workspace.pick({.token = int(token)});
    }
    if (ImGui::IsItemClicked(ImGuiMouseButton_Right)) {
      gui_.workspace.pick({.token = int(token)});
      menu_ = true;
    }
    if (ImGui::IsItemHovered(ImGuiHoveredFlags_ForTooltip)) { hovered_ = token; }
    if (state_.find.contains(token)) {
      const float thick = std::max(1.5F, 0.14F * em());
      draw_->AddRectFilled({part.low.x, part.high.y - thick}, part.high, theme_.chosen);
    }
    const bool chosen = token == selected();
    if (chosen || ImGui::IsItemHovered()) {
      const float out = chosen ? 0.1F * em() : 0;
      draw_->AddRect({part.low.x - out, part.low.y - out}, {part.high.x + out, part.high.y + out},
                     chosen ? theme_.chosen : theme_.text, 0.15F * em(),
                     (chosen ? 0.13F : 0.07F) * em());
    }
    ImGui::PopID();
    ImGui::PopID();
  }

  std::uint8_t colour_index(std::int64_t token) const {
    const TokenColours& colours = state_.colours;
    if (!colours.map || token >= std::int64_t(colours.of->values.size())) { return 0; }
    return colours.map->index(colours.of->values[token]);
  }

  void draw_piece(std::size_t line, std::size_t i, const Part& part) {
    const TextPiece& piece = layout_.piece(i);
    const ImVec2 at = place(line, piece.x);
    const float top = at.y + (line_ - em()) / 2;
    const std::string_view text = layout_.text(piece);
    const ImU32 ink = part.ink;
    const ImU32 quiet = (ink & ~IM_COL32_A_MASK) | (ImU32{140} << IM_COL32_A_SHIFT);
    switch (piece.kind) {
      case TextPiece::Kind::letters:
        draw_->AddText({at.x, top}, ink, text.data(), text.data() + text.size());
        break;
      case TextPiece::Kind::code:
        draw_code({at.x, at.y}, piece, text, ink, quiet);
        break;
      case TextPiece::Kind::spaces:
        if (state_.show_whitespace && (i == part.first || i == part.last)) {
          draw_spaces({at.x, top}, piece, quiet);
        }
        break;
      case TextPiece::Kind::rest:
        draw_->AddCircleFilled({at.x + piece.width / 2, at.y + line_ / 2}, 0.07F * em(), quiet);
        break;
      case TextPiece::Kind::tab:
        if (state_.show_whitespace) { draw_->AddText({at.x, top}, quiet, "⇥"); }
        break;
      case TextPiece::Kind::line_feed:
        if (state_.show_whitespace) { draw_->AddText({at.x, top}, quiet, "↵"); }
        break;
    }
  }

  void draw_code(ImVec2 at, const TextPiece& piece, std::string_view text, ImU32 ink,
                 ImU32 quiet) const {
    const float size = kCodeSize * em(), inset = (line_ - 1.05F * em()) / 2, gap = 0.1F * em();
    draw_->AddRect({at.x + gap, at.y + inset}, {at.x + piece.width - gap, at.y + line_ - inset},
                   quiet, 0.2F * em());
    draw_->AddText(gui_.fonts.mono, size, {at.x + kCodePadding * em(), at.y + (line_ - size) / 2},
                   ink, text.data(), text.data() + text.size());
  }

  // An open box (␣) for each space, no wider than it.
  void draw_spaces(ImVec2 at, const TextPiece& piece, ImU32 ink) const {
    const float width = piece.width / float(std::max<std::uint32_t>(piece.length, 1));
    if (width <= 0) { return; }
    const float bottom = at.y + 0.92F * em(), height = 0.2F * em(), side = 0.1F * width;
    for (std::uint32_t i = 0; i < piece.length; ++i) {
      const float left = at.x + float(i) * width + side, right = left + width - 2 * side;
      const ImVec2 box[] = {
          {left, bottom - height}, {left, bottom}, {right, bottom}, {right, bottom - height}};
      draw_->AddPolyline(box, 4, ink, std::max(1.0F, 0.06F * em()));
    }
  }

  void select(std::int64_t token) {
    if (token >= 0 && token < layout_.tokens()) {
      gui_.workspace.pick({.token = int(token)}, Move::step);
    }
  }

  void handle_keys() {
    if (!ImGui::IsWindowFocused() || ImGui::GetIO().KeyCtrl || ImGui::GetIO().KeyAlt) { return; }
    const std::int64_t token = selected();
    const float page = std::floor(ImGui::GetWindowHeight() / line_ - 1) * line_;
    if (ImGui::IsKeyPressed(ImGuiKey_PageDown)) { ImGui::SetScrollY(ImGui::GetScrollY() + page); }
    if (ImGui::IsKeyPressed(ImGuiKey_PageUp)) { ImGui::SetScrollY(ImGui::GetScrollY() - page); }
    const int sideways = int(ImGui::IsKeyPressed(ImGuiKey_RightArrow)) -
                         int(ImGui::IsKeyPressed(ImGuiKey_LeftArrow));
    const int down =
        int(ImGui::IsKeyPressed(ImGuiKey_DownArrow)) - int(ImGui::IsKeyPressed(ImGuiKey_UpArrow));
    if (sideways != 0) {
      state_.column = -1;
      select(token < 0 ? 0 : token + sideways);
    }
    if (down != 0) { move_down(token, down); }
  }

  void move_down(std::int64_t token, int by) {
    if (token < 0) { return select(0); }
    const std::size_t line = layout_.line_of(token);
    if (state_.column < 0) {
      for (std::size_t i = layout_.first_piece(line); i < layout_.end_piece(line); ++i) {
        if (layout_.piece(i).token != token) { continue; }
        state_.column = layout_.piece(i).x + layout_.piece(i).width / 2;
        break;
      }
    }
    const std::int64_t to = std::int64_t(line) + by;
    if (to < 0 || to >= std::int64_t(layout_.lines())) { return; }
    const float column = state_.column;
    select(layout_.token_at(static_cast<std::size_t>(to), column));
  }

  void scroll_to_selection() {
    const Subject& selection = gui_.workspace.selection();
    if (gui_.workspace.view().trace == state_.shown_trace &&
        selection.token == state_.shown_token) {
      return;
    }
    if (selection.token >= layout_.tokens()) {
      return;  // as soon as it is laid out
    }
    state_.shown_trace = gui_.workspace.view().trace;
    state_.shown_token = selection.token;
    if (selection.token < 0) { return; }
    const float at = float(layout_.line_of(selection.token)) * line_;
    const float top = ImGui::GetScrollY(), height = ImGui::GetWindowHeight();
    if (at < top + line_ / 2) { ImGui::SetScrollY(std::max(0.0F, at - 2 * line_)); }
    if (at + line_ > top + height - line_) { ImGui::SetScrollY(at - height + 3 * line_); }
  }

  Gui& gui_;
  const Trace& trace_;
  const Theme& theme_;
  TextPanelState& state_;
  const TextLayout& layout_;
  ImDrawList* draw_;
  const ImVec2 origin_;
  const float line_;  // pixels from line to line
  std::int64_t hovered_ = -1;
  bool menu_ = false;        // that of the selected token is asked for
  std::vector<Part> parts_;  // of the line that is drawn
};

}  // namespace

void draw_running_text(Gui& gui) {
  const Trace& trace = *gui.workspace.current_trace();
  take_colours(gui);
  draw_token_legend(gui);
  ImGui::PushStyleColor(ImGuiCol_ChildBg, gui.theme->paper);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, {kMargin * em(), 0.4F * em()});
  const bool open = ImGui::BeginChild(
      "###tokens", {0, 0}, ImGuiChildFlags_Borders | ImGuiChildFlags_AlwaysUseWindowPadding,
      ImGuiWindowFlags_NoNavInputs);
  ImGui::PopStyleVar();
  ImGui::PopStyleColor();
  if (open) {
    // As wide with a scrollbar as without: what the scrollbar takes is always left free.
    const float room =
        ImGui::GetWindowWidth() - ImGui::GetStyle().ScrollbarSize - 2 * kMargin * em();
    lay_out(gui, trace, std::max(8 * em(), room));
    TextView(gui, trace).draw();
  }
  ImGui::EndChild();
}

}  // namespace kappascope::gui
