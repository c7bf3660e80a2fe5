#include "core/stats/tensor_numbers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <mutex>

#include "core/error.h"
#include "core/parallel.h"

namespace kappascope {
namespace {

constexpr std::int64_t kBlockValues = std::int64_t{1} << 18;  // values at once

// Values of any type of single numbers as doubles.
template <typename T>
void widen(const std::vector<std::byte>& bytes, std::vector<double>& into) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    into[i] = static_cast<double>(value);
  }
}

bool single_numbers(DType dtype) {
  return dtype != DType::float8_e4m3 && dtype != DType::float8_e5m2 && dtype != DType::float8_e8m0;
}

void widen_integers(DType dtype, const std::vector<std::byte>& bytes, std::vector<double>& into) {
  switch (dtype) {
    case DType::float64:
      return widen<double>(bytes, into);
    case DType::int64:
      return widen<std::int64_t>(bytes, into);
    case DType::int32:
      return widen<std::int32_t>(bytes, into);
    case DType::int16:
      return widen<std::int16_t>(bytes, into);
    case DType::int8:
      return widen<std::int8_t>(bytes, into);
    case DType::uint64:
      return widen<std::uint64_t>(bytes, into);
    case DType::uint32:
      return widen<std::uint32_t>(bytes, into);
    case DType::uint16:
      return widen<std::uint16_t>(bytes, into);
    case DType::uint8:
    case DType::boolean:
      return widen<std::uint8_t>(bytes, into);
    default:
      fail(ExitCode::internal, {}, "values of ", dtype_name(dtype));
  }
}

std::vector<double> read_block(const TensorFile& file, const TensorInfo& tensor, std::int64_t first,
                               std::int64_t count) {
  if (is_float(tensor.dtype) && tensor.dtype != DType::float64) {
    const std::vector<float> values = file.floats(tensor, first, count);
    return {values.begin(), values.end()};
  }
  const std::size_t width = dtype_bytes(tensor.dtype);
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * width);
  file.read(tensor, static_cast<std::uint64_t>(first) * width, bytes);
  std::vector<double> values(static_cast<std::size_t>(count));
  widen_integers(tensor.dtype, bytes, values);
  return values;
}

// visit(first, values) for every block of a tensor.
template <typename Visit>
void each_block(const TensorFile& file, const TensorInfo& tensor, Visit&& visit) {
  const std::int64_t size = tensor.elements();
  for (std::int64_t first = 0; first < size; first += kBlockValues) {
    visit(first, read_block(file, tensor, first, std::min(kBlockValues, size - first)));
  }
}

// One progress for threads that work side by side.
class SharedProgress {
 public:
  SharedProgress(Progress& progress, std::uint64_t total) : progress_(progress), total_(total) {}

  // Throws Error (interrupted) when the work should stop.
  void add(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    done_ += bytes;
    if (!progress_.update(Stage::read, done_, total_)) {
      throw Error(ExitCode::interrupted, "interrupted; nothing unfinished is left");
    }
  }

 private:
  Progress& progress_;
  std::uint64_t total_, done_ = 0;
  std::mutex mutex_;
};

// Mean and variance of blocks, joined (Chan, Golub and LeVeque 1979).
struct Moments {
  double count = 0, mean = 0, square = 0;  // Σ (x − mean)²

  void add(const std::vector<double>& values) {
    double n = 0, sum = 0, own = 0;
    for (const double x : values) {
      if (!std::isfinite(x)) { continue; }
      sum += x;
      ++n;
    }
    if (n == 0) { return; }
    const double middle = sum / n;
    for (const double x : values) {
      if (std::isfinite(x)) { own += (x - middle) * (x - middle); }
    }
    const double distance = middle - mean, all = count + n;
    square += own + distance * distance * count * n / all;
    mean += distance * n / all;
    count = all;
  }
};

void add_extremes(TensorNumbers& numbers, std::int64_t first, const std::vector<double>& values,
                  const OutlierLimits& limits) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = values[i];
    if (!std::isfinite(x)) {
      ++(std::isnan(x) ? numbers.nan : numbers.inf);
      continue;
    }
    if (!(x >= numbers.least)) { numbers.least = x; }
    if (!(x <= numbers.most)) { numbers.most = x; }
    if (!(std::abs(x) <= numbers.abs_max)) {
      numbers.abs_max = std::abs(x);
      numbers.abs_max_index = first + static_cast<std::int64_t>(i);
    }
    if (limits.abs && std::abs(x) > *limits.abs) { ++numbers.abs_outliers; }
  }
}

TensorNumbers numbers_of(const TensorFile& file, const TensorInfo& tensor,
                         const OutlierLimits& limits, SharedProgress& progress) {
  TensorNumbers numbers;
  numbers.elements = tensor.elements();
  if (!single_numbers(tensor.dtype)) {
    progress.add(2 * tensor.bytes);
    return numbers;
  }
  const std::uint64_t width = dtype_bytes(tensor.dtype);
  Moments moments;
  each_block(file, tensor, [&](std::int64_t first, const std::vector<double>& values) {
    add_extremes(numbers, first, values, limits);
    moments.add(values);
    progress.add(values.size() * width);
  });
  if (moments.count > 0) {
    numbers.mean = moments.mean;
    numbers.std = std::sqrt(moments.square / moments.count);
  }
  if (!(numbers.std > 0)) {
    progress.add(tensor.bytes);
    return numbers;
  }
  numbers.z_max = std::max(numbers.most - numbers.mean, numbers.mean - numbers.least) / numbers.std;
  if (numbers.z_max <= limits.z) {
    progress.add(tensor.bytes);
    return numbers;
  }
  each_block(file, tensor, [&](std::int64_t, const std::vector<double>& values) {
    for (const double x : values) {
      if (std::isfinite(x) && std::abs(x - numbers.mean) > limits.z * numbers.std) {
        ++numbers.z_outliers;
      }
    }
    progress.add(values.size() * width);
  });
  return numbers;
}

// Sums behind a TensorChange.
struct ChangeSums {
  double aa = 0, bb = 0, ab = 0, dd = 0, most = 0;
  std::int64_t flips = 0, elements = 0;

  void add(double a, double b) {
    aa += a * a;
    bb += b * b;
    ab += a * b;
    dd += (b - a) * (b - a);
    most = std::max(most, std::abs(b - a));
    if (std::isnan(a) || std::isnan(b)) { most = kNaN; }
    flips += (a > 0 && b < 0) || (a < 0 && b > 0);
    ++elements;
  }
  void add(const ChangeSums& other) {
    aa += other.aa;
    bb += other.bb;
    ab += other.ab;
    dd += other.dd;
    most = std::isnan(other.most) ? kNaN : std::max(most, other.most);
    flips += other.flips;
    elements += other.elements;
  }
  void put(TensorChange& change) const {
    change.elements = elements;
    change.sign_flips = flips;
    const double scale = std::sqrt(aa) * std::sqrt(bb);
    if (scale > 0) { change.cosine = ab / scale; }
    if (aa > 0) { change.relative_change = std::sqrt(dd / aa); }
    if (elements > 0) { change.most_change = most; }
  }
};

ChangeSums sums_of(const TensorFile& file_a, const TensorFile& file_b, const TensorChange& change,
                   SharedProgress& progress) {
  ChangeSums sums;
  const std::uint64_t width = dtype_bytes(change.a->dtype);
  each_block(file_a, *change.a, [&](std::int64_t first, const std::vector<double>& a) {
    const std::vector<double> b = read_block(file_b, *change.b, first, std::ssize(a));
    for (std::size_t i = 0; i < a.size(); ++i) { sums.add(a[i], b[i]); }
    progress.add(a.size() * width);
  });
  return sums;
}

TensorStatus status_of(const TensorInfo* a, const TensorInfo* b) {
  if (a == nullptr) { return TensorStatus::extra; }
  if (b == nullptr) { return TensorStatus::missing; }
  if (a->shape != b->shape) { return TensorStatus::shape; }
  return is_float(a->dtype) && is_float(b->dtype) ? TensorStatus::both : TensorStatus::not_numbers;
}

}  // namespace

const char* name(TensorStatus status) {
  switch (status) {
    case TensorStatus::both:
      return "both";
    case TensorStatus::missing:
      return "missing";
    case TensorStatus::extra:
      return "extra";
    case TensorStatus::shape:
      return "shape";
    case TensorStatus::not_numbers:
      return "not_numbers";
  }
  fail(ExitCode::internal, {}, "a status of no kind");
}

std::vector<TensorNumbers> tensor_numbers(const TensorFile& file, const OutlierLimits& limits,
                                          Progress& progress) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : file.tensors()) { bytes += 2 * tensor.bytes; }
  SharedProgress shared(progress, bytes);
  std::vector<TensorNumbers> numbers(file.tensors().size());
  for_each_parallel(std::ssize(numbers), [&](std::int64_t i) {
    numbers[i] = numbers_of(file, file.tensors()[i], limits, shared);
  });
  file.require_unchanged();
  return numbers;
}

WeightChange weight_change(const TensorFile& a, const TensorFile& b, Progress& progress) {
  WeightChange result;
  for (const TensorInfo& tensor : a.tensors()) {
    TensorChange change;
    change.name = tensor.name;
    change.a = &tensor;
    change.b = b.find(tensor.name);
    result.tensors.push_back(std::move(change));
  }
  for (const TensorInfo& tensor : b.tensors()) {
    if (a.find(tensor.name) != nullptr) { continue; }
    TensorChange change;
    change.name = tensor.name;
    change.b = &tensor;
    result.tensors.push_back(std::move(change));
  }
  std::sort(result.tensors.begin(), result.tensors.end(),
            [](const TensorChange& x, const TensorChange& y) { return x.name < y.name; });
  std::uint64_t bytes = 0;
  for (TensorChange& change : result.tensors) {
    change.status = status_of(change.a, change.b);
    if (change.status == TensorStatus::both) { bytes += change.a->bytes; }
  }
  SharedProgress shared(progress, bytes);
  std::vector<ChangeSums> sums(result.tensors.size());
  for_each_parallel(std::ssize(sums), [&](std::int64_t i) {
    TensorChange& change = result.tensors[i];
    if (change.status != TensorStatus::both) { return; }
    sums[i] = sums_of(a, b, change, shared);
    sums[i].put(change);
  });
  ChangeSums all;
  for (const ChangeSums& one : sums) { all.add(one); }
  all.put(result.whole);
  a.require_unchanged();
  b.require_unchanged();
  return result;
}

}  // namespace kappascope
