// SHA-256 by the names of libmd that core uses, for machines without it. Not used by the program.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

inline constexpr int SHA256_DIGEST_STRING_LENGTH = 65;

struct SHA2_CTX {
  std::array<std::uint32_t, 8> state;
  std::array<std::uint8_t, 64> block;
  std::uint64_t bytes;
};

namespace sha256 {

inline constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

inline void add_block(SHA2_CTX& context) {
  std::array<std::uint32_t, 64> word;
  for (std::size_t i = 0; i < 16; ++i) {
    word[i] = std::uint32_t(context.block[4 * i]) << 24 | context.block[4 * i + 1] << 16 |
              context.block[4 * i + 2] << 8 | context.block[4 * i + 3];
  }
  for (std::size_t i = 16; i < 64; ++i) {
    const std::uint32_t a = word[i - 15], b = word[i - 2];
    word[i] = word[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + word[i - 7] +
              (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = context.state;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint32_t mixed = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t first = h + mixed + ((e & f) ^ (~e & g)) + kRound[i] + word[i];
    const std::uint32_t turned = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t second = turned + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
  }
  const std::array<std::uint32_t, 8> sums = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) { context.state[i] += sums[i]; }
}

}  // namespace sha256

inline void SHA256Init(SHA2_CTX* context) {
  context->state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  context->bytes = 0;
}

inline void SHA256Update(SHA2_CTX* context, const std::uint8_t* data, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    context->block[context->bytes++ % 64] = data[i];
    if (context->bytes % 64 == 0) { sha256::add_block(*context); }
  }
}

// Lower-case hexadecimal digits and a NUL into `text`.
inline char* SHA256End(SHA2_CTX* context, char* text) {
  const std::uint64_t bits = context->bytes * 8;
  const std::uint8_t one = 0x80, zero = 0;
  SHA256Update(context, &one, 1);
  while (context->bytes % 64 != 56) { SHA256Update(context, &zero, 1); }
  for (int shift = 56; shift >= 0; shift -= 8) {
    const auto byte = std::uint8_t(bits >> shift);
    SHA256Update(context, &byte, 1);
  }
  char* to = text;
  for (const std::uint32_t word : context->state) {
    for (int shift = 28; shift >= 0; shift -= 4) { *to++ = "0123456789abcdef"[word >> shift & 15]; }
  }
  *to = 0;
  return text;
}
