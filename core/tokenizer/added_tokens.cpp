#include "core/tokenizer/added_tokens.h"

#include <algorithm>

#include "core/tokenizer/text_pattern.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

bool word_starts_at(std::string_view text, std::size_t at) {
  return at < text.size() && is_word(decode_utf8(text, at).value);
}

// The start of the code point that ends at `end` > 0.
std::size_t character_before(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) { --at; }
  return at;
}

std::size_t spaces_before(std::string_view text, std::size_t end, std::size_t least) {
  while (end > least) {
    const std::size_t at = character_before(text, end);
    if (!is_space(decode_utf8(text, at).value)) { break; }
    end = at;
  }
  return std::max(end, least);
}

std::size_t spaces_after(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const CodePoint code = decode_utf8(text, at);
    if (!is_space(code.value)) { break; }
    at += code.length;
  }
  return at;
}

// Widens a match by the spaces that its token takes; false where the token is not meant to be.
bool apply_flags(std::string_view text, std::size_t done, AddedTokenFinder::Match& match) {
  const AddedToken& token = *match.token;
  const bool inside_word =
      token.single_word &&
      ((match.begin > 0 && word_starts_at(text, character_before(text, match.begin))) ||
       word_starts_at(text, match.end));
  if (inside_word) { return false; }
  if (token.left_strip) { match.begin = spaces_before(text, match.begin, done); }
  if (token.right_strip) { match.end = spaces_after(text, match.end); }
  return true;
}

unsigned char byte_at(const std::string& text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<Spelling> spellings)
    : spellings_(std::move(spellings)) {
  std::sort(spellings_.begin(), spellings_.end(),
            [](const Spelling& a, const Spelling& b) { return a.text < b.text; });
  for (const Spelling& spelling : spellings_) { ++first_byte_[byte_at(spelling.text, 0) + 1U]; }
  for (std::size_t i = 1; i < first_byte_.size(); ++i) { first_byte_[i] += first_byte_[i - 1]; }
}

const AddedTokenFinder::Spelling* AddedTokenFinder::longest_at(std::string_view text,
                                                               std::size_t at) const {
  const auto first = static_cast<unsigned char>(text[at]);
  auto low = spellings_.begin() + first_byte_[first];
  auto high = spellings_.begin() + first_byte_[first + 1U];
  const Spelling* longest = nullptr;
  // [low, high): the spellings that agree with the text in their first `length` bytes.
  for (std::size_t length = 1; low != high; ++length) {
    if (low->text.size() == length) { longest = &*low++; }
    if (at + length >= text.size()) { break; }
    const auto next = static_cast<unsigned char>(text[at + length]);
    low = std::lower_bound(low, high, next, [&](const Spelling& spelling, unsigned char byte) {
      return byte_at(spelling.text, length) < byte;
    });
    high = std::upper_bound(low, high, next, [&](unsigned char byte, const Spelling& spelling) {
      return byte < byte_at(spelling.text, length);
    });
  }
  return longest;
}

std::vector<AddedTokenFinder::Match> AddedTokenFinder::find(std::string_view text) const {
  std::vector<Match> matches;
  if (spellings_.empty()) { return matches; }
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Spelling* found = longest_at(text, at);
    if (found == nullptr) {
      ++at;
      continue;
    }
    Match match{at, at + found->text.size(), found->token};
    at = match.end;
    if (match.token != nullptr && !apply_flags(text, done, match)) { continue; }
    // Its own blanks may be those that the token before it has taken.
    if (match.begin >= match.end) { continue; }
    done = match.end;
    matches.push_back(match);
  }
  return matches;
}

}  // namespace kappascope
