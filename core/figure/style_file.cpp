// Styles as files: TOML, of which a style needs only keys with a value each.
#include <toml++/toml.h>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "core/error.h"
#include "core/figure/style.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
using SettingKind = StyleSetting::Kind;

constexpr std::size_t kMostBytes = 1 << 20;

std::string place_text(const toml::source_region& source) {
  return join_words("line ", source.begin.line, ", column ", source.begin.column, ": ");
}

std::string contents(const fs::path& path) {
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  std::ifstream in(path, std::ios::binary);
  require(in.good() && !folder, ExitCode::io, {path.string()},
          folder ? "is a folder; expected a style file" : "cannot be read");
  std::string text(kMostBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  require(text.size() <= kMostBytes, ExitCode::damaged, {path.string()},
          "is larger than 1 MiB; expected a style file");
  return text;
}

// The words of one key; empty where the value is not what the setting takes.
std::vector<std::string> words_at(const toml::node& node, SettingKind kind) {
  if (kind == SettingKind::number) {
    return node.is_number() ? std::vector{number_word(node.value<double>().value_or(kNaN))}
                            : std::vector<std::string>();
  }
  if (node.is_string()) { return {node.value<std::string>().value()}; }
  std::vector<std::string> words;
  if (kind != SettingKind::list || !node.is_array()) { return words; }
  for (const toml::node& element : *node.as_array()) {
    if (!element.is_string()) { return {}; }
    words.push_back(element.value<std::string>().value());
  }
  return words;
}

const char* expected(SettingKind kind) {
  switch (kind) {
    case SettingKind::number:
      return "a number";
    case SettingKind::toggle:
      return "true or false";
    case SettingKind::text:
      return "a text in quotes";
    case SettingKind::list:
      return "a text in quotes, or a list of them";
  }
  return "";
}

std::string known_keys() {
  std::string keys;
  for (const StyleSetting& setting : style_settings()) {
    keys += (keys.empty() ? "" : ", ") + std::string(setting.name);
  }
  return keys;
}

std::vector<StyleWords> words_in(const toml::table& table, const std::string& file) {
  std::vector<StyleWords> all;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const StyleSetting* setting = style_setting(name);
    require(setting != nullptr, ExitCode::usage, {file}, place_text(key.source()),
            "no setting is called ", printable(name), "; expected one of ", known_keys());
    const bool toggle = setting->kind == SettingKind::toggle;
    if (toggle && node.value_exact<bool>() == false) { continue; }
    std::vector<std::string> words =
        toggle ? (node.is_boolean() ? std::vector<std::string>{"true"} : std::vector<std::string>())
               : words_at(node, setting->kind);
    require(!words.empty(), ExitCode::usage, {file}, place_text(node.source()), name, ": expected ",
            expected(setting->kind));
    try {
      FigureStyle tried;
      setting->set(tried, words);
    } catch (const Error& error) {
      fail(error.code(), {file}, place_text(node.source()), error.what());
    }
    all.push_back({name, std::move(words)});
  }
  return all;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') { result += '\\'; }
    if (static_cast<unsigned char>(c) >= ' ' && c != '\x7f') {
      result += c;
      continue;
    }
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04X", static_cast<unsigned>(c));
    result += code;
  }
  return result + "\"";
}

std::string value_text(const StyleSetting& setting, const std::vector<std::string>& words) {
  if (setting.kind == SettingKind::number || setting.kind == SettingKind::toggle) {
    return words[0];
  }
  if (setting.kind == SettingKind::text) { return quoted(words[0]); }
  std::string list;
  for (const std::string& word : words) { list += (list.empty() ? "" : ", ") + quoted(word); }
  return "[" + list + "]";
}

}  // namespace

std::vector<StyleWords> read_style(const fs::path& path) {
  const std::string file = path.string(), text = contents(path);
  try {
    return words_in(toml::parse(text), file);
  } catch (const toml::parse_error& error) {
    fail(ExitCode::damaged, {file}, place_text(error.source()), error.description());
  }
}

std::string style_text(const FigureStyle& style) {
  std::string text = "# Style of figures: kappascope plot --style FILE\n";
  for (const StyleWords& one : words_of(style)) {
    text += one.name + " = " + value_text(*style_setting(one.name), one.words) + "\n";
  }
  return text;
}

}  // namespace kappascope
