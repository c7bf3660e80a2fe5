// What a user names as a text, as bytes: files, pipes, standard input, folders, lists of files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/input_file.h"
#include "core/corpus/corpus_files.h"
#include "core/corpus/text_stream.h"

namespace kappascope {

inline constexpr const char* kStandardInput = "-";

// "-" or one of the system's names of standard input: it can be read once.
bool is_standard_input(const std::string& path);

// A file that can be read again. Pipes, devices and what is not there are none.
bool is_regular_file(const std::string& path);

// "standard input" for "-", else the path as given.
std::string source_name(const std::string& path);

// All bytes, those of a pipe as they arrive. Cannot be opened or read: io. Longer than 256 MiB, or
// beginning with the mark of UTF-16: damaged, naming the remedy.
std::string read_input(const std::string& path);

// A line that is not blank, without its line break.
struct TextLine {
  std::int64_t number = 0;  // from 1, blank ones counted
  std::uint64_t offset = 0, length = 0;
};
std::vector<TextLine> lines_of(std::string_view text);
std::vector<TextLine> lines_of(const InputFile& file);  // of any length

// The paths in a list: one per line, or each ended by a NUL where there is one (find -print0).
std::vector<std::string> read_list(const std::string& path);

}  // namespace kappascope
