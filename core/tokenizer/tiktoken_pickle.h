// tokenizer.pkl: one pickled tiktoken Encoding (SPEC §1.1).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace kappascope {

// What the file says, checked: every single byte has a token; ids (the merge ranks of ordinary
// tokens) are unique over both kinds and in [0, kTokenIdLimit); tokens are unique, not empty and at
// most kLongestToken bytes.
struct TiktokenEncoding {
  std::string name;
  std::string pattern;
  std::vector<std::pair<std::string, std::int32_t>> ranks;     // bytes → id
  std::vector<std::pair<std::string, std::int32_t>> specials;  // text → id
};

// Anything but a pickled Encoding: damaged. One that refers to an encoding of tiktoken by name
// only, or has members that tiktoken's do not have: unsupported. All faults are reported together.
TiktokenEncoding read_tiktoken_pickle(const std::filesystem::path& path);

}  // namespace kappascope
