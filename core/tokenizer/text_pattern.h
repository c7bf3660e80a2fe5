// What normalizers and pre-tokenizers of a tokenizer.json look for in a text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/tokenizer/added_tokens.h"
#include "core/tokenizer/splitter.h"

namespace kappascope {

// Bytes [begin, end) of a text; not empty but where an empty match cuts it.
struct TextPart {
  std::size_t begin = 0, end = 0;
  bool matched = false;
};

// A plain string or several, a regular expression or a class of code points. Immutable; several
// threads may use it, each with a Search of its own.
class TextPattern {
 public:
  using CharacterClass = bool (*)(char32_t);

  static TextPattern of_string(std::string text);
  // Not empty; of those that match at a place the longest.
  static TextPattern of_strings(const std::vector<std::string>& texts);
  static TextPattern of_regex(std::string_view regex, std::string_view file);
  static TextPattern of_class(CharacterClass is_member);

  // {"String": "…"} or {"Regex": "…"}; anything else: damaged. `place` names the component.
  static TextPattern read(const Json& pattern, std::string_view place, std::string_view file);

  class Search {
   public:
    // `source` names the texts in messages.
    Search(const TextPattern& pattern, std::string_view source);
    // The whole of `text` in order, cut into matches and what is between them. Work is linear in
    // the length of all texts, else damaged (splitter.h).
    void cut(std::string_view text, std::vector<TextPart>& parts);

   private:
    const TextPattern& pattern_;
    std::optional<Splitter::Scan> scan_;
  };

 private:
  using Kind = std::variant<std::string, AddedTokenFinder, Splitter, CharacterClass>;
  explicit TextPattern(Kind kind) : kind_(std::move(kind)) {}
  Kind kind_;
};

// The first place of `wanted` in `text` from `begin` on, at most its size; npos: there is none.
// Linear in both, whatever they are.
std::size_t find_text(std::string_view text, std::string_view wanted, std::size_t begin = 0);

// Unicode's classes as the `tokenizers` library asks for them.
bool is_space(char32_t code);        // White_Space
bool is_numeric(char32_t code);      // categories Nd, Nl, No
bool is_punctuation(char32_t code);  // ASCII's signs, categories P*
bool is_mark(char32_t code);         // categories M*
bool is_word(char32_t code);         // \w: alphabetic, M*, Nd, Pc, joiners

void append_utf8(std::string& text, char32_t code);

}  // namespace kappascope
