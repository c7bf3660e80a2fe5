#include "core/tokenizer/newer_characters.h"

#include <utf8proc.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <vector>

#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr utf8proc_int32_t kLast = 0x3FFFF;  // of the planes in which characters are still assigned

struct NewerRange {
  char32_t first, last;
  std::string_view category;  // "Sm"
};

std::string_view category_of(char32_t code) {
  return utf8proc_category_string(static_cast<utf8proc_int32_t>(code));
}

// Every character that utf8proc knows, in order.
std::string assigned_characters() {
  std::string all;
  for (utf8proc_int32_t code = 0; code <= kLast; ++code) {
    const utf8proc_category_t category = utf8proc_category(code);
    if (category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CO ||
        category == UTF8PROC_CATEGORY_CS) {
      continue;
    }
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto length = utf8proc_encode_char(code, bytes.data());
    all.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
  }
  return all;
}

void add(char32_t code, std::vector<NewerRange>& ranges) {
  const std::string_view category = category_of(code);
  if (!ranges.empty() && ranges.back().last + 1 == code && ranges.back().category == category) {
    ranges.back().last = code;
  } else {
    ranges.push_back({code, code, category});
  }
}

// Of those the ones that PCRE2 takes for unassigned.
std::vector<NewerRange> find_newer() {
  int error = 0;
  PCRE2_SIZE place = 0;
  const auto* const pattern = reinterpret_cast<PCRE2_SPTR>("\\p{Cn}+");
  const std::unique_ptr<pcre2_code, void (*)(pcre2_code*)> code(
      pcre2_compile(pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &place, nullptr),
      pcre2_code_free);
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  if (code == nullptr || data == nullptr) { throw std::bad_alloc(); }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  const std::string all = assigned_characters();
  std::vector<NewerRange> ranges;
  for (std::size_t at = 0; at < all.size();) {
    const int found = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(all.data()), all.size(),
                                  at, PCRE2_NO_UTF_CHECK, data.get(), nullptr);
    if (found <= 0) { break; }
    const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(data.get());
    for (at = ends[0]; at < ends[1];) {
      const CodePoint newer = decode_utf8(all, at);
      add(newer.value, ranges);
      at += newer.length;
    }
  }
  return ranges;
}

}  // namespace

std::string newer_characters(std::string_view category) {
  static const std::vector<NewerRange> kNewer = find_newer();
  std::string text;
  for (const NewerRange& range : kNewer) {
    if (!range.category.starts_with(category)) { continue; }
    char words[32];
    std::snprintf(words, sizeof words, range.first == range.last ? "\\x{%x}" : "\\x{%x}-\\x{%x}",
                  unsigned(range.first), unsigned(range.last));
    text += words;
  }
  return text;
}

}  // namespace kappascope
