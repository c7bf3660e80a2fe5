// The text of a trace as it was, from its tokens.
#pragma once

#include <cstdint>
#include <string>

#include "core/trace/trace.h"

namespace kappascope {

// Exact bytes of token t, or as much of them as the trace knows: a character may be cut into
// several tokens.
std::string token_bytes(const Trace& trace, std::int64_t t);

}  // namespace kappascope
