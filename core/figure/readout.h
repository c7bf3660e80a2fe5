// What is at a place of a panel: exact values for a person, and the part of the trace that
// is meant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/figure/figure.h"

namespace kappascope {

// The number in `subject` of what an axis stands for. AxisSubject::none: internal.
std::int32_t& part_of(Subject& subject, AxisSubject kind);

struct Readout {
  std::vector<std::string> lines;  // "Layer 5", "Token 17 '␣king'", "Entropy: 1.25 nats"
  Subject subject;
};

// Cells of a heat map that are drawn as one pixel: blocks count from row 0 and column 0.
struct CellBlock {
  std::int64_t rows = 1, columns = 1;
  bool operator==(const CellBlock&) const = default;
};

// The mark at (x, y) of panel `panel`, the foremost where there are several; nothing where there is
// none. x and y are values of the axes (category axes: position). A line or a point is meant within
// `reach_x` and `reach_y` of it, both > 0, in units of the axis; on a logarithmic axis they are
// differences of natural logarithms (ln of value over value). Of a line its sample nearest to x.
//
// Where cells are drawn in blocks of several, what the block's colour shows comes first: the mean
// (of logarithms on a logarithmic scale) of its cells that have a value, of categories the most
// frequent; then the cell itself.
//
// Cells cost the same however many there are; lines the logarithm of their length and what lies
// within reach; points one comparison each.
std::optional<Readout> readout(const Figure& figure, std::size_t panel, double x, double y,
                               double reach_x, double reach_y, CellBlock block = {});

// A number as a person reads it off, in figures and panels alike: three decimals, more where it is
// small, four digits from ten on ("12.35"), from a thousand on all digits before the point; shares
// in "%" with one decimal; "–" for NaN.
std::string value_text(double value, const std::string& unit = "");

// Of a quantity that is counted: whole numbers have no decimals.
std::string whole_text(double value, const std::string& unit = "");

// A value of the scale, as one of the two.
std::string colour_value(const ColourScale& colours, double value);

}  // namespace kappascope
