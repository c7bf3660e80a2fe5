#include "core/figure/style.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "core/error.h"
#include "core/figure/text.h"

namespace kappascope {
namespace {

using Words = std::vector<std::string>;
using SettingKind = StyleSetting::Kind;

double setting_number(std::string_view text, std::string_view name, double low, double high,
                      const char* unit) {
  double value = kNaN;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = error == std::errc() && end == text.data() + text.size();
  require(good && value >= low && value <= high, ExitCode::usage, {}, "--", name, " ",
          printable(text), ": expected a number from ", low, " to ", high, unit);
  return value;
}

// "A:B"; an end that is left out stays as the figure has it.
AxisEnds ends_of(std::string_view text, std::string_view name) {
  const std::size_t colon = text.find(':');
  require(colon != text.npos && text.size() > 1, ExitCode::usage, {}, "--", name, " ",
          printable(text), ": expected LOW:HIGH, for example 0:2.5");
  const auto end = [&](std::string_view part) {
    return part.empty() ? double(kNaN) : setting_number(part, name, -1e300, 1e300, "");
  };
  const AxisEnds ends{end(text.substr(0, colon)), end(text.substr(colon + 1))};
  require(!(ends.low >= ends.high), ExitCode::usage, {}, "--", name, " ", printable(text),
          ": the first number must be the smaller one");
  return ends;
}

std::string word_of(const AxisEnds& ends) {
  const auto end = [](double value) { return std::isfinite(value) ? number_word(value) : ""; };
  return end(ends.low) + ":" + end(ends.high);
}

bool same(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

template <double FigureStyle::* Member>
Words number_words(const FigureStyle& style, const FigureStyle& usual) {
  if (same(style.*Member, usual.*Member)) { return {}; }
  return {number_word(style.*Member)};
}

template <bool FigureStyle::* Member, bool Value>
void set_toggle(FigureStyle& style, const Words&) {
  style.*Member = Value;
}
template <bool FigureStyle::* Member, bool Value>
Words toggle_words(const FigureStyle& style, const FigureStyle& usual) {
  if (style.*Member == usual.*Member || style.*Member != Value) { return {}; }
  return {"true"};
}

template <std::string FigureStyle::* Member>
void set_text(FigureStyle& style, const Words& words) {
  style.*Member = words.back();
}
template <std::string FigureStyle::* Member>
Words text_words(const FigureStyle& style, const FigureStyle& usual) {
  if (style.*Member == usual.*Member) { return {}; }
  return {style.*Member};
}

template <Words FigureStyle::* Member>
void set_list(FigureStyle& style, const Words& words) {
  style.*Member = words;
}
template <Words FigureStyle::* Member>
Words list_words(const FigureStyle& style, const FigureStyle& usual) {
  return style.*Member == usual.*Member ? Words() : style.*Member;
}

template <std::vector<AxisEnds> FigureStyle::* Member>
Words ends_words(const FigureStyle& style, const FigureStyle&) {
  Words words;
  for (const AxisEnds& ends : style.*Member) { words.push_back(word_of(ends)); }
  return words;
}

void set_labels(FigureStyle& style, const Words& words) {
  for (const std::string& word : words) {
    require(word.find('=') != word.npos && word[0] != '=', ExitCode::usage, {}, "--label ",
            printable(word), ": expected NAME=TEXT, for example d8-kappa=ours");
  }
  style.labels = words;
}

FigureStyle preset_style(std::string_view name);

constexpr const char* kThemes[] = {"print", "grey", "dark"};

void set_theme(FigureStyle& style, const Words& words) {
  const auto found = std::find(std::begin(kThemes), std::end(kThemes), words.back());
  require(found != std::end(kThemes), ExitCode::usage, {}, "--theme ", printable(words.back()),
          ": expected print, grey or dark");
  style.theme = static_cast<FigureTheme>(found - std::begin(kThemes));
}

void set_font(FigureStyle& style, const Words& words) {
  style.font = words.back();
  require(style.font.empty() || has_font(style.font), ExitCode::usage, {}, "--font ",
          printable(style.font),
          ": no font of this family is installed; `fc-list : family` lists those that are");
}

const StyleSetting kSettings[] = {
    {"preset", SettingKind::text, "NAME",
     "nature, ieee, acl or neurips: width, height, sizes of text, and words instead of symbols; "
     "what a figure does not keep is said",
     [](FigureStyle& style, const Words& words) {
       preset_style(words.back());
       style.preset = words.back();
     },
     text_words<&FigureStyle::preset>},
    {"width", SettingKind::number, "MM", "in mm: 85 is a single column, 178 a double one; 178",
     [](FigureStyle& style, const Words& words) {
       style.width_mm = setting_number(words.back(), "width", 40, 2000, " mm");
     },
     number_words<&FigureStyle::width_mm>},
    {"height", SettingKind::number, "MM",
     "in mm; as the contents need, at most 170 at 85 mm of width and 247 at 178",
     [](FigureStyle& style, const Words& words) {
       style.height_mm = setting_number(words.back(), "height", 10, 2000, " mm");
     },
     number_words<&FigureStyle::height_mm>},
    {"font-size", SettingKind::number, "PT", "of axis names, in points; 7",
     [](FigureStyle& style, const Words& words) {
       style.font_pt = setting_number(words.back(), "font-size", 3, 40, " pt");
     },
     number_words<&FigureStyle::font_pt>},
    {"dpi", SettingKind::number, "N", "of PNG; 300",
     [](FigureStyle& style, const Words& words) {
       style.dpi = setting_number(words.back(), "dpi", 10, 2400, " dpi");
     },
     number_words<&FigureStyle::dpi>},
    {"panel-letters", SettingKind::toggle, "", "a, b, … at the panels",
     set_toggle<&FigureStyle::panel_letters, true>,
     toggle_words<&FigureStyle::panel_letters, true>},
    {"no-metadata", SettingKind::toggle, "",
     "figures without title, model, text, hashes and version inside their files",
     set_toggle<&FigureStyle::metadata, false>, toggle_words<&FigureStyle::metadata, false>},
    {"bare", SettingKind::toggle, "",
     "no title, settings and notes in the picture: they are written to NAME.caption.txt",
     set_toggle<&FigureStyle::bare, true>, toggle_words<&FigureStyle::bare, true>},
    {"title", SettingKind::text, "TEXT", "instead of the figure's own",
     set_text<&FigureStyle::title>, text_words<&FigureStyle::title>},
    {"label", SettingKind::list, "NAME=TEXT",
     "what the legend calls an entry, given again for each: d8-kappa=ours", set_labels,
     list_words<&FigureStyle::labels>},
    {"xlabel", SettingKind::list, "TEXT",
     "name of the x axis; once for each differing axis of the figure",
     set_list<&FigureStyle::x_labels>, list_words<&FigureStyle::x_labels>},
    {"ylabel", SettingKind::list, "TEXT", "name of the y axis, in the same way",
     set_list<&FigureStyle::y_labels>, list_words<&FigureStyle::y_labels>},
    {"font", SettingKind::text, "FAMILY", "an installed font: 'Nimbus Sans'; DejaVu Sans", set_font,
     text_words<&FigureStyle::font>},
    {"vmin", SettingKind::number, "V", "lower end of colour bars",
     [](FigureStyle& style, const Words& words) {
       style.values.low = setting_number(words.back(), "vmin", -1e300, 1e300, "");
     },
     [](const FigureStyle& style, const FigureStyle& usual) {
       return same(style.values.low, usual.values.low) ? Words()
                                                       : Words{number_word(style.values.low)};
     }},
    {"vmax", SettingKind::number, "V", "upper end of colour bars",
     [](FigureStyle& style, const Words& words) {
       style.values.high = setting_number(words.back(), "vmax", -1e300, 1e300, "");
     },
     [](const FigureStyle& style, const FigureStyle& usual) {
       return same(style.values.high, usual.values.high) ? Words()
                                                         : Words{number_word(style.values.high)};
     }},
    {"xlim", SettingKind::list, "LOW:HIGH",
     "ends of the x axis, of each differing one: 0:1, or 0: for one end",
     [](FigureStyle& style, const Words& words) {
       style.x_ends.clear();
       for (const std::string& word : words) { style.x_ends.push_back(ends_of(word, "xlim")); }
     },
     ends_words<&FigureStyle::x_ends>},
    {"ylim", SettingKind::list, "LOW:HIGH", "ends of the y axis, in the same way",
     [](FigureStyle& style, const Words& words) {
       style.y_ends.clear();
       for (const std::string& word : words) { style.y_ends.push_back(ends_of(word, "ylim")); }
     },
     ends_words<&FigureStyle::y_ends>},
    {"same-scale", SettingKind::toggle, "",
     "the same ends for axes and colour bars of the same name in all figures written together",
     set_toggle<&FigureStyle::same_scale, true>, toggle_words<&FigureStyle::same_scale, true>},
    {"theme", SettingKind::text, "NAME", "print, grey (for printing without colours) or dark",
     set_theme,
     [](const FigureStyle& style, const FigureStyle& usual) {
       return style.theme == usual.theme ? Words() : Words{kThemes[int(style.theme)]};
     }},
    {"transparent", SettingKind::toggle, "", "no background",
     set_toggle<&FigureStyle::transparent, true>, toggle_words<&FigureStyle::transparent, true>},
    {"no-band", SettingKind::toggle, "", "lines without the bands around them",
     set_toggle<&FigureStyle::bands, false>, toggle_words<&FigureStyle::bands, false>},
};

// Sizes and heights: Nature's guide to final artwork, IEEE's graphics guide, the style files of ACL
// and NeurIPS, whose text is set in 10 pt.
const StylePreset kPresets[] = {
    {"nature", 89, 183, 170, 7, 5, 7, {"Arial", "Helvetica", "Liberation Sans", "Nimbus Sans"}},
    {"ieee", 88.9, 181.9, 216, 9, 8, 10, {"Helvetica", "Arial", "Liberation Sans", "Nimbus Sans"}},
    {"acl", 77, 160, 247, 9, 8, 10, {}},
    {"neurips", 139.7, 139.7, 228.6, 9, 8, 10, {}},
};

const StylePreset* preset_called(std::string_view name) {
  for (const StylePreset& preset : kPresets) {
    if (preset.name == name) { return &preset; }
  }
  return nullptr;
}

// A style with what the preset called `name` sets; "": the usual style. Unknown: usage.
FigureStyle preset_style(std::string_view name) {
  FigureStyle style;
  if (name.empty()) { return style; }
  const StylePreset* preset = preset_called(name);
  require(preset != nullptr, ExitCode::usage, {}, "--preset ", printable(name),
          ": expected nature, ieee, acl or neurips");
  style.preset = name;
  style.width_mm = preset->single_mm;
  style.most_height_mm = preset->most_height_mm;
  style.font_pt = preset->font_pt;
  style.words = true;
  for (const std::string_view family : preset->fonts) {
    if (!style.font.empty() || !has_font(std::string(family))) { continue; }
    style.font = family;
  }
  return style;
}

bool is_symbol(std::int32_t code) {
  const bool greek = code >= 0x370 && code < 0x400, arrow = code >= 0x2190 && code < 0x2300;
  return greek || (arrow && code != 0x2212) || code == 0x2423;  // a minus is none; ␣ is
}

std::string points_text(double size) {
  return number_text(std::round(size * 10) / 10) + " pt";
}

// Of all texts of a picture.
struct TextFacts {
  double least = 1e9, most = 0;
  std::string symbols;

  void add(const SceneText& text) {
    least = std::min(least, text.look.size);
    most = std::max(most, text.look.size);
    for (std::string_view rest = text.text; !rest.empty();) {
      const auto [code, length] = next_code(rest);
      const std::string_view letter = rest.substr(0, length);
      if (is_symbol(code) && symbols.find(letter) == symbols.npos) { symbols += letter; }
      rest.remove_prefix(length);
    }
  }
};

}  // namespace

std::string number_word(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::span<const StyleSetting> style_settings() {
  return kSettings;
}

const StyleSetting* style_setting(std::string_view name) {
  for (const StyleSetting& setting : kSettings) {
    if (setting.name == name) { return &setting; }
  }
  return nullptr;
}

std::span<const StylePreset> style_presets() {
  return kPresets;
}

FigureStyle style_of(const std::vector<StyleWords>& file, const std::vector<StyleWords>& given) {
  std::string preset;
  for (const auto* words : {&file, &given}) {
    for (const StyleWords& one : *words) {
      if (one.name == "preset") { preset = one.words.back(); }
    }
  }
  FigureStyle style = preset_style(preset);
  for (const auto* words : {&file, &given}) {
    for (const StyleWords& one : *words) {
      const StyleSetting* setting = style_setting(one.name);
      require(setting != nullptr, ExitCode::internal, {}, "no setting is called ", one.name);
      if (one.name != "preset") { setting->set(style, one.words); }
    }
  }
  require(!(style.values.low >= style.values.high), ExitCode::usage, {}, "--vmin ",
          style.values.low, " --vmax ", style.values.high,
          ": the lower end must be smaller than the upper one");
  return style;
}

std::vector<StyleWords> words_of(const FigureStyle& style) {
  const FigureStyle usual = preset_style(style.preset);
  std::vector<StyleWords> all;
  for (const StyleSetting& setting : kSettings) {
    Words words = setting.words(style, setting.name == "preset" ? FigureStyle() : usual);
    if (!words.empty()) { all.push_back({std::string(setting.name), std::move(words)}); }
  }
  return all;
}

double most_height_mm(const FigureStyle& style) {
  constexpr double kSingle = 85, kDouble = 178, kColumn = 170, kPage = 247;
  if (style.most_height_mm > 0) { return style.most_height_mm; }
  const double share = std::clamp((style.width_mm - kSingle) / (kDouble - kSingle), 0.0, 1.0);
  return kColumn + share * (kPage - kColumn);
}

std::vector<std::string> not_kept(const FigureStyle& style, const Scene& scene) {
  std::vector<std::string> all;
  const StylePreset* preset = preset_called(style.preset);
  if (!preset) { return all; }
  TextFacts texts;
  for (const SceneItem& item : scene.items) {
    if (const auto* text = std::get_if<SceneText>(&item)) { texts.add(*text); }
  }
  constexpr double kSlack = 1e-6;
  if (scene.width_mm > preset->double_mm + kSlack) {
    all.push_back(join_words("wider than ", preset->double_mm, " mm"));
  }
  if (scene.height_mm > preset->most_height_mm + kSlack) {
    all.push_back(join_words("higher than ", preset->most_height_mm, " mm"));
  }
  if (texts.most > 0 && texts.least < preset->least_pt - kSlack) {
    all.push_back(join_words("text of ", points_text(texts.least), ", at least ",
                             points_text(preset->least_pt)));
  }
  if (texts.most > preset->most_pt + kSlack) {
    all.push_back(join_words("text of ", points_text(texts.most), ", at most ",
                             points_text(preset->most_pt),
                             style.bare ? "" : " (a title; --bare leaves it out)"));
  }
  const bool demanded =
      std::find(preset->fonts.begin(), preset->fonts.end(), scene.font) != preset->fonts.end();
  if (!preset->fonts.empty() && !demanded) {
    all.push_back(join_words("the font ", scene.font.empty() ? kUsualFont : scene.font, ", not ",
                             preset->fonts[0], " or ", preset->fonts[1]));
  }
  if (!texts.symbols.empty()) { all.push_back("symbols that have no word: " + texts.symbols); }
  return all;
}

}  // namespace kappascope
