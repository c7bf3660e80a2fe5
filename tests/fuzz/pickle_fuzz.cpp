// Any bytes as a pickle: an Error, or values without loops, no more of them than bytes.
#include "core/checkpoint/pickle.h"

#include <array>
#include <cstdlib>

#include "tests/fuzz/only_file_errors.h"

namespace {

constexpr std::array<std::string_view, 3> allowed = {
    "collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  testing::only_file_errors([&] {
    const Pickle pickle =
        Pickle::parse(std::as_bytes(std::span(data, size)), allowed, "fuzz.pkl", 100);
    std::vector<PickleId> path = pickle.root().items;
    for (std::size_t steps = 0; !path.empty() && steps < 10000; ++steps) {
      const PickleValue& value = pickle.at(path.back());
      path.pop_back();
      if (value.items.size() > size || value.offset < 100 || value.offset >= 100 + size ||
          value.text.size() > 64 + size) {
        std::abort();
      }
      path.insert(path.end(), value.items.begin(), value.items.end());
    }
  });
  return 0;
}
