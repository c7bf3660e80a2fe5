// The arrays of a trace's file as views of it.
#pragma once

#include <string_view>

#include "core/trace/npz.h"
#include "core/trace/schema.h"
#include "core/trace/trace.h"

namespace kappascope {

// The array that is there where those of a group are; "": they always are.
std::string_view key_of(ArrayGroup group);

// Whether the file has the arrays of a group; moe_optional: none belongs to all of them.
bool recorded(const NpzReader& file, ArrayGroup group);

// Points the trace at the arrays of `file`, whose types and shapes were checked.
void load_arrays(Trace& trace, const NpzReader& file);

}  // namespace kappascope
