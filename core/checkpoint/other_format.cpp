#include "core/checkpoint/other_format.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "core/utf8.h"

namespace kappascope {
namespace {

// Bytes that a file of a format begins with. `command`: what unpacks it to standard output.
struct Magic {
  std::string_view bytes;
  std::string_view what;
  std::string_view command;
};
constexpr std::array<Magic, 5> kCompressed = {
    {{"\x1f\x8b", "compressed with gzip", "gzip -dc"},
     {"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -dc"},
     {"\xfd\x37zXZ", "compressed with xz", "xz -dc"},
     {"BZh", "compressed with bzip2", "bzip2 -dc"},
     {"\x04\x22\x4d\x18", "compressed with lz4", "lz4 -dc"}}};
constexpr std::array<Magic, 4> kOthers = {{{"GGUF", "a GGUF file", ""},
                                           {"\x89HDF\r\n", "an HDF5 file", ""},
                                           {"\x93NUMPY", "a single .npy array", ""},
                                           {"7z\xbc\xaf", "a 7z archive", ""}}};

// The magic number 0x1950a86a20f9469cfc6c, with which torch.save began before its archives.
constexpr std::string_view kOldTorch("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);

bool is_web_page(std::string_view first) {
  if (first.starts_with("\xef\xbb\xbf")) { first.remove_prefix(3); }
  const auto begin = std::find_if(first.begin(), first.end(),
                                  [](unsigned char c) { return std::isspace(c) == 0; });
  std::string lower(begin, first.end());
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 5> kTags = {"<!doctype html", "<html", "<head", "<?xml",
                                                     "<error>"};
  return std::any_of(kTags.begin(), kTags.end(),
                     [&](std::string_view tag) { return lower.starts_with(tag); });
}

// A safetensors file begins with the length of a JSON header, 8 bytes little-endian.
bool is_safetensors(std::string_view first) {
  if (first.size() < 10 || first[8] != '{' || first[9] != '"') { return false; }
  return first[5] == 0 && first[6] == 0 && first[7] == 0;
}

// The beginning of a text, for the message; "" when it is none.
std::string beginning_of_text(std::string_view first) {
  const std::string_view start = first.substr(0, std::min<std::size_t>(first.size(), 40));
  const bool text =
      start.size() >= 8 && std::all_of(start.begin(), start.end(), [](char c) {
        return static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\r' || c == '\t';
      });
  std::string_view whole = start;
  while (!whole.empty() && !is_utf8(whole)) { whole.remove_suffix(1); }
  if (!text || whole.size() + 4 <= start.size()) { return ""; }
  return std::string(whole.substr(0, whole.find_first_of("\r\n")));
}

std::string save_anew(std::string_view load, std::string_view path) {
  return join_words("python3 -c \"import os, sys, torch; p = sys.argv[1]; ", load,
                    "; torch.save(s, p + '.new'); os.replace(p + '.new', p)\" ",
                    shell_quoted(path));
}

std::string torch_format(std::string_view first, std::string_view path) {
  if (first.size() > 2 && first[0] == '\x80' && first.substr(2).starts_with(kOldTorch)) {
    return "the old format of torch.save, no zip archive; save it anew: " +
           save_anew("s = torch.load(p, weights_only=True)", path);
  }
  if (is_safetensors(first)) {
    return "a safetensors file; save it as one of torch.save: " +
           save_anew("from safetensors.torch import load_file; s = load_file(p)", path);
  }
  return "";
}

}  // namespace

std::string shell_quoted(std::string_view path) {
  std::string text = "'";
  for (const char c : path) { text += c == '\'' ? std::string("'\\''") : std::string(1, c); }
  return text + "'";
}

namespace {

// "" when the format is not known.
std::string known_format(std::string_view first, Expected expected, std::string_view path) {
  if (first.starts_with("version https://git-lfs.github.com/spec/")) {
    return "a Git LFS pointer, not the file that it names; fetch that: git lfs pull";
  }
  if (is_web_page(first)) {
    return "a web page (HTML), not the file that was to be downloaded; take the address of the "
           "file "
           "itself (on Hugging Face /resolve/ instead of /blob/): curl -fL -o " +
           shell_quoted(path) + " ADDRESS";
  }
  for (const Magic& magic : kCompressed) {
    if (!first.starts_with(magic.bytes)) { continue; }
    return join_words(magic.what, "; unpack it: ", magic.command, " < ", shell_quoted(path), " > ",
                      shell_quoted(std::string(path) + ".new"), " && mv ",
                      shell_quoted(std::string(path) + ".new"), " ", shell_quoted(path));
  }
  if (first.size() > 262 && first.substr(257, 5) == "ustar") {
    return "a tar archive; unpack it: tar xf " + shell_quoted(path);
  }
  if (expected == Expected::torch_archive) {
    if (std::string found = torch_format(first, path); !found.empty()) { return found; }
  }
  if (expected == Expected::safetensors && first.starts_with("PK\x03\x04")) {
    return "an archive, perhaps of torch.save, not a safetensors file; a model saved by torch.save "
           "is named pytorch_model.bin in its folder";
  }
  for (const Magic& magic : kOthers) {
    if (first.starts_with(magic.bytes)) {
      return join_words(magic.what, ", not the file expected");
    }
  }
  const bool archive = expected == Expected::torch_archive || expected == Expected::npz_archive;
  const bool protocol = first.size() > 1 && first[1] >= 2 && first[1] <= 5;
  if (archive && first.starts_with("\x80") && protocol) {
    return "a bare pickle, not an archive of torch.save or numpy.savez; save it with torch.save";
  }
  return "";
}

}  // namespace

Failure other_format(std::string_view first, Expected expected, std::string_view path) {
  std::string known = known_format(first, expected, path);
  if (!known.empty()) { return {ExitCode::unsupported, std::move(known)}; }
  const std::string text = expected == Expected::json ? "" : beginning_of_text(first);
  if (text.empty()) { return {}; }
  return {ExitCode::damaged, join_words("a text, not the file expected; it begins with '", text,
                                        "': download the file again")};
}

}  // namespace kappascope
