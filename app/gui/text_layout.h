// The tokens of a trace as running text: cut into pieces and wrapped like prose, some thousand
// tokens at a time, so that a long text is there at once and the rest follows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/trace/trace.h"

namespace kappascope::gui {

// Part of one token on one line.
struct TextPiece {
  enum class Kind : std::uint8_t {
    letters,
    spaces,
    tab,
    line_feed,
    rest,  // bytes of a character that began in a token before and is shown there
    code,  // what cannot be drawn as itself, in a frame: "\xF0", "\u202E", "U+12345", "<|bos|>"
  };
  std::int32_t token = 0;
  std::uint32_t text = 0;  // offset in the layout's characters
  std::uint32_t length = 0;
  Kind kind = Kind::letters;
  bool wide = false;  // an ideograph, a syllable or an emoji: a line may end on both sides of it
  float x = 0, width = 0;
};

// What the layout needs to know of the fonts; lengths in pixels.
class TextMeasure {
 public:
  virtual ~TextMeasure() = default;
  virtual float letters(std::string_view text) const = 0;
  virtual float code(std::string_view text) const = 0;  // with its frame
  // Bytes of the longest start of `text` that is no wider than `room`; at least one character.
  virtual std::size_t fitting(std::string_view text, float room) const = 0;
  virtual bool is_missing(std::uint32_t character) const = 0;  // no font has it
};

class TextLayout {
 public:
  // Forgets everything; lines will be no wider than `width`. Unless `raw`, a space that a line
  // would begin with takes no room, and a character that is cut into several tokens is shown in the
  // first.
  void start(float width, bool raw);
  // Lays out up to `most` more tokens of `trace`; the same trace and measure from start() on.
  void go_on(const Trace& trace, const TextMeasure& measure, std::int64_t most);
  bool complete(const Trace& trace) const { return next_ >= trace.tokens; }
  std::int64_t tokens() const { return next_; }  // laid out so far

  std::size_t lines() const { return first_of_line_.size(); }
  // Pieces [first, end) of a line.
  std::size_t first_piece(std::size_t line) const { return first_of_line_[line]; }
  std::size_t end_piece(std::size_t line) const {
    return line + 1 < lines() ? first_of_line_[line + 1] : pieces_.size();
  }
  const TextPiece& piece(std::size_t i) const { return pieces_[i]; }
  std::string_view text(const TextPiece& piece) const {
    return std::string_view(characters_).substr(piece.text, piece.length);
  }
  // Line with the first piece of a token that is laid out.
  std::size_t line_of(std::int64_t token) const;
  // The token at, or nearest to, x on a line.
  std::int64_t token_at(std::size_t line, float x) const;

 private:
  void cut(std::string_view bytes, const Trace& trace, const TextMeasure& measure);
  std::string_view join(std::string_view start, const Trace& trace);
  void append(TextPiece::Kind kind, std::string_view text, bool wide = false);
  void place(std::size_t piece, const TextMeasure& measure);
  void break_line(std::size_t at);
  bool may_break_before(std::size_t piece) const;
  float natural_width(const TextPiece& piece, const TextMeasure& measure) const;

  float width_ = 0;
  bool raw_ = false;
  std::int64_t next_ = 0;  // token
  std::size_t owed_ = 0;   // bytes at the start of token next_ that are on a line before
  bool owed_wide_ = false;
  std::string joined_;
  std::string characters_;
  std::vector<TextPiece> pieces_;
  std::vector<std::size_t> first_of_line_;
  float x_ = 0;            // end of the last piece that was placed
  std::size_t break_ = 0;  // last place where the line may end, a piece; the line's first: none
};

}  // namespace kappascope::gui
