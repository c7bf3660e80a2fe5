// The twin test's own means: memory of the device, random inputs, comparisons. No test framework:
// on a machine with a GPU nothing but compiler, CUDA and Torch can be counted on.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/cuda_device.h"
#include "kernels/element.h"

namespace kappascope::twin {

// Ends the program: without memory or after a failed launch nothing can be compared.
inline void require_ok(int error, const char* what) {
  if (!error) { return; }
  std::printf("FAILED %s: %s\n", what, cuda_error_text(error));
  std::exit(1);
}

// Values in the memory of the device, and their copy on the host. What is not given starts as
// bytes 0xff (NaN, −1), so that an element no kernel writes is seen.
template <typename T>
class Values {
 public:
  explicit Values(std::size_t count) : host(count), count_(count) {
    std::memset(static_cast<void*>(host.data()), 0xff, bytes());
    allocate();
  }
  Values(std::vector<T> values) : host(std::move(values)), count_(host.size()) { allocate(); }
  ~Values() { cuda_release(device_); }
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;

  T* device() const { return static_cast<T*>(device_); }
  // What the device holds now. Ends the program when a kernel wrote behind it, where a device has
  // memory all the same.
  std::vector<T> fetch() const {
    std::vector<unsigned char> guard(kGuard);
    const void* end = static_cast<const char*>(device_) + bytes();
    require_ok(cuda_copy(guard.data(), end, kGuard), "copy from the device");
    for (const unsigned char byte : guard) {
      if (byte != kUntouched) {
        std::printf("FAILED: a kernel wrote behind its memory\n");
        std::exit(1);
      }
    }
    std::vector<T> values(count_);
    require_ok(cuda_copy(values.data(), device_, std::int64_t(bytes())), "copy from the device");
    return values;
  }
  std::vector<T> host;  // what the reference reads and writes

 private:
  static constexpr std::int64_t kGuard = 256;  // bytes behind the values
  static constexpr int kUntouched = 0xa5;
  std::size_t bytes() const { return count_ * sizeof(T); }
  void allocate() {
    require_ok(cuda_allocate(&device_, std::int64_t(bytes() + kGuard)), "device memory");
    require_ok(cuda_fill(device_, kUntouched, std::int64_t(bytes() + kGuard)), "device memory");
    require_ok(cuda_copy(device_, host.data(), std::int64_t(bytes())), "copy to the device");
  }
  std::size_t count_;
  void* device_ = nullptr;
};

// The same numbers on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2654435761u + 1) {}
  std::uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return std::uint32_t(state_ >> 32);
  }
  float uniform() { return float(bits() >> 8) * 0x1p-24f; }
  // Near enough to a normal number.
  float normal(float deviation = 1) {
    return deviation * 1.7320508f * (uniform() + uniform() + uniform() + uniform() - 2);
  }
  std::vector<float> normals(std::int64_t count, float deviation = 1) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) { value = normal(deviation); }
    return values;
  }

 private:
  std::uint64_t state_;
};

// Comparisons of one row of the table. Fails on NaN unless both sides have it.
class Check {
 public:
  void begin(std::string where) { where_ = std::move(where); }

  template <typename T>
  void equal(const char* what, const std::vector<T>& ours, const std::vector<T>& reference) {
    for (std::size_t i = 0; i < reference.size(); ++i) {
      if (!(ours[i] == reference[i])) {
        return fail(what, i, double(ours[i]), double(reference[i]));
      }
    }
    compared_ += reference.size();
  }

  // |ours − reference| ≤ tolerance·(scale + |reference|).
  void close(const char* what, const std::vector<float>& ours, const std::vector<float>& reference,
             double tolerance, double scale = 1) {
    for (std::size_t i = 0; i < reference.size(); ++i) {
      close_value(what, i, double(ours[i]), double(reference[i]), tolerance, scale);
    }
  }
  void close_value(const char* what, std::size_t at, double ours, double reference,
                   double tolerance, double scale) {
    ++compared_;
    if (std::isnan(ours) && std::isnan(reference)) { return; }
    const double excess =
        std::fabs(ours - reference) / (tolerance * (scale + std::fabs(reference)));
    if (excess <= 1) {
      if (excess > worst_) { worst_ = excess; }
    } else if (ours != reference) {  // also where either is NaN
      fail(what, at, ours, reference);
    }
  }
  void holds(const char* what, bool held) {
    ++compared_;
    if (!held) { fail(what, 0, 0, 1); }
  }

  bool passed() const { return failures_ == 0 && compared_ > 0; }
  std::string report() const {
    char line[120];
    std::snprintf(line, sizeof line, "%zu values, worst difference %.3f of the tolerance",
                  compared_, worst_);
    return line;
  }

 private:
  void fail(const char* what, std::size_t at, double ours, double reference) {
    if (++failures_ <= 5) {
      std::printf("FAILED %s: %s[%zu] is %.9g, the reference %.9g\n", where_.c_str(), what, at,
                  ours, reference);
    }
  }
  std::string where_;
  std::size_t compared_ = 0, failures_ = 0;
  double worst_ = 0;
};

// One row: the name of the kernel and its comparison with the reference at a number of tokens.
struct Row {
  const char* name;
  void (*compare)(std::int64_t tokens, Check& check);
};

void compare_route(std::int64_t tokens, Check& check);
void compare_soft_route(std::int64_t tokens, Check& check);
void compare_group(std::int64_t tokens, Check& check);
void compare_dispatch(std::int64_t tokens, Check& check);
void compare_combine(std::int64_t tokens, Check& check);
void compare_grouped_swiglu(std::int64_t tokens, Check& check);
void compare_kappa_swiglu_backward(std::int64_t tokens, Check& check);
void compare_sum_effects(std::int64_t tokens, Check& check);
void compare_few_rows(std::int64_t tokens, Check& check);
void compare_few_route(std::int64_t tokens, Check& check);
void compare_few_product(std::int64_t tokens, Check& check);
void compare_few_combine(std::int64_t tokens, Check& check);
void compare_next_token(std::int64_t tokens, Check& check);
void compare_wgmma_product(std::int64_t tokens, Check& check);
void compare_wgmma_swiglu(std::int64_t tokens, Check& check);

// A routing of random logits, by the reference, for the rows that need one.
struct Routed {
  std::int64_t tokens, slots, experts, capacity;
  std::vector<std::int32_t> expert_index, queue_position, assigned, row_start, cell_row, row_cell;
  std::vector<std::int32_t> tile_expert, tile_row, tile_rows;
  std::vector<std::uint8_t> kept;
  std::vector<float> weight, score;
  std::int64_t rows() const { return row_start.back(); }
};
Routed make_routing(std::int64_t tokens, std::int64_t slots, std::int64_t experts,
                    std::int64_t capacity);

// `values` rounded to the element type and widened again.
template <typename T>
std::vector<T> as_elements(const std::vector<float>& values) {
  std::vector<T> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) { narrow(values[i], result[i]); }
  return result;
}
template <typename T>
std::vector<float> widened(const std::vector<T>& values) {
  std::vector<float> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) { result[i] = widen(values[i]); }
  return result;
}
template <typename T>
constexpr Element element_of() {
  return std::is_same_v<T, float> ? Element::float32 : Element::bfloat16;
}

}  // namespace kappascope::twin
