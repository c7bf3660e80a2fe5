// Places and cells of figures in the words of a tooltip.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/figure/figure.h"
#include "core/figure/readout.h"

namespace kappascope {

std::string named(const std::string& name, const std::string& value);  // "Entropy: 1.25"

// Number of the subject at a position of the axis.
std::int64_t subject_at(const FigureAxis& axis, std::int64_t position);

// One position of an axis of categories or subjects: "Token 17 '␣king'".
std::string position_text(const FigureAxis& axis, std::int64_t position);

std::string cell_text(const ColourScale& colours, double value);  // "1.25 nats", "dropped"

// The block that holds the cell (row, column): "Tokens 128 to 135", "κ: 1.31 (mean of 8 cells)".
std::vector<std::string> block_text(const Panel& panel, const HeatMap& map, std::int64_t row,
                                    std::int64_t column, CellBlock block);

// What the colours of a map that is drawn in blocks show: "Zoomed out: mean of 8 tokens a column.";
// "" where each cell is drawn.
std::string zoomed_out_note(const Panel& panel, CellBlock block);

}  // namespace kappascope
