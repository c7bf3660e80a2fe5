#include "core/checkpoint/tensor.h"

#include <sha2.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include "core/checkpoint/deflate.h"

namespace kappascope {
namespace {

struct DTypeRow {
  std::string_view name;
  std::size_t bytes;
};

const DTypeRow& row(DType dtype) {
  static constexpr std::array<DTypeRow, 16> kRows = {{{"float32", 4},
                                                      {"bfloat16", 2},
                                                      {"float16", 2},
                                                      {"int64", 8},
                                                      {"int32", 4},
                                                      {"uint8", 1},
                                                      {"bool", 1},
                                                      {"float64", 8},
                                                      {"int8", 1},
                                                      {"int16", 2},
                                                      {"uint16", 2},
                                                      {"uint32", 4},
                                                      {"uint64", 8},
                                                      {"float8_e4m3", 1},
                                                      {"float8_e5m2", 1},
                                                      {"float8_e8m0", 1}}};
  return kRows.at(static_cast<std::size_t>(dtype));
}

float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
float from_float16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1FU;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: fraction · 2⁻²⁴, exact in float32
    const float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent - 15 + 127;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

template <typename T>
T load(const std::byte* from) {
  T value{};
  std::memcpy(&value, from, sizeof value);
  return value;
}

// The elements of a tensor one after another, last axis fastest. Two axes at a time go by small
// squares: a transposed matrix is read along its columns, and each line of the cache serves
// several.
class RowByRow {
 public:
  RowByRow(const TensorInfo& tensor, const std::byte* from, std::byte* to)
      : width_(dtype_bytes(tensor.dtype)), from_(from), to_(to) {
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
      if (tensor.shape[axis] == 1) { continue; }
      extents_.push_back(static_cast<std::size_t>(tensor.shape[axis]));
      steps_.push_back(static_cast<std::size_t>(tensor.strides[axis]) * width_);
    }
    while (extents_.size() < 2) {
      extents_.insert(extents_.begin(), 1);
      steps_.insert(steps_.begin(), 0);
    }
  }

  void copy() {
    const std::size_t outer = extents_.size() - 2;
    std::vector<std::size_t> at(outer, 0);
    const std::size_t matrix = extents_[outer] * extents_[outer + 1] * width_;
    for (std::byte* to = to_;; to += matrix) {
      std::size_t from = 0;
      for (std::size_t axis = 0; axis < outer; ++axis) { from += at[axis] * steps_[axis]; }
      switch (width_) {
        case 8:
          copy_matrix<8>(from_ + from, to);
          break;
        case 4:
          copy_matrix<4>(from_ + from, to);
          break;
        case 2:
          copy_matrix<2>(from_ + from, to);
          break;
        default:
          copy_matrix<1>(from_ + from, to);
      }
      std::size_t axis = outer;
      while (axis > 0 && ++at[axis - 1] == extents_[axis - 1]) { at[--axis] = 0; }
      if (axis == 0) { return; }
    }
  }

 private:
  template <std::size_t kWidth>
  void copy_matrix(const std::byte* from, std::byte* to) const {
    constexpr std::size_t kSquare = 32;
    const std::size_t rows = extents_[extents_.size() - 2], columns = extents_.back();
    const std::size_t row_step = steps_[steps_.size() - 2], column_step = steps_.back();
    for (std::size_t row = 0; row < rows; row += kSquare) {
      for (std::size_t column = 0; column < columns; column += kSquare) {
        for (std::size_t r = row; r < std::min(rows, row + kSquare); ++r) {
          for (std::size_t c = column; c < std::min(columns, column + kSquare); ++c) {
            std::memcpy(to + (r * columns + c) * kWidth, from + r * row_step + c * column_step,
                        kWidth);
          }
        }
      }
    }
  }

  std::size_t width_;  // bytes of an element
  const std::byte* from_;
  std::byte* to_;
  std::vector<std::size_t> extents_;  // without those of 1; at least two
  std::vector<std::size_t> steps_;    // in bytes
};

std::unique_ptr<std::byte[]> row_by_row(const TensorInfo& tensor,
                                        std::span<const std::byte> stored) {
  auto copy = std::make_unique_for_overwrite<std::byte[]>(tensor.bytes);
  if (tensor.strides.empty()) {
    std::memcpy(copy.get(), stored.data(), tensor.bytes);
  } else {
    RowByRow(tensor, stored.data(), copy.get()).copy();
  }
  return copy;
}

std::string hex_digest(SHA2_CTX& context) {
  std::array<char, SHA256_DIGEST_STRING_LENGTH> text{};
  return SHA256End(&context, text.data());
}

void update(SHA2_CTX& context, std::string_view text) {
  SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

}  // namespace

std::size_t dtype_bytes(DType dtype) {
  return row(dtype).bytes;
}

std::string_view dtype_name(DType dtype) {
  return row(dtype).name;
}

bool is_float(DType dtype) {
  return dtype == DType::float32 || dtype == DType::bfloat16 || dtype == DType::float16 ||
         dtype == DType::float64;
}

std::int64_t TensorInfo::elements() const {
  return static_cast<std::int64_t>(bytes / dtype_bytes(dtype));
}

std::uint64_t TensorInfo::stored_bytes() const {
  if (strides.empty() || bytes == 0) { return bytes; }
  std::uint64_t last = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    last += static_cast<std::uint64_t>((shape[axis] - 1) * strides[axis]);
  }
  return (last + 1) * dtype_bytes(dtype);
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

struct TensorFile::Copies {
  std::mutex mutex;
  std::map<const TensorInfo*, std::unique_ptr<std::byte[]>> of;
  std::map<std::int32_t, std::unique_ptr<std::byte[]>> unpacked;  // contents of entries
};

TensorFile::TensorFile(InputFile file, std::vector<TensorInfo> tensors,
                       std::vector<PackedEntry> packed, std::vector<OtherMember> others,
                       std::set<std::string> wrappers)
    : tensors_(std::move(tensors)),
      packed_(std::move(packed)),
      others_(std::move(others)),
      wrappers_(std::move(wrappers)),
      copies_(std::make_unique<Copies>()) {
  files_.push_back(std::move(file));
  sort();
}

TensorFile TensorFile::join(std::vector<TensorFile> shards) {
  require(!shards.empty(), ExitCode::internal, {}, "no shards to join");
  TensorFile all = std::move(shards.front());
  for (std::size_t i = 1; i < shards.size(); ++i) {
    TensorFile& shard = shards[i];
    const auto file = static_cast<std::uint32_t>(all.files_.size());
    const auto packed = static_cast<std::int32_t>(all.packed_.size());
    for (TensorInfo& tensor : shard.tensors_) {
      tensor.file += file;
      if (tensor.packed >= 0) { tensor.packed += packed; }
      all.tensors_.push_back(std::move(tensor));
    }
    for (PackedEntry& entry : shard.packed_) {
      entry.file += file;
      all.packed_.push_back(std::move(entry));
    }
    std::move(shard.files_.begin(), shard.files_.end(), std::back_inserter(all.files_));
    std::move(shard.others_.begin(), shard.others_.end(), std::back_inserter(all.others_));
    all.wrappers_.merge(shard.wrappers_);
  }
  all.sort();
  return all;
}

TensorFile::TensorFile(TensorFile&&) noexcept = default;
TensorFile& TensorFile::operator=(TensorFile&&) noexcept = default;
TensorFile::~TensorFile() = default;

void TensorFile::sort() {
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  Faults faults(file().path());
  for (std::size_t i = 1; i < tensors_.size(); ++i) {
    const bool is_first_twin = tensors_[i].name == tensors_[i - 1].name &&
                               (i == 1 || tensors_[i].name != tensors_[i - 2].name);
    if (!is_first_twin) { continue; }
    const std::string &first = file_of(tensors_[i - 1]).path(),
                      &second = file_of(tensors_[i]).path();
    faults.add(ExitCode::damaged, tensors_[i].name, "occurs more than once",
               first == second ? "" : join_words("; in ", first, " and in ", second));
  }
  faults.throw_if_any();
}

void TensorFile::strip_prefix(std::string_view prefix) {
  const auto strip = [&](std::string& name) {
    if (name.starts_with(prefix)) { name.erase(0, prefix.size()); }
  };
  for (TensorInfo& tensor : tensors_) { strip(tensor.name); }
  for (OtherMember& other : others_) { strip(other.name); }
  sort();
}

const OtherMember* TensorFile::find_other(std::string_view name) const {
  const auto found = std::find_if(others_.begin(), others_.end(),
                                  [&](const OtherMember& other) { return other.name == name; });
  return found == others_.end() ? nullptr : &*found;
}

bool TensorFile::copied(const TensorInfo& tensor) const {
  return tensor.bytes > 0 && (tensor.packed >= 0 || !tensor.strides.empty() ||
                              tensor.offset % dtype_bytes(tensor.dtype) != 0);
}

const TensorInfo* TensorFile::find(std::string_view name) const {
  const auto found = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const TensorInfo& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

// The part of the file, or of a compressed entry's contents, that has the tensor. Under the lock.
std::span<const std::byte> TensorFile::stored(const TensorInfo& tensor) const {
  if (tensor.packed < 0) {
    return file_of(tensor).map(tensor.offset, tensor.stored_bytes(), "tensor data");
  }
  const PackedEntry& from = packed_.at(static_cast<std::size_t>(tensor.packed));
  std::unique_ptr<std::byte[]>& contents = copies_->unpacked[tensor.packed];
  if (contents == nullptr) {
    auto made = std::make_unique_for_overwrite<std::byte[]>(from.entry.full_size);
    const InputFile& file = files_[from.file];
    inflate(file, from.begin, from.entry, {made.get(), from.entry.full_size},
            Place{file.path(), tensor.name});
    contents = std::move(made);
  }
  return {contents.get() + tensor.offset, tensor.stored_bytes()};
}

std::span<const std::byte> TensorFile::data(const TensorInfo& tensor) const {
  if (tensor.bytes == 0) { return {}; }
  if (!copied(tensor)) { return stored(tensor); }
  const std::unique_lock lock(copies_->mutex);
  const auto from = stored(tensor);
  if (tensor.packed >= 0 && tensor.strides.empty()) { return from; }
  std::unique_ptr<std::byte[]>& copy = copies_->of[&tensor];
  if (copy == nullptr) { copy = row_by_row(tensor, from); }
  return {copy.get(), tensor.bytes};
}

void TensorFile::read(const TensorInfo& tensor, std::uint64_t first,
                      std::span<std::byte> into) const {
  if (into.empty()) { return; }
  if (readable(tensor)) { return file_of(tensor).read(tensor.offset + first, into, "tensor data"); }
  std::memcpy(into.data(), data(tensor).data() + first, into.size());
}

std::vector<float> TensorFile::floats(const TensorInfo& tensor, std::int64_t first,
                                      std::int64_t count) const {
  const Place place{file_of(tensor).path(), tensor.name, -1};
  require(is_float(tensor.dtype), ExitCode::damaged, place,
          "expected a floating-point dtype, found ", dtype_name(tensor.dtype));
  require(
      first >= 0 && count >= 0 && first <= tensor.elements() && count <= tensor.elements() - first,
      ExitCode::internal, place, "elements outside the tensor were asked for");
  const std::size_t width = dtype_bytes(tensor.dtype);
  std::vector<float> values(static_cast<std::size_t>(count));
  if (values.empty()) { return values; }
  std::vector<std::byte> room(values.size() * width);
  read(tensor, static_cast<std::uint64_t>(first) * width, room);
  const std::byte* from = room.data();
  if (tensor.dtype == DType::float32) {
    std::memcpy(values.data(), from, values.size() * sizeof(float));
  } else if (tensor.dtype == DType::float64) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(load<double>(from + i * width));
    }
  } else if (tensor.dtype == DType::bfloat16) {  // a loop of its own: it is inlined
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = from_bfloat16(load<std::uint16_t>(from + i * width));
    }
  } else {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = from_float16(load<std::uint16_t>(from + i * width));
    }
  }
  file_of(tensor).require_unchanged();
  return values;
}

std::vector<float> TensorFile::floats(const TensorInfo& tensor) const {
  return floats(tensor, 0, tensor.elements());
}

std::uint64_t TensorFile::size() const {
  std::uint64_t bytes = 0;
  for (const InputFile& file : files_) { bytes += file.size(); }
  return bytes;
}

void TensorFile::require_unchanged() const {
  for (const InputFile& file : files_) { file.require_unchanged(); }
}

void TensorFile::prefetch(const TensorInfo& tensor, std::uint64_t first,
                          std::uint64_t bytes) const {
  if (!readable(tensor) || first >= tensor.bytes) { return; }
  file_of(tensor).prefetch(tensor.offset + first, std::min(bytes, tensor.bytes - first));
}

void TensorFile::release(const TensorInfo& tensor, std::uint64_t first, std::uint64_t bytes) const {
  if (!readable(tensor) || first >= tensor.bytes) { return; }
  file_of(tensor).release(tensor.offset + first, std::min(bytes, tensor.bytes - first));
}

std::string TensorFile::directory_sha256() const {
  SHA2_CTX context;
  SHA256Init(&context);
  for (const TensorInfo& tensor : tensors_) {
    update(context, join_words(tensor.name, " ", dtype_name(tensor.dtype), " ",
                               shape_text(tensor.shape), " ", tensor.offset,
                               tensor.strides.empty() ? "" : " " + shape_text(tensor.strides),
                               tensor.file == 0 ? "" : " " + std::to_string(tensor.file), "\n"));
  }
  return hex_digest(context);
}

std::string sha256_hex(std::string_view text) {
  SHA2_CTX context;
  SHA256Init(&context);
  update(context, text);
  return hex_digest(context);
}

}  // namespace kappascope
