// The window's fonts: DejaVu Sans, with fallback by fontconfig for the scripts that it lacks.
#pragma once

#include <imgui.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/gui/font_search.h"
#include "app/gui/jobs.h"

namespace kappascope::gui {

class Fonts {
 public:
  // Adds the regular, bold and monospaced faces to the context's atlas (at any size: Dear ImGui
  // makes glyphs as they are drawn). Without fontconfig's help: Dear ImGui's own font.
  Fonts();
  ~Fonts();  // after the last frame: the atlas draws from mapped files
  Fonts(const Fonts&) = delete;
  Fonts& operator=(const Fonts&) = delete;

  ImFont* regular = nullptr;
  ImFont* bold = nullptr;
  ImFont* mono = nullptr;

  // Asks for glyphs of the characters of `text`. Cheap for characters met before, so it may be
  // called in every frame for short texts; for long ones when they change.
  void need(std::string_view text);

  // Once a frame, before ImGui::NewFrame(): has needed characters searched on `jobs` and adds the
  // fonts that were found. True when glyphs changed: what was measured must be measured again.
  bool update(JobQueue& jobs);
  // Counts these changes.
  int generation() const { return generation_; }

  // True when no installed font has it (known once the search is over): what is drawn instead says
  // so, and the tooltip too.
  bool is_missing(std::uint32_t character) const { return missing_.count(character) > 0; }
  // Arabic, Hebrew, Indic, sequences of emoji …: shown unshaped, and the tooltip says so.
  static bool needs_shaping(std::uint32_t character);

 private:
  ImFont* add(const FontFile& font, ImFont* into, bool embolden);
  void add_fallback(const FontFile& font);

  struct Search {
    std::set<std::uint32_t> wanted;
    bool done = false;  // this and what was found: UI thread only
    FontsFound found;
  };

  std::vector<bool> known_;                 // by character
  std::set<std::uint32_t> wanted_;          // not searched yet
  std::shared_ptr<Search> search_;          // null: none runs
  std::set<std::uint32_t> missing_;         // found nowhere
  std::map<std::string, FontFile> in_use_;  // by path and face
  float height_ = 1;                        // of the regular face
  int generation_ = 0;
};

}  // namespace kappascope::gui
