// Any bytes as a pickle: an Error, or values without loops, no more of them than bytes.
#include "core/checkpoint/pickle.h"

#include <array>
#include <cstdlib>

#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"

namespace {

constexpr std::array<std::string_view, 3> kAllowed = {
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage"};

}  // namespace

void kappascope::testing::fuzz_pickle(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  // Whatever it refers to, a value is as large as the pickle at most; the lenient reader keeps
  // loops.
  const auto check = [&](const Pickle& pickle) {
    std::vector<PickleId> path = pickle.root().items;
    for (std::size_t steps = 0; !path.empty() && steps < 10000; ++steps) {
      const PickleValue& value = pickle.at(path.back());
      path.pop_back();
      if (value.items.size() > size || value.offset < 100 || value.offset >= 100 + size ||
          value.text.size() > 256 + size) {
        std::abort();
      }
      path.insert(path.end(), value.items.begin(), value.items.end());
      if (path.size() > 100000) { break; }
    }
  };
  const auto bytes = std::as_bytes(std::span(data, size));
  testing::only_file_errors([&] { check(Pickle::parse(bytes, kAllowed, "fuzz.pkl", 100)); });
  testing::only_file_errors([&] { check(Pickle::parse_any(bytes, kAllowed, "fuzz.pkl", 100)); });
}
