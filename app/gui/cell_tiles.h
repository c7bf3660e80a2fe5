// The cells of a heat map as textures of a few hundred pixels a side, made when they are first
// seen.
#pragma once

#include <imgui.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>

#include "core/figure/pyramid.h"
#include "core/figure/readout.h"

namespace kappascope::gui {

// Where a map is on the screen: its left and lower edge, and the size of a cell, in pixels.
struct CellPlace {
  double left = 0, bottom = 0, width = 1, height = 1;
};

// A rectangle of the screen, in pixels.
struct ScreenBox {
  float left = 0, top = 0, right = 0, bottom = 0;
  float width() const { return right - left; }
  float height() const { return bottom - top; }
  bool contains(ImVec2 at) const {
    return at.x >= left && at.x < right && at.y >= top && at.y < bottom;
  }
};

class CellTiles {
 public:
  explicit CellTiles(std::shared_ptr<const CellPyramid> cells);
  ~CellTiles();
  CellTiles(const CellTiles&) = delete;
  CellTiles& operator=(const CellTiles&) = delete;

  // Draws what is in `seen`, one texel to a pixel or more; rows grow upwards. Makes at most
  // kMostMadeAtOnce tiles, and none for what was seen lately; where one is missing the whole map at
  // its coarsest shows through.
  void draw(ImDrawList& list, const CellPlace& place, const ScreenBox& seen);

  // Some tile was missing in the last frame: another frame is needed.
  bool incomplete() const;
  // Cells per pixel, and texels made, when it was drawn last.
  const CellBlock& block() const { return block_; }
  std::int64_t texels_made() const { return texels_made_; }

  static constexpr int kMostMadeAtOnce = 24;

 private:
  struct Key {
    int row_level = 0, column_level = 0;
    std::int64_t row = 0, column = 0;  // in tiles
    auto operator<=>(const Key&) const = default;
  };
  struct Tile {
    ImTextureData* texture = nullptr;
    int used = 0;  // in this frame
  };
  struct Range {
    std::int64_t begin = 0, end = 0;
  };

  Tile* find(const Key& key);
  Tile* make(const Key& key);
  ImTextureData* free_texture();
  bool draw_level(ImDrawList& list, const CellPlace& place, const ScreenBox& seen, int row_level,
                  int column_level, bool may_make, bool draw_it);
  void draw_tile(ImDrawList& list, const CellPlace& place, const Key& key, Range rows,
                 Range columns, const Tile& tile) const;

  std::shared_ptr<const CellPyramid> cells_;
  std::int64_t tile_rows_, tile_columns_;  // texels
  std::map<Key, Tile> tiles_;
  CellBlock block_;
  int incomplete_at_ = -1;  // frame
  std::int64_t tiles_made_ = 0, texels_made_ = 0;
};

// The textures of figures; one while figures are drawn, in the context of Dear ImGui that is
// current when it ends.
struct FigureTextures {
  FigureTextures() = default;
  ~FigureTextures();  // ends what the backend has not let go of yet: there is no further frame
  FigureTextures(const FigureTextures&) = delete;
  FigureTextures& operator=(const FigureTextures&) = delete;
};

}  // namespace kappascope::gui
