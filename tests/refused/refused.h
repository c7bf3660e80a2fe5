// Inputs that are bad, one row each, and to the letter what a person is told of them.
#pragma once

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "tests/unit/temp_folder.h"

namespace kappascope::refused {

using testing::TempFolder;

struct Row {
  std::string name;
  // Lays the input into the folder and reads it as a verb does. What it returns is `said` where
  // nothing is thrown.
  std::function<std::string(const TempFolder& folder)> work;
  // "3 DIR/model.safetensors: …": the exit code of the program and its line on standard error
  // without the "kappascope: " in front, DIR in place of the folder.
  std::string said;
};
using Rows = std::vector<Row>;

// One table for each kind of input.
Rows safetensors_rows();
Rows index_rows();
Rows torch_rows();
Rows config_rows();
Rows tokenizer_rows();
Rows corpus_rows();
Rows result_rows();
Rows word_rows();

inline Rows joined(std::initializer_list<Rows> tables) {
  Rows all;
  for (const Rows& rows : tables) { all.insert(all.end(), rows.begin(), rows.end()); }
  return all;
}

// What is said of the file NAME of these bytes when `read` is called with its path.
template <typename Read>
auto file_row(const std::string& name, const std::string& bytes, const Read& read) {
  return [=](const TempFolder& folder) {
    folder.write(name, bytes);
    read(folder / name);
    return std::string();
  };
}

}  // namespace kappascope::refused
