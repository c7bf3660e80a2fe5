// The names of the fields of a nanochat model_config.
#pragma once

#include <string>
#include <string_view>

#include "core/model/families/fields.h"

namespace kappascope::nanochat {

// The name that this program knows a field by: fields were renamed twice (SPEC-layouts §1.2b,
// §1.2c).
std::string canonical_field(std::string_view name);

extern const FieldNames kFieldNames;

}  // namespace kappascope::nanochat
