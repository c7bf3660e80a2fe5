// What a file is that was expected to be another.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "core/checkpoint/input_file.h"

namespace kappascope {

enum class Expected : std::uint8_t { torch_archive, npz_archive, pickle, json, safetensors };

// Names the format of a file that is none of the expected one and says how to get from it to that:
// Git LFS pointers, web pages, compressed files, formats of torch.save before its archives, …
// Code ok: it is not known; damaged: a text of no format. `first`: the first bytes of the file, 512
// or all; `path` is for commands.
Failure other_format(std::string_view first, Expected expected, std::string_view path);

// A path for a command line, in single quotes.
std::string shell_quoted(std::string_view path);

// Reads a file with `read`. An Error (damaged) of a file whose format is known becomes that answer;
// of a file that has changed meanwhile, "changed while it was read".
template <typename Read>
auto with_format(const InputFile& file, Expected expected, const Read& read) -> decltype(read()) {
  try {
    return read();
  } catch (const Error& error) {
    if (error.code() != ExitCode::damaged) { throw; }
    file.require_unchanged();
    const auto first = file.read(0, std::min<std::uint64_t>(file.size(), 512), "first bytes");
    const Failure other = other_format({reinterpret_cast<const char*>(first.data()), first.size()},
                                       expected, file.path());
    if (other) { fail(other.code, Place{file.path()}, other.message); }
    throw;
  }
}

}  // namespace kappascope
