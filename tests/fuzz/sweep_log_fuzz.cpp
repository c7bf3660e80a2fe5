// Any bytes as the log of a sweep that was killed: an Error, or results with which it goes on, and
// which are there again, with one more, when it was killed once more.
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "app/cli/sweep_log.h"
#include "core/error.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/temp_folder.h"

void kappascope::testing::fuzz_sweep_log(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  static const testing::TempFolder folder;
  const Json identity = Json::object({{"a", 1}});
  std::ofstream(folder / kAblationLog.file, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    std::map<SweepLog::Spot, double> results;
    {
      SweepLog log(kAblationLog, folder.path(), identity, /*resume=*/true, /*force=*/false);
      log.add({40, 41}, 0.25);
      results = log.results();
    }
    results[{40, 41}] = 0.25;
    const SweepLog again(kAblationLog, folder.path(), identity, true, false);
    if (again.results() != results) { std::abort(); }
  } catch (const Error& error) {
    const bool known = error.code() == ExitCode::damaged || error.code() == ExitCode::io ||
                       error.code() == ExitCode::unsupported;
    if (!known) { std::abort(); }
  }
}
