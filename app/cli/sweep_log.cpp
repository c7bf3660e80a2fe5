#include "app/cli/sweep_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include "core/checkpoint/input_file.h"
#include "core/error.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kLongestLog = std::uint64_t{1} << 30;

[[noreturn]] void fail_io(const std::string& path, std::string_view what) {
  fail(ExitCode::io, {.file = path}, what, ": ", std::generic_category().message(errno));
}

// A line of the log; a null where it was cut off when the process ended.
Json json_of_line(std::string_view line) {
  return Json::parse(line, nullptr, /*allow_exceptions=*/false);
}

std::string json_line(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

SweepLog::SweepLog(const SweepForm& form, const std::filesystem::path& folder, const Json& identity,
                   bool resume, bool force)
    : form_(form), path_((folder / form.file).native()), identity_(identity) {
  const bool there = std::filesystem::exists(path_);
  require(!there || resume || force, ExitCode::io, {.file = path_},
          "results of a sweep are here; --resume goes on with it, --force starts again");
  if (!there || !resume) { return; }
  const std::string text = read_text_file(path_, kLongestLog);
  continued_ = !text.empty();
  cut_off_ = continued_ && text.back() != '\n';
  if (continued_) { read(text, identity); }
}

SweepLog::~SweepLog() {
  if (descriptor_ >= 0) { close(descriptor_); }
}

void SweepLog::open_file() {
  const int begin = continued_ ? 0 : O_TRUNC;
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | begin, 0666);
  if (descriptor_ < 0) { fail_io(path_, "cannot be written"); }
  if (!continued_) { append(json_line({{"schema", form_.schema}, {"settings", identity_}})); }
  if (cut_off_) { append("\n"); }  // that line is no result
}

void SweepLog::read(const std::string& text, const Json& identity) {
  std::string_view left = text;
  const auto next_line = [&] {
    const std::size_t end = left.find('\n');
    const std::string_view line = left.substr(0, end);
    left.remove_prefix(end == left.npos ? left.size() : end + 1);
    return line;
  };
  const Json head = json_of_line(next_line());
  require(head.is_object() && head.value("schema", Json()) == form_.schema, ExitCode::io,
          {.file = path_}, "not the log of a sweep; choose another folder, or --force replaces it");
  const Json& earlier = head.contains("settings") ? head["settings"] : Json();
  for (const auto& [key, value] : identity.items()) {
    const Json before = earlier.is_object() && earlier.contains(key) ? earlier[key] : Json();
    require(before == value, ExitCode::io, {.file = path_},
            "results of another sweep are here: ", key, " was ", before.dump(), ", now ",
            value.dump(), "; choose another folder, or --force replaces them");
  }
  while (!left.empty()) {
    const bool whole = left.find('\n') != left.npos;
    const Json line = json_of_line(next_line());
    const auto integer = [&](const char* key) {
      return line.is_object() && line.value(key, Json()).is_number_integer();
    };
    const bool ours = whole && integer(form_.first) && integer(form_.second) &&
                      line.value(form_.value, Json()).is_number();
    if (!ours) { continue; }
    results_[{line[form_.first].get<std::int64_t>(), line[form_.second].get<std::int64_t>()}] =
        line[form_.value].get<double>();
  }
}

// In one call of the system, so that a line is there whole or, where the process ends in it, cut.
void SweepLog::append(const std::string& text) {
  const ssize_t written = write(descriptor_, text.data(), text.size());
  if (written < 0) { fail_io(path_, "cannot be written"); }
  require(written == ssize_t(text.size()), ExitCode::io, {.file = path_}, "cannot be written");
}

void SweepLog::add(Spot spot, double value) {
  results_[spot] = value;
  if (descriptor_ < 0) { open_file(); }
  append(json_line({{form_.first, spot.first}, {form_.second, spot.second}, {form_.value, value}}));
}

}  // namespace kappascope
