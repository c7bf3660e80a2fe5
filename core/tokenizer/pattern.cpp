#include "core/tokenizer/pattern.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/tokenizer/newer_characters.h"

namespace kappascope {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_punctuation(char c) {
  return c > ' ' && c < 0x7F && !is_letter(c) && !(c >= '0' && c <= '9');
}

// Those that tokenizers name. PCRE2's plain names mean more (characters that several scripts use).
bool is_script(std::string_view name) {
  constexpr std::array<std::string_view, 12> kScripts = {
      "Han",  "Hiragana", "Katakana", "Hangul",     "Latin", "Greek",
      "Thai", "Arabic",   "Hebrew",   "Devanagari", "Lao",   "Cyrillic"};
  return std::find(kScripts.begin(), kScripts.end(), name) != kScripts.end();
}

class Translator {
 public:
  Translator(std::string_view pattern, PatternLanguage language, std::string_view file)
      : pattern_(pattern), file_(file), ruby_(language == PatternLanguage::oniguruma) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        class_character();
      } else if (c == '[') {
        open_class();
      } else if (c == '(') {
        open_group();
      } else if (ruby_ && (c == '^' || c == '$' || c == '{')) {
        ruby_sign();
      } else {
        if (c == ')' && caseless_.size() > 1) { caseless_.pop_back(); }
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  bool starts_with(std::string_view words) const {
    return pattern_.substr(at_, words.size()) == words;
  }

  void replace(std::size_t length, std::string_view words) {
    out_ += words;
    at_ += length;
  }

  void copy(std::size_t length) {
    out_ += pattern_.substr(at_, length);
    at_ += length;
  }

  [[noreturn]] void refuse(std::size_t length) const {
    fail(ExitCode::unsupported, {file_}, "the pattern has \"", pattern_.substr(at_, length),
         "\" at byte ", at_, ", which is not supported");
  }

  void escape() {
    if (at_ + 1 == pattern_.size()) { refuse(1); }
    const char c = pattern_[at_ + 1];
    constexpr std::string_view kSame = "dDrntfx";
    constexpr std::string_view kSameOutsideClass = "Az";
    if (c == 's' || c == 'S') {
      replace(2, c == 's' ? "\\p{White_Space}" : "\\P{White_Space}");
    } else if (c == 'p' || c == 'P') {
      property();
    } else if (ruby_ && (c == 'w' || c == 'W' || c == 'u' || c == 'x' || c == 'Z')) {
      ruby_escape(c);
    } else if (is_punctuation(c) || kSame.find(c) != kSame.npos ||
               (!in_class_ && kSameOutsideClass.find(c) != kSame.npos)) {
      copy(2);
    } else {
      refuse(2);
    }
  }

  // ^ and $ are those of any line; {,n} is {0,n}. {n,m}+ is not possessive and {n}? not lazy.
  void ruby_sign() {
    const char c = pattern_[at_];
    if (c == '^') { return replace(1, "(?:\\A|(?<=\\n)(?!\\z))"); }
    if (c == '$') { return replace(1, "(?=\\n|\\z)"); }
    const std::size_t end = pattern_.find_first_not_of("0123456789,", at_ + 1);
    if (end == pattern_.npos || pattern_[end] != '}' || end == at_ + 1) { return copy(1); }
    const std::string_view counts = pattern_.substr(at_ + 1, end - at_ - 1);
    const char after = end + 1 < pattern_.size() ? pattern_[end + 1] : '\0';
    const bool fixed = counts.find(',') == counts.npos;
    if (counts == "," || after == '+' || (after == '?' && fixed)) { refuse(end + 2 - at_); }
    if (counts[0] == ',') {
      out_ += "{0";
      ++at_;
    }
    copy(end + 1 - at_);
  }

  void ruby_escape(char c) {
    if (c == 'w' || (c == 'W' && !in_class_)) {
      // And letters in circles and squares; outside a class the numbers of Latin-1, too.
      std::string word = in_class_ ? "" : R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
      word += R"(\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
      for (const char* category : {"L", "M", "Nd", "Nl", "Pc"}) {
        word += "\\p{" + std::string(category) + "}" + newer_characters(category);
      }
      return replace(2, in_class_ ? word : (c == 'w' ? "[" : "[^") + word + "]");
    }
    if (c == 'Z' && !in_class_) { return copy(2); }
    constexpr std::string_view kHex = "0123456789abcdefABCDEF";
    const std::size_t digits = std::min(pattern_.find_first_not_of(kHex, at_ + 2), pattern_.size());
    if (c == 'u' && digits >= at_ + 6) {
      return replace(6, "\\x{" + std::string(pattern_.substr(at_ + 2, 4)) + "}");
    }
    // \x{…} is a code point, \xNN a byte.
    const bool braced = at_ + 2 < pattern_.size() && pattern_[at_ + 2] == '{';
    const bool ascii = digits >= at_ + 4 && pattern_[at_ + 2] >= '0' && pattern_[at_ + 2] <= '7';
    if (c != 'x' || (!braced && !ascii)) { refuse(2); }
    copy(braced ? 2 : 4);
  }

  // \pL, \p{L} or \p{Lu}. Under the flag i Rust folds a category's case and PCRE2 does not.
  void property() {
    const bool braced = at_ + 2 < pattern_.size() && pattern_[at_ + 2] == '{';
    if (ruby_ && !braced) { refuse(2); }  // there a letter as such
    const std::size_t begin = at_ + (braced ? 3 : 2);
    std::size_t end = begin;
    while (end < pattern_.size() && is_letter(pattern_[end]) && (braced || end == begin)) { ++end; }
    const std::string_view name = pattern_.substr(begin, end - begin);
    const bool closed = !braced || (end < pattern_.size() && pattern_[end] == '}');
    if (ruby_ && closed && braced && is_script(name) && !caseless_.back()) {
      return replace(end + 1 - at_,
                     "\\" + std::string(1, pattern_[at_ + 1]) + "{sc:" + std::string(name) + "}");
    }
    const bool cased = name.size() == 2 && name[0] == 'L' && name[1] != 'o' && name[1] != 'm';
    if (name.empty() || name.size() > 2 || !closed || (cased && caseless_.back())) {
      refuse(end + (braced && closed ? 1 : 0) - at_);
    }
    const std::size_t length = end + (braced ? 1 : 0) - at_;
    const std::string newer = newer_characters(name);
    if (newer.empty()) { return copy(length); }
    const bool without = pattern_[at_ + 1] == 'P';
    if (in_class_ && without) { return copy(length); }  // a class has no way to take some out
    const std::string both = "\\p{" + std::string(name) + "}" + newer;
    replace(length, in_class_ ? both : (without ? "[^" : "[") + both + "]");
  }

  void open_class() {
    in_class_ = true;
    copy(1);
    if (starts_with("^")) { copy(1); }
    if (starts_with("]")) {
      copy(1);  // the first one stands for itself
    }
  }

  // Rust knows nested classes and set operations, PCRE2 would take their signs literally.
  void class_character() {
    for (const std::string_view operation : {"[", "&&", "--", "~~"}) {
      if (starts_with(operation)) { refuse(operation.size()); }
    }
    if (pattern_[at_] == ']') { in_class_ = false; }
    copy(1);
  }

  void open_group() {
    constexpr std::array<std::string_view, 6> kKnown = {"(?:", "(?>", "(?=", "(?!", "(?<=", "(?<!"};
    const bool caseless = caseless_.back();
    for (const std::string_view opening : kKnown) {
      if (!starts_with(opening)) { continue; }
      caseless_.push_back(caseless);
      copy(opening.size());
      return;
    }
    if (starts_with("(*")) { refuse(2); }
    if (starts_with("(?")) { return open_flags(); }
    caseless_.push_back(caseless);
    copy(1);
  }

  // (?i:…) or (?i), with any of the flags i, m, s and, after a minus, those that end.
  void open_flags() {
    const std::size_t end = pattern_.find_first_not_of("ims-", at_ + 2);
    const std::size_t length = std::min(end, pattern_.size()) - at_;
    if (end == pattern_.npos || length == 2) { refuse(length + (end == pattern_.npos ? 0 : 1)); }
    if (pattern_[end] != ':' && pattern_[end] != ')') { refuse(length + 1); }
    // Ruby's m is our s; its (?i) inside a pattern takes the alternatives that follow into a group.
    const bool other_flags = pattern_.substr(at_ + 2, length - 2).find_first_not_of("i-") < end;
    if (ruby_ && (other_flags || (pattern_[end] == ')' && at_ > 0))) { refuse(length + 1); }
    const std::string_view flags = pattern_.substr(at_ + 2, length - 2);
    const std::size_t minus = flags.find('-');
    if (minus != flags.npos && flags.find('-', minus + 1) != flags.npos) { refuse(length + 1); }
    bool caseless = caseless_.back();
    if (flags.find('i') != flags.npos) { caseless = flags.find('i') < minus; }
    if (pattern_[end] == ':') {
      caseless_.push_back(caseless);
    } else {
      caseless_.back() = caseless;
    }
    copy(length + 1);
  }

  std::string_view pattern_;
  std::string_view file_;
  std::size_t at_ = 0;
  std::string out_;
  bool ruby_;
  bool in_class_ = false;
  std::vector<bool> caseless_ = {false};  // of every open group
};

}  // namespace

std::string pcre2_pattern(std::string_view pattern, PatternLanguage language,
                          std::string_view file) {
  require(pattern.size() <= kLongestPattern, ExitCode::unsupported, {file},
          "the pattern is too long; expected at most ", kLongestPattern, " bytes, found ",
          pattern.size());
  return Translator(pattern, language, file).run();
}

}  // namespace kappascope
