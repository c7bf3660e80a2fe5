// The regular expressions of tiktoken (those of Rust's fancy-regex) and of tokenizer.json (those of
// Oniguruma with Ruby's syntax) in PCRE2's words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"

namespace kappascope {

inline constexpr std::size_t kLongestPattern = 4096;  // bytes; those of known tokenizers: 500

enum class PatternLanguage : std::uint8_t { rust, oniguruma };

// The PCRE2 pattern that means the same. The languages share most of their signs but not all
// meanings, so whatever is not known to agree is refused (unsupported) by name and place: general
// categories (Oniguruma: and scripts) are the only properties, [ ] are not nested, groups are (…),
// (?:…), (?>…), look-ahead, look-behind and the flags i, m, s (Oniguruma: i). \s becomes
// \p{White_Space}: PCRE2's own has U+180E, too. `file` is for messages.
std::string pcre2_pattern(std::string_view pattern, PatternLanguage language,
                          std::string_view file);

}  // namespace kappascope
