#include "core/corpus/text_stream.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace kappascope {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kTextBlock = 1 << 18;   // bytes
constexpr std::size_t kHeldLong = 16U << 20;  // bytes of a line for which memory is not kept

}  // namespace

bool take_byte_order_mark(std::string_view& text) {
  if (!text.starts_with(kByteOrderMark)) { return false; }
  text.remove_prefix(kByteOrderMark.size());
  return true;
}

void refuse_utf16(std::string_view text, std::string_view source) {
  require(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"), ExitCode::damaged,
          {.file = source},
          "the text is UTF-16; expected UTF-8: `iconv -f UTF-16 -t UTF-8` converts it");
}

TextStream::TextStream(std::string path, Packing packing)
    : path_(std::move(path)), bytes_(open_bytes(path_, packing)), block_(kTextBlock) {}

std::string_view TextStream::next() {
  if (!begun_) {
    begun_ = true;
    const std::string_view text = first();
    if (!text.empty()) { return text; }
  }
  return {block_.data(), bytes_->read(block_)};
}

// A packed file may give its first bytes one by one.
std::string_view TextStream::first() {
  std::size_t length = 0;
  while (length < kByteOrderMark.size()) {
    const std::size_t count = bytes_->read(std::span(block_).subspan(length));
    if (count == 0) { break; }
    length += count;
  }
  std::string_view text(block_.data(), length);
  refuse_utf16(text, path_);
  if (take_byte_order_mark(text)) { mark_ = kByteOrderMark.size(); }
  return text;
}

bool LineReader::next() {
  while (find()) {
    if (too_long_ || text_.find_first_not_of(kBlankCharacters) != text_.npos) { return true; }
  }
  return false;
}

// The next line, blank or not.
bool LineReader::find() {
  if (held_.capacity() > kHeldLong) { held_ = {}; }
  held_.clear();
  too_long_ = false;
  bool begun = false;
  for (;;) {
    if (rest_.empty()) { rest_ = stream_.next(); }
    if (rest_.empty()) { break; }
    begun = true;
    const std::size_t end = rest_.find('\n');
    const std::string_view part = rest_.substr(0, end);
    rest_.remove_prefix(std::min(part.size() + 1, rest_.size()));
    if (end != rest_.npos && held_.empty() && !too_long_) {  // the line is inside one block
      ++number_;
      text_ = part;
      return true;
    }
    hold(part);
    if (end != rest_.npos) { break; }
  }
  text_ = held_;
  number_ += begun ? 1 : 0;
  return begun;
}

void LineReader::hold(std::string_view part) {
  too_long_ = too_long_ || held_.size() + part.size() > kLongestDocument;
  if (too_long_) {
    held_ = {};
  } else {
    held_ += part;
  }
}

}  // namespace kappascope
