// What a person can set about the look of figures: one table of names for the command line,
// style.toml and the export dialog; and the presets of journals.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/figure/figure.h"
#include "core/figure/scene.h"

namespace kappascope {

// One setting. Words are what stands behind its option on the command line, one an occurrence.
struct StyleSetting {
  enum class Kind : std::uint8_t { number, toggle, text, list };

  std::string_view name;   // "vmin": the option --vmin, the key vmin
  Kind kind;               // list: may be given several times
  std::string_view value;  // what --help calls its value; "" of a toggle
  std::string_view help;
  void (*set)(FigureStyle& style, const std::vector<std::string>& words);  // wrong words: usage
  // What has to be said so that a style that is like `usual` becomes this one; empty: nothing.
  std::vector<std::string> (*words)(const FigureStyle& style, const FigureStyle& usual);
};

std::span<const StyleSetting> style_settings();
const StyleSetting* style_setting(std::string_view name);  // nullptr: there is none such

// What a journal or conference asks for, from its instructions to authors.
struct StylePreset {
  std::string_view name;
  double single_mm, double_mm;  // widths of columns; the same where there is one
  double most_height_mm;
  double font_pt;                       // of axis names
  double least_pt, most_pt;             // of any text
  std::vector<std::string_view> fonts;  // families, the first that is installed is taken; or none
};

std::span<const StylePreset> style_presets();
// The number as a setting's word: the shortest that reads back to the same.
std::string number_word(double value);

// Sets in the order of precedence: preset, then the other settings, each once. Errors: usage.
struct StyleWords {
  std::string name;  // of the setting
  std::vector<std::string> words;
};
FigureStyle style_of(const std::vector<StyleWords>& file, const std::vector<StyleWords>& given);
// What has to be set to get this style from nothing.
std::vector<StyleWords> words_of(const FigureStyle& style);

// A style file: `key = value` lines of TOML, the keys those of style_settings(), a list of texts
// where a setting can be given several times. No TOML: damaged; an unknown key or a wrong value:
// usage, with line and column; cannot be read: io.
std::vector<StyleWords> read_style(const std::filesystem::path& path);
// The same as text: settings that differ from the usual ones, one a line.
std::string style_text(const FigureStyle& style);

// The height that a figure of this style may have unless a person asks for another, in mm.
double most_height_mm(const FigureStyle& style);

// What the style's preset asks for and the picture does not keep, each as half a sentence behind
// the preset's name: "text of 4 pt; at least 5 pt". Empty without a preset.
std::vector<std::string> not_kept(const FigureStyle& style, const Scene& scene);

}  // namespace kappascope
