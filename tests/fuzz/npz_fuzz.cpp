// Any bytes as an .npz archive, a trace, a file of model parameters and a .npy array of routing:
// they open, or fail with the code of a damaged or unsupported file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "core/trace/given_routes.h"
#include "core/trace/npz.h"
#include "core/trace/trace.h"
#include "tests/fuzz/targets.h"

namespace {

template <typename Work>
void expect_file_error(Work work) {
  try {
    work();
  } catch (const kappascope::Error& error) {
    const bool of_file = error.code() == kappascope::ExitCode::damaged ||
                         error.code() == kappascope::ExitCode::unsupported;
    if (!of_file) { std::abort(); }
  }
}

}  // namespace

void kappascope::testing::fuzz_npz(const std::uint8_t* data, std::size_t size) {
  const int descriptor = memfd_create("input", 0);
  if (descriptor < 0 || write(descriptor, data, size) != static_cast<ssize_t>(size)) {
    std::abort();
  }
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  expect_file_error([&] {
    const kappascope::NpzReader reader(path);
    for (const kappascope::NpyArray& array : reader.arrays()) {
      if (array.type == kappascope::NpyType::text) { reader.text(array.name); }
      if (array.type == kappascope::NpyType::float64) { reader.float64(array.name); }
    }
  });
  expect_file_error([&] { kappascope::open_trace(path); });
  expect_file_error([&] { kappascope::open_model_parameters(path); });
  expect_file_error([&] { kappascope::read_routes(path); });
  expect_file_error([&] { kappascope::read_outputs(path); });
  close(descriptor);
}
