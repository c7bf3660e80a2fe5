// Glyphs that are pictures of one size (most colour emoji), scaled to the size of the text: what
// Dear ImGui's own loader cannot.
#pragma once

struct ImFontLoader;

namespace kappascope::gui {

// For ImFontConfig::FontLoader of such a font.
const ImFontLoader& picture_glyph_loader();

}  // namespace kappascope::gui
