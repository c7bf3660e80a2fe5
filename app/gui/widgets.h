// Small parts that panels share: cells of tables, lines that fit, notes where there is nothing.
#pragma once

#include <imgui.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "app/gui/theme.h"
#include "core/figure/text.h"  // count_text

namespace kappascope::gui {

// --- numbers as text ---
std::string fixed_text(double value, int decimals);  // "−1.250"; "–" for NaN
std::string percent_text(double share);              // "12.5 %"; "–" for NaN

// --- lines ---
// Puts the next item beside the last one where `width` more fits, else below it.
void next_item(float width, float gap = -1);  // −1: the gap between items
// `text` cut with … at `room` (0: what is left of the line); when cut, the pointer shows all of it.
void elided_text(const std::string& text, float room = 0, ImU32 colour = 0);
void quiet_text(const Theme& theme, const std::string& text);
// Of parts that `text` joins with " · " or "; ", what is in brackets being one, the first ones that
// fit into `room` pixels whole.
std::string parts_that_fit(const std::string& text, float room);
// Where there is nothing: what is missing and, below it in quiet ink, how to get it; in the middle.
void empty_note(const Theme& theme, const char* what, const char* how);
void waiting_note(const Theme& theme, const char* what);  // while a job makes it
// A tooltip of at most 26 em for the item before.
void explain(const char* text);
// A heading inside a panel, with space above it.
void heading(ImFont* bold, const char* text);
// The lines of a text field that are not empty.
std::vector<std::string> lines_typed(const std::string& text);
// A button for which a double click is one press: the second click must not confirm what the first
// one asked, nor start again what the first one started.
bool single_button(const char* label, ImVec2 size = {0, 0});
// "‹ name ›": true when it was stepped; `value` then is the new one, within [0, count).
bool stepper(const char* id, const char* name, std::int64_t& value, std::int64_t count,
             const std::string& shown);

// For a field that a key opens: `leave_fields` where the key is handled, so that no other field
// takes what is typed next; `focus_field` before the field is drawn, which gives it the focus when
// it was just opened and puts into `text` what was typed before it had it.
void leave_fields();
void focus_field(const char* id, std::string& text, bool opened);

// --- tables ---
struct TableColumn {
  const char* name;    // "κ"; with its unit: "nats"
  float width;         // em, at least as wide as its name; 0: takes what is left
  bool number = true;  // right-aligned
  const char* help = nullptr;
  int flags = 0;       // ImGuiTableColumnFlags
  int id = 0;          // ColumnUserID
  int spare = 0;       // > 0: left out where not all columns have room, the lowest number first
  float least = 4.5F;  // em, of a column that takes what is left
};
// Begins a table with a header that stays; true when it is shown (then: ImGui::EndTable()). No
// column is narrower than its contents need: spare ones are left out, and where that is not enough
// the table scrolls.
bool begin_table(const char* id, std::span<const TableColumn> columns, ImVec2 size, int flags = 0);
inline bool begin_table(const char* id, std::initializer_list<TableColumn> columns, ImVec2 size,
                        int flags = 0) {
  return begin_table(id, std::span(columns.begin(), columns.size()), size, flags);
}
// Begins a row of `lines` lines with an item over all of it; true when it was clicked. Call
// `…_here` for its first cell, `…_cell` for the others.
bool row_item(const char* id, bool chosen, int lines = 1);
void number_here(const std::string& text, ImU32 colour = 0);  // to the right
void number_cell(const std::string& text, ImU32 colour = 0);
void text_cell(const std::string& text, ImU32 colour = 0);  // cut where it does not fit
// A bar over `share` (0 … 1) of the cell but for the number on its right; `widest`: what numbers of
// this column need at most.
void bar_cell(double share, const std::string& text, const char* widest, ImU32 colour);

// Two columns: names in quiet ink, values.
bool begin_key_values(const char* id);
void key_value(const Theme& theme, const char* key, const std::string& value,
               const char* help = nullptr);

}  // namespace kappascope::gui
