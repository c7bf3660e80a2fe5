// The traces of several texts of one model as one trace: its tokens are theirs, one text after the
// other, so that every statistic of it is over all of them.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "core/trace/trace.h"

namespace kappascope {

// Writes it to `path`, which must not exist. Arrays over tokens follow each other, counts are
// added, means weighted by their counts; char_start and char_end count from the start of each text.
// Gates and logits are left out. `source` names the texts. Traces of other models or settings:
// usage.
void write_joined_trace(const std::filesystem::path& path, std::span<const Trace* const> traces,
                        const std::string& source);

}  // namespace kappascope
