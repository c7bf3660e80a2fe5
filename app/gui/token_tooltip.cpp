#include "app/gui/token_tooltip.h"

#include <algorithm>
#include <string>

#include "app/gui/gui.h"
#include "app/gui/text_layout.h"
#include "app/gui/widgets.h"
#include "core/figure/readout.h"
#include "core/figure/scales.h"
#include "core/figure/text.h"
#include "core/stats/layer.h"
#include "core/trace/token_bytes.h"
#include "core/utf8.h"

namespace kappascope::gui {

namespace {

// The bytes of all tokens that share token t's characters, when these are whole characters.
std::string whole_characters(const Trace& trace, std::int64_t t) {
  const auto same = [&](std::int64_t other) {
    const auto i = static_cast<std::size_t>(t), j = static_cast<std::size_t>(other);
    return trace.char_start[i] >= 0 && trace.char_start[j] < trace.char_end[i] &&
           trace.char_start[i] < trace.char_end[j];
  };
  std::int64_t first = t, last = t;
  while (first > 0 && t - first < 4 && same(first - 1)) { --first; }
  while (last + 1 < trace.tokens && last - t < 4 && same(last + 1)) { ++last; }
  std::string bytes;
  for (std::int64_t i = first; i <= last; ++i) { bytes += token_bytes(trace, i); }
  return first < last && is_utf8(bytes) ? bytes : "";
}

void row(const Theme& theme, const char* key, const std::string& value) {
  ImGui::TableNextRow();
  ImGui::TableNextColumn();
  ImGui::PushStyleColor(ImGuiCol_Text, theme.quiet_text);
  ImGui::TextUnformatted(key);
  ImGui::PopStyleColor();
  ImGui::TableNextColumn();
  ImGui::TextUnformatted(value.c_str());
}

double at(std::span<const float> array, std::int64_t i) {
  return array.empty() ? kNaN : double(array[i]);
}

void draw_rows(Gui& gui, const Trace& trace, std::int64_t t) {
  const Theme& theme = *gui.theme;
  const auto i = static_cast<std::size_t>(t);
  row(theme, "bytes",
      trace.token_bytes_hex[i].empty() ? "–" : spaced_hex(trace.token_bytes_hex[i]));
  row(theme, "characters", characters_text(trace.char_start[i], trace.char_end[i]));
  row(theme, "NLL", value_text(at(trace.nll, t), "nats"));
  const std::int64_t rank = trace.target_rank.empty() ? -1 : trace.target_rank[i];
  row(theme, "rank", rank < 0 ? "–" : count_text(rank) + (rank == 0 ? " (the most probable)" : ""));
  const TokenColours& colours = gui.text.colours;
  if (colours.of && colours.of->id != "nll" && i < colours.of->values.size()) {
    const double value = colours.of->values[i];
    const ColourScale& scale = colours.of->colours;
    const bool named = scale.kind == ColourKind::categorical;
    std::string text = colour_value(scale, value);
    if (named && value >= 0) { text = scale.names[value]; }
    if (named && value < 0) { text = scale.rest; }
    row(theme, (scale.label.empty() ? colours.of->name : scale.label).c_str(), text);
  }
}

void draw_layer(const Theme& theme, const Trace& trace, std::int64_t row_of_trace, std::int64_t t) {
  const TraceLayer layer(trace, row_of_trace, LayerTokens::all);
  const std::int64_t cell = row_of_trace * trace.tokens + t;
  std::string title = "Layer " + std::to_string(layer.layer);
  if (layer.pass > 0) { title += ", pass " + std::to_string(layer.pass); }
  ImGui::Separator();
  ImGui::TextUnformatted(title.c_str());
  if (ImGui::BeginTable("router", 2, ImGuiTableFlags_SizingFixedFit)) {
    row(theme, "confidence", value_text(at(trace.router_top1_prob, cell)));
    row(theme, "margin", value_text(at(trace.router_margin, cell), margin_colours(trace).unit));
    row(theme, "entropy", value_text(at(trace.router_entropy, cell)));
    ImGui::EndTable();
  }
  if (!ImGui::BeginTable("slots", 4, ImGuiTableFlags_SizingFixedFit)) { return; }
  // A tooltip is as wide as what it holds, and numbers take the room that their column has.
  constexpr const char* kColumns[] = {"expert", "weight", "κ", "sharpness"};
  const float least = ImGui::CalcTextSize("−0.00000").x;
  for (const char* name : kColumns) {
    ImGui::TableSetupColumn(name, ImGuiTableColumnFlags_WidthFixed,
                            std::max(least, ImGui::CalcTextSize(name).x));
  }
  for (const char* name : kColumns) { number_cell(name, theme.quiet_text); }
  for (std::int64_t k = 0; k < trace.slots; ++k) {
    const std::int64_t entry = t * trace.slots + k, i = cell * trace.slots + k;
    if (layer.expert(entry) < 0 || !layer.router_finite(t)) { continue; }
    const bool kept = layer.kept(entry);
    number_cell(std::to_string(layer.expert(entry)));
    number_cell(value_text(at(trace.expert_weight, i)));
    number_cell(kept ? value_text(at(trace.kappa_mean, i)) : "dropped",
                kept ? theme.text : theme.warning);
    number_cell(value_text(at(trace.gate_kz_rms, i)));
  }
  ImGui::EndTable();
}

}  // namespace

std::string characters_text(std::int64_t start, std::int64_t end) {
  if (start < 0 || end <= start) { return "–"; }
  return count_text(start) + (end - start > 1 ? "–" + count_text(end - 1) : "");
}

std::string spaced_hex(const std::string& digits) {
  constexpr std::size_t kMost = 2 * 24;
  std::string text;
  for (std::size_t i = 0; i < std::min(digits.size(), kMost); i += 2) {
    text += (i > 0 ? " " : "") + digits.substr(i, 2);
  }
  return digits.size() > kMost ? text + " …" : text;
}

std::string token_note(const Trace& trace, std::int64_t t, const Fonts& fonts) {
  const std::string bytes = token_bytes(trace, t);
  const std::string whole = is_utf8(bytes) ? bytes : whole_characters(trace, t);
  std::string note;
  const auto add = [&](const std::string& words) { note += (note.empty() ? "" : "\n") + words; };
  if (whole.empty() && !bytes.empty()) {
    add("These bytes are not valid UTF-8.");
  } else if (whole != bytes) {
    add("Bytes of '" + plain_text(whole) + "', which is cut into several tokens.");
  }
  bool unshaped = false, missing = false;
  for (std::size_t at = 0; at < whole.size();) {
    const CodePoint code = decode_utf8(whole, at);
    unshaped = unshaped || Fonts::needs_shaping(static_cast<std::uint32_t>(code.value));
    missing = missing || fonts.is_missing(static_cast<std::uint32_t>(code.value));
    at += std::max<std::size_t>(code.length, 1);
  }
  if (unshaped) {
    add("This script or sequence is shown unshaped: letters are not joined, placed or ordered as "
        "in print.");
  }
  if (missing) {
    add("No installed font has a character of this token: its code is shown instead.");
  }
  return note;
}

void draw_token_tooltip(Gui& gui, const Trace& trace, std::int64_t t) {
  if (!ImGui::BeginTooltip()) { return; }
  const Theme& theme = *gui.theme;
  const auto i = static_cast<std::size_t>(t);
  ImGui::PushFont(gui.fonts.bold, 1.15F * em());
  ImGui::PushTextWrapPos(26 * em());
  ImGui::TextUnformatted(token_label(trace.token_text[i]).c_str());
  ImGui::PopTextWrapPos();
  ImGui::PopFont();
  quiet_text(theme, "token " + std::to_string(t) + " · id " + std::to_string(trace.token_id[i]));
  if (ImGui::BeginTable("token", 2, ImGuiTableFlags_SizingFixedFit)) {
    draw_rows(gui, trace, t);
    ImGui::EndTable();
  }
  const std::int64_t row = gui.workspace.selection().row;
  if (row >= 0) { draw_layer(theme, trace, row, t); }
  const std::string note = token_note(trace, t, gui.fonts);
  if (!note.empty()) {
    ImGui::Separator();
    ImGui::PushTextWrapPos(26 * em());
    ImGui::PushStyleColor(ImGuiCol_Text, theme.warning);
    ImGui::TextUnformatted(note.c_str());
    ImGui::PopStyleColor();
    ImGui::PopTextWrapPos();
  }
  ImGui::EndTooltip();
}

}  // namespace kappascope::gui
