// The "normalizer" of a tokenizer.json: what is done to a text before it is cut.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/tokenizer/aligned_text.h"
#include "core/tokenizer/text_pattern.h"
#include "core/tokenizer/unicode_forms.h"

namespace kappascope {

// Steps in order. Immutable; safe to use from several threads.
class Normalizer {
 public:
  struct Prepend {
    std::string text;
  };
  struct Replace {
    TextPattern pattern;
    std::string content;
  };
  struct Strip {
    bool left = false, right = false;
  };
  struct ExtraSpaces {};  // those at both ends, and of several in a row all but one
  enum class Characters : std::uint8_t { lowercase, strip_accents, nmt };
  using Step = std::variant<Prepend, Replace, Strip, ExtraSpaces, Characters, UnicodeForm>;

  Normalizer() = default;
  explicit Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {}

  // NFC, NFD, NFKC, NFKD, Lowercase, Nmt, Prepend, Replace, Strip, StripAccents, Sequence or null;
  // another type: unsupported, by name. Malformed: damaged.
  static Normalizer read(const Json& json, std::string_view file);

  // Cost O(n log n) in the text's bytes n, but for a pattern that wants more (damaged). `source`
  // names the text in messages.
  void apply(AlignedText& text, std::string_view source) const;

  bool empty() const { return steps_.empty(); }

 private:
  std::vector<Step> steps_;
};

}  // namespace kappascope
