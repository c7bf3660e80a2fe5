#include "app/cli/stats_calls.h"

#include <algorithm>

#include "core/utf8.h"

namespace kappascope {
namespace {

// Bytes of the text that a token stands for; 0: the tokenizer added it.
std::int32_t text_bytes(const TokenizedText& text, std::int64_t t) {
  const Token& token = text.tokens[t];
  const std::string& bytes = text.bytes[t];
  if (token.char_start < 0) { return 0; }
  return std::int32_t(
      token.text_bytes(std::ssize(bytes), count_code_points(bytes), bytes.starts_with(' ')));
}

}  // namespace

void CallPacker::put(const CorpusText& text, std::int64_t begin, std::int64_t end) {
  const std::int64_t tokens = std::ssize(text.text.tokens), at = std::ssize(call_.ids);
  for (std::int64_t t = begin; t < end; ++t) {
    call_.ids.push_back(text.text.tokens[t].id);
    call_.bytes.push_back(text_bytes(text.text, t));
    if (text.only_assistant) { call_.counted.push_back(text.text.assistant[t]); }
  }
  call_.texts.push_back({at, at + end - begin, text.document, text.domain, end == tokens, begin});
  call_.next_id = end < tokens ? text.text.tokens[end].id : -1;
  call_.next_bytes = end < tokens ? text_bytes(text.text, end) : 0;
  call_.next_counted = end == tokens || !text.only_assistant || text.text.assistant[end] != 0;
}

void CallPacker::run(std::int64_t pieces) {
  const CorpusCall call = std::move(call_);
  call_ = {};
  if (!call.ids.empty()) { run_(call, pieces); }
}

void CallPacker::flush() {
  run(0);
}

void CallPacker::add(const CorpusText& text, std::int64_t done) {
  const std::int64_t tokens = std::ssize(text.text.tokens);
  if (tokens > room_) { return window_ ? add_windows(text, done) : add_pieces(text, done); }
  if (std::ssize(call_.ids) + tokens > room_) { run(0); }
  put(text, 0, tokens);
}

void CallPacker::add_pieces(const CorpusText& text, std::int64_t done) {
  const std::int64_t tokens = std::ssize(text.text.tokens);
  run(0);
  for (std::int64_t begin = done * room_; begin < tokens; begin += room_) {
    put(text, begin, std::min(tokens, begin + room_));
    if (begin + room_ < tokens) { run(begin / room_ + 1); }
  }
}

// A call has one context: its pieces share none.
void CallPacker::add_windows(const CorpusText& text, std::int64_t done) {
  const std::int64_t tokens = std::ssize(text.text.tokens);
  run(0);
  std::int64_t piece = 0;
  for (std::int64_t counted = 0; counted < tokens; ++piece) {
    const std::int64_t begin = counted == 0 ? 0 : counted - room_ / 2;
    const std::int64_t end = std::min(tokens, begin + room_);
    if (piece >= done) {
      put(text, begin, end);
      call_.first_counted = counted - begin;
      run(piece + 1);
    }
    counted = end;
  }
}

}  // namespace kappascope
