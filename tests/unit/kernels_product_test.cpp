// Products of few rows, of every instruction set of this machine, and the turning of matrices for
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/element.h"
#include "tests/unit/kernels_fixture.h"

namespace kappascope {
namespace {

TEST(CpuRowProduct, IsTheReferencesAtOddSizesAndStrides) {
  for_each_kernels([](const CpuKernels& kernels) {
    for (const std::int64_t rows : {1, 2, 7, 33, 64, 130}) {
      for (const std::int64_t in : kSizes) {
        for (const std::int64_t out : kSizes) {
          SCOPED_TRACE(::testing::Message() << rows << "x" << in << "x" << out);
          const std::int64_t x_stride = in + 3, weight_stride = out + 5, y_stride = out + 2;
          const auto x = normal(std::size_t(2 * rows * x_stride), 1);
          const auto weight = normal(std::size_t(in * weight_stride), 2);
          std::vector<std::int64_t> index(std::size_t(rows), 0);
          for (std::int64_t r = 0; r < rows; ++r) { index[r] = (r * 7) % (2 * rows); }
          std::vector<float> expected(std::size_t(rows * y_stride), -1), actual = expected;
          RowProductArgs args{rows,
                              in,
                              out,
                              x.data(),
                              x_stride,
                              index.data(),
                              weight.data(),
                              weight_stride,
                              expected.data(),
                              y_stride};
          row_product_ref(args);
          args.y = actual.data();
          kernels.row_product(args);
          // Sums of `in` products around 1, rounded in another order.
          for (std::size_t i = 0; i < actual.size(); ++i) {
            expect_near(actual[i], expected[i], 2e-6f * std::sqrt(float(in)) * 4, 1e-6f, "y");
          }
        }
      }
    }
  });
}

TEST(CpuRowProduct, ARowDoesNotDependOnItsCompany) {
  for_each_kernels([](const CpuKernels& kernels) {
    const std::int64_t rows = 130, in = 50, out = 70;
    const auto x = normal(rows * in, 1), weight = normal(in * out, 2);
    std::vector<float> together(rows * out), alone(out);
    kernels.row_product(
        {rows, in, out, x.data(), in, nullptr, weight.data(), out, together.data(), out});
    for (std::int64_t r = 0; r < rows; ++r) {
      kernels.row_product(
          {1, in, out, x.data() + r * in, in, nullptr, weight.data(), out, alone.data(), out});
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + r * out)) << r;
    }
  });
}

TEST(BFloat16, RoundsToTheNearestAndTiesToEven) {
  const auto bits_of = [](std::uint32_t bits) {
    BFloat16 narrowed;
    narrow(std::bit_cast<float>(bits), narrowed);
    return narrowed.bits;
  };
  EXPECT_EQ(bits_of(0x3F807FFF), 0x3F80);
  EXPECT_EQ(bits_of(0x3F808000), 0x3F80);  // a tie, to the even one below
  EXPECT_EQ(bits_of(0x3F808001), 0x3F81);
  EXPECT_EQ(bits_of(0x3F818000), 0x3F82);  // a tie, to the even one above
  EXPECT_EQ(bits_of(0xBF818000), 0xBF82);
  EXPECT_EQ(bits_of(0x7F7FFFFF), 0x7F80);  // beyond the largest: infinite
  EXPECT_EQ(bits_of(0x7FC00001), 0x7FC0);
}

TEST(CpuRowProduct, BfloatWeightsAreMultipliedAsTheFloatsTheyAre) {
  for_each_kernels([](const CpuKernels& kernels) {
    for (const std::int64_t rows : {1, 3, 70}) {
      const std::int64_t in = 53, out = 75, stride = out + 6;
      const auto x = normal(std::size_t(rows * in), 1);
      std::vector<float> weight = normal(std::size_t(in * stride), 2);
      std::vector<std::uint16_t> bits(weight.size());
      for (std::size_t i = 0; i < weight.size(); ++i) {
        BFloat16 narrowed;
        narrow(weight[i], narrowed);
        bits[i] = narrowed.bits;
        weight[i] = widen(narrowed);
      }
      std::vector<float> wide(std::size_t(rows * out)), found = wide, reference = wide;
      RowProductArgs args{rows,          in,     out,         x.data(), in, nullptr,
                          weight.data(), stride, wide.data(), out};
      kernels.row_product(args);
      args.weight = nullptr;
      args.weight_bits = bits.data();
      args.y = found.data();
      kernels.row_product(args);
      EXPECT_EQ(found, wide) << kernels.name << ", rows " << rows;
      args.y = reference.data();
      row_product_ref(args);
      for (std::size_t i = 0; i < found.size(); ++i) {
        expect_near(found[i], reference[i], 1e-4f, 1e-6f, "y");
      }
    }
  });
}

TEST(CpuWidenTurned, EveryBitIsInItsPlace) {
  for_each_kernels([](const CpuKernels& kernels) {
    for (const std::int64_t in : {1, 7, 16, 33, 64}) {
      for (const std::int64_t count : {1, 8, 15, 16, 50, 128}) {
        const std::int64_t stride = in + 3;
        std::vector<std::uint16_t> from(std::size_t(count * stride), 0);
        for (std::size_t i = 0; i < from.size(); ++i) { from[i] = std::uint16_t(i * 40503); }
        std::vector<std::uint32_t> to(std::size_t(in * count + 1), 7);
        kernels.widen_turned(from.data(), stride, in, count, reinterpret_cast<float*>(to.data()));
        for (std::int64_t i = 0; i < in; ++i) {
          for (std::int64_t c = 0; c < count; ++c) {
            ASSERT_EQ(to[i * count + c], std::uint32_t(from[c * stride + i]) << 16)
                << kernels.name << ' ' << in << ' ' << count;
          }
        }
        EXPECT_EQ(to.back(), 7U);
      }
    }
  });
}

// At every length around a vector and beyond what a lane of 16 bits counts, at an odd address.
TEST(CpuCountSaturated, CountsWhatHasEveryBitOfTheExponent) {
  for_each_kernels([](const CpuKernels& kernels) {
    for (const std::int64_t width : {2, 4}) {
      const std::uint32_t exponent = width == 2 ? 0x7f80 : 0x7f800000u;
      for (const std::int64_t size : {0, 1, 3, 4, 7, 8, 15, 16, 31, 32, 33, 65, 700'001}) {
        std::vector<std::byte> bytes(std::size_t(1 + size * width), std::byte{0x2f});
        std::int64_t expected = 0;
        for (std::int64_t i = 0; i < size; ++i) {
          // Infinity, a NaN below zero, all but the lowest bit of an exponent, a number.
          const std::uint32_t choices[] = {exponent, ~0u, exponent & (exponent << 1), 0x1234};
          const std::uint32_t value = size > 1000 && i < 690'000 ? exponent : choices[i % 4];
          std::memcpy(bytes.data() + 1 + i * width, &value, std::size_t(width));
          expected += (value & exponent) == exponent ? 1 : 0;
        }
        EXPECT_EQ(kernels.count_saturated(bytes.data() + 1, size, width, exponent), expected)
            << kernels.name << ", width " << width << ", size " << size;
      }
    }
  });
}

}  // namespace
}  // namespace kappascope
