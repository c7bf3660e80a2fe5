// Tokens that are found in a text as they are written, before anything is merged.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

struct AddedToken {
  std::string text;  // not empty
  std::int32_t id = 0;
  bool special = false;
  bool normalized = false;   // found in the normalized text, by its normalized spelling
  bool single_word = false;  // only between characters that are no parts of words
  bool left_strip = false;   // takes the spaces in front of it, too
  bool right_strip = false;  // and those behind it
};

// Finds the tokens of a set: leftmost, the longest of those that start together. Immutable.
class AddedTokenFinder {
 public:
  struct Spelling {
    std::string text;
    const AddedToken* token = nullptr;  // must outlive this; nullptr: found everywhere
  };

  AddedTokenFinder() = default;
  explicit AddedTokenFinder(std::vector<Spelling> spellings);

  struct Match {
    std::size_t begin = 0, end = 0;  // bytes; spaces that were stripped included
    const AddedToken* token = nullptr;
  };

  // In order; O(length of the longest spelling) for each byte of `text`, far less as a rule.
  std::vector<Match> find(std::string_view text) const;

 private:
  // The longest spelling that starts at text[at], or nullptr.
  const Spelling* longest_at(std::string_view text, std::size_t at) const;

  std::vector<Spelling> spellings_;              // ascending
  std::array<std::uint32_t, 257> first_byte_{};  // where the spellings of each first byte start
};

}  // namespace kappascope
