// Any bytes as a list of interventions, one a line, as a session or meta holds them: an Error, or
// interventions whose canonical text means the same.
#include <cstdlib>
#include <sstream>

#include "core/engine/interventions.h"
#include "core/error.h"
#include "tests/fuzz/targets.h"

void kappascope::testing::fuzz_interventions(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  std::istringstream lines(std::string(reinterpret_cast<const char*>(data), size));
  for (std::string line; std::getline(lines, line);) {
    try {
      const Intervention intervention = parse_intervention(line);
      if (!(parse_intervention(intervention.text()) == intervention)) { std::abort(); }
    } catch (const Error& error) {
      if (error.code() != ExitCode::usage) { std::abort(); }
    }
  }
}
