#include "app/cli/text_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace kappascope {
namespace {

std::string system_message(int error) {
  return std::generic_category().message(error);
}

// A descriptor that is closed again, unless it is standard input's own.
struct Descriptor {
  int number = -1;
  ~Descriptor() {
    if (number > STDIN_FILENO) { close(number); }
  }
};

// Standard input may be a socket, which cannot be opened by its name.
int open_input(const std::string& path) {
  if (path == kStandardInput) { return STDIN_FILENO; }
  const int number = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  return number < 0 && errno == ENXIO && is_standard_input(path) ? STDIN_FILENO : number;
}

void check_length(std::uint64_t length, const std::string& source) {
  require(length <= kLongestDocument, ExitCode::damaged, {.file = source},
          "text too long; expected at most ", kLongestDocument, " bytes, found ", length,
          length > kLongestDocument + 65536 ? "" : " or more");
}

// Collects lines from blocks of text that follow each other.
class LineFinder {
 public:
  void add(std::string_view block) {
    for (std::size_t at = 0; at < block.size();) {
      const std::size_t end = std::min(block.find('\n', at), block.size());
      const std::string_view part = block.substr(at, end - at);
      blank_ = blank_ && part.find_first_not_of(kBlankCharacters) == std::string_view::npos;
      line_.length += part.size();
      at = end;
      if (at == block.size()) { return; }
      finish();
      ++at;
      line_ = {line_.number, line_.offset + line_.length + 1, 0};
    }
  }

  std::vector<TextLine> take() {
    finish();
    return std::move(lines_);
  }

 private:
  void finish() {
    ++line_.number;
    if (!blank_) { lines_.push_back(line_); }
    blank_ = true;
  }

  std::vector<TextLine> lines_;
  TextLine line_;  // the one being read; its number is that of the line before
  bool blank_ = true;
};

}  // namespace

bool is_standard_input(const std::string& path) {
  constexpr std::array<std::string_view, 4> kNames{"-", "/dev/stdin", "/dev/fd/0",
                                                   "/proc/self/fd/0"};
  return std::find(kNames.begin(), kNames.end(), path) != kNames.end();
}

bool is_regular_file(const std::string& path) {
  struct stat status{};
  return path != kStandardInput && stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         !is_standard_input(path);
}

std::string source_name(const std::string& path) {
  return path == kStandardInput ? "standard input" : path;
}

std::string read_input(const std::string& path) {
  const std::string source = source_name(path);
  const Place place{.file = source};
  const Descriptor input{open_input(path)};
  require(input.number >= 0, ExitCode::io, place, "cannot be opened: ", system_message(errno));
  struct stat status{};
  if (fstat(input.number, &status) == 0 && S_ISREG(status.st_mode)) {
    check_length(std::uint64_t(status.st_size), source);
  }
  std::string text;
  std::array<char, 65536> block;
  for (;;) {
    const ssize_t count = read(input.number, block.data(), block.size());
    if (count < 0 && errno == EINTR) { continue; }
    require(count >= 0, ExitCode::io, place, "cannot be read: ", system_message(errno));
    if (count == 0) { break; }
    text.append(block.data(), std::size_t(count));
    check_length(text.size(), source);
  }
  refuse_utf16(text, source);
  return text;
}

std::vector<TextLine> lines_of(std::string_view text) {
  LineFinder finder;
  finder.add(text);
  return finder.take();
}

std::vector<TextLine> lines_of(const InputFile& file) {
  constexpr std::uint64_t kBlock = 1 << 20;
  LineFinder finder;
  for (std::uint64_t at = 0; at < file.size(); at += kBlock) {
    const auto block = file.read(at, std::min(kBlock, file.size() - at), "text");
    finder.add({reinterpret_cast<const char*>(block.data()), block.size()});
  }
  return finder.take();
}

std::vector<std::string> read_list(const std::string& path) {
  const std::string text = read_input(path);
  std::string_view rest = text;
  take_byte_order_mark(rest);
  const bool by_nul = rest.find('\0') != std::string_view::npos;
  std::vector<std::string> paths;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(by_nul ? '\0' : '\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!by_nul && line.ends_with('\r')) { line.remove_suffix(1); }
    if (line == kStandardInput) {
      line = "./-";  // a file of that name
    }
    if (!line.empty()) { paths.emplace_back(line); }
  }
  return paths;
}

}  // namespace kappascope
