#include "core/chat/template_lexer.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace kappascope {
namespace {

constexpr std::string_view kTemplateBlanks = " \t\n\r\v\f";

bool is_name_start(char unit) {
  return (unit >= 'a' && unit <= 'z') || (unit >= 'A' && unit <= 'Z') || unit == '_';
}
bool is_digit(char unit) {
  return unit >= '0' && unit <= '9';
}

// \r\n and \r are \n, and one at the end is left out, as Jinja has it.
std::string with_plain_lines(std::string_view source) {
  std::string result;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      result += '\n';
    }
  }
  if (result.ends_with('\n')) { result.pop_back(); }
  return result;
}

class TemplateReader {
 public:
  TemplateReader(std::string_view source, std::string_view file)
      : source_(source), place_{file, 1, 1} {}

  std::vector<TemplatePiece> run() {
    while (at_ < source_.size()) {
      const std::size_t next = next_mark();
      add_text(next);
      if (at_ == source_.size()) { break; }
      source_[at_ + 1] == '#' ? skip_comment() : add_block();
    }
    return std::move(pieces_);
  }

 private:
  std::size_t next_mark() const {
    for (std::size_t i = at_; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' && std::strchr("{%#", source_[i + 1]) != nullptr) { return i; }
    }
    return source_.size();
  }

  void advance(std::size_t to) {
    for (; at_ < to; ++at_) {
      const bool line = source_[at_] == '\n';
      place_.line += line ? 1 : 0;
      place_.column = line ? 1 : place_.column + 1;
    }
  }

  // The text before the mark at `end`, less the blanks that the mark takes.
  void add_text(std::size_t end) {
    std::string_view text = source_.substr(at_, end - at_);
    const bool mark = end < source_.size();
    const char sign = mark && end + 2 < source_.size() ? source_[end + 2] : ' ';
    if (mark && sign == '-') {
      const std::size_t last = text.find_last_not_of(kTemplateBlanks);
      text = text.substr(0, last == text.npos ? 0 : last + 1);
    } else if (mark && source_[end + 1] != '{' && sign != '+') {
      const std::size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
      const bool begins = line > 0 || line_starts_;
      if (begins && text.find_first_not_of(kTemplateBlanks, line) == text.npos) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) {
      pieces_.push_back({TemplatePiece::Kind::text, std::string(text), {}, place_});
    }
    advance(end);
  }

  // Goes past what closes a block: its sign for blanks, the mark and the blanks it takes.
  void close(std::string_view mark, bool trims) {
    const bool strips = source_[at_] == '-', keeps = source_[at_] == '+';
    std::size_t end = at_ + (strips || keeps ? 1 : 0) + mark.size();
    if (strips) {
      end = std::min(source_.find_first_not_of(kTemplateBlanks, end), source_.size());
    } else if (trims && !keeps && end < source_.size() && source_[end] == '\n') {
      ++end;
    }
    advance(end);
    line_starts_ = source_[end - 1] == '\n';
  }

  void skip_comment() {
    const std::size_t end = source_.find("#}", at_ + 2);
    if (end == source_.npos) { refuse_template(place_, "expected #} after {#, found the end"); }
    const bool sign = end > at_ + 2 && (source_[end - 1] == '-' || source_[end - 1] == '+');
    advance(end - (sign ? 1 : 0));
    close("#}", true);
  }

  void add_block() {
    const bool statement = source_[at_ + 1] == '%';
    const std::string_view mark = statement ? "%}" : "}}";
    TemplatePiece piece{
        statement ? TemplatePiece::Kind::statement : TemplatePiece::Kind::expression,
        {},
        {},
        place_};
    std::size_t begin = at_ + 2;
    if (begin < source_.size() && (source_[begin] == '-' || source_[begin] == '+')) { ++begin; }
    advance(begin);
    int open = 0;  // braces and brackets: "}}" may close two objects
    for (;;) {
      advance(std::min(source_.find_first_not_of(kTemplateBlanks, at_), source_.size()));
      if (at_ == source_.size()) {
        refuse_template(piece.place, "expected ", mark, ", found the end");
      }
      if (open == 0 && at_mark(mark)) { break; }
      TemplateWord word = read_word();
      if (word.kind == TemplateWord::Kind::sign) {
        open += std::strchr("([{", word.text[0]) ? 1 : std::strchr(")]}", word.text[0]) ? -1 : 0;
      }
      piece.words.push_back(std::move(word));
    }
    piece.words.push_back({TemplateWord::Kind::end, std::string(mark), place_});
    close(mark, statement);
    pieces_.push_back(std::move(piece));
  }

  bool at_mark(std::string_view mark) const {
    const std::string_view rest = source_.substr(at_);
    if (rest.starts_with(mark)) { return true; }
    const bool sign = rest.starts_with('-') || (rest.starts_with('+') && mark == "%}");
    return sign && rest.substr(1).starts_with(mark);
  }

  TemplateWord read_word() {
    const TemplatePlace place = place_;
    const char unit = source_[at_];
    if (unit == '\'' || unit == '"') { return {TemplateWord::Kind::text, read_text(unit), place}; }
    const auto take = [&](auto&& belongs) {
      std::size_t end = at_;
      while (end < source_.size() && belongs(source_[end])) { ++end; }
      std::string text(source_.substr(at_, end - at_));
      advance(end);
      return text;
    };
    if (is_name_start(unit)) {
      return {TemplateWord::Kind::name,
              take([](char c) { return is_name_start(c) || is_digit(c); }), place};
    }
    if (is_digit(unit)) { return {TemplateWord::Kind::integer, take(is_digit), place}; }
    return {TemplateWord::Kind::sign, read_sign(), place};
  }

  std::string read_sign() {
    static constexpr std::array<std::string_view, 26> kSigns{
        "==", "!=", "<=", ">=", "//", "**", "=", "<", ">", "+", "-", "*", "/",
        "%",  "~",  "|",  ".",  ",",  ":",  "(", ")", "[", "]", "{", "}", ";"};
    for (const std::string_view sign : kSigns) {
      if (!source_.substr(at_).starts_with(sign)) { continue; }
      advance(at_ + sign.size());
      return std::string(sign);
    }
    refuse_template(place_, "expected a word of Jinja, found the byte ",
                    int(std::uint8_t(source_[at_])));
  }

  // Escapes as Python's, of those that templates have.
  std::string read_text(char quote) {
    const TemplatePlace begin = place_;
    std::string text;
    for (std::size_t i = at_ + 1; i < source_.size(); ++i) {
      if (source_[i] == quote) {
        advance(i + 1);
        return text;
      }
      if (source_[i] != '\\') {
        text += source_[i];
        continue;
      }
      if (++i == source_.size()) { break; }
      constexpr std::string_view kNames = "ntr\\'\"", kUnits = "\n\t\r\\'\"";
      const std::size_t known = kNames.find(source_[i]);
      if (known == kNames.npos) {
        refuse_template(begin, "the escape \\", source_.substr(i, 1), " in a text");
      }
      text += kUnits[known];
    }
    refuse_template(begin, "expected a quote that closes the text, found the end");
  }

  std::string_view source_;
  TemplatePlace place_;  // of at_
  std::size_t at_ = 0;
  bool line_starts_ = true;  // what was before ended with a line break
  std::vector<TemplatePiece> pieces_;
};

}  // namespace

std::vector<TemplatePiece> read_template(std::string_view source, std::string_view file) {
  if (source.size() > kLongestTemplate) {
    refuse_template({file, 1, 1}, "expected at most ", kLongestTemplate, " bytes, found ",
                    source.size());
  }
  const std::string plain = with_plain_lines(source);
  return TemplateReader(plain, file).run();
}

}  // namespace kappascope
