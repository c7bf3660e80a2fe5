// Memory of one call, for kernels/cpu/*.cpp.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

namespace kappascope::KAPPASCOPE_ISA {

struct Scratch {
  float* data;  // 64-byte aligned, not set
  explicit Scratch(std::int64_t floats)
      : data(static_cast<float*>(
            std::aligned_alloc(64, (static_cast<std::size_t>(floats) * 4 + 127) / 64 * 64))) {
    if (!data) { throw std::bad_alloc(); }
  }
  ~Scratch() { std::free(data); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

}  // namespace kappascope::KAPPASCOPE_ISA
