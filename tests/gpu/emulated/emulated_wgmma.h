// kernels/wgmma.h on the CPU: copies and products are done when they are issued, in the
// layout that the machine's have in shared memory. Under ThreadSanitizer the arrivals at a barrier
// come before the end of the wait for its phase, and nothing else is ordered: a tile that is copied
// over before all threads of a group are done with it is reported. What it cannot find: a product
// that is issued and not waited for.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "kernels/cuda_launch.h"

#define KAPPASCOPE_GRID_CONSTANT

namespace kappascope::wgmma {

struct TensorMap {
  const std::uint16_t* data;
  std::int64_t size[3];
  int box;  // lines of 64 values
};

// The address whose 16-byte chunk holds this one's: within 1,024 bytes, line XOR chunk.
inline unsigned char* swizzled(unsigned char* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address);
  return address + std::ptrdiff_t((bits ^ (bits >> 3 & 0x70)) - bits);
}

class Barrier {
 public:
  void init(std::uint32_t arrivals) {
    known_ = 1;
    set(int(arrivals));
  }
  void arrive() {
    (void)known_;
    count(1, 0);
  }
  void arrive_for(std::uint32_t bytes) {
    (void)known_;
    count(1, int(bytes));
  }
  EMULATED_UNSEEN void copied(int bytes) { count(0, -bytes); }
  void wait(std::uint32_t parity) {
    (void)known_;
    wait_for(parity);
  }

 private:
  EMULATED_UNSEEN void set(int arrivals) {
    arrivals_ = pending_ = arrivals;
    bytes_ = 0;
    parity_ = 0;
  }
  EMULATED_UNSEEN void count(int arrivals, int bytes) {
    emulated::release(token_[parity_]);
    pending_ -= arrivals;
    bytes_ += bytes;
    if (pending_ < 0 || bytes_ < 0) { std::abort(); }  // more than the phase expects
    if (pending_ > 0 || bytes_ > 0) { return; }
    pending_ = arrivals_;
    parity_ ^= 1;
  }
  EMULATED_UNSEEN void wait_for(std::uint32_t parity) {
    while (parity_ == parity) { emulated::let_others(); }
    emulated::acquire(token_[parity]);
  }

  volatile char known_;  // read by all: whether init comes before their use of the barrier
  int arrivals_, pending_, bytes_;
  std::uint32_t parity_;  // of the phase that goes on
  char token_[2];
};

inline void publish_barriers() {}

// A copy takes a while, and not the same: those who wait see every state of a barrier.
EMULATED_UNSEEN inline void let_time_pass() {
  static unsigned copies = 0;
  const unsigned rounds = ++copies * 7 % 5;
  for (unsigned i = 0; i < rounds; ++i) { emulated::let_others(); }
}

inline void copy_3d(const TensorMap& map, Barrier& barrier, void* to, int c0, int c1, int c2) {
  if (reinterpret_cast<std::uintptr_t>(to) % 1024) { std::abort(); }
  auto* bytes = static_cast<unsigned char*>(to);
  for (int line = 0; line < map.box; ++line) {
    for (int i = 0; i < 64; ++i) {
      const bool inside = c0 + i < map.size[0] && c1 + line < map.size[1];
      const std::int64_t at = (c2 * map.size[1] + c1 + line) * map.size[0] + c0 + i;
      const std::uint16_t value = inside ? map.data[at] : 0;
      std::memcpy(swizzled(bytes + line * 128 + i * 2), &value, 2);
    }
  }
  let_time_pass();
  barrier.copied(map.box * 128);
}
inline void copy_2d(const TensorMap& map, Barrier& barrier, void* to, int c0, int c1) {
  copy_3d(map, barrier, to, c0, c1, 0);
}

inline void give_registers() {}
inline void take_registers() {}

// An address in place of the machine's 64 bits.
class Operand {
 public:
  explicit Operand(const void* tile) : bits_(reinterpret_cast<std::uintptr_t>(tile)) {
    if (bits_ % 1024) { std::abort(); }
  }
  std::uint64_t at(int bytes) const { return bits_ + std::uint64_t(bytes); }

 private:
  std::uint64_t bits_;
};

// Products are the work of four warps at once: none begins before all are there, and what one has
// waited for is done for all.
EMULATED_UNSEEN inline void group_barrier() {
  static struct {
    int arrived = 0, passed = 0;
    char token[2];
  } groups[8];
  auto& group = groups[threadIdx.x / 128];
  const int passed = group.passed;
  emulated::release(group.token[passed % 2]);
  if (++group.arrived == 128) {
    group.arrived = 0;
    ++group.passed;
  }
  while (group.passed == passed) { emulated::let_others(); }
  emulated::acquire(group.token[passed % 2]);
}
inline void begin_products() {
  group_barrier();
}
inline void end_products() {}
template <int Open>
void wait_products() {
  group_barrier();
}
template <int N>
void hold(float (&)[N]) {}

inline float value_at(std::uint64_t address) {
  BFloat16 value;
  std::memcpy(&value, swizzled(reinterpret_cast<unsigned char*>(address)), sizeof value);
  return widen(value);
}

// Each value is read once by a thread.
template <int N>
void multiply_add(float (&sum)[N / 2], std::uint64_t w, std::uint64_t x) {
  const int thread = int(threadIdx.x) % 128, lane = thread % 32;
  const int column = 16 * (thread / 32) + lane / 4;
  for (int k = 0; k < 16; ++k) {
    const std::uint64_t of_w = w + std::uint64_t(k / 8 * 1024 + k % 8 * 128 + column * 2);
    const float weight[2] = {value_at(of_w), value_at(of_w + 8 * 2)};
    for (int at = 0; at < N / 4; ++at) {
      const int row = at / 2 * 8 + 2 * (lane % 4) + at % 2;
      const float value = value_at(x + std::uint64_t(row / 8 * 1024 + row % 8 * 128 + k * 2));
      sum[at / 2 * 4 + at % 2] += weight[0] * value;
      sum[at / 2 * 4 + at % 2 + 2] += weight[1] * value;
    }
  }
}

inline void store_blocks(void* line, const std::uint32_t (&words)[4]) {
  const int lane = emulated::lane();
  const auto mine = reinterpret_cast<std::uint64_t>(line);
  for (int block = 0; block < 4; ++block) {
    for (int i = 0; i < 2; ++i) {  // row 2·(lane % 4) + i of column lane / 4
      const std::uint64_t to = emulated::from_lane(mine, 8 * block + 2 * (lane % 4) + i);
      const auto value = std::uint16_t(words[block] >> (16 * i));
      std::memcpy(reinterpret_cast<unsigned char*>(to) + lane / 4 * 2, &value, sizeof value);
    }
  }
}

inline int make_map(TensorMap& map, const void* data, std::uint64_t s0, std::uint64_t s1,
                    std::uint64_t s2, int box) {
  map = {static_cast<const std::uint16_t*>(data),
         {std::int64_t(s0), std::int64_t(s1), std::int64_t(s2)},
         box};
  return s0 * 2 % 16 ? int(cudaErrorInvalidValue) : 0;
}

template <typename Kernel>
int allow_shared(Kernel, int bytes) {
  return bytes <= 227 * 1024 ? 0 : int(cudaErrorInvalidValue);
}

}  // namespace kappascope::wgmma
