// Each row of each table: the exit code and the line to the letter, in a moment and without a
// great piece of memory.
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "tests/refused/refused.h"

// A file of some bytes must not take more at once, whatever it says of itself.
extern "C" const char* __asan_default_options();
const char* __asan_default_options() {
  return "max_allocation_size_mb=768";
}

namespace kappascope::refused {
namespace {

struct Table {
  const char* name;
  Rows (*rows)();
};
constexpr Table kTables[] = {{"safetensors", safetensors_rows},
                             {"index", index_rows},
                             {"torch", torch_rows},
                             {"config", config_rows},
                             {"tokenizer", tokenizer_rows},
                             {"corpus", corpus_rows},
                             {"result", result_rows},
                             {"word", word_rows}};

std::string without_folder(std::string line, const std::string& folder) {
  for (std::size_t at; (at = line.find(folder)) != line.npos;) {
    line.replace(at, folder.size(), "DIR");
  }
  return line;
}

// As main() ends: the code and the line of the exception in flight.
std::string told(const Row& row, const TempFolder& folder) {
  try {
    return "0 " + without_folder(row.work(folder), folder.path().string());
  } catch (...) {
    const Failure failure = failure_in_flight();
    return std::to_string(int(failure.code)) + " " +
           without_folder(failure.line(), folder.path().string());
  }
}

// END stands for where the end record of trace.npz, of 22 bytes, would begin: its size follows from
// all that a trace says, paths among it.
std::string expected_of(const Row& row, const TempFolder& folder) {
  std::string said = row.said;
  const std::size_t at = said.find(" END:");
  if (at == said.npos) { return said; }
  const auto size = std::filesystem::file_size(folder / "trace.npz");
  return said.replace(at + 1, 3, std::to_string(size - 22));
}

void check(const Row& row) {
  const TempFolder folder;
  const auto begin = std::chrono::steady_clock::now();
  const std::string line = told(row, folder);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(line, expected_of(row, folder)) << "ROW " << row.name;
  if (line.starts_with("0 ")) { return; }
  EXPECT_EQ(line, printable(line)) << row.name << ": more than one line, or control characters";
  EXPECT_LT(taken.count(), 10) << row.name;
}

class Refused : public ::testing::TestWithParam<Table> {};

TEST_P(Refused, SaysWhatIsWrong) {
  for (const Row& row : GetParam().rows()) { check(row); }
}

INSTANTIATE_TEST_SUITE_P(Inputs, Refused, ::testing::ValuesIn(kTables),
                         [](const auto& table) { return std::string(table.param.name); });

TEST(RefusedTables, HaveRowsOfTheirOwnNames) {
  std::set<std::string> names;
  std::size_t count = 0;
  for (const Table& table : kTables) {
    for (const Row& row : table.rows()) {
      EXPECT_TRUE(names.insert(row.name).second) << row.name;
      ++count;
    }
  }
  EXPECT_GE(count, 250U);
}

}  // namespace
}  // namespace kappascope::refused
