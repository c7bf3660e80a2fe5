#include "core/tokenizer/unicode_forms.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "core/tokenizer/text_pattern.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

using Code = utf8proc_int32_t;

// No character before this one combines with those before it.
constexpr Code kFirstCombining = 0x300;

int combining_class(Code code) {
  return utf8proc_get_property(code)->combining_class;
}

// Marks in their canonical order behind their letter. utf8proc's own way is quadratic.
void order_marks(std::vector<Code>& codes) {
  const auto is_starter = [](Code code) { return combining_class(code) == 0; };
  for (auto at = codes.begin(); at != codes.end();) {
    const auto end = std::find_if(at, codes.end(), is_starter);
    std::stable_sort(at, end,
                     [](Code a, Code b) { return combining_class(a) < combining_class(b); });
    at = std::find_if_not(end, codes.end(), is_starter);
  }
}

void compose(std::vector<Code>& codes) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const auto length =
      utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()), kOptions);
  codes.resize(static_cast<std::size_t>(length));
}

class FormWriter {
 public:
  FormWriter(UnicodeForm form, const AlignedText& from)
      : composing_(form == UnicodeForm::nfc || form == UnicodeForm::nfkc),
        options_(static_cast<utf8proc_option_t>(
            UTF8PROC_DECOMPOSE | UTF8PROC_STABLE |
            (form == UnicodeForm::nfkc || form == UnicodeForm::nfkd ? UTF8PROC_COMPAT : 0))),
        from_(from),
        builder_(from) {}

  AlignedText run() {
    const std::string_view text = from_.text();
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint code = decode_utf8(text, at);
      std::array<Code, 32> parts{};  // 18 at most
      int last_bound = 0;
      const auto count = static_cast<std::size_t>(utf8proc_decompose_char(
          static_cast<Code>(code.value), parts.data(), parts.size(), options_, &last_bound));
      if (begins_block(parts[0])) { flush(at); }
      block_.insert(block_.end(), parts.begin(), parts.begin() + count);
      at += code.length;
    }
    flush(text.size());
    return builder_.take();
  }

 private:
  // Whether what comes next cannot change together with the block before it.
  bool begins_block(Code next) {
    if (block_.empty() || combining_class(next) != 0) { return block_.empty(); }
    if (!composing_ || next < kFirstCombining) { return true; }
    std::vector<Code> before = composed();
    std::vector<Code> pair = {before.back(), next};
    compose(pair);
    return combining_class(before.back()) != 0 || pair.size() == 2;
  }

  std::vector<Code> composed() const {
    std::vector<Code> codes = block_;
    order_marks(codes);
    if (composing_) { compose(codes); }
    return codes;
  }

  void flush(std::size_t end) {
    if (block_.empty()) { return; }
    const std::string_view before = from_.text().substr(begin_, end - begin_);
    std::string after;
    for (const Code code : composed()) { append_utf8(after, static_cast<char32_t>(code)); }
    if (after == before) {
      builder_.keep(begin_, end);
    } else {
      builder_.add(after, from_.origin(begin_, end));
    }
    begin_ = end;
    block_.clear();
  }

  bool composing_;
  utf8proc_option_t options_;
  const AlignedText& from_;
  AlignedText::Builder builder_;
  std::vector<Code> block_;  // decomposed
  std::size_t begin_ = 0;    // its first byte
};

}  // namespace

void apply_form(UnicodeForm form, AlignedText& text) {
  // U+0300 starts with the byte 0xCC; no form changes ASCII.
  const unsigned char first_changed = form == UnicodeForm::nfc ? 0xCC : 0x80;
  const std::string_view bytes = text.text();
  const bool changes = std::any_of(bytes.begin(), bytes.end(), [&](char c) {
    return static_cast<unsigned char>(c) >= first_changed;
  });
  if (changes) { text = FormWriter(form, text).run(); }
}

}  // namespace kappascope
