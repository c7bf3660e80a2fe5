// How tensors of other layouts become what products multiply: parts, transposed, 4 and 8 bits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <vector>

#include "core/checkpoint/safetensors.h"
#include "core/model/weights.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/tiny_safetensors.h"

namespace kappascope {
namespace {

using testing::safetensors_entry;
using testing::safetensors_of;

// A file of one or two tensors whose bytes are these, one after the other.
TensorFile file_of(const testing::TempFolder& folder, const std::string& header,
                   const std::string& bytes) {
  const auto path = folder.path() / join_words("w", header.size(), ".safetensors");
  std::ofstream(path, std::ios::binary) << safetensors_of(header, 0) << bytes;
  return read_safetensors(path);
}

std::string floats_bytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<float> read(const TensorFile& file, const Stored& weight, std::int64_t index,
                        std::size_t size) {
  std::vector<float> values(size, -1);
  read_matrix(file, weight, index, values.data());
  return values;
}

TEST(Stored, FourBitsAreTheSixteenCodePointsLowHalfFirst) {
  const testing::TempFolder folder;
  // One row of 32 numbers: bytes 0x10, 0x32 … 0xfe, twice; scale 128: × 2.
  std::string bytes;
  for (int twice = 0; twice < 2; ++twice) {
    for (int pair = 0; pair < 8; ++pair) { bytes += char((2 * pair + 1) << 4 | (2 * pair)); }
  }
  bytes += char(128);
  const TensorFile file =
      file_of(folder,
              "{\"b\":" + safetensors_entry("U8", "[1,1,1,16]", "[0,16]") +
                  ",\"s\":" + safetensors_entry("U8", "[1,1,1]", "[16,17]") + "}",
              bytes);
  Stored weight{Role::expert_down, 0, "b", {1, 32, 1}, file.find("b")};
  weight.layout = {true, AxisPart::whole, false, ValueScaling::mxfp4};
  weight.scales = {file.find("s")};
  const float points[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0f, -0.5, -1, -1.5, -2, -3, -4, -6};
  const std::vector<float> values = read(file, weight, 0, 32);
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(values[i], 2 * points[i % 16]) << i;
    EXPECT_EQ(std::signbit(values[i]), i % 16 >= 8) << i;
  }
}

TEST(Stored, FourBitsScaleByBlockAndTakeTurns) {
  const testing::TempFolder folder;
  // Rows gate 0, up 0, gate 1, up 1 of 32 ones (code 2); scales 2^0, 2^1, 2^-1, 2^-127.
  const std::string bytes = std::string(4 * 16, '\x22') + "\x7f\x80\x7e" + std::string(1, '\0');
  const TensorFile file =
      file_of(folder,
              "{\"b\":" + safetensors_entry("U8", "[1,4,1,16]", "[0,64]") +
                  ",\"s\":" + safetensors_entry("U8", "[1,4,1]", "[64,68]") + "}",
              bytes);
  Stored weight{Role::expert_gate, 0, "b", {1, 32, 2}, file.find("b")};
  weight.layout = {true, AxisPart::even, false, ValueScaling::mxfp4};
  weight.scales = {file.find("s")};
  const std::vector<float> gate = read(file, weight, 0, 64);
  weight.layout.part = AxisPart::odd;
  const std::vector<float> up = read(file, weight, 0, 64);
  for (std::size_t h = 0; h < 32; ++h) {
    EXPECT_EQ(gate[2 * h], 1.0f);
    EXPECT_EQ(gate[2 * h + 1], 0.5f);
    EXPECT_EQ(up[2 * h], 2.0f);
    EXPECT_EQ(up[2 * h + 1], std::ldexp(1.0f, -127));
  }
}

TEST(Stored, PartsAndTransposition) {
  const testing::TempFolder folder;
  // [2 experts, 4, 3]: value = 100·expert + 10·row + column.
  std::vector<float> values;
  for (int e = 0; e < 2; ++e) {
    for (int r = 0; r < 4; ++r) {
      for (int c = 0; c < 3; ++c) { values.push_back(float(100 * e + 10 * r + c)); }
    }
  }
  const TensorFile file =
      file_of(folder, "{\"w\":" + safetensors_entry("F32", "[2,4,3]", "[0,96]") + "}",
              floats_bytes(values));
  Stored weight{Role::expert_up, 0, "w", {2, 3, 2}, file.find("w")};
  // [E,2I,H], up rows last, as [H,I].
  weight.layout = {true, AxisPart::second_half};
  EXPECT_EQ(read(file, weight, 1, 6), (std::vector<float>{120, 130, 121, 131, 122, 132}));
  weight.layout.part = AxisPart::even;
  EXPECT_EQ(read(file, weight, 0, 6), (std::vector<float>{0, 20, 1, 21, 2, 22}));
  // [2Is,H] rows, not transposed: the first expert's matrix as one of [2,3].
  weight.shape = {2, 2, 3};
  weight.layout = {false, AxisPart::odd, true};
  EXPECT_EQ(read(file, weight, 0, 6), (std::vector<float>{10, 11, 12, 30, 31, 32}));
  // [E,H,2I], gate and up in turn.
  weight.shape = {2, 3, 2};
  const TensorFile wide =
      file_of(folder, "{ \"w\":" + safetensors_entry("F32", "[2,3,4]", "[0,96]") + "}",
              floats_bytes(values));
  weight.tensor = wide.find("w");
  weight.layout = {false, AxisPart::odd};
  EXPECT_EQ(read(wide, weight, 0, 6), (std::vector<float>{1, 10, 12, 21, 30, 32}));
}

TEST(Stored, EightBitsWithAScaleEachBlock) {
  const testing::TempFolder folder;
  // [1,4]: 1.5 (0x3c), −0.001953125 (0x81), 448 (0x7e), NaN (0x7f); scale 0.5.
  const TensorFile file =
      file_of(folder,
              "{\"s\":" + safetensors_entry("F32", "[1,1]", "[0,4]") +
                  ",\"w\":" + safetensors_entry("F8_E4M3", "[1,4]", "[4,8]") + "}",
              floats_bytes({0.5f}) + "\x3c\x81\x7e\x7f");
  Stored weight{Role::attention_query, 0, "w", {1, 4}, file.find("w")};
  weight.layout.scaling = ValueScaling::blocks;
  weight.scales = {file.find("s")};
  const std::vector<float> values = read(file, weight, 0, 4);
  EXPECT_EQ(values[0], 0.75f);
  EXPECT_EQ(values[1], -0.0009765625f);
  EXPECT_EQ(values[2], 224.0f);
  EXPECT_TRUE(std::isnan(values[3]));
}

}  // namespace
}  // namespace kappascope
