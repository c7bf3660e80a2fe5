// A trace as text: tokens.csv (a row a token) and routing.csv (a row a layer, token, slot).
#pragma once

#include <filesystem>

#include "core/trace/trace.h"

namespace kappascope {

// RFC 4180, UTF-8, header row named as the trace's arrays; missing values are empty fields; floats
// are the shortest text that reads back to the same float32. `path` must not exist.
void write_tokens_csv(const std::filesystem::path& path, const Trace& trace);
void write_routing_csv(const std::filesystem::path& path, const Trace& trace);

}  // namespace kappascope
