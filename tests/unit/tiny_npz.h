// Archives of arrays taken apart, and put together again with what a test changes.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/zip.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope::testing {

// The bytes of NAME.npy by NAME.
using Arrays = std::map<std::string, std::string>;

inline Arrays arrays_of(const std::filesystem::path& npz) {
  const InputFile file = InputFile::open(npz);
  const ZipDirectory directory = ZipDirectory::read(file);
  Arrays arrays;
  for (const ZipEntry& entry : directory.entries()) {
    const auto bytes = file.read(directory.data_offset(file, entry), entry.size, "entry");
    arrays[entry.name.substr(0, entry.name.size() - std::string_view(".npy").size())] =
        std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return arrays;
}

// In the order of the names, but the array `last` behind the others where it is there.
inline std::string archive_of(const Arrays& arrays, std::string_view last = "") {
  std::vector<TinyEntry> entries;
  const auto add = [&](const std::string& name, const std::string& data) {
    TinyEntry& entry = entries.emplace_back();
    entry.name = name + ".npy";
    entry.data = data;
  };
  for (const auto& [name, data] : arrays) {
    if (name != last) { add(name, data); }
  }
  const auto end = arrays.find(std::string(last));
  if (end != arrays.end()) { add(end->first, end->second); }
  return tiny_zip(entries).flat();
}

}  // namespace kappascope::testing
