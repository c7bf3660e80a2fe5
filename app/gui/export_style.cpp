#include "app/gui/export_style.h"

#include <imgui.h>
#include <imgui_stdlib.h>

#include <algorithm>
#include <fstream>

#include "app/gui/path_listing.h"
#include "app/gui/settings.h"
#include "app/gui/theme.h"
#include "app/gui/widgets.h"
#include "app/shell_words.h"
#include "core/error.h"

namespace kappascope::gui {
namespace {

namespace fs = std::filesystem;
using SettingKind = StyleSetting::Kind;

constexpr const char* kFirstLine = "# Style of figures";

// Those have widgets of their own.
bool has_widget(std::string_view name) {
  return name == "width" || name == "height" || name == "font-size" || name == "dpi" ||
         name == "panel-letters" || name == "no-metadata";
}

void keep_widgets(FigureStyle& style, const FigureStyle& from) {
  style.width_mm = from.width_mm;
  style.height_mm = from.height_mm;
  style.font_pt = from.font_pt;
  style.dpi = from.dpi;
  style.panel_letters = from.panel_letters;
  style.metadata = from.metadata;
}

std::vector<StyleWords> words_typed(const TypedStyle& typed) {
  std::vector<StyleWords> all;
  for (const auto& [name, text] : typed.text) {
    std::vector<std::string> words = lines_typed(text);
    if (!words.empty()) { all.push_back({name, std::move(words)}); }
  }
  return all;
}

void take(TypedStyle& typed, FigureStyle& style) {
  typed.problem.clear();
  try {
    FigureStyle next = style_of({}, words_typed(typed));
    if (next.preset == style.preset) { keep_widgets(next, style); }
    style = std::move(next);
  } catch (const Error& error) { typed.problem = error.what(); }
}

// What a style says, as if it had been typed.
void type(TypedStyle& typed, const FigureStyle& style) {
  typed.text.clear();
  for (const StyleWords& one : words_of(style)) {
    if (has_widget(one.name)) { continue; }
    std::string& text = typed.text[one.name];
    for (const std::string& word : one.words) { text += (text.empty() ? "" : "\n") + word; }
  }
}

fs::path place_of(const std::string& typed) {
  return fs::absolute(without_tilde(typed));
}

bool draw_choice(std::string& text, const std::string& id,
                 const std::vector<std::string_view>& names, const char* none) {
  bool changed = false;
  ImGui::SetNextItemWidth(12 * em());
  if (!ImGui::BeginCombo(id.c_str(), text.empty() ? none : text.c_str())) { return false; }
  if (ImGui::Selectable(none, text.empty())) {
    text.clear();
    changed = true;
  }
  for (const std::string_view name : names) {
    if (ImGui::Selectable(std::string(name).c_str(), text == name)) {
      text = name;
      changed = true;
    }
  }
  ImGui::EndCombo();
  return changed;
}

// True when it was changed.
bool draw_field(std::string& text, const StyleSetting& setting) {
  const std::string id = "###style_" + std::string(setting.name);
  if (setting.kind == SettingKind::toggle) {
    bool on = !text.empty();
    const bool changed = ImGui::Checkbox((std::string(setting.name) + id).c_str(), &on);
    text = on ? "true" : "";
    return changed;
  }
  ImGui::AlignTextToFramePadding();
  ImGui::TextUnformatted(setting.name.data(), setting.name.data() + setting.name.size());
  ImGui::SameLine(7 * em());
  if (setting.name == "theme") { return draw_choice(text, id, {"grey", "dark"}, "print"); }
  if (setting.name == "preset") {
    std::vector<std::string_view> names;
    for (const StylePreset& preset : style_presets()) { names.push_back(preset.name); }
    return draw_choice(text, id, names, "none");
  }
  const std::string hint(setting.value);
  if (setting.kind != SettingKind::list) {
    ImGui::SetNextItemWidth(setting.kind == SettingKind::number ? 7 * em() : -1);
    ImGui::InputTextWithHint(id.c_str(), hint.c_str(), &text);
  } else {
    const float lines = 1.0f + static_cast<float>(std::min<std::ptrdiff_t>(
                                   3, std::count(text.begin(), text.end(), '\n')));
    ImGui::InputTextMultiline(id.c_str(), &text,
                              {-1, lines * em() + 2 * ImGui::GetStyle().FramePadding.y + 2});
  }
  return ImGui::IsItemDeactivatedAfterEdit();
}

void draw_file(TypedStyle& typed, FigureStyle& style) {
  ImGui::AlignTextToFramePadding();
  ImGui::TextUnformatted("Style file");
  ImGui::SameLine(7 * em());
  ImGui::SetNextItemWidth(-10 * em());
  ImGui::InputTextWithHint("###style_file", "style.toml", &typed.file);
  ImGui::BeginDisabled(typed.file.empty());
  ImGui::SameLine();
  if (ImGui::Button("Read###read_style")) { read_style_file(typed, style); }
  ImGui::SameLine();
  if (ImGui::Button("Write###write_style")) { write_style_file(typed, style); }
  ImGui::EndDisabled();
}

}  // namespace

void read_style_file(TypedStyle& typed, FigureStyle& style) {
  typed.problem.clear();
  typed.said.clear();
  try {
    style = style_of(read_style(place_of(typed.file)), {});
    type(typed, style);
    typed.said = "Read.";
  } catch (const Error& error) { typed.problem = error.what(); }
}

void write_style_file(TypedStyle& typed, const FigureStyle& style) {
  typed.problem.clear();
  typed.said.clear();
  const fs::path place = place_of(typed.file);
  try {
    std::ifstream there(place, std::ios::binary);
    std::string first;
    require(!there || (std::getline(there, first) && first.starts_with(kFirstLine)), ExitCode::io,
            {place.string()}, "is there and was not written here: choose another name");
    write_text_file(place, style_text(style));
    typed.said = "Written.";
  } catch (const Error& error) { typed.problem = error.what(); }
}

void draw_style(TypedStyle& typed, FigureStyle& style) {
  if (!ImGui::CollapsingHeader("Look###look")) { return; }
  bool changed = false, beside = false;  // toggles share lines
  for (const StyleSetting& setting : style_settings()) {
    if (has_widget(setting.name)) { continue; }
    const bool toggle = setting.kind == SettingKind::toggle;
    if (toggle && beside) { ImGui::SameLine(); }
    changed |= draw_field(typed.text[std::string(setting.name)], setting);
    explain(std::string(setting.help).c_str());
    beside = toggle;
  }
  if (changed) {
    typed.said.clear();
    take(typed, style);
  }
  draw_file(typed, style);
  const std::string& text = typed.problem.empty() ? typed.said : typed.problem;
  if (!text.empty()) { ImGui::TextWrapped("%s", text.c_str()); }
}

std::string style_options(const FigureStyle& style, bool png) {
  std::string options;
  const auto add = [&](const std::string& name, const std::string& word) {
    options += word.starts_with('-') && name != "vmin" && name != "vmax"
                   ? " " + quote_word("--" + name + "=" + word)
                   : " --" + name + " " + quote_word(word);
  };
  std::vector<StyleWords> all = words_of(style);
  const bool has_width = std::any_of(all.begin(), all.end(),
                                     [](const StyleWords& one) { return one.name == "width"; });
  if (!has_width && style.preset.empty()) { add("width", "178"); }
  for (const StyleWords& one : all) {
    if (one.name == "dpi" && !png) { continue; }
    const bool toggle = style_setting(one.name)->kind == SettingKind::toggle;
    if (toggle) { options += " --" + one.name; }
    for (const std::string& word : one.words) {
      if (!toggle) { add(one.name, word); }
    }
  }
  return options;
}

}  // namespace kappascope::gui
