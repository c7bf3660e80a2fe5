#include "core/error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <new>
#include <system_error>

#include "core/utf8.h"

namespace kappascope {
namespace {

// A hostile name may be as long as its file; an error stays one readable line.
constexpr std::size_t kMaxPartBytes = 4000;
constexpr std::size_t kMaxFaultsListed = 20;

// Characters that move the cursor, break the line or turn the writing direction.
bool is_unsafe(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
  const bool separator = c == 0x2028 || c == 0x2029;
  const bool bidi = c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
                    (c >= 0x2066 && c <= 0x2069);
  return control || separator || bidi;
}

void append_escaped(std::string& out, std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    out += "\\x";
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

std::string printable_part(std::string_view text) {
  if (text.size() <= kMaxPartBytes) { return printable(text); }
  return printable(text.substr(0, kMaxPartBytes)) + "…";
}

// Which code a list of faults gets: damage outweighs what is only not supported.
int gravity(ExitCode code) {
  return code == ExitCode::damaged ? 3 : code == ExitCode::unsupported ? 2 : code != ExitCode::ok;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const std::size_t length = std::max<std::size_t>(point.length, 1);
    const std::string_view bytes = text.substr(at, length);
    if (point.length == 0 || is_unsafe(point.value)) {
      append_escaped(out, bytes);
    } else {
      out += bytes;
    }
    at += length;
  }
  return out;
}

std::string describe(const Place& place, std::string_view what) {
  std::string line;
  if (!place.file.empty()) { line += printable_part(place.file) + ": "; }
  if (!place.tensor.empty()) { line += "tensor " + printable_part(place.tensor) + ": "; }
  if (place.offset >= 0) { line += "offset " + std::to_string(place.offset) + ": "; }
  return line + printable_part(what);
}

std::string option_words(Remedy remedy) {
  const std::string fewer =
      "run fewer tokens at once (--max-tokens, --window; of generate, --tokens)";
  switch (remedy) {
    case Remedy::none:
      return "";
    case Remedy::use_cpu:
      return "run with --device cpu";
    case Remedy::stream_or_use_cpu:
      return "give --gpu-memory SIZE, through which layers are then read one at a time, "
             "or run with --device cpu";
    case Remedy::more_gpu_memory:
      return "give --gpu-memory more, " + fewer + ", or run with --device cpu";
    case Remedy::more_memory:
      return "give --memory more, or " + fewer;
    case Remedy::end_programs:
      return "end other programs, or " + fewer;
    case Remedy::cut_text:
      return "--max-tokens N cuts it, --window runs it in overlapping chunks";
  }
  return "";
}

std::string Failure::line() const {
  const std::string words = option_words(remedy);
  return words.empty() ? message : join_words(message, "; ", words);
}

Failure failure_in_flight() noexcept {
  try {
    throw;
  } catch (const Error& error) { return error.failure(); } catch (const std::bad_alloc&) {
    return {
        ExitCode::memory,
        "out of memory; free some, or raise the limit of this process or container (ulimit -v)"};
  } catch (const std::filesystem::filesystem_error& error) {
    return {ExitCode::io, printable(error.what())};
  } catch (const std::system_error& error) {
    const bool limit = error.code() == std::errc::resource_unavailable_try_again ||
                       error.code() == std::errc::not_enough_memory;
    if (!limit) { return {ExitCode::internal, printable(error.what())}; }
    return {
        ExitCode::memory,
        "no more threads or memory for this process; raise its limits (ulimit -u, ulimit -v), or "
        "run with --threads 1"};
  } catch (const std::exception& error) {
    return {ExitCode::internal, printable(error.what())};
  } catch (...) { return {ExitCode::internal, "an exception of an unknown kind"}; }
}

void Word::append_to(std::string& line) const {
  std::array<char, 32> digits;
  const auto append = [&](const auto... number) {
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number...).ptr;
    line.append(digits.data(), end);
  };
  switch (kind_) {
    case Kind::text:
      line += text_;
      break;
    case Kind::signed_number:
      append(signed_);
      break;
    case Kind::unsigned_number:
      append(unsigned_);
      break;
    case Kind::real:
      append(real_, std::chars_format::general, 6);
      break;
  }
}

std::string join_list(std::initializer_list<Word> words) {
  std::string line;
  for (const Word& word : words) { word.append_to(line); }
  return line;
}

void fail_list(ExitCode code, Remedy remedy, const Place& place, std::initializer_list<Word> what) {
  throw Error({code, describe(place, join_list(what)), remedy});
}

void Faults::add_list(ExitCode code, std::string_view tensor, std::initializer_list<Word> what) {
  ++count_;
  if (texts_.size() < kMaxFaultsListed) {
    texts_.push_back(describe(Place{{}, tensor, -1}, join_list(what)));
  }
  if (gravity(code) > gravity(code_)) { code_ = code; }
}

void Faults::throw_if_any() const {
  if (texts_.empty()) { return; }
  std::string line = printable_part(file_) + ": ";
  for (std::size_t i = 0; i < texts_.size(); ++i) { line += (i == 0 ? "" : "; ") + texts_[i]; }
  if (count_ > texts_.size()) { line += "; … " + std::to_string(count_) + " faults in all"; }
  throw Error(code_, line);
}

}  // namespace kappascope
