#include "core/checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/unit/expect_error.h"
#include "tests/unit/memory_file.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope {
namespace {

using testing::error_of;
using testing::MemoryFile;
using testing::safetensors_entry;
using testing::safetensors_of;

// "code line" without the file's name.
std::string safetensors_line(const std::string& bytes) {
  const MemoryFile memory(bytes);
  std::string text = error_of([&] { read_safetensors(memory.path()); });
  const std::size_t at = text.find(memory.path() + ": ");
  if (at != std::string::npos) { text.erase(at, memory.path().size() + 2); }
  return text;
}

const std::string kHeader = R"({"__metadata__":{"format":"pt"},"b":)" +
                            safetensors_entry("BF16", "[2,3]", "[4,16]") + R"(,"a":)" +
                            safetensors_entry("F32", "[1]", "[0,4]") + R"(,"e":)" +
                            safetensors_entry("U8", "[0,5]", "[16,16]") + R"(,"s":)" +
                            safetensors_entry("F16", "[]", "[16,18]") + "}   ";

TEST(Safetensors, ReadsTensorsWhereTheyAre) {
  const std::string bytes = safetensors_of(kHeader, 18);
  const MemoryFile memory(bytes);
  const TensorFile file = read_safetensors(memory.path());
  ASSERT_EQ(file.tensors().size(), 4U);
  const TensorInfo& b = *file.find("b");
  EXPECT_EQ(b.dtype, DType::bfloat16);
  EXPECT_EQ(b.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(b.offset, 8 + kHeader.size() + 4);
  EXPECT_EQ(b.bytes, 12U);
  const auto data = file.data(b);
  EXPECT_EQ(std::memcmp(data.data(), bytes.data() + b.offset, 12), 0);
  EXPECT_TRUE(file.data(*file.find("e")).empty());
  EXPECT_EQ(file.file().bytes_read(), 8 + kHeader.size());
  const TensorInfo& s = *file.find("s");
  EXPECT_EQ(file.floats(s).size(), 1U);  // read, not mapped
  EXPECT_EQ(file.file().bytes_read(), 8 + kHeader.size() + s.bytes);
}

TEST(Safetensors, EveryDtypeOfTheFormat) {
  struct Row {
    const char* name;
    DType dtype;
    std::size_t bytes;
  };
  for (const Row& row : std::vector<Row>{{"F64", DType::float64, 8},
                                         {"F32", DType::float32, 4},
                                         {"F16", DType::float16, 2},
                                         {"BF16", DType::bfloat16, 2},
                                         {"I64", DType::int64, 8},
                                         {"I32", DType::int32, 4},
                                         {"I16", DType::int16, 2},
                                         {"I8", DType::int8, 1},
                                         {"U64", DType::uint64, 8},
                                         {"U32", DType::uint32, 4},
                                         {"U16", DType::uint16, 2},
                                         {"U8", DType::uint8, 1},
                                         {"BOOL", DType::boolean, 1},
                                         {"F8_E4M3", DType::float8_e4m3, 1},
                                         {"F8_E5M2", DType::float8_e5m2, 1},
                                         {"F8_E8M0", DType::float8_e8m0, 1}}) {
    const std::string range = "[0," + std::to_string(3 * row.bytes) + "]";
    const MemoryFile memory(
        safetensors_of("{\"w\":" + safetensors_entry(row.name, "[3]", range) + "}", 3 * row.bytes));
    const TensorFile file = read_safetensors(memory.path());
    ASSERT_EQ(file.tensors().size(), 1U) << row.name;
    EXPECT_EQ(file.tensors()[0].dtype, row.dtype) << row.name;
    EXPECT_EQ(dtype_bytes(row.dtype), row.bytes) << row.name;
  }
  // Elements that are no whole bytes are no tensors of ours, but have their place.
  const MemoryFile memory(safetensors_of("{\"w\":" + safetensors_entry("F4", "[4]", "[0,2]") +
                                             ",\"c\":" + safetensors_entry("C64", "[1]", "[2,10]") +
                                             "}",
                                         10));
  const TensorFile file = read_safetensors(memory.path());
  EXPECT_TRUE(file.tensors().empty());
  EXPECT_EQ(file.find_other("w")->what, "a tensor of F4");
  EXPECT_TRUE(file.find_other("c")->tensor);
}

TEST(Safetensors, NoTensorsAndNoMetadata) {
  EXPECT_EQ(safetensors_line(safetensors_of("{}", 0)), "no error");
  EXPECT_EQ(safetensors_line(safetensors_of(R"({"__metadata__":null})", 0)), "no error");
}

TEST(Safetensors, EveryByteIsOfOneTensor) {
  const auto two = [](const std::string& a, const std::string& b, std::size_t data) {
    return safetensors_line(safetensors_of("{\"a\":" + safetensors_entry("U8", "[4]", a) +
                                               ",\"b\":" + safetensors_entry("U8", "[4]", b) + "}",
                                           data));
  };
  EXPECT_EQ(two("[0,4]", "[4,8]", 8), "no error");
  EXPECT_EQ(two("[4,8]", "[0,4]", 8), "no error");
  EXPECT_EQ(two("[0,4]", "[3,7]", 7),
            "3 tensor b: overlaps the tensor before it (a); expected offset 4, found 3");
  EXPECT_EQ(two("[0,4]", "[0,4]", 4),
            "3 tensor b: overlaps the tensor before it (a); expected offset 4, found 0");
  EXPECT_EQ(two("[0,4]", "[5,9]", 9),
            "3 tensor b: leaves a hole before it (a); expected offset 4, found 5");
  EXPECT_EQ(two("[1,5]", "[5,9]", 9),
            "3 tensor a: leaves a hole before it; expected offset 0, found 1");
  const std::size_t size =
      safetensors_of("{\"a\":" + safetensors_entry("U8", "[4]", "[0,4]") + "}", 4).size();
  const auto one = [](std::size_t data) {
    return safetensors_line(
        safetensors_of("{\"a\":" + safetensors_entry("U8", "[4]", "[0,4]") + "}", data));
  };
  EXPECT_EQ(one(3), "3 truncated; expected " + std::to_string(size) + " bytes, found " +
                        std::to_string(size - 1) + ": download it again");
  EXPECT_EQ(one(5), "3 offset " + std::to_string(size) +
                        ": bytes after the last tensor; expected " + std::to_string(size) +
                        " bytes, found " + std::to_string(size + 1));
}

TEST(Safetensors, NamesOtherFormats) {
  EXPECT_EQ(safetensors_line("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"),
            "4 a Git LFS pointer, not the file that it names; fetch that: git lfs pull");
  EXPECT_EQ(safetensors_line("<!DOCTYPE html><html>").substr(0, 20), "4 a web page (HTML),");
  EXPECT_EQ(safetensors_line("\x1f\x8b\x08 and more of it").substr(0, 39),
            "4 compressed with gzip; unpack it: gzip");
  EXPECT_EQ(safetensors_line("GGUF\3\0\0\0 and so on").substr(0, 14), "4 a GGUF file,");
  EXPECT_EQ(safetensors_line(std::string("PK\3\4", 4) + std::string(30, 'x')).substr(0, 38),
            "4 an archive, perhaps of torch.save, n");
  EXPECT_EQ(safetensors_line("Entry not found, sorry").substr(0, 54),
            "3 a text, not the file expected; it begins with 'Entry");
}

TEST(Safetensors, EveryPrefixIsRefused) {
  const std::string good = safetensors_of(kHeader, 18);
  ASSERT_EQ(safetensors_line(good), "no error");
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_EQ(safetensors_line(good.substr(0, n)).substr(0, 2), "3 ") << n;
  }
}

TEST(Safetensors, EveryChangedByteIsRefusedOrReadsInside) {
  const std::string good = safetensors_of(kHeader, 18);
  for (std::size_t i = 0; i < good.size() - 18; ++i) {
    // Each bit, and bytes that mean something in JSON.
    for (int value = 0; value < 20; ++value) {
      std::string changed = good;
      changed[i] =
          value < 8 ? static_cast<char>(good[i] ^ (1 << value)) : "\"[]{}:, -9e\xff"[value - 8];
      const MemoryFile memory(changed);
      const std::string text = error_of([&] {
        const TensorFile file = read_safetensors(memory.path());
        for (const TensorInfo& tensor : file.tensors()) {
          EXPECT_EQ(file.data(tensor).size(), tensor.bytes);
          if (is_float(tensor.dtype)) { file.floats(tensor); }
        }
      });
      EXPECT_TRUE(text == "no error" || text.starts_with("3 ") || text.starts_with("4 ")) << text;
    }
  }
}

}  // namespace
}  // namespace kappascope
