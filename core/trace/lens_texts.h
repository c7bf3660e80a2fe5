// Texts of the tokens that a logit lens finds, as a trace keeps them: cut to a fixed length, since
// the archive is laid out before they are known.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tokenizer/tokenizer.h"

namespace kappascope {

class LensTexts {
 public:
  static constexpr std::int64_t kLongest = 16;  // code points; longer ones end in "…"

  // nullptr: every text is empty.
  explicit LensTexts(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}
  std::int64_t width() const { return tokenizer_ ? kLongest : 1; }
  // As shown to people, of `count` ids.
  std::vector<std::string> of(const std::int32_t* ids, std::int64_t count);

 private:
  const Tokenizer* tokenizer_;
  std::unordered_map<std::int32_t, std::string> known_;
};

}  // namespace kappascope
