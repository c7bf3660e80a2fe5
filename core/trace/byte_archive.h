// Structures as bytes and back: one function of a structure, exchange(archive), names its parts for
// both ways. For files that this program writes for itself, on machines of little endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/error.h"

namespace kappascope {

static_assert(std::endian::native == std::endian::little, "the files are little endian");

template <typename T>
concept PlainNumber = std::is_arithmetic_v<T>;

class ByteWriter {
 public:
  template <PlainNumber T>
  void operator()(const T& value) {
    append(&value, sizeof value);
  }
  void operator()(const std::string& text) {
    (*this)(std::uint64_t(text.size()));
    append(text.data(), text.size());
  }
  template <typename T>
  void operator()(const std::vector<T>& items) {
    (*this)(std::uint64_t(items.size()));
    if constexpr (PlainNumber<T>) {
      append(items.data(), items.size() * sizeof(T));
    } else {
      for (const T& item : items) { (*this)(item); }
    }
  }
  template <typename K, typename V>
  void operator()(const std::map<K, V>& items) {
    (*this)(std::uint64_t(items.size()));
    for (const auto& [key, value] : items) {
      (*this)(key);
      (*this)(value);
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void operator()(const T& value) {
    const_cast<T&>(value).exchange(*this);  // which changes nothing on its way out
  }

  std::vector<std::byte> bytes;

 private:
  void append(const void* from, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), first, first + size);
  }
};

// Whatever the bytes say, no more memory is taken than they can fill.
class ByteReader {
 public:
  // `file`: for messages.
  ByteReader(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  template <PlainNumber T>
  void operator()(T& value) {
    std::memcpy(&value, take(sizeof value), sizeof value);
  }
  void operator()(std::string& text) {
    const std::size_t size = size_of(1);
    text.assign(reinterpret_cast<const char*>(take(size)), size);
  }
  template <typename T>
  void operator()(std::vector<T>& items) {
    if constexpr (PlainNumber<T>) {
      items.resize(size_of(sizeof(T)));
      const std::byte* from = take(items.size() * sizeof(T));
      if (!items.empty()) { std::memcpy(items.data(), from, items.size() * sizeof(T)); }
    } else {
      const std::size_t size = size_of(1);  // an item is one byte or more
      items.clear();
      for (std::size_t i = 0; i < size; ++i) { (*this)(items.emplace_back()); }
    }
  }
  template <typename K, typename V>
  void operator()(std::map<K, V>& items) {
    const std::size_t size = size_of(1);
    items.clear();
    for (std::size_t i = 0; i < size; ++i) {
      K key{};
      (*this)(key);
      (*this)(items[key]);
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void operator()(T& value) {
    value.exchange(*this);
  }

  void require_end() const {
    require(place_ == bytes_.size(), ExitCode::damaged,
            {.file = file_, .offset = std::int64_t(place_)}, "expected the end, found ",
            bytes_.size() - place_, " bytes more");
  }

 private:
  const std::byte* take(std::size_t size) {
    require(size <= bytes_.size() - place_, ExitCode::damaged,
            {.file = file_, .offset = std::int64_t(place_)}, "truncated; expected ", size,
            " bytes, found ", bytes_.size() - place_);
    place_ += size;
    return bytes_.data() + place_ - size;
  }
  std::size_t size_of(std::size_t item) {
    std::uint64_t size = 0;
    (*this)(size);
    require(size <= (bytes_.size() - place_) / item, ExitCode::damaged,
            {.file = file_, .offset = std::int64_t(place_)}, "a list of ", size,
            " items; expected at most the ", bytes_.size() - place_, " bytes that follow");
    return std::size_t(size);
  }

  std::span<const std::byte> bytes_;
  std::string file_;
  std::size_t place_ = 0;
};

}  // namespace kappascope
