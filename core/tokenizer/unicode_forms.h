// Unicode's normalization forms, keeping the origin of every byte.
#pragma once

#include <cstdint>

#include "core/tokenizer/aligned_text.h"

namespace kappascope {

enum class UnicodeForm : std::uint8_t { nfc, nfd, nfkc, nfkd };

// Characters that change together (a letter with its marks, the parts of a syllable) come from all
// of the characters they were before. O(n log n) in the text's bytes.
void apply_form(UnicodeForm form, AlignedText& text);

}  // namespace kappascope
