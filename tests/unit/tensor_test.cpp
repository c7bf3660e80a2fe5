#include "core/checkpoint/tensor.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "core/stats/tensor_numbers.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope {
namespace {

using testing::error_of;
using testing::MemoryFile;
using testing::number;

TEST(Sha256, KnownDigests) {  // FIPS 180-4, examples
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(DTypes, NamesAndWidths) {
  EXPECT_EQ(dtype_name(DType::float32), "float32");
  EXPECT_EQ(dtype_name(DType::boolean), "bool");
  EXPECT_EQ(dtype_bytes(DType::bfloat16), 2U);
  EXPECT_EQ(dtype_bytes(DType::int64), 8U);
  EXPECT_EQ(shape_text(std::vector<std::int64_t>{64, 32}), "[64, 32]");
  EXPECT_EQ(shape_text({}), "[]");
}

// A file of nothing but numbers, and one tensor over all of it.
TensorFile tensor_file(const MemoryFile& memory, DType dtype, std::vector<std::int64_t> shape) {
  InputFile file = InputFile::open(memory.path());
  TensorInfo tensor{"t", dtype, std::move(shape), 0, file.size()};
  return {std::move(file), {tensor}};
}

TEST(TensorFile, NumbersOfFloat64AndOfEveryWholeType) {
  struct Silent final : Progress {
    bool update(Stage, std::uint64_t, std::uint64_t) noexcept override { return true; }
  } progress;
  const struct {
    DType dtype;
    std::uint64_t low, high;  // bits of the two values
    double least, most;
  } cases[] = {{DType::float64, std::bit_cast<std::uint64_t>(-2.5),
                std::bit_cast<std::uint64_t>(1e300), -2.5, 1e300},
               {DType::int64, ~std::uint64_t{0}, 1ULL << 40, -1, 0x1p40},
               {DType::int32, 0xfffffffe, 70000, -2, 70000},
               {DType::int16, 0xfffd, 300, -3, 300},
               {DType::int8, 0xfc, 100, -4, 100},
               {DType::uint64, 5, ~std::uint64_t{0}, 5, 0x1p64},
               {DType::uint32, 6, 0xffffffff, 6, 4294967295.0},
               {DType::uint16, 7, 0xffff, 7, 65535},
               {DType::uint8, 8, 0xff, 8, 255},
               {DType::boolean, 0, 1, 0, 1}};
  for (const auto& one : cases) {
    const std::size_t width = dtype_bytes(one.dtype);
    const MemoryFile memory(number(one.low, width) + number(one.high, width));
    const TensorFile file = tensor_file(memory, one.dtype, {2});
    const TensorNumbers numbers = tensor_numbers(file, {}, progress)[0];
    EXPECT_EQ(numbers.least, one.least) << dtype_name(one.dtype);
    EXPECT_EQ(numbers.most, one.most) << dtype_name(one.dtype);
    EXPECT_EQ(numbers.mean, one.least / 2 + one.most / 2) << dtype_name(one.dtype);
    EXPECT_EQ(numbers.elements, 2);
    EXPECT_EQ(numbers.nan + numbers.inf, 0);
  }
}

TEST(TensorFile, WidensFloat16Exactly) {
  std::string bytes;
  for (unsigned bits = 0; bits < 0x10000; ++bits) { bytes += number(bits, 2); }
  const MemoryFile memory(bytes);
  const TensorFile file = tensor_file(memory, DType::float16, {0x10000});
  const std::vector<float> values = file.floats(file.tensors()[0]);
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const auto fraction = static_cast<float>(bits & 1023);
    const float value = values[bits];
    ASSERT_EQ(std::signbit(value), sign < 0) << bits;
    if (exponent == 31) {
      ASSERT_TRUE(fraction == 0 ? std::isinf(value) : std::isnan(value)) << bits;
    } else if (exponent == 0) {
      ASSERT_EQ(value, sign * fraction * 0x1p-24F) << bits;
    } else {
      ASSERT_EQ(value, sign * std::ldexp(1 + fraction / 1024, exponent - 15)) << bits;
    }
  }
}

TEST(TensorFile, WidensBfloat16AndCopiesFloat32) {
  const MemoryFile memory(number(0xC0003F80, 4) + number(0xFF8042AA, 4));
  const TensorFile narrow = tensor_file(memory, DType::bfloat16, {4});
  EXPECT_EQ(narrow.floats(narrow.tensors()[0]),
            (std::vector<float>{1, -2, 85, -std::numeric_limits<float>::infinity()}));
  EXPECT_EQ(narrow.floats(narrow.tensors()[0], 1, 2), (std::vector<float>{-2, 85}));
  const TensorFile wide = tensor_file(memory, DType::float32, {2});
  EXPECT_EQ(wide.floats(wide.tensors()[0], 0, 1)[0], std::bit_cast<float>(0xC0003F80));
  EXPECT_EQ(wide.data(wide.tensors()[0]).size(), 8U);
  EXPECT_TRUE(wide.floats(wide.tensors()[0], 2, 0).empty());
}

TEST(TensorFile, RefusesOtherTypesAndRanges) {
  const MemoryFile memory(std::string(8, '\0'));
  const TensorFile integers = tensor_file(memory, DType::int64, {1});
  EXPECT_EQ(error_of([&] { integers.floats(integers.tensors()[0]); }),
            "3 " + memory.path() + ": tensor t: expected a floating-point dtype, found int64");
  const TensorFile file = tensor_file(memory, DType::float32, {2});
  const auto range = [&](std::int64_t first, std::int64_t count) {
    return error_of([&] { file.floats(file.tensors()[0], first, count); }).substr(0, 2);
  };
  EXPECT_EQ(range(1, 2), "1 ");
  EXPECT_EQ(range(-1, 1), "1 ");
  EXPECT_EQ(range(0, -1), "1 ");
  EXPECT_EQ(range(INT64_MAX, INT64_MAX), "1 ");
}

TEST(TensorFile, SortsFindsAndRefusesDuplicates) {
  const MemoryFile memory(std::string(8, '\0'));
  const auto named = [](const char* name) { return TensorInfo{name, DType::uint8, {1}, 0, 1}; };
  const TensorFile file(InputFile::open(memory.path()), {named("b"), named("a"), named("c")});
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.find("c"), &file.tensors()[2]);
  EXPECT_EQ(file.find("bb"), nullptr);
  EXPECT_EQ(file.directory_sha256(), sha256_hex("a uint8 [1] 0\nb uint8 [1] 0\nc uint8 [1] 0\n"));
  EXPECT_EQ(
      error_of([&] {
        TensorFile(InputFile::open(memory.path()),
                   {named("b"), named("a"), named("b"), named("b"), named("a")});
      }),
      "3 " + memory.path() + ": tensor a: occurs more than once; tensor b: occurs more than once");
}

}  // namespace
}  // namespace kappascope
