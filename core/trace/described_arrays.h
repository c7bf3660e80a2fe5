// Arrays of one archive, gathered in memory, with what its meta says of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/trace/npz.h"
#include "core/trace/schema.h"

namespace kappascope {

class DescribedArrays {
 public:
  template <typename T>
  void add(const std::string& name, std::vector<std::int64_t> shape, std::vector<T> values,
           const char* about, std::initializer_list<std::string_view> dimensions,
           const char* unit = "") {
    NpyArray array{.name = name, .type = type_of(T{}), .shape = std::move(shape)};
    require(array.elements() == std::ssize(values), ExitCode::internal, {}, "size of ", name);
    const auto bytes = std::as_bytes(std::span(values));
    put(std::move(array), {bytes.begin(), bytes.end()}, about, dimensions, unit);
  }

  // An array that a trace has, too, with as many of its axes as `shape` has.
  template <typename T>
  void add_as_in_trace(std::string_view name, std::vector<std::int64_t> shape,
                       std::vector<T> values) {
    const std::span<const ArraySchema> all = array_schemas();
    const auto schema = std::find_if(all.begin(), all.end(),
                                     [&](const ArraySchema& one) { return one.name == name; });
    require(schema != all.end(), ExitCode::internal, {}, "an array of traces called ", name);
    const std::size_t rank = shape.size();
    add(std::string(name), std::move(shape), std::move(values), "", {});
    described_[std::string(name)] = describe_array(*schema, rank);
  }

  void add_texts(const std::string& name, std::vector<std::int64_t> shape,
                 std::vector<std::string> texts, const char* about,
                 std::initializer_list<std::string_view> dimensions) {
    NpyArray array{.name = name, .type = NpyType::text, .shape = std::move(shape)};
    array.text_width = text_width(texts);
    put(std::move(array), {}, about, dimensions, "");
    items_.back().texts = std::move(texts);
  }

  void write(const std::filesystem::path& path, Json meta) {
    meta["arrays"] = described_;
    const std::string document = meta_text(meta);
    std::vector<NpyArray> arrays{meta_array(document)};
    for (const Item& item : items_) { arrays.push_back(item.array); }
    std::sort(arrays.begin(), arrays.end(),
              [](const NpyArray& a, const NpyArray& b) { return a.name < b.name; });
    NpzWriter writer(path, std::move(arrays));
    writer.write_text(kMetaArray, 0, std::span(&document, 1));
    for (const Item& item : items_) {
      if (item.array.type == NpyType::text) {
        writer.write_text(item.array.name, 0, item.texts);
      } else {
        writer.write(item.array.name, 0, item.bytes);
      }
    }
    writer.finish();
  }

 private:
  struct Item {
    NpyArray array;
    std::vector<std::byte> bytes;
    std::vector<std::string> texts;
  };
  static NpyType type_of(std::int64_t) { return NpyType::int64; }
  static NpyType type_of(std::int32_t) { return NpyType::int32; }
  static NpyType type_of(double) { return NpyType::float64; }
  static NpyType type_of(float) { return NpyType::float32; }

  void put(NpyArray array, std::vector<std::byte> bytes, const char* about,
           std::initializer_list<std::string_view> dimensions, const char* unit) {
    described_[array.name] =
        describe_array(unit, about, std::span(dimensions.begin(), dimensions.end()));
    items_.push_back({std::move(array), std::move(bytes), {}});
  }

  std::vector<Item> items_;
  Json described_ = Json::object();
};

}  // namespace kappascope
