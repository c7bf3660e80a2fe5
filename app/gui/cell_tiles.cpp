#include "app/gui/cell_tiles.h"

#include <imgui_internal.h>

#include <algorithm>
#include <cmath>

namespace kappascope::gui {
namespace {

constexpr std::int64_t kTile = 256;             // texels a side
constexpr std::int64_t kMostTexels = 12 << 20;  // kept; more only while they are all in sight

// The backend lets go of a texture one frame after it was asked to; until then the texture stays in
// the list of the context, where all textures of users are ours.
void let_go_of_retired() {
  ImVector<ImTextureData*>& all = ImGui::GetCurrentContext()->UserTextures;
  for (int i = all.Size; i-- > 0;) {
    ImTextureData* texture = all[i];
    const bool never_made = texture->Status == ImTextureStatus_OK &&
                            texture->TexID == ImTextureID_Invalid;  // null backend
    if (!texture->WantDestroyNextFrame) { continue; }
    if (texture->Status != ImTextureStatus_Destroyed && !never_made) { continue; }
    ImGui::UnregisterUserTexture(texture);
    IM_DELETE(texture);
  }
}

// Blocks of 2^level cells so that one is a pixel or larger.
int level_for(double cell_pixels, int levels) {
  const int wanted = cell_pixels >= 1 ? 0 : static_cast<int>(std::ceil(-std::log2(cell_pixels)));
  return std::clamp(wanted, 0, levels - 1);
}

}  // namespace

FigureTextures::~FigureTextures() {
  ImVector<ImTextureData*>& all = ImGui::GetCurrentContext()->UserTextures;
  while (!all.empty()) {
    ImTextureData* texture = all.back();
    ImGui::UnregisterUserTexture(texture);
    ImGui::GetPlatformIO().Textures.find_erase(texture);
    IM_DELETE(texture);
  }
}

CellTiles::CellTiles(std::shared_ptr<const CellPyramid> cells)
    : cells_(std::move(cells)),
      tile_rows_(std::min(kTile, cells_->rows(0))),
      tile_columns_(std::min(kTile, cells_->columns(0))) {}

CellTiles::~CellTiles() {
  for (auto& [key, tile] : tiles_) { tile.texture->WantDestroyNextFrame = true; }
}

bool CellTiles::incomplete() const {
  return incomplete_at_ == ImGui::GetFrameCount();
}

CellTiles::Tile* CellTiles::find(const Key& key) {
  const auto found = tiles_.find(key);
  return found == tiles_.end() ? nullptr : &found->second;
}

// The texture of the tile that was out of sight longest, when enough are kept; else a new one.
ImTextureData* CellTiles::free_texture() {
  const auto most = static_cast<std::size_t>(kMostTexels / (tile_rows_ * tile_columns_));
  if (tiles_.size() >= most) {
    const auto oldest = std::min_element(
        tiles_.begin(), tiles_.end(),
        [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    if (oldest->second.used < ImGui::GetFrameCount() - 1) {
      ImTextureData* texture = oldest->second.texture;
      tiles_.erase(oldest);
      return texture;
    }
  }
  auto* texture = IM_NEW(ImTextureData)();
  texture->Create(ImTextureFormat_RGBA32, static_cast<int>(tile_columns_),
                  static_cast<int>(tile_rows_));
  texture->UseColors = true;
  ImGui::RegisterUserTexture(texture);
  return texture;
}

CellTiles::Tile* CellTiles::make(const Key& key) {
  const std::int64_t row = key.row * tile_rows_, column = key.column * tile_columns_;
  const std::int64_t rows = std::min(tile_rows_, cells_->rows(key.row_level) - row);
  const std::int64_t columns = std::min(tile_columns_, cells_->columns(key.column_level) - column);
  Tile tile{free_texture(), ImGui::GetFrameCount()};
  cells_->pixels(key.row_level, key.column_level, row, column, rows, columns,
                 static_cast<std::uint32_t*>(tile.texture->GetPixels()), tile.texture->Width);
  if (tile.texture->Status != ImTextureStatus_WantCreate) {
    ImTextureDataQueueUpload(tile.texture, 0, 0, static_cast<int>(columns), static_cast<int>(rows));
  }
  ++tiles_made_;
  texels_made_ += rows * columns;
  return &(tiles_[key] = tile);
}

void CellTiles::draw_tile(ImDrawList& list, const CellPlace& place, const Key& key, Range rows,
                          Range columns, const Tile& tile) const {
  const std::int64_t first_row = key.row * tile_rows_, first_column = key.column * tile_columns_;
  rows = {std::max(rows.begin, first_row), std::min(rows.end, first_row + tile_rows_)};
  columns = {std::max(columns.begin, first_column),
             std::min(columns.end, first_column + tile_columns_)};
  const double width = std::ldexp(place.width, key.column_level);
  const double height = std::ldexp(place.height, key.row_level);
  const auto x = [&](std::int64_t column) {
    return static_cast<float>(place.left + width * static_cast<double>(column));
  };
  const auto y = [&](std::int64_t row) {
    return static_cast<float>(place.bottom - height * static_cast<double>(row));
  };
  const auto share = [](std::int64_t at, std::int64_t first, std::int64_t size) {
    return static_cast<float>(at - first) / static_cast<float>(size);
  };
  const ImVec2 low(share(columns.begin, first_column, tile_columns_),
                   share(rows.begin, first_row, tile_rows_));
  const ImVec2 high(share(columns.end, first_column, tile_columns_),
                    share(rows.end, first_row, tile_rows_));
  list.AddImage(tile.texture->GetTexRef(), ImVec2(x(columns.begin), y(rows.end)),
                ImVec2(x(columns.end), y(rows.begin)), ImVec2(low.x, high.y),
                ImVec2(high.x, low.y));
}

bool CellTiles::draw_level(ImDrawList& list, const CellPlace& place, const ScreenBox& seen,
                           int row_level, int column_level, bool may_make, bool draw_it) {
  const auto range = [](double low, double high, std::int64_t size) {
    const auto most = static_cast<double>(size);
    return Range{static_cast<std::int64_t>(std::floor(std::clamp(low, 0.0, most))),
                 static_cast<std::int64_t>(std::ceil(std::clamp(high, 0.0, most)))};
  };
  const double width = std::ldexp(place.width, column_level);
  const double height = std::ldexp(place.height, row_level);
  const Range columns = range((seen.left - place.left) / width, (seen.right - place.left) / width,
                              cells_->columns(column_level));
  const Range rows = range((place.bottom - seen.bottom) / height,
                           (place.bottom - seen.top) / height, cells_->rows(row_level));
  bool complete = true;
  if (rows.begin >= rows.end || columns.begin >= columns.end) { return complete; }
  for (std::int64_t r = rows.begin / tile_rows_; r * tile_rows_ < rows.end; ++r) {
    for (std::int64_t c = columns.begin / tile_columns_; c * tile_columns_ < columns.end; ++c) {
      const Key key{row_level, column_level, r, c};
      Tile* tile = find(key);
      if (!tile && may_make && tiles_made_ < kMostMadeAtOnce) { tile = make(key); }
      if (!tile) {
        complete = false;
        continue;
      }
      tile->used = ImGui::GetFrameCount();
      if (draw_it) { draw_tile(list, place, key, rows, columns, *tile); }
    }
  }
  return complete;
}

void CellTiles::draw(ImDrawList& list, const CellPlace& place, const ScreenBox& seen) {
  let_go_of_retired();
  tiles_made_ = texels_made_ = 0;
  const ImGuiPlatformIO& platform = ImGui::GetPlatformIO();
  const int row_level = level_for(place.height, cells_->row_levels());
  const int column_level = level_for(place.width, cells_->column_levels());
  block_ = {std::int64_t{1} << row_level, std::int64_t{1} << column_level};
  // Cells are crisp rectangles: no mixing of neighbours.
  if (platform.DrawCallback_SetSamplerNearest) {
    list.AddCallback(platform.DrawCallback_SetSamplerNearest, nullptr);
  }
  // A first look without drawing: what is beneath must be drawn first.
  const bool complete = draw_level(list, place, seen, row_level, column_level, true, false);
  if (!complete) {
    tiles_made_ = 0;
    draw_level(list, place, seen, cells_->row_levels() - 1, cells_->column_levels() - 1, true,
               true);
    tiles_made_ = kMostMadeAtOnce;
    incomplete_at_ = ImGui::GetFrameCount();
  }
  draw_level(list, place, seen, row_level, column_level, false, true);
  if (platform.DrawCallback_SetSamplerLinear) {
    list.AddCallback(platform.DrawCallback_SetSamplerLinear, nullptr);
  }
}

}  // namespace kappascope::gui
