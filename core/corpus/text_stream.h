// A text in blocks, and in lines: what all text forms of a corpus are read through.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/corpus/byte_source.h"

namespace kappascope {

inline constexpr std::uint64_t kLongestDocument = std::uint64_t{256} << 20;  // bytes
inline constexpr std::string_view kBlankCharacters = " \t\r\n\v\f";

// Takes the UTF-8 byte order mark off the front; false when there is none.
bool take_byte_order_mark(std::string_view& text);

// Refuses what begins with the mark of UTF-16 (damaged), naming the remedy.
void refuse_utf16(std::string_view text, std::string_view source);

class TextStream {
 public:
  // Errors: those of open_bytes().
  TextStream(std::string path, Packing packing);

  // What follows, at least one byte, until the next call; "" at the end. A byte order mark is taken
  // off the front. Errors: those of ByteSource::read(); UTF-16: damaged.
  std::string_view next();

  const std::string& path() const { return path_; }
  std::uint64_t mark() const { return mark_; }  // bytes of the byte order mark, 0: none
  std::uint64_t consumed() const { return bytes_->consumed(); }

 private:
  std::string_view first();

  std::string path_;
  std::unique_ptr<ByteSource> bytes_;
  std::vector<char> block_;
  bool begun_ = false;
  std::uint64_t mark_ = 0;
};

// The lines of a text that are not blank, without their line breaks.
class LineReader {
 public:
  explicit LineReader(TextStream& stream) : stream_(stream) {}

  // False at the end. Of a line over kLongestDocument bytes too_long() holds and text() is "".
  bool next();

  std::int64_t number() const { return number_; }  // from 1, blank ones counted
  std::string_view text() const { return text_; }  // until the next call
  bool too_long() const { return too_long_; }

 private:
  bool find();
  void hold(std::string_view part);

  TextStream& stream_;
  std::string_view rest_, text_;  // of the block; the line
  std::string held_;              // the part of a line that earlier blocks had
  std::int64_t number_ = 0;
  bool too_long_ = false;
};

}  // namespace kappascope
