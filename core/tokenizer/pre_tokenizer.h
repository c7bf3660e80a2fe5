// The "pre_tokenizer" of a tokenizer.json: how a normalized text is cut into the pieces that are
// merged one by one.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/tokenizer/aligned_text.h"
#include "core/tokenizer/text_pattern.h"

namespace kappascope {

// What becomes of the matches of a pattern that cuts.
enum class SplitBehavior : std::uint8_t {
  removed,               // they are left out
  isolated,              // pieces of their own
  merged_with_previous,  // the end of the piece before, unless that is a match, too
  merged_with_next,      // the start of the piece after, likewise
  contiguous,            // neighbouring matches are one piece
};

// Steps in order. Immutable; safe to use from several threads.
class PreTokenizer {
 public:
  struct Split {
    TextPattern pattern;
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;  // what is between the matches counts as match
  };
  // Spaces become `replacement`, which pieces then start with: always, where they are the start of
  // the text, or never.
  struct Metaspace {
    enum class Prepend : std::uint8_t { always, first, never };
    std::string replacement;
    Prepend prepend = Prepend::always;
    bool split = true;
  };
  struct PrefixSpace {};  // a space in front of pieces that have none
  using Step = std::variant<Split, Metaspace, PrefixSpace>;

  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<Step> steps) : steps_(std::move(steps)) {}

  // ByteLevel (last), Split, Metaspace, Digits, Punctuation, Whitespace, WhitespaceSplit,
  // CharDelimiterSplit, Sequence or null; another type: unsupported, by name. Malformed: damaged.
  static PreTokenizer read(const Json& json, std::string_view file);

  // Pieces are merged as bytes, not as characters.
  bool byte_level() const { return byte_level_; }

  // The step that Metaspace is, if there is one.
  const Metaspace* metaspace() const;

  struct Piece {
    std::size_t begin = 0, end = 0;  // bytes, begin < end
  };

  // Cuts texts in one thread; keeps the patterns' scratch space and their bound on work.
  class Cutter {
   public:
    // `source` names the texts in messages.
    Cutter(const PreTokenizer& pre_tokenizer, std::string_view source);
    // Pieces of `text` in order; `text` is changed where a step puts something in.
    void cut(AlignedText& text, std::vector<Piece>& pieces);

   private:
    void split(const Split& step, TextPattern::Search& search, std::string_view text,
               std::vector<Piece>& pieces);

    const PreTokenizer& pre_tokenizer_;
    std::vector<TextPattern::Search> searches_;  // of the Split steps
    std::vector<TextPart> parts_;
    std::vector<Piece> cut_;
  };

 private:
  void read_step(const Json& json, const std::string& place, std::string_view file);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace kappascope
