#include "core/tokenizer/text_pattern.h"

#include <utf8proc.h>

#include <array>
#include <cstring>

#include "core/utf8.h"

namespace kappascope {

// Not std::string's find, which compares the whole of `wanted` wherever its first byte is.
std::size_t find_text(std::string_view text, std::string_view wanted, std::size_t begin) {
  const void* at = ::memmem(text.data() + begin, text.size() - begin, wanted.data(), wanted.size());
  return at == nullptr ? text.npos : std::size_t(static_cast<const char*>(at) - text.data());
}

namespace {

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

void add_part(std::vector<TextPart>& parts, std::size_t begin, std::size_t end, bool matched) {
  parts.push_back({begin, end, matched});
}

}  // namespace

TextPattern TextPattern::of_string(std::string text) {
  return TextPattern(Kind(std::move(text)));
}

TextPattern TextPattern::of_strings(const std::vector<std::string>& texts) {
  std::vector<AddedTokenFinder::Spelling> spellings;
  for (const std::string& text : texts) { spellings.push_back({text, nullptr}); }
  return TextPattern(Kind(AddedTokenFinder(std::move(spellings))));
}

TextPattern TextPattern::of_regex(std::string_view regex, std::string_view file) {
  return TextPattern(Kind(Splitter(regex, PatternLanguage::oniguruma, file)));
}

TextPattern TextPattern::of_class(CharacterClass is_member) {
  return TextPattern(Kind(is_member));
}

TextPattern TextPattern::read(const Json& pattern, std::string_view place, std::string_view file) {
  const bool known = pattern.is_object() && pattern.size() == 1 && pattern.begin()->is_string() &&
                     (pattern.contains("String") || pattern.contains("Regex"));
  require(known, ExitCode::damaged, {file}, place,
          R"(.pattern; expected {"String": "…"} or {"Regex": "…"}, found )", found_text(pattern));
  const auto& words = pattern.begin()->get_ref<const std::string&>();
  return pattern.contains("Regex") ? of_regex(words, file) : of_string(words);
}

TextPattern::Search::Search(const TextPattern& pattern, std::string_view source)
    : pattern_(pattern) {
  if (const auto* splitter = std::get_if<Splitter>(&pattern.kind_)) {
    scan_.emplace(*splitter, source);
  }
}

void TextPattern::Search::cut(std::string_view text, std::vector<TextPart>& parts) {
  parts.clear();
  std::size_t done = 0;
  const auto found = [&](std::size_t begin, std::size_t end) {
    if (begin > done) { add_part(parts, done, begin, false); }
    add_part(parts, begin, end, true);
    done = end;
  };
  if (scan_) {
    scan_->start(text);
    for (std::string_view match; scan_->find(match);) {
      const auto begin = static_cast<std::size_t>(match.data() - text.data());
      found(begin, begin + match.size());
    }
  } else if (const auto* finder = std::get_if<AddedTokenFinder>(&pattern_.kind_)) {
    for (const AddedTokenFinder::Match& match : finder->find(text)) {
      found(match.begin, match.end);
    }
  } else if (const auto* wanted = std::get_if<std::string>(&pattern_.kind_)) {
    for (std::size_t at = 0; !wanted->empty() && at + wanted->size() <= text.size(); at = done) {
      at = find_text(text, *wanted, at);
      if (at == text.npos) { break; }
      found(at, at + wanted->size());
    }
  } else {
    const auto is_member = std::get<CharacterClass>(pattern_.kind_);
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint code = decode_utf8(text, at);
      if (is_member(code.value)) { found(at, at + code.length); }
      at += code.length;
    }
  }
  if (done < text.size()) { add_part(parts, done, text.size(), false); }
}

bool is_space(char32_t code) {
  return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_numeric(char32_t code) {
  const auto kind = category(code);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL ||
         kind == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t code) {
  constexpr std::string_view kOtherSigns = "$+<=>^`|~";
  if (code < 0x80 && kOtherSigns.find(static_cast<char>(code)) != kOtherSigns.npos) { return true; }
  const auto kind = category(code);
  return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
}

bool is_mark(char32_t code) {
  const auto kind = category(code);
  return kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME;
}

bool is_word(char32_t code) {
  const auto kind = category(code);
  const bool letter = kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
  // Symbols that are alphabetic: letters in circles and squares.
  const bool enclosed =
      (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
      (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
  return letter || enclosed || is_mark(code) || kind == UTF8PROC_CATEGORY_ND ||
         kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_PC || code == 0x200C ||
         code == 0x200D;
}

void append_utf8(std::string& text, char32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
}

}  // namespace kappascope
