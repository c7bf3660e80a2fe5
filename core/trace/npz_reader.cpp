#include <algorithm>
#include <cstring>

#include "core/checkpoint/deflate.h"
#include "core/checkpoint/other_format.h"
#include "core/checkpoint/tensor.h"
#include "core/trace/npy_header.h"
#include "core/trace/npz.h"

namespace kappascope {
namespace {

constexpr std::string_view kSuffix = ".npy";
constexpr std::uint64_t kMostCopied = 4 << 20;  // bytes of an array that need not be a copy

std::string_view view_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One UTF-32 item as UTF-8, trailing NULs off.
std::string item_text(std::span<const std::byte> item, const Place& place) {
  std::size_t points = item.size() / 4;
  const auto point_at = [&](std::size_t i) {
    std::uint32_t point = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      point |= std::to_integer<std::uint32_t>(item[4 * i + k]) << (8 * k);
    }
    return point;
  };
  while (points > 0 && point_at(points - 1) == 0) { --points; }
  std::string text;
  for (std::size_t i = 0; i < points; ++i) {
    const std::uint32_t point = point_at(i);
    require(point < 0x110000 && (point < 0xd800 || point > 0xdfff), ExitCode::damaged, place,
            "text; expected Unicode code points, found ", point);
    const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (point >> shift & 0x3f)); };
    if (point < 0x80) {
      text += static_cast<char>(point);
    } else if (point < 0x800) {
      text += static_cast<char>(0xc0 | point >> 6);
    } else if (point < 0x10000) {
      text += static_cast<char>(0xe0 | point >> 12);
      tail(6);
    } else {
      text += static_cast<char>(0xf0 | point >> 18);
      tail(12);
      tail(6);
    }
    if (point >= 0x80) { tail(0); }
  }
  return text;
}

}  // namespace

std::string_view type_name(NpyType type) {
  switch (type) {
    case NpyType::boolean:
      return "bool";
    case NpyType::int8:
      return "int8";
    case NpyType::int16:
      return "int16";
    case NpyType::int32:
      return "int32";
    case NpyType::int64:
      return "int64";
    case NpyType::float32:
      return "float32";
    case NpyType::float64:
      return "float64";
    case NpyType::text:
      return "text";
  }
  return "?";
}

// The .npy header of an entry; sets storage.header.
NpyArray NpzReader::read_array(const InputFile& file, std::string_view name, Storage& storage) {
  const Place place{{}, {}, static_cast<std::int64_t>(storage.begin)};
  const ZipEntry& entry = storage.entry;
  const bool packed = entry.method != 0;
  if (packed) { check_deflated(entry, place); }
  const auto contents = [&](std::uint64_t length) {
    if (!packed) { return file.read(storage.begin, length, ".npy header"); }
    std::vector<std::byte> bytes(length);
    inflate(file, storage.begin, entry, bytes, place);
    return bytes;
  };
  const auto start = contents(std::min<std::uint64_t>(entry.full_size, kNpyPreamble));
  const NpyPreamble preamble = parse_npy_preamble(view_of(start), place);
  storage.header = preamble.text_begin + preamble.text_length;
  require(storage.header <= entry.full_size, ExitCode::damaged, place,
          "broken .npy header: expected ", storage.header, " bytes, found ", entry.full_size);
  const auto header = contents(storage.header);
  NpyArray array = parse_npy_dict(view_of(header).substr(preamble.text_begin), name, place);
  const auto expected = static_cast<std::uint64_t>(array.elements() * array.item_bytes());
  const std::uint64_t found = entry.full_size - storage.header;
  require(found == expected, ExitCode::damaged, place, "array data; expected ", expected,
          " bytes for shape ", shape_text(array.shape), ", found ", found);
  return array;
}

NpzReader::NpzReader(const std::filesystem::path& path) : file_(InputFile::open(path)) {
  with_format(file_, Expected::npz_archive, [&] { read_directory(); });
}

void NpzReader::read_directory() {
  const ZipDirectory directory = ZipDirectory::read(file_);
  struct Found {
    NpyArray array;
    Storage storage;
  };
  std::vector<Found> found;
  for (const ZipEntry& entry : directory.entries()) {
    std::string_view name = entry.name;
    if (name.size() <= kSuffix.size() || !name.ends_with(kSuffix)) { continue; }
    name.remove_suffix(kSuffix.size());
    try {
      Storage storage{entry, directory.stored_offset(file_, entry)};
      NpyArray header = read_array(file_, name, storage);
      found.push_back({std::move(header), std::move(storage)});
    } catch (const Error& error) {
      const bool stranger =
          error.code() == ExitCode::damaged || error.code() == ExitCode::unsupported;
      if (!stranger || file_.changed()) { throw; }
      strangers_.emplace(name, error.failure());
    }
  }
  // "a.npy" sorts after "a-b.npy", "a" before "a-b".
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.array.name < b.array.name; });
  for (Found& each : found) {
    arrays_.push_back(std::move(each.array));
    storage_.push_back(std::move(each.storage));
  }
  copies_.resize(arrays_.size());
}

Failure NpzReader::absence(std::string_view name) const {
  const auto stranger = strangers_.find(name);
  return stranger == strangers_.end() ? Failure{ExitCode::damaged, "missing array"}
                                      : stranger->second;
}

bool NpzReader::mentions(std::string_view name) const {
  return find(name) != nullptr || strangers_.find(name) != strangers_.end();
}

void NpzReader::require_unchanged() const {
  if (mapped_) { file_.require_unchanged(); }
}

const NpyArray* NpzReader::find(std::string_view name) const {
  const auto found = std::lower_bound(
      arrays_.begin(), arrays_.end(), name,
      [](const NpyArray& array, std::string_view key) { return array.name < key; });
  return found == arrays_.end() || found->name != name ? nullptr : &*found;
}

NpzReader::Copy NpzReader::make_copy(std::uint64_t size) {
  return Copy(static_cast<std::byte*>(::operator new(size, kAlignment)));
}

bool NpzReader::may_be_view(const NpyArray& array, const Storage& storage) const {
  const bool real = array.type == NpyType::float32 || array.type == NpyType::float64;
  const std::uint64_t begin = storage.begin + storage.header;
  return real && storage.entry.method == 0 && storage.entry.full_size > kMostCopied &&
         begin % static_cast<std::uint64_t>(array.item_bytes()) == 0;
}

std::span<const std::byte> NpzReader::bytes(std::string_view name, NpyType type) const {
  const NpyArray* array = find(name);
  if (array == nullptr) {
    const Failure reason = absence(name);
    fail(reason.code, Place{file_.path(), name}, reason.message);
  }
  require(array->type == type, ExitCode::damaged, Place{file_.path(), name},
          "array type; expected ", type_name(type), ", found ", type_name(array->type));
  const auto index = static_cast<std::size_t>(array - arrays_.data());
  const Storage& storage = storage_[index];
  const std::uint64_t size = storage.entry.full_size - storage.header;
  Copy& copy = copies_[index];
  if (copy != nullptr) { return {copy.get(), size}; }
  if (may_be_view(*array, storage)) {
    mapped_ = true;
    return file_.map(storage.begin + storage.header, size, name);
  }
  if (storage.entry.method == 0) {
    Copy contents = make_copy(size);
    file_.read(storage.begin + storage.header, {contents.get(), size}, name);
    copy = std::move(contents);
    return {copy.get(), size};
  }
  Copy contents = make_copy(storage.entry.full_size);
  inflate(file_, storage.begin, storage.entry, {contents.get(), storage.entry.full_size},
          Place{file_.path(), name});
  std::memmove(contents.get(), contents.get() + storage.header, size);  // aligned, too
  copy = std::move(contents);
  return {copy.get(), size};
}

template <typename T>
std::span<const T> NpzReader::values(std::string_view name, NpyType type) const {
  const std::span<const std::byte> raw = bytes(name, type);
  return {reinterpret_cast<const T*>(raw.data()), raw.size() / sizeof(T)};
}

std::span<const float> NpzReader::float32(std::string_view name) const {
  return values<float>(name, NpyType::float32);
}

std::span<const double> NpzReader::float64(std::string_view name) const {
  return values<double>(name, NpyType::float64);
}

std::span<const std::int8_t> NpzReader::int8(std::string_view name) const {
  return values<std::int8_t>(name, NpyType::int8);
}

std::span<const std::int16_t> NpzReader::int16(std::string_view name) const {
  return values<std::int16_t>(name, NpyType::int16);
}

std::span<const std::int32_t> NpzReader::int32(std::string_view name) const {
  return values<std::int32_t>(name, NpyType::int32);
}

std::span<const std::int64_t> NpzReader::int64(std::string_view name) const {
  return values<std::int64_t>(name, NpyType::int64);
}

std::span<const std::uint8_t> NpzReader::boolean(std::string_view name) const {
  return values<std::uint8_t>(name, NpyType::boolean);
}

std::vector<std::string> NpzReader::text(std::string_view name) const {
  const std::span<const std::byte> raw = bytes(name, NpyType::text);
  const auto width = static_cast<std::size_t>(find(name)->item_bytes());
  std::vector<std::string> items;
  items.reserve(raw.size() / width);
  for (std::size_t begin = 0; begin < raw.size(); begin += width) {
    items.push_back(item_text(raw.subspan(begin, width), Place{file_.path(), name}));
  }
  copies_[find(name) - arrays_.data()].reset();
  return items;
}

}  // namespace kappascope
