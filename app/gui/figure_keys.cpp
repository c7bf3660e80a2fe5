#include "app/gui/figure_keys.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "app/gui/figure_axes.h"
#include "core/figure/axis.h"
#include "core/figure/text.h"

namespace kappascope::gui {
namespace {

constexpr int kBarSteps = 64;

float sign_width(const Key& key) {
  return (key.sign == Key::Sign::line ? 1.6f : 0.8f) * em();
}

float text_size() {
  return figure_font().tick;
}

float entry_width(const Key& key) {
  return sign_width(key) + 0.35f * em() + text_width(key.name, figure_font().tick);
}

// Calls place(key, lines, x, row) for each entry, which is of one line or, where the width is not
// enough for it, of several by itself; returns the rows.
template <typename Place>
int flow(const std::vector<Key>& keys, float width, Place&& place) {
  float x = 0;
  int row = 0, rows = 0;
  for (const Key& key : keys) {
    const float needed = entry_width(key), before = needed - text_width(key.name, text_size());
    if (x > 0 && x + needed > width) {
      x = 0;
      row = rows;
    }
    const std::vector<std::string> lines = wrapped(key.name, width - before, text_size());
    place(key, lines, x, row);
    x += needed + 1.2f * em();
    rows = std::max(rows, row + std::max(1, int(lines.size())));
  }
  return rows;
}

float row_height() {
  return 1.3f * figure_font().tick;
}

void draw_sign(ImDrawList& list, const Key& key, ImVec2 left_middle, bool of_cells,
               const Theme& theme) {
  const float half = 0.32f * em();
  const ImVec2 low(left_middle.x, std::round(left_middle.y - half));
  const ImVec2 high(left_middle.x + sign_width(key), std::round(left_middle.y + half));
  const bool stroke = key.sign == Key::Sign::line || key.sign == Key::Sign::dots;
  const ImU32 colour = stroke || !of_cells ? mark_colour(theme, key.colour) : colour32(key.colour);
  switch (key.sign) {
    case Key::Sign::line:
      add_dashed(list, {left_middle, ImVec2(high.x, left_middle.y)}, colour, 0.13f * em(),
                 key.dash);
      break;
    case Key::Sign::dots:
      list.AddCircleFilled(ImVec2((low.x + high.x) / 2, left_middle.y), 0.22f * em(), colour);
      break;
    case Key::Sign::area:
    case Key::Sign::hatched:
      list.AddRectFilled(low, high, colour);
      if (key.sign == Key::Sign::hatched) {
        list.AddLine(ImVec2(low.x, high.y), ImVec2(high.x, low.y), IM_COL32_WHITE);
      }
      if (to_oklab(key.colour).lightness > 0.95) { list.AddRect(low, high, theme.quiet_text); }
      break;
    case Key::Sign::framed:
      list.AddRect(low, high, theme.text, 0, 0.1f * em());
      break;
  }
}

std::vector<std::string> bar_label(const ColourScale& scale, float width) {
  return wrapped(name_with_unit(plain_text(scale.label), plain_text(scale.unit)), width,
                 figure_font().name);
}

// Ticks of the bar that fit below it.
std::vector<Tick> bar_ticks(const ColourScale& scale, const ColourMap& colours, float width) {
  FigureAxis words;
  words.integer = scale.integer;
  words.scale = colours.log() ? Scale::log : Scale::linear;
  AxisView view{colours.low(), colours.high(), colours.log(), 0, width};
  return plan_ticks(words, view, true, 0).ticks;
}

}  // namespace

ImU32 mark_colour(const Theme& theme, Colour colour, int alpha) {
  if (colour != palette_colour(-1)) { return on_paper(theme, colour, alpha); }
  return (theme.quiet_text & ~IM_COL32_A_MASK) | (static_cast<ImU32>(alpha) << IM_COL32_A_SHIFT);
}

float legend_height(const std::vector<Key>& keys, float width) {
  return row_height() *
         static_cast<float>(flow(keys, width, [](const Key&, const auto&, float, int) {}));
}

void draw_legend(ImDrawList& list, const std::vector<Key>& keys, ImVec2 corner, float width,
                 bool of_cells, const Theme& theme) {
  const float size = text_size();
  flow(keys, width, [&](const Key& key, const std::vector<std::string>& lines, float x, int row) {
    float middle = corner.y + (static_cast<float>(row) + 0.5f) * row_height();
    const float text = corner.x + x + sign_width(key) + 0.35f * em();
    draw_sign(list, key, ImVec2(corner.x + x, middle), of_cells, theme);
    for (const std::string& line : lines) {
      add_text(list, ImVec2(text, middle - 0.5f * size), size, theme.text, line);
      middle += row_height();
    }
  });
}

float colour_bar_height(const ColourScale& scale, float width, bool brief) {
  const FigureFont font = figure_font();
  const bool notes = !scale.low_note.empty() || !scale.high_note.empty();
  const std::size_t lines = bar_label(scale, width).size();
  const float label = 1.25f * font.name * float(lines);
  return 0.7f * em() + 0.4f * em() + font.tick +
         (lines == 0 && notes && !brief ? 1.25f * font.name : label);
}

void draw_colour_bar(ImDrawList& list, const ColourScale& scale, const ColourMap& colours,
                     const ScreenBox& room, const ScreenBox& area, bool brief, const Theme& theme) {
  const FigureFont font = figure_font();
  const float width = std::min(room.width(), 30 * em());
  const float left = std::round((room.left + room.right - width) / 2);
  const ImVec2 low(left, room.top), high(left + width, std::round(room.top + 0.7f * em()));
  for (int i = 0; i < kBarSteps; ++i) {
    const auto edge = [&](int step) {
      return std::round(low.x + width * static_cast<float>(step) / kBarSteps);
    };
    const auto colour = [&](int step) {
      return colour32(colours.at(static_cast<double>(step) / kBarSteps));
    };
    list.AddRectFilledMultiColor(ImVec2(edge(i), low.y), ImVec2(edge(i + 1), high.y), colour(i),
                                 colour(i + 1), colour(i + 1), colour(i));
  }
  list.AddRect(low, high, theme.quiet_text);
  const float text = high.y + 0.4f * em();
  for (const Tick& tick : bar_ticks(scale, colours, width)) {
    const float x = std::round(low.x + static_cast<float>(colours.share(tick.value)) * width);
    list.AddLine(ImVec2(x, high.y), ImVec2(x, high.y + 0.2f * em()), theme.quiet_text);
    add_text(list, ImVec2(x - text_width(tick.label, font.tick) / 2, text - 0.1f * em()), font.tick,
             theme.text, tick.label);
  }
  // The label in the middle, what the ends mean beside it where that leaves room.
  const std::vector<std::string> label = bar_label(scale, area.width());
  float label_width = 0;
  for (const std::string& line : label) {
    label_width = std::max(label_width, text_width(line, font.name));
  }
  const float y = text + 1.1f * font.tick;
  const float middle = std::clamp((room.left + room.right) / 2, area.left + label_width / 2,
                                  std::max(area.left, area.right - label_width / 2));
  add_lines(list, label, {middle, y}, area.left, area.right, font.name, theme.text);
  const std::string low_note = scale.low_note.empty() ? "" : "← " + plain_text(scale.low_note);
  const std::string high_note = scale.high_note.empty() ? "" : plain_text(scale.high_note) + " →";
  const float widest = std::max(text_width(low_note, font.tick), text_width(high_note, font.tick));
  const float outer = std::max(width, label_width + 2 * widest + 2.5f * em());
  const bool fits = middle - outer / 2 >= area.left && middle + outer / 2 <= area.right;
  if (brief || !fits) { return; }
  const float outer_left = middle - outer / 2;
  const float drop = 0.5f * (font.name - font.tick);
  add_text(list, ImVec2(outer_left, y + drop), font.tick, theme.quiet_text, low_note);
  add_text(list, ImVec2(outer_left + outer - text_width(high_note, font.tick), y + drop), font.tick,
           theme.quiet_text, high_note);
}

void add_dashed(ImDrawList& list, const std::vector<ImVec2>& points, ImU32 colour, float width,
                int dash) {
  if (dash <= 0) {
    if (points.size() > 1) {
      list.AddPolyline(points.data(), static_cast<int>(points.size()), colour, width);
    }
    return;
  }
  constexpr std::array<std::array<float, 4>, 3> kPatterns{
      {{4, 2.5f, 4, 2.5f}, {1, 1.8f, 1, 1.8f}, {4, 2, 1, 2}}};
  const auto& pattern = kPatterns[(dash - 1) % kPatterns.size()];
  std::size_t part = 0;
  float left = pattern[0] * width;  // of this part
  for (std::size_t i = 1; i < points.size(); ++i) {
    const ImVec2 a = points[i - 1], b = points[i];
    const float length = std::hypot(b.x - a.x, b.y - a.y);
    for (float done = 0; done < length;) {
      const float step = std::min(left, length - done);
      const auto along = [&](float at) {
        return ImVec2(a.x + (b.x - a.x) * at / length, a.y + (b.y - a.y) * at / length);
      };
      if (part % 2 == 0) { list.AddLine(along(done), along(done + step), colour, width); }
      done += step;
      left -= step;
      if (left > 1e-3f) { continue; }
      part = (part + 1) % pattern.size();
      left = pattern[part] * width;
    }
  }
}

}  // namespace kappascope::gui
