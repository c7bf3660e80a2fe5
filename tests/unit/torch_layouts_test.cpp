// Tensors that are not row by row or not aligned in their file.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/checkpoint/torch_pt.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope {
namespace {

namespace pickled = testing::pickled;
using testing::checkpoint_of;
using testing::MemoryFile;
using testing::tiny_zip;
using testing::TinyEntry;
using testing::TinyZip;

std::vector<float> values_of(const std::string& value) {
  const MemoryFile memory(checkpoint_of(value).flat());
  const TensorFile file = read_torch_pt(memory.path());
  return file.floats(*file.find("w"));
}

TEST(TorchPt, ReadsAnyStepsRowByRow) {
  using Values = std::vector<float>;  // of the storage: 1, −2, 0, 0, 0, 0
  EXPECT_EQ(values_of(pickled::tensor({.shape = {3, 2}, .strides = {1, 3}})),
            (Values{1, 0, -2, 0, 0, 0}));
  EXPECT_EQ(values_of(pickled::tensor({.shape = {3, 2}, .strides = {0, 1}})),
            (Values{1, -2, 1, -2, 1, -2}));
  EXPECT_EQ(values_of(pickled::tensor({.shape = {2, 1, 2}, .strides = {1, 9, 1}})),
            (Values{1, -2, -2, 0}));
  EXPECT_EQ(values_of(pickled::tensor({.offset = 1, .shape = {2, 2}, .strides = {0, 0}})),
            (Values{-2, -2, -2, -2}));
}

// Every shape of up to four axes whose steps are those of another order of its axes.
TEST(TorchPt, StepsAgreeWithIndexing) {
  std::vector<float> stored(3 * 40 * 2 * 35);
  for (std::size_t i = 0; i < stored.size(); ++i) { stored[i] = static_cast<float>(i); }
  const MemoryFile memory(
      std::string(reinterpret_cast<const char*>(stored.data()), stored.size() * sizeof(float)));
  std::vector<std::size_t> order = {0, 1, 2, 3};
  do {
    const std::vector<std::int64_t> extents = {3, 40, 2, 35}, steps = {2800, 70, 35, 1};
    TensorInfo tensor{"w", DType::float32, {}, 0, stored.size() * sizeof(float)};
    for (const std::size_t axis : order) {
      tensor.shape.push_back(extents[axis]);
      tensor.strides.push_back(steps[axis]);
    }
    const TensorFile file(InputFile::open(memory.path()), {tensor});
    const std::vector<float> found = file.floats(file.tensors()[0]);
    std::size_t at = 0;
    for (std::int64_t a = 0; a < tensor.shape[0]; ++a) {
      for (std::int64_t b = 0; b < tensor.shape[1]; ++b) {
        for (std::int64_t c = 0; c < tensor.shape[2]; ++c) {
          for (std::int64_t d = 0; d < tensor.shape[3]; ++d) {
            ASSERT_EQ(found[at++],
                      static_cast<float>(a * tensor.strides[0] + b * tensor.strides[1] +
                                         c * tensor.strides[2] + d * tensor.strides[3]));
          }
        }
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(TorchPt, CopiesUnalignedData) {
  std::vector<TinyEntry> entries = testing::checkpoint_entries(
      pickled::file(pickled::dict({pickled::text("w"), pickled::tensor({})})));
  TinyZip zip = tiny_zip(entries);
  std::string bytes = zip.flat();
  // One byte of the padding in the local header of data/0 is given to the data.
  const std::uint64_t length_at = zip.data_offsets[1] + 6 + 28;
  bytes[length_at] = static_cast<char>(bytes[length_at] - 1);
  const MemoryFile memory(bytes);
  const TensorFile file = read_torch_pt(memory.path());
  const TensorInfo& tensor = *file.find("w");
  EXPECT_EQ(tensor.offset, zip.data_offsets[2] - 1);
  EXPECT_TRUE(file.copied(tensor));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.data(tensor).data()) % 4, 0U);
  EXPECT_EQ(file.data(tensor).data(), file.data(tensor).data());
  EXPECT_EQ(std::memcmp(file.data(tensor).data(), bytes.data() + tensor.offset, tensor.bytes), 0);
}

}  // namespace
}  // namespace kappascope
