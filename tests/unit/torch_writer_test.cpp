#include "core/checkpoint/torch_writer.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/checkpoint/torch_pt.h"
#include "core/checkpoint/zip.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_pt.h"

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

// Sizes and checksum stand behind the data of every entry, for readers that go through the file.
TEST(TorchWriter, EveryEntryEndsWithItsDescriptor) {
  const testing::TempFolder folder;
  const std::vector<float> values{1, -2.5f, 3e30f};
  write_torch_pt(folder.path() / "model.pt", {{"a", DType::float32, {3}}},
                 [&](const TorchTensor&, const std::function<void(Bytes)>& sink) {
                   sink(std::as_bytes(std::span(values)));
                 });
  const std::string bytes = bytes_of(folder.path() / "model.pt");
  const InputFile file = InputFile::open(folder.path() / "model.pt");
  const ZipDirectory directory = ZipDirectory::read(file);
  ASSERT_GE(directory.entries().size(), 3U);
  for (const ZipEntry& entry : directory.entries()) {
    const std::uint64_t end = directory.data_offset(file, entry) + entry.size;
    const std::string data = bytes.substr(end - entry.size, entry.size);
    const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size());
    EXPECT_EQ(bytes.substr(end, 16), testing::number(0x08074b50, 4) + testing::number(crc, 4) +
                                         testing::number(entry.size, 4) +
                                         testing::number(entry.size, 4))
        << entry.name;
  }
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
