// What a call throws, as text: tests name the whole line.
#pragma once

#include <string>

#include "core/error.h"

namespace kappascope::testing {

// "3 FILE: …": exit code and line of the Error, or "no error". Anything else gets through.
template <typename Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::to_string(static_cast<int>(error.code())) + " " + error.what();
  }
  return "no error";
}

}  // namespace kappascope::testing
