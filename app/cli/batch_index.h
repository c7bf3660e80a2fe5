// What the output folder of several texts says of itself: index.csv, one row per text, and
// batch.json, the command and the settings that all texts share.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "app/cli/output_folder.h"
#include "core/checkpoint/json.h"

namespace kappascope {

enum class TextStatus : std::uint8_t { pending, done, failed };

struct IndexRow {
  std::string folder;  // of its files, in the output folder
  std::string source;  // as the trace's meta names it
  std::int64_t tokens = -1;
  std::string hash;  // SHA-256 of the text; "" where it could not be read
  TextStatus status = TextStatus::pending;
  std::string error;  // one line
};

class BatchIndex {
 public:
  // Reads what an earlier batch left in the folder. `identity`: what decides about the numbers.
  BatchIndex(OutputFolder& folder, std::string command, Json identity);

  // Gives each of `rows` its folder: that of the text of the same source in the earlier batch, or a
  // new one, numbered. An earlier batch of other settings, and unless `adding` one of other texts:
  // io; with `force` it is forgotten, and the returned folders of its results remain.
  std::vector<std::string> begin(std::vector<IndexRow> rows, bool adding, bool force);

  std::vector<IndexRow>& rows() { return rows_; }  // in the order of begin(), then earlier ones

  // The row of text i is of an earlier run that was of the very same text and came to its end.
  bool done_before(std::size_t i) const;

  // Puts both files in their places.
  void save();

  // The same after each of many texts: not when the last time is so near that writing the rows of
  // all texts would be a good part of the work.
  void save_soon();

 private:
  std::string difference(const std::vector<IndexRow>& rows, bool adding) const;

  OutputFolder& folder_;
  std::string command_;
  Json identity_, earlier_identity_;
  std::vector<IndexRow> earlier_, rows_;
  std::vector<bool> done_before_;
  bool saved_batch_ = false;
  std::chrono::steady_clock::time_point last_save_;
  std::chrono::steady_clock::duration save_cost_{};
};

// The name of text `index` (from 0) of a batch: NNN-STEM. What a terminal or a file system would
// not take becomes "_".
std::string numbered_folder(std::size_t index, const std::string& stem);

}  // namespace kappascope
