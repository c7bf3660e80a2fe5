// Which installed font files hold which characters: fontconfig and FreeType, away from the window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/checkpoint/input_file.h"
#include "core/engine/progress.h"

namespace kappascope::gui {

// A face of a font file, mapped.
struct FontFile {
  std::string path;
  std::uint32_t face = 0;  // in a collection
  float height = 1;        // ascent + descent over the em square
  bool colour = false;     // layers in colour
  bool pictures = false;   // glyphs are pictures of one size (most colour emoji)
  std::shared_ptr<const InputFile> file;
  std::span<const std::byte> bytes;  // of `file`
};

// The installed face nearest to a fontconfig pattern ("DejaVu Sans:bold"); nothing where no font
// can be opened. Milliseconds; the first call reads fontconfig's caches.
std::optional<FontFile> nearest_font(const char* pattern);

struct FontsFound {
  std::vector<FontFile> files;      // together they have all but `missing`
  std::set<std::uint32_t> missing;  // in no installed font
};

// Few font files for `characters`, in the user's order of preference, outlines before pictures.
// Thread-safe; takes tens of milliseconds where many fonts are installed.
FontsFound find_fonts(const std::set<std::uint32_t>& characters, Progress& progress);

}  // namespace kappascope::gui
