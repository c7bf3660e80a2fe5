// What the panel "Text" keeps from frame to frame.
#pragma once

#include <imgui.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/find_bar.h"
#include "app/gui/text_layout.h"
#include "app/gui/workspace.h"
#include "core/figure/cells.h"

namespace kappascope::gui {

// Colours of tokens as the theme has them, by index of ColourMap.
struct TokenColours {
  std::shared_ptr<const TokenColouring> of;  // null: none yet
  std::optional<ColourMap> map;              // of `of`
  std::array<ImU32, 256> fill{}, ink{};
};

struct TextPanelState {
  bool show_whitespace = false;
  std::string stops;  // of generating: the field's text, a line each
  bool edit = false;  // the text that is to be run is wanted under the hands

  // The field of interventions: its text, and what it was taken for.
  std::string words;
  std::vector<Intervention> words_taken;
  std::string words_wrong;

  // What `layout` was made for.
  struct LayoutKey {
    DocumentId trace = -1;
    float width = 0, size = 0;
    int fonts = 0;  // Fonts::generation()
    bool show_whitespace = false;
    bool operator==(const LayoutKey&) const = default;
  };
  LayoutKey key;
  std::int64_t tokens = 0;  // of the text that `layout` is of
  TextLayout layout;
  FindState find;
  TokenColours colours;
  bool dark = true;  // of `colours`

  // The selected token that was scrolled to, so that it is done once.
  DocumentId shown_trace = -1;
  std::int64_t shown_token = -1;
  float column = -1;  // that up and down keep; −1: the selected token's
};

struct Gui;

// Reads a text file, in a job, into what is to be run. No UTF-8 or too long: a message.
void load_text(Gui& gui, const std::filesystem::path& path);

}  // namespace kappascope::gui
