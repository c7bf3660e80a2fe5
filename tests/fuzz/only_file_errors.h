// What a reader may do with any bytes: read them, or say that the file is damaged or unsupported.
#pragma once

#include <cstdlib>

#include "core/error.h"

namespace kappascope::testing {

// Another code or another exception is a finding.
template <typename Call>
void only_file_errors(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    if (error.code() != ExitCode::damaged && error.code() != ExitCode::unsupported) {
      std::abort();
    }
  }
}

}  // namespace kappascope::testing
