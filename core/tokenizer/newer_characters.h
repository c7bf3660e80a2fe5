// Characters that were assigned after the Unicode of the system's PCRE2, as far as utf8proc knows
// them: the libraries whose patterns we run know them, too.
#pragma once

#include <string>
#include <string_view>

namespace kappascope {

// Those of a general category, "S" or "Sm", as ranges inside a class of PCRE2:
// "\x{1faf7}-\x{1faf8}…"; "" where there are none.
std::string newer_characters(std::string_view category);

}  // namespace kappascope
