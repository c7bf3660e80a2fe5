#include "app/gui/widgets.h"

#include <imgui_internal.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/figure/readout.h"

namespace kappascope::gui {

namespace {

ImU32 ink(ImU32 colour) {
  return colour ? colour : ImGui::GetColorU32(ImGuiCol_Text);
}

void move_right(float room) {
  if (room > 0) { ImGui::SetCursorPosX(ImGui::GetCursorPosX() + room); }
}

void draw_header(std::span<const TableColumn> columns) {
  ImGui::TableNextRow(ImGuiTableRowFlags_Headers);
  ImGui::PushID("columns");  // rows are called by numbers, too
  int i = 0;
  for (const TableColumn& column : columns) {
    if (!ImGui::TableSetColumnIndex(i++)) { continue; }
    ImGui::PushID(column.name);
    if (column.number) {
      // Dear ImGui puts the arrow of a sorted column behind its name.
      const bool sorted = ImGui::TableGetColumnFlags() & ImGuiTableColumnFlags_IsSorted;
      const float arrow = sorted ? 0.65F * em() + ImGui::GetStyle().FramePadding.x : 0;
      move_right(ImGui::GetContentRegionAvail().x - arrow -
                 ImGui::CalcTextSize(column.name, nullptr, true).x);
    }
    ImGui::TableHeader(column.name);
    if (column.help) { explain(column.help); }
    ImGui::PopID();
  }
  ImGui::PopID();
}

}  // namespace

std::string fixed_text(double value, int decimals) {
  if (std::isnan(value)) { return "–"; }
  if (std::isinf(value)) { return value < 0 ? "−∞" : "∞"; }
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, std::abs(value));
  const bool zero = std::string_view(text).find_first_not_of("0.") == std::string_view::npos;
  return (value < 0 && !zero ? "−" : "") + std::string(text);
}

std::string percent_text(double share) {
  return value_text(100 * share, "%");
}

void next_item(float width, float gap) {
  if (gap < 0) { gap = ImGui::GetStyle().ItemSpacing.x; }
  // The cursor is at the start of the next line.
  const float right = ImGui::GetCursorScreenPos().x + ImGui::GetContentRegionAvail().x;
  const float last = ImGui::GetCurrentWindow()->DC.CursorPosPrevLine.x;
  if (last + gap + width <= right) { ImGui::SameLine(0, gap); }
}

void elided_text(const std::string& text, float room, ImU32 colour) {
  ImVec2 at = ImGui::GetCursorScreenPos();
  const float down = ImGui::GetCurrentWindow()->DC.CurrLineTextBaseOffset;
  if (room <= 0) { room = ImGui::GetContentRegionAvail().x; }
  const ImVec2 size = ImGui::CalcTextSize(text.data(), text.data() + text.size());
  ImGui::Dummy({std::min(size.x, room), size.y + down});
  at.y += down;
  if (!ImGui::IsItemVisible()) { return; }
  ImGui::PushStyleColor(ImGuiCol_Text, ink(colour));
  // Underscores and the ends of g and p are below the line that text is measured by.
  const ImVec2 end(at.x + room, at.y + 1.25F * size.y);
  ImGui::RenderTextEllipsis(ImGui::GetWindowDrawList(), at, end, end.x, text.data(),
                            text.data() + text.size(), &size);
  ImGui::PopStyleColor();
  if (size.x > room) { explain(text.c_str()); }
}

void quiet_text(const Theme& theme, const std::string& text) {
  ImGui::PushStyleColor(ImGuiCol_Text, theme.quiet_text);
  ImGui::PushTextWrapPos();
  ImGui::TextUnformatted(text.data(), text.data() + text.size());
  ImGui::PopTextWrapPos();
  ImGui::PopStyleColor();
}

std::string parts_that_fit(const std::string& text, float room) {
  const std::string_view all = text;
  std::string fitting;
  int open = 0;  // brackets
  for (std::size_t at = 0; at <= all.size(); ++at) {
    const std::string_view rest = all.substr(at);
    open += int(rest.starts_with('(')) - int(rest.starts_with(')'));
    const bool ends = rest.empty() || rest.starts_with(" · ") || rest.starts_with("; ");
    if (!ends || (open > 0 && !rest.empty())) { continue; }
    if (ImGui::CalcTextSize(all.data(), all.data() + at).x > room) { break; }
    fitting = all.substr(0, at);
  }
  return fitting;
}

void empty_note(const Theme& theme, const char* what, const char* how) {
  const ImVec2 room = ImGui::GetContentRegionAvail();
  const float width = std::min(room.x, 28 * em());
  const ImVec2 first = ImGui::CalcTextSize(what, nullptr, false, width);
  const ImVec2 second = ImGui::CalcTextSize(how, nullptr, false, width);
  const ImVec2 at = ImGui::GetCursorPos();
  const float gap = 0.5F * em();
  const float top = at.y + std::max(0.0F, (room.y - first.y - second.y - gap) * 0.4F);
  const auto line = [&](const char* text, ImVec2 size, float y, ImU32 colour) {
    ImGui::SetCursorPos({at.x + std::max(0.0F, (room.x - size.x) / 2), y});
    ImGui::PushTextWrapPos(ImGui::GetCursorPosX() + size.x + 1);
    ImGui::PushStyleColor(ImGuiCol_Text, colour);
    ImGui::TextUnformatted(text);
    ImGui::PopStyleColor();
    ImGui::PopTextWrapPos();
  };
  line(what, first, top, theme.text);
  line(how, second, top + first.y + gap, theme.quiet_text);
}

void waiting_note(const Theme& theme, const char* what) {
  empty_note(theme, what, "…");
}

void explain(const char* text) {
  if (!ImGui::IsItemHovered(ImGuiHoveredFlags_ForTooltip | ImGuiHoveredFlags_AllowWhenDisabled)) {
    return;
  }
  if (!ImGui::BeginTooltip()) { return; }
  ImGui::PushTextWrapPos(26 * em());
  ImGui::TextUnformatted(text);
  ImGui::PopTextWrapPos();
  ImGui::EndTooltip();
}

void heading(ImFont* bold, const char* text) {
  ImGui::Dummy({0, 0.25F * em()});
  ImGui::PushFont(bold, 0);
  ImGui::TextUnformatted(text);
  ImGui::PopFont();
}

void leave_fields() {
  ImGui::ClearActiveID();
}

void focus_field(const char* id, std::string& text, bool opened) {
  enum State { nothing, awaited, typed };
  const ImGuiID field = ImGui::GetID(id);
  int& state = *ImGui::GetStateStorage()->GetIntRef(field, nothing);
  if (opened) {
    ImGui::SetKeyboardFocusHere();
    state = awaited;
  }
  if (state == nothing) { return; }
  if (ImGui::GetActiveID() == field) {  // from here on it takes letters itself
    ImGuiInputTextState* edited = ImGui::GetInputTextState(field);
    if (state == typed && edited) { edited->ReloadUserBufAndMoveToEnd(); }
    state = nothing;
    return;
  }
  for (const ImWchar letter : ImGui::GetIO().InputQueueCharacters) {
    if (letter < ' ' || letter == 127) { continue; }
    if (state == awaited) { text.clear(); }
    state = typed;
    char bytes[5];
    text.append(bytes, std::size_t(ImTextCharToUtf8(bytes, letter)));
  }
}

std::vector<std::string> lines_typed(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) { lines.push_back(text.substr(at, end - at)); }
    at = end + 1;
  }
  return lines;
}

bool single_button(const char* label, ImVec2 size) {
  if (!ImGui::Button(label, size)) { return false; }
  const bool by_mouse = ImGui::IsMouseReleased(ImGuiMouseButton_Left);
  if (by_mouse && ImGui::GetIO().MouseClickedLastCount[0] > 1) { return false; }
  // Where frames are slow, both presses may have waited for them: then a frame each is between.
  constexpr int kFramesOfAPress = 4;
  int& last = *ImGui::GetStateStorage()->GetIntRef(ImGui::GetItemID(), -kFramesOfAPress);
  const bool again = by_mouse && ImGui::GetFrameCount() - last < kFramesOfAPress;
  last = ImGui::GetFrameCount();
  return !again;
}

bool stepper(const char* id, const char* name, std::int64_t& value, std::int64_t count,
             const std::string& shown) {
  ImGui::PushID(id);
  ImGui::AlignTextToFramePadding();
  ImGui::PushStyleColor(ImGuiCol_Text, ImGui::GetColorU32(ImGuiCol_TextDisabled));
  ImGui::TextUnformatted(name);
  ImGui::PopStyleColor();
  ImGui::SameLine(0, 0.5F * em());
  const std::int64_t before = value;
  ImGui::BeginDisabled(value <= 0);
  if (ImGui::ArrowButton("###less", ImGuiDir_Left)) { --value; }
  ImGui::EndDisabled();
  ImGui::SameLine(0, 0.4F * em());
  // As wide as the widest of its kind, so that the buttons stay where they are.
  const float width = std::max(2 * em(), ImGui::CalcTextSize(shown.c_str()).x);
  const float left = ImGui::GetCursorPosX();
  ImGui::SetCursorPosX(left + (width - ImGui::CalcTextSize(shown.c_str()).x) / 2);
  ImGui::TextUnformatted(shown.c_str());
  ImGui::SameLine(left + width + 0.4F * em());
  ImGui::BeginDisabled(value + 1 >= count);
  if (ImGui::ArrowButton("###more", ImGuiDir_Right)) { ++value; }
  ImGui::EndDisabled();
  ImGui::PopID();
  return value != before;
}

namespace {

constexpr float kRoomy =
    8;  // em, of a column that takes what is left where the table scrolls sideways

// Without the padding of its cells.
float least_width(const TableColumn& column, int table_flags) {
  const bool sorts =
      (table_flags & ImGuiTableFlags_Sortable) && !(column.flags & ImGuiTableColumnFlags_NoSort);
  const float arrow = sorts ? 0.65F * em() + ImGui::GetStyle().FramePadding.x : 0;
  const float name = ImGui::CalcTextSize(column.name, nullptr, true).x + arrow + 1;
  return std::max(name, (column.width > 0 ? column.width : column.least) * em());
}

// The columns that have room; `width`: what they take.
std::vector<bool> columns_with_room(std::span<const TableColumn> columns, int flags, float room,
                                    float& width) {
  const float padding = 2 * ImGui::GetStyle().CellPadding.x;
  std::vector<bool> shown(columns.size(), true);
  width = 0;
  for (const TableColumn& column : columns) { width += least_width(column, flags) + padding; }
  while (width > room) {
    std::size_t spared = columns.size();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (!shown[i] || columns[i].spare == 0) { continue; }
      if (spared == columns.size() || columns[i].spare < columns[spared].spare) { spared = i; }
    }
    if (spared == columns.size()) { break; }
    shown[spared] = false;
    width -= least_width(columns[spared], flags) + padding;
  }
  return shown;
}

}  // namespace

bool begin_table(const char* id, std::span<const TableColumn> columns, ImVec2 size, int flags) {
  constexpr ImGuiTableFlags kFlags = ImGuiTableFlags_RowBg | ImGuiTableFlags_ScrollY |
                                     ImGuiTableFlags_BordersOuter | ImGuiTableFlags_Resizable |
                                     ImGuiTableFlags_NoBordersInBody;
  const float all = size.x > 0 ? size.x : ImGui::GetContentRegionAvail().x;
  const float room = all - ImGui::GetStyle().ScrollbarSize - 2;
  float width = 0;
  const std::vector<bool> shown = columns_with_room(columns, flags, room, width);
  const bool scrolls = width > room || (flags & ImGuiTableFlags_ScrollX);
  if (scrolls) { flags |= ImGuiTableFlags_ScrollX; }
  if (scrolls && size.y > 0) { size.y += ImGui::GetStyle().ScrollbarSize; }
  // One that has more or fewer columns remembers its widths by itself.
  const auto count = scrolls ? 0 : std::count(shown.begin(), shown.end(), true);
  const std::string name = join_words(id, count);
  if (!ImGui::BeginTable(name.c_str(), int(columns.size()), kFlags | flags, size)) { return false; }
  for (const TableColumn& column : columns) {
    const bool stretches = column.width <= 0 && !scrolls;
    const float least = least_width(column, flags);
    ImGui::TableSetupColumn(
        column.name,
        column.flags | (shown[&column - columns.data()] ? 0 : ImGuiTableColumnFlags_Disabled) |
            (stretches ? ImGuiTableColumnFlags_WidthStretch : ImGuiTableColumnFlags_WidthFixed),
        stretches ? 1 : (column.width > 0 ? least : std::max(least, kRoomy * em())),
        ImGuiID(column.id));
  }
  // What a row is of stays in sight where the rest scrolls sideways.
  const bool named = scrolls && 2 * least_width(columns[0], flags) < room;
  ImGui::TableSetupScrollFreeze(named ? 1 : 0, 1);
  draw_header(columns);
  return true;
}

bool row_item(const char* id, bool chosen, int lines) {
  ImGui::TableNextRow();
  ImGui::TableNextColumn();
  const bool clicked = ImGui::Selectable(
      id, chosen, ImGuiSelectableFlags_SpanAllColumns | ImGuiSelectableFlags_AllowOverlap,
      {0, float(lines) * ImGui::GetTextLineHeight()});
  ImGui::SameLine(0, 0);
  return clicked;
}

void number_here(const std::string& text, ImU32 colour) {
  move_right(ImGui::GetContentRegionAvail().x - ImGui::CalcTextSize(text.c_str()).x);
  elided_text(text, 0, colour);
}

void number_cell(const std::string& text, ImU32 colour) {
  if (ImGui::TableNextColumn()) { number_here(text, colour); }
}

void text_cell(const std::string& text, ImU32 colour) {
  if (ImGui::TableNextColumn()) { elided_text(text, 0, colour); }
}

void bar_cell(double share, const std::string& text, const char* widest, ImU32 colour) {
  if (!ImGui::TableNextColumn()) { return; }
  const ImVec2 at = ImGui::GetCursorScreenPos();
  const float width = ImGui::GetContentRegionAvail().x, height = ImGui::GetTextLineHeight();
  // The number has room of its own: a bar of the whole ends before it.
  const float most = width - ImGui::CalcTextSize(widest).x - 0.3F * em();
  if (share > 0 && most > 0) {
    const float end = at.x + most * float(std::min(share, 1.0));
    ImGui::GetWindowDrawList()->AddRectFilled({at.x, at.y + 0.06F * height},
                                              {end, at.y + 0.94F * height}, colour, 0.12F * height);
  }
  move_right(width - ImGui::CalcTextSize(text.c_str()).x);
  ImGui::TextUnformatted(text.data(), text.data() + text.size());
}

bool begin_key_values(const char* id) {
  if (!ImGui::BeginTable(id, 2, ImGuiTableFlags_SizingFixedFit)) { return false; }
  const float names = std::min(8.5F * em(), 0.45F * ImGui::GetContentRegionAvail().x);
  ImGui::TableSetupColumn("name", ImGuiTableColumnFlags_WidthFixed, names);
  ImGui::TableSetupColumn("value", ImGuiTableColumnFlags_WidthStretch);
  return true;
}

void key_value(const Theme& theme, const char* key, const std::string& value, const char* help) {
  ImGui::TableNextRow();
  ImGui::TableNextColumn();
  elided_text(key, 0, theme.quiet_text);
  if (help) { explain(help); }
  ImGui::TableNextColumn();
  ImGui::PushTextWrapPos(0);
  ImGui::TextUnformatted(value.data(), value.data() + value.size());
  ImGui::PopTextWrapPos();
}

}  // namespace kappascope::gui
