// From values to coloured cells: rectangles when few, one picture when many.
#pragma once

#include <string>
#include <vector>

#include "core/figure/figure.h"
#include "core/figure/scene.h"

namespace kappascope {

inline constexpr std::int64_t kMostVectorCells = 20000;

// A colour scale with its ends settled.
class ColourMap {
 public:
  // Ends that `scale` leaves open are those of the finite `values`; a diverging scale reaches
  // equally far on both sides of its centre.
  ColourMap(const ColourScale& scale, const std::vector<float>& values);

  bool any_value() const { return any_value_; }
  bool any_missing() const { return any_missing_; }
  bool any_under() const { return any_under_; }    // ≤ 0 on a log scale, < 0 on a categorical one
  bool any_beyond() const { return any_beyond_; }  // outside ends that were given
  bool log() const { return scale_.log; }
  double low() const { return low_; }
  double high() const { return high_; }

  double share(double value) const;  // place on the colour bar, 0 … 1; not cut
  Colour at(double share) const;     // of a place on the colour bar
  Colour colour(double value) const;
  Colour under_colour() const;

  // The same as 256 colours: index 0 no value, 1 under, 2…255 along the bar.
  std::vector<Colour> palette() const;
  std::uint8_t index(double value) const;

 private:
  bool under(double value) const;

  const ColourScale& scale_;
  double low_ = 0, high_ = 1;
  bool any_value_ = false, any_missing_ = false, any_under_ = false, any_beyond_ = false;
};

// The white stroke that tells a cell without a value from a grey one.
ScenePath hatch(const Box& box);

// Draws the cells of `map` into `plot`. Above kMostVectorCells they are pictures of one pixel a
// cell; where these would not fit into `most_bytes`, or would be finer than `finest` cells a point
// (0: any), blocks of whole cells become one pixel: their mean (categorical: the most frequent).
// Returns what was done beyond one pixel a cell, in words; "" for nothing.
std::string draw_cells(Painter& painter, const HeatMap& map, const ColourMap& colours,
                       const Box& plot, double finest, std::size_t most_bytes);

// Frames around the chosen cells and names in large ones.
void draw_outlines(Painter& painter, const HeatMap& map, const Box& plot);
void draw_cell_names(Painter& painter, const HeatMap& map, const ColourMap& colours,
                     const Box& plot, double size);

}  // namespace kappascope
