#include "app/gui/find_bar.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <charconv>

#include "app/gui/gui.h"
#include "app/gui/text_layout.h"
#include "app/gui/widgets.h"
#include "core/trace/token_bytes.h"

namespace kappascope::gui {

namespace {

using Mode = FindState::Mode;

void to_lower(std::string& text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') { c = char(c + 32); }
  }
}

void search(FindState& state, const Trace& trace) {
  if (state.trace == &trace && state.tokens == trace.tokens && state.searched == state.words) {
    return;
  }
  state.trace = &trace;
  state.tokens = trace.tokens;  // a text that grows may be at the same address
  state.searched = state.words;
  state.found = find_text(trace, state.words);
}

// The number that was typed; −1: none, or there is no such token.
std::int64_t typed_token(const std::string& typed, std::int64_t tokens) {
  std::int64_t number = -1;
  const char* end = typed.data() + typed.size();
  const auto read = std::from_chars(typed.data(), end, number);
  const bool whole = read.ec == std::errc() && read.ptr == end;
  return whole && number >= 0 && number < tokens ? number : -1;
}

// Which of the places is selected; −1: none.
std::int64_t selected_place(const FindState& state, std::int64_t token) {
  for (std::size_t i = 0; i < state.found.size(); ++i) {
    if (state.found[i].first == token) { return std::int64_t(i); }
  }
  return -1;
}

bool draw_field(const char* hint, std::string& text, bool focus) {
  focus_field("###words", text, focus);
  ImGui::SetNextItemWidth(std::min(15 * em(), 0.45F * ImGui::GetContentRegionAvail().x));
  return ImGui::InputTextWithHint("###words", hint, &text, ImGuiInputTextFlags_EnterReturnsTrue);
}

void draw_words(Gui& gui, const Trace& trace) {
  FindState& state = gui.text.find;
  const bool entered = draw_field("Find in the text", state.words, state.just_opened);
  const bool changed = state.searched != state.words;
  search(state, trace);
  const std::int64_t token = gui.workspace.selection().token;
  if (changed && !state.found.empty()) {
    const auto at = std::find_if(state.found.begin(), state.found.end(),
                                 [&](const FoundText& place) { return place.first >= token; });
    const FoundText& to = at == state.found.end() ? state.found.front() : *at;
    gui.workspace.pick({.token = int(to.first)}, Move::step);
  }
  if (entered) {
    find_next(gui, ImGui::GetIO().KeyShift ? -1 : 1);
    ImGui::SetKeyboardFocusHere(-1);
  }
  ImGui::BeginDisabled(state.found.empty());
  ImGui::SameLine();
  if (ImGui::ArrowButton("###before", ImGuiDir_Left)) { find_next(gui, -1); }
  explain("The previous match (Shift+F3)");
  ImGui::SameLine(0, 0.3F * em());
  if (ImGui::ArrowButton("###next", ImGuiDir_Right)) { find_next(gui, 1); }
  explain("The next match (F3, or Enter)");
  ImGui::EndDisabled();
  ImGui::SameLine();
  const std::int64_t place = selected_place(state, gui.workspace.selection().token);
  const std::string all = count_text(std::int64_t(state.found.size()));
  const std::string said = state.words.empty()   ? ""
                           : state.found.empty() ? "not in this text"
                           : place < 0 ? all + (state.found.size() == 1 ? " match" : " matches")
                                       : count_text(place + 1) + " of " + all;
  elided_text(said, std::max(em(), ImGui::GetContentRegionAvail().x - 2 * em()),
              state.found.empty() ? gui.theme->warning : gui.theme->quiet_text);
}

void draw_number(Gui& gui, const Trace& trace) {
  FindState& state = gui.text.find;
  const std::string last = std::to_string(trace.tokens - 1);
  const bool entered = draw_field(("Token, 0 to " + last).c_str(), state.number, state.just_opened);
  const std::int64_t token = typed_token(state.number, trace.tokens);
  ImGui::SameLine();
  ImGui::BeginDisabled(token < 0);
  const bool go = ImGui::Button("Go###go");
  ImGui::EndDisabled();
  if ((entered || go) && token >= 0) {
    gui.workspace.pick({.token = int(token)});
    state.mode = Mode::closed;
  }
  if (entered && token < 0) { ImGui::SetKeyboardFocusHere(-1); }
  ImGui::SameLine();
  const bool wrong = !state.number.empty() && token < 0;
  elided_text(wrong ? "tokens are numbered 0 to " + last : "",
              std::max(em(), ImGui::GetContentRegionAvail().x - 2 * em()), gui.theme->warning);
}

}  // namespace

std::vector<FoundText> find_text(const Trace& trace, std::string_view words) {
  std::vector<FoundText> found;
  if (words.empty()) { return found; }
  std::string text, wanted(words);
  std::vector<std::size_t> ends;  // of each token in `text`
  ends.reserve(std::size_t(trace.tokens));
  for (std::int64_t t = 0; t < trace.tokens; ++t) {
    text += token_bytes(trace, t);
    ends.push_back(text.size());
  }
  to_lower(text);
  to_lower(wanted);
  const auto token_at = [&](std::size_t byte) {
    return std::upper_bound(ends.begin(), ends.end(), byte) - ends.begin();
  };
  for (std::size_t at = text.find(wanted); at != std::string::npos;
       at = text.find(wanted, at + wanted.size())) {
    found.push_back({token_at(at), token_at(at + wanted.size() - 1)});
  }
  return found;
}

bool FindState::contains(std::int64_t token) const {
  if (mode != Mode::words) { return false; }
  const auto after =
      std::upper_bound(found.begin(), found.end(), token,
                       [](std::int64_t at, const FoundText& place) { return at < place.first; });
  return after != found.begin() && std::prev(after)->last >= token;
}

void open_find_bar(Gui& gui, Mode mode) {
  leave_fields();
  FindState& state = gui.text.find;
  state.mode = mode;
  state.just_opened = true;
  state.number.clear();
  gui.shown["text"] = true;
  gui.focus = "text";
}

void find_next(Gui& gui, int by) {
  FindState& state = gui.text.find;
  const Trace* trace = gui.workspace.current_trace();
  if (!trace) { return; }
  search(state, *trace);
  if (state.found.empty()) { return; }
  const std::int64_t token = gui.workspace.selection().token;
  const FoundText* to = by > 0 ? &state.found.front() : &state.found.back();
  for (const FoundText& place : state.found) {
    if (by > 0 && place.first > token) {
      to = &place;
      break;
    }
    if (by < 0 && place.first < token) { to = &place; }
  }
  gui.workspace.pick({.token = int(to->first)}, Move::step);
}

void draw_find_bar(Gui& gui) {
  FindState& state = gui.text.find;
  const Trace* trace = gui.workspace.current_trace();
  if (state.mode == Mode::closed || !trace) { return; }
  ImGui::PushID("find");
  if (state.mode == Mode::words) {
    draw_words(gui, *trace);
  } else {
    draw_number(gui, *trace);
  }
  ImGui::SameLine();
  const bool left = ImGui::IsWindowFocused() && ImGui::IsKeyPressed(ImGuiKey_Escape);
  if (ImGui::SmallButton("×###close") || left) { state.mode = Mode::closed; }
  state.just_opened = false;
  ImGui::PopID();
}

}  // namespace kappascope::gui
