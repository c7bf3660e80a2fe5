#include "core/checkpoint/torch_writer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/checkpoint/torch_pt.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(TorchWriter, WritesWhatTheReaderReadsTheSameEveryTime) {
  const testing::TempFolder folder;
  const std::vector<float> values{1, -2.5f, 3e30f, 0, 5, 6};
  const std::vector<TorchTensor> tensors{{"b.weight", DType::float32, {2, 3}},
                                         {"a", DType::float32, {}},
                                         {"empty", DType::float32, {0, 4}}};
  for (const char* name : {"model.pt", "again/model.pt"}) {
    std::filesystem::create_directories((folder.path() / name).parent_path());
    write_torch_pt(folder.path() / name, tensors,
                   [&](const TorchTensor& tensor, const std::function<void(Bytes)>& sink) {
                     const std::size_t count = tensor.name == "a" ? 1 : tensor.shape.size() * 3;
                     const Bytes all = std::as_bytes(std::span(values));
                     if (tensor.name != "empty") { sink(all.first(count * sizeof(float))); }
                   });
  }
  EXPECT_EQ(bytes_of(folder.path() / "model.pt"), bytes_of(folder.path() / "again" / "model.pt"));
  const TensorFile file = read_torch_pt(folder.path() / "model.pt");
  ASSERT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(file.find("b.weight")->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(file.floats(*file.find("b.weight")), values);
  EXPECT_EQ(file.floats(*file.find("a")), std::vector<float>{1});
  for (const TensorInfo& tensor : file.tensors()) { EXPECT_EQ(tensor.offset % 64, 0U); }
}

// Holes: the file takes no room on the disk.
TEST(TorchWriter, PlacesAndSizesPast4GiBAreReadBack) {
  const testing::TempFolder folder;
  const std::int64_t large = (std::int64_t{1} << 32) + 64;
  write_torch_pt(folder.path() / "model.pt",
                 {{"large", DType::uint8, {large}}, {"behind", DType::uint8, {8}}}, nullptr);
  const TensorFile file = read_torch_pt(folder.path() / "model.pt");
  EXPECT_EQ(file.find("large")->shape, std::vector<std::int64_t>{large});
  EXPECT_GT(file.find("behind")->offset, static_cast<std::uint64_t>(large));
}

}  // namespace
}  // namespace kappascope
