#include "app/gui/token_legend.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "app/gui/gui.h"
#include "app/gui/widgets.h"
#include "core/figure/text.h"

namespace kappascope::gui {

namespace {

constexpr float kBarWidth = 9, kLeastBar = 3, kLegendGap = 0.9F;  // em

// Draws signs and words one after the other, in further lines where they do not fit.
class LegendLine {
 public:
  explicit LegendLine(const Theme& theme) : theme_(theme) {}

  void words(const std::string& text, ImU32 colour) {
    begin(ImGui::CalcTextSize(text.c_str()).x, 0.35F);
    elided_text(text, 0, colour);
  }
  void quiet(const std::string& text) { words(text, theme_.quiet_text); }

  void swatch(ImU32 colour, const std::string& name, bool hatched = false) {
    const float side = 0.8F * em();
    begin(side + 0.3F * em() + ImGui::CalcTextSize(name.c_str()).x, kLegendGap);
    const ImVec2 at = ImGui::GetCursorScreenPos();
    const ImVec2 low{at.x, at.y + 0.1F * em()}, high{low.x + side, low.y + side};
    ImDrawList* draw = ImGui::GetWindowDrawList();
    if (colour) { draw->AddRectFilled(low, high, colour, 0.15F * em()); }
    if (hatched || !colour) { draw->AddRect(low, high, theme_.line, 0.15F * em()); }
    ImGui::Dummy({side, em()});
    ImGui::SameLine(0, 0.3F * em());
    elided_text(name, 0, theme_.quiet_text);
  }

  // The colours between the numbers at its two ends and what these mean, all on one line; where
  // that has no room, the numbers alone.
  void bar(const ColourScale& scale, const ColourMap& map) {
    std::string low = number_text(map.low()), high = number_text(map.high());
    const auto width_of = [&](const std::string& first, const std::string& last) {
      return ImGui::CalcTextSize((first + last).c_str()).x + 0.8F * em();
    };
    const std::string noted_low = scale.low_note + (scale.low_note.empty() ? "" : " ") + low;
    const std::string noted_high = high + (scale.high_note.empty() ? "" : " ") + scale.high_note;
    begin(width_of(noted_low, noted_high) + kBarWidth * em(), kLegendGap);
    const float all = ImGui::GetContentRegionAvail().x;
    if (width_of(noted_low, noted_high) + kLeastBar * em() <= all) {
      low = noted_low;
      high = noted_high;
    }
    const float room = all - width_of(low, high);
    elided_text(low, 0, theme_.quiet_text);
    ImGui::SameLine(0, 0.35F * em());
    constexpr int kSteps = 48;
    const ImVec2 at = ImGui::GetCursorScreenPos();
    const float width = std::clamp(room, em(), kBarWidth * em());
    const float top = at.y + 0.15F * em(), bottom = at.y + 0.9F * em();
    // On whole pixels, or the ground would show between the steps.
    const auto edge = [&](int i) { return std::round(at.x + width * float(i) / kSteps); };
    for (int i = 0; i < kSteps; ++i) {
      const ImU32 colour = colour32(map.at((i + 0.5) / kSteps));
      ImGui::GetWindowDrawList()->AddRectFilled({edge(i), top}, {edge(i + 1), bottom}, colour);
    }
    ImGui::Dummy({width, em()});
    ImGui::SameLine(0, 0.35F * em());
    elided_text(high, 0, theme_.quiet_text);
  }

 private:
  void begin(float width, float gap) {
    if (!first_) { next_item(width, gap * em()); }
    first_ = false;
  }
  const Theme& theme_;
  bool first_ = true;
};

void forget(TokenColours& colours) {
  colours.map.reset();
  colours.of = nullptr;
  colours.fill.fill(0);
}

}  // namespace

void take_colours(Gui& gui) {
  TextPanelState& state = gui.text;
  const auto colouring = gui.workspace.token_colouring();
  if (!colouring) {
    // Those of another trace must not be shown at this one's tokens.
    const Trace* trace = gui.workspace.current_trace();
    if (state.colours.of && std::int64_t(state.colours.of->values.size()) != trace->tokens) {
      forget(state.colours);
    }
    return;
  }
  if (state.colours.of == colouring && state.dark == gui.theme->dark) { return; }
  TokenColours& colours = state.colours;
  colours.of = colouring;
  colours.map.emplace(colouring->colours, colouring->values);
  state.dark = gui.theme->dark;
  const std::vector<Colour> palette = colours.map->palette();
  for (std::size_t i = 0; i < colours.fill.size(); ++i) {
    const Colour colour = i < palette.size() ? palette[i] : kNoValueColour;
    colours.fill[i] = colour32(colour);
    colours.ink[i] = colour32(ink_on(colour));
  }
  colours.fill[0] = 0;  // no value: the paper
}

void draw_token_legend(Gui& gui) {
  const TokenColours& colours = gui.text.colours;
  LegendLine line(*gui.theme);
  if (!colours.of) { return line.quiet("…"); }
  const ColourScale& scale = colours.of->colours;
  const ColourMap& map = *colours.map;
  const std::string unit = scale.unit.empty() ? "" : " (" + scale.unit + ")";
  line.words((scale.label.empty() ? colours.of->name : scale.label) + unit, gui.theme->text);
  if (!map.any_value() && !map.any_under()) { return line.quiet("not recorded in this trace"); }
  if (!scale.has_bar()) {
    for (std::size_t i = 0; i < scale.names.size(); ++i) {
      line.swatch(colour32(palette_colour(int(i))), scale.names[i]);
    }
    if (map.any_under()) { line.swatch(colour32(map.under_colour()), scale.rest); }
  } else {
    line.bar(scale, map);
    if (map.any_under()) { line.swatch(colour32(map.under_colour()), scale.under); }
  }
  if (map.any_missing()) { line.swatch(0, scale.no_value.empty() ? "no value" : scale.no_value); }
}

}  // namespace kappascope::gui
