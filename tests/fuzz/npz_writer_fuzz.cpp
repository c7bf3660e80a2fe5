// Arrays of any names, types, shapes and values, written: what the reader finds is what was given,
// as it is and compressed.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>
#include <cstring>

#include "core/trace/npz.h"
#include "core/utf8.h"
#include "tests/fuzz/targets.h"
#include "tests/unit/temp_folder.h"

namespace {

using namespace kappascope;
namespace fs = std::filesystem;

struct Given {
  NpyArray array;
  std::string bytes;               // of numbers
  std::vector<std::string> items;  // of texts
};

std::string word(FuzzedDataProvider& data) {
  std::string text = data.ConsumeRandomLengthString(12);
  return is_utf8(text) ? text : "word";
}

Given one(FuzzedDataProvider& data, const std::string& name) {
  Given given;
  given.array = {
      name, static_cast<NpyType>(data.ConsumeIntegralInRange(0, int(NpyType::text))), {}};
  for (int axes = data.ConsumeIntegralInRange(0, 3); axes > 0; --axes) {
    given.array.shape.push_back(data.ConsumeIntegralInRange<std::int64_t>(0, 5));
  }
  if (given.array.type == NpyType::text) { given.array.text_width = 12; }
  const std::int64_t elements = given.array.elements();
  if (given.array.type == NpyType::text) {
    for (std::int64_t i = 0; i < elements; ++i) {
      given.items.push_back(word(data));
      while (given.items.back().ends_with('\0')) { given.items.back().pop_back(); }
    }
  } else {
    given.bytes = data.ConsumeBytesAsString(std::size_t(elements * given.array.item_bytes()));
    given.bytes.resize(std::size_t(elements * given.array.item_bytes()));
    if (given.array.type == NpyType::boolean) {
      for (char& byte : given.bytes) { byte &= 1; }
    }
  }
  return given;
}

void write(const fs::path& path, const std::vector<Given>& all) {
  std::vector<NpyArray> arrays;
  for (const Given& given : all) { arrays.push_back(given.array); }
  NpzWriter writer(path, arrays);
  for (const Given& given : all) {
    if (given.array.type == NpyType::text) {
      writer.write_text(given.array.name, 0, given.items);
    } else {
      writer.write(given.array.name, 0, std::as_bytes(std::span(given.bytes)));
    }
  }
  writer.finish();
}

std::string values(const NpzReader& reader, const NpyArray& array) {
  const auto text = [](const auto& numbers) {
    const auto bytes = std::as_bytes(std::span(numbers));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  switch (array.type) {
    case NpyType::boolean:
      return text(reader.boolean(array.name));
    case NpyType::int8:
      return text(reader.int8(array.name));
    case NpyType::int16:
      return text(reader.int16(array.name));
    case NpyType::int32:
      return text(reader.int32(array.name));
    case NpyType::int64:
      return text(reader.int64(array.name));
    case NpyType::float32:
      return text(reader.float32(array.name));
    case NpyType::float64:
      return text(reader.float64(array.name));
    case NpyType::text:
      break;
  }
  std::abort();
}

void compare(const fs::path& path, const std::vector<Given>& all) {
  const NpzReader reader(path);
  if (reader.arrays().size() != all.size()) { std::abort(); }
  for (const Given& given : all) {
    const NpyArray* found = reader.find(given.array.name);
    if (found == nullptr || found->type != given.array.type || found->shape != given.array.shape) {
      std::abort();
    }
    const bool same = found->type == NpyType::text ? reader.text(found->name) == given.items
                                                   : values(reader, *found) == given.bytes;
    if (!same) { std::abort(); }
  }
}

}  // namespace

void kappascope::testing::fuzz_npz_writer(const std::uint8_t* bytes, std::size_t size) {
  static const kappascope::testing::TempFolder folder;
  FuzzedDataProvider data(bytes, size);
  std::vector<Given> all;
  for (int i = 0; i < 4 && (i == 0 || data.remaining_bytes() > 0); ++i) {
    all.push_back(one(data, "array_" + std::to_string(i)));
  }
  const fs::path plain = folder / "plain.npz", packed = folder / "packed.npz";
  fs::remove(plain);
  fs::remove(packed);
  write(plain, all);
  compare(plain, all);
  compress_npz(plain, packed);
  compare(packed, all);
}
