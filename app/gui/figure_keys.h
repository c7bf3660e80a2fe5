// What explains colours and strokes on the screen: the legend above a plot, the colour bar below.
#pragma once

#include <imgui.h>

#include <vector>

#include "app/gui/cell_tiles.h"
#include "app/gui/theme.h"
#include "core/figure/cells.h"
#include "core/figure/keys.h"

namespace kappascope::gui {

// A colour of the palette for strokes and areas on `theme.paper`; grey stays quiet in the dark.
ImU32 mark_colour(const Theme& theme, Colour colour, int alpha = 255);

// Entries in rows of at most `width` pixels.
float legend_height(const std::vector<Key>& keys, float width);
// `of_cells`: areas are colours of cells and keep them in the dark.
void draw_legend(ImDrawList& list, const std::vector<Key>& keys, ImVec2 corner, float width,
                 bool of_cells, const Theme& theme);

// A slim bar under the plot (`room`) with ticks, its label, and what its ends mean; text may reach
// from `room` to the ends of `area`, `width` wide.
float colour_bar_height(const ColourScale& scale, float width, bool brief);
void draw_colour_bar(ImDrawList& list, const ColourScale& scale, const ColourMap& colours,
                     const ScreenBox& room, const ScreenBox& area, bool brief, const Theme& theme);

// A stroke of Line::dash along `points`.
void add_dashed(ImDrawList& list, const std::vector<ImVec2>& points, ImU32 colour, float width,
                int dash);

}  // namespace kappascope::gui
