// Numbers of the tensors of a checkpoint, and of the change from one checkpoint to another, from
// blocks of their values: no tensor is in memory as a whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/tensor.h"
#include "core/engine/progress.h"
#include "core/nan.h"

namespace kappascope {

// Over the finite values of one tensor; NaN where there are none, or where its type is not one of
// single numbers (float8 with scales beside it).
struct TensorNumbers {
  std::int64_t elements = 0, nan = 0, inf = 0;
  double least = kNaN, most = kNaN, mean = kNaN, std = kNaN;  // population standard deviation
  double abs_max = kNaN;
  std::int64_t abs_max_index = -1;  // of the first such element, row by row
  double z_max = kNaN;              // largest |x − mean| / std
  std::int64_t z_outliers = 0;      // |x − mean| > limits.z · std
  std::int64_t abs_outliers = 0;    // |x| > limits.abs, where that is given
};

struct OutlierLimits {
  double z = 6;
  std::optional<double> abs;
};

// Of every tensor, in their order; tensors at a time on all cores, the same numbers whatever their
// number. Interrupted: the progress said stop. Stage::read, in bytes.
std::vector<TensorNumbers> tensor_numbers(const TensorFile& file, const OutlierLimits& limits,
                                          Progress& progress);

enum class TensorStatus : std::uint8_t {
  both,        // compared
  missing,     // only A has it
  extra,       // only B has it
  shape,       // of other shapes
  not_numbers  // of a type that is not one of floating-point numbers
};
const char* name(TensorStatus status);  // "both", …

// From A to B.
struct TensorChange {
  std::string name;
  TensorStatus status = TensorStatus::both;
  const TensorInfo *a = nullptr, *b = nullptr;
  std::int64_t elements = 0;
  double cosine = kNaN;           // a·b / (‖a‖‖b‖); NaN where a norm is 0
  double relative_change = kNaN;  // ‖b − a‖ / ‖a‖
  std::int64_t sign_flips = 0;    // elements of which one is above 0 and the other below
  double most_change = kNaN;      // largest |b − a|
};
struct WeightChange {
  std::vector<TensorChange> tensors;  // by name
  TensorChange whole;                 // of all compared tensors as one; no name
};
WeightChange weight_change(const TensorFile& a, const TensorFile& b, Progress& progress);

}  // namespace kappascope
