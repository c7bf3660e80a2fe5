// The one error type and the one throwing helper of the project.
//
// An Error is a single line for a person plus the exit code of the command line (README, "Exit
// codes"). It is thrown where the fault is found and caught in two places only: main and the job
// worker. It never crosses the border of the engine library: there it travels as a Failure.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kappascope {

enum class ExitCode : int {
  ok = 0,
  internal = 1,     // our own mistake, or a check that failed (selftest)
  usage = 2,        // wrong words on the command line
  damaged = 3,      // truncated, malformed or hostile file
  unsupported = 4,  // well-formed, but unknown or out of range
  io = 5,           // missing, permission, disk full
  memory = 6,
  gpu = 7,
  some_failed = 8,  // part of a batch failed, the rest is written
  locked = 9,       // another process writes into the output folder
  interrupted = 130
};

// Where a fault lies; an empty field is left out of the line.
struct Place {
  std::string_view file = {};
  std::string_view tensor = {};
  std::int64_t offset = -1;  // bytes from the start of the file, −1: unknown
};

// `text` made safe for one terminal line: control characters, line breaks, bidi controls and bytes
// that are no UTF-8 become \xNN.
std::string printable(std::string_view text);

// "FILE: [tensor NAME: ][offset N: ]what", every part printable.
std::string describe(const Place& place, std::string_view what);

// What a person can do about a failure, where the command line says it otherwise than the window.
enum class Remedy : std::uint8_t {
  none,  // or the message itself says it
  use_cpu,
  stream_or_use_cpu,  // the weights do not fit into a GPU's memory
  more_gpu_memory,    // than --gpu-memory allows
  more_memory,        // than --memory allows
  end_programs,       // that take the memory
  cut_text
};

// What the options of the command line do about it: "run with --device cpu"; "" for none.
std::string option_words(Remedy remedy);

// What went wrong, as a value: code ok means nothing did.
struct Failure {
  ExitCode code = ExitCode::ok;
  std::string message;  // one line, without the "kappascope: " in front
  Remedy remedy = Remedy::none;

  std::string line() const;  // of the command line: the message, "; " and the remedy
  explicit operator bool() const { return code != ExitCode::ok; }
};

class Error : public std::exception {
 public:
  Error(ExitCode code, std::string message) : Error(Failure{code, std::move(message)}) {}
  explicit Error(Failure failure) : failure_(std::move(failure)), line_(failure_.line()) {}
  const char* what() const noexcept override { return line_.c_str(); }
  ExitCode code() const { return failure_.code; }
  const Failure& failure() const { return failure_; }

 private:
  Failure failure_;
  std::string line_;
};

// Of the exception in flight, to be called in a catch block: an Error's own; memory, io (file
// system) or internal with one line for any other.
Failure failure_in_flight() noexcept;

// A part of a message: text, or a number as a stream writes it, of a double six digits. It refers
// to the text.
class Word {
 public:
  Word(std::string_view text) : kind_(Kind::text), text_(text) {}
  Word(const std::string& text) : Word(std::string_view(text)) {}
  Word(const char* text) : Word(std::string_view(text)) {}
  Word(const char& letter) : Word(std::string_view(&letter, 1)) {}
  template <std::signed_integral T>
  Word(T number) : kind_(Kind::signed_number), signed_(number) {}
  template <std::unsigned_integral T>
  Word(T number) : kind_(Kind::unsigned_number), unsigned_(number) {}
  template <std::floating_point T>
  Word(T number) : kind_(Kind::real), real_(number) {}

  void append_to(std::string& line) const;

 private:
  enum class Kind : std::uint8_t { text, signed_number, unsigned_number, real };
  Kind kind_;
  union {
    std::string_view text_;
    std::int64_t signed_;
    std::uint64_t unsigned_;
    double real_;
  };
};

// "a", 3, "b" → "a3b". The templates below only collect words, so that each of their many uses
// compiles to little.
std::string join_list(std::initializer_list<Word> words);
template <typename... Parts>
std::string join_words(const Parts&... parts) {
  return join_list({Word(parts)...});
}

[[noreturn]] void fail_list(ExitCode code, Remedy remedy, const Place& place,
                            std::initializer_list<Word> what);
template <typename... Parts>
[[noreturn]] void fail(ExitCode code, const Place& place, const Parts&... what) {
  fail_list(code, Remedy::none, place, {Word(what)...});
}
template <typename... Parts>
[[noreturn]] void fail(ExitCode code, Remedy remedy, const Place& place, const Parts&... what) {
  fail_list(code, remedy, place, {Word(what)...});
}

// Throws Error(code, …) unless `holds`. The words are put together only when it does not.
template <typename... Parts>
void require(bool holds, ExitCode code, const Place& place, const Parts&... what) {
  if (!holds) { fail(code, place, what...); }
}
template <typename... Parts>
void require(bool holds, ExitCode code, Remedy remedy, const Place& place, const Parts&... what) {
  if (!holds) { fail(code, remedy, place, what...); }
}

// Collects every fault of a file, so that a user mends it in one round, and throws them as one
// line.
class Faults {
 public:
  explicit Faults(std::string file) : file_(std::move(file)) {}
  template <typename... Parts>
  void add(ExitCode code, std::string_view tensor, const Parts&... what) {
    add_list(code, tensor, {Word(what)...});
  }
  bool empty() const { return count_ == 0; }
  // Throws "FILE: first; second; …" (at most 20, then their number) with the gravest code:
  // damaged before unsupported.
  void throw_if_any() const;

 private:
  void add_list(ExitCode code, std::string_view tensor, std::initializer_list<Word> what);
  std::string file_;
  std::vector<std::string> texts_;  // the first 20: a hostile file may have millions
  std::size_t count_ = 0;
  ExitCode code_ = ExitCode::ok;
};

}  // namespace kappascope
