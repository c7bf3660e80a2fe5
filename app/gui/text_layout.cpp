#include "app/gui/text_layout.h"

#include <algorithm>
#include <cstdio>

#include "core/figure/text.h"
#include "core/stats/importance.h"
#include "core/tokenizer/tokenizer.h"
#include "core/trace/token_bytes.h"
#include "core/utf8.h"

namespace kappascope::gui {
namespace {

using Kind = TextPiece::Kind;

bool is_wide(char32_t c) {
  return (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF00 && c <= 0xFFEF) ||
         (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

std::string code_name(char32_t c) {
  char text[16];
  std::snprintf(text, sizeof text, "U+%04X", static_cast<unsigned>(c));
  return text;
}

// What replaces a character that must not be drawn as it is; "" when it may.
std::string replacement(std::string_view bytes, char32_t c, const TextMeasure& measure) {
  if (c > ' ' && c < 0x7F) { return ""; }
  if (measure.is_missing(static_cast<std::uint32_t>(c))) { return code_name(c); }
  std::string plain = plain_text(bytes);
  return plain == bytes ? "" : plain;
}

}  // namespace

void TextLayout::start(float width, bool raw) {
  width_ = width;
  raw_ = raw;
  owed_ = 0;
  next_ = 0;
  characters_.clear();
  pieces_.clear();
  first_of_line_.assign(1, 0);
  x_ = 0;
  break_ = 0;
}

void TextLayout::append(Kind kind, std::string_view text, bool wide) {
  pieces_.push_back({static_cast<std::int32_t>(next_),
                     static_cast<std::uint32_t>(characters_.size()),
                     static_cast<std::uint32_t>(text.size()), kind, wide});
  characters_ += text;
}

// The character that `start`, the last bytes of token next_, begins and tokens after it end; empty
// where they do not. Notes what they owe.
std::string_view TextLayout::join(std::string_view start, const Trace& trace) {
  constexpr std::size_t kLongest = 4;
  if (raw_ || start.size() >= kLongest) { return {}; }
  joined_ = start;
  for (std::int64_t t = next_ + 1; t < trace.tokens && joined_.size() < kLongest; ++t) {
    joined_ += token_bytes(trace, t);
  }
  const CodePoint code = decode_utf8(joined_, 0);
  if (code.length <= start.size()) { return {}; }
  owed_ = code.length - start.size();
  owed_wide_ = is_wide(code.value);
  return std::string_view(joined_).substr(0, code.length);
}

// Appends the pieces of token next_.
void TextLayout::cut(std::string_view bytes, const Trace& trace, const TextMeasure& measure) {
  if (owed_ > 0 && !bytes.empty()) {
    append(Kind::rest, "", owed_wide_);
    const std::size_t paid = std::min(owed_, bytes.size());
    owed_ -= paid;
    bytes.remove_prefix(paid);
  }
  const std::size_t first = pieces_.size();
  // The last piece, when it is of this token and continues with more of `kind`.
  const auto goes_on = [&](Kind kind, bool wide) {
    return pieces_.size() > first && pieces_.back().kind == kind && !wide && !pieces_.back().wide;
  };
  const auto add = [&](Kind kind, std::string_view text, bool wide = false) {
    if (!goes_on(kind, wide)) { return append(kind, text, wide); }
    characters_ += text;
    pieces_.back().length += static_cast<std::uint32_t>(text.size());
  };
  for (std::size_t at = 0; at < bytes.size();) {
    CodePoint code = decode_utf8(bytes, at);
    std::string_view one = bytes.substr(at, std::max<std::size_t>(code.length, 1));
    at += one.size();
    if (code.length == 0) {
      const std::string_view whole = join(bytes.substr(at - 1), trace);
      if (whole.empty()) {
        add(Kind::code, display_text(one));
        continue;
      }
      code = decode_utf8(whole, 0);
      one = whole;
      at = bytes.size();
    }
    if (code.value == ' ') {
      add(Kind::spaces, one);
    } else if (code.value == '\t') {
      append(Kind::tab, "");
    } else if (code.value == '\n') {
      append(Kind::line_feed, "");
    } else if (const std::string other = replacement(one, code.value, measure); !other.empty()) {
      add(Kind::code, other);
    } else {
      add(Kind::letters, one, is_wide(code.value));
    }
  }
}

float TextLayout::natural_width(const TextPiece& piece, const TextMeasure& measure) const {
  switch (piece.kind) {
    case Kind::tab:
      return measure.letters("    ");
    case Kind::line_feed:
      return measure.letters("  ");
    case Kind::rest:
      return measure.letters(" ");
    case Kind::code:
      return measure.code(text(piece));
    default:
      return measure.letters(text(piece));
  }
}

bool TextLayout::may_break_before(std::size_t i) const {
  if (i == 0) { return false; }
  const TextPiece &before = pieces_[i - 1], &piece = pieces_[i];
  if (piece.kind == Kind::rest) { return false; }
  return piece.kind == Kind::spaces || piece.kind == Kind::code || piece.wide ||
         before.kind == Kind::code || before.kind == Kind::tab || before.wide;
}

// Begins a line with piece `at`; it and those after it move there.
void TextLayout::break_line(std::size_t at) {
  first_of_line_.push_back(at);
  break_ = at;
  if (at == pieces_.size()) { return; }
  TextPiece& head = pieces_[at];
  float gone = head.x;
  if (head.kind == Kind::spaces && head.length == 1 && !raw_) {
    gone += head.width;
    head.width = 0;
  }
  head.x = 0;
  for (std::size_t i = at + 1; i < pieces_.size(); ++i) { pieces_[i].x -= gone; }
}

void TextLayout::place(std::size_t i, const TextMeasure& measure) {
  pieces_[i].width = natural_width(pieces_[i], measure);
  if (may_break_before(i)) { break_ = i; }
  pieces_[i].x = x_;
  // A mark of a line's end may be beyond it.
  const auto overflows = [&] {
    return pieces_[i].x + pieces_[i].width > width_ && pieces_[i].kind != Kind::line_feed;
  };
  if (overflows() && break_ > first_of_line_.back()) { break_line(break_); }
  // A word that is longer than a line is cut.
  while (overflows() && (pieces_[i].x > 0 || pieces_[i].kind == Kind::letters)) {
    TextPiece& piece = pieces_[i];
    const std::string_view word = text(piece);
    const float room = width_ - piece.x;
    const bool whole = piece.kind != Kind::letters || piece.width <= width_;
    const std::size_t fits = whole ? 0 : measure.fitting(word, room);
    if (piece.x > 0 && (whole || measure.letters(word.substr(0, fits)) > room)) {
      break_line(i);
      continue;
    }
    if (fits >= word.size()) { break; }
    TextPiece rest = piece;
    rest.text += static_cast<std::uint32_t>(fits);
    rest.length -= static_cast<std::uint32_t>(fits);
    piece.length = static_cast<std::uint32_t>(fits);
    piece.width = measure.letters(text(piece));
    rest.width = natural_width(rest, measure);
    pieces_.insert(pieces_.begin() + static_cast<std::ptrdiff_t>(i) + 1, rest);
    ++i;
    pieces_[i].x = pieces_[i - 1].x + pieces_[i - 1].width;
    break_line(i);
  }
  x_ = pieces_[i].x + pieces_[i].width;
}

void TextLayout::go_on(const Trace& trace, const TextMeasure& measure, std::int64_t most) {
  std::vector<TextPiece> token;
  for (; most > 0 && next_ < trace.tokens; --most, ++next_) {
    const std::size_t first = pieces_.size();
    if (is_control_token(trace, next_)) {
      append(Kind::code, trace.token_text[next_]);
    } else {
      cut(token_bytes(trace, next_), trace, measure);
    }
    if (pieces_.size() == first) {
      append(Kind::code, "#" + std::to_string(trace.token_id[next_]));
    }
    // Placed one by one behind those that are; a cut word makes more of them.
    token.assign(pieces_.begin() + static_cast<std::ptrdiff_t>(first), pieces_.end());
    pieces_.resize(first);
    for (const TextPiece& piece : token) {
      pieces_.push_back(piece);
      place(pieces_.size() - 1, measure);
      if (piece.kind != Kind::line_feed) { continue; }
      break_line(pieces_.size());
      x_ = 0;
    }
  }
}

std::size_t TextLayout::line_of(std::int64_t token) const {
  const auto piece =
      std::lower_bound(pieces_.begin(), pieces_.end(), token,
                       [](const TextPiece& a, std::int64_t t) { return a.token < t; });
  const auto index = static_cast<std::size_t>(piece - pieces_.begin());
  const auto line = std::upper_bound(first_of_line_.begin(), first_of_line_.end(), index);
  return line == first_of_line_.begin()
             ? 0
             : static_cast<std::size_t>(line - first_of_line_.begin()) - 1;
}

std::int64_t TextLayout::token_at(std::size_t line, float x) const {
  std::int64_t token = -1;
  for (std::size_t i = first_piece(line); i < end_piece(line); ++i) {
    if (token >= 0 && pieces_[i].x > x) { break; }
    token = pieces_[i].token;
  }
  return token;
}

}  // namespace kappascope::gui
