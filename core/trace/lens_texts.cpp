#include "core/trace/lens_texts.h"

#include "core/utf8.h"

namespace kappascope {
namespace {

// The first code points of a valid text, with "…" in place of what is left out.
std::string shortened(std::string text) {
  if (count_code_points(text) <= LensTexts::kLongest) { return text; }
  std::size_t end = 0;
  for (std::int64_t points = 0; points < LensTexts::kLongest; ++end) {
    points += starts_utf8(text[end]) ? 1 : 0;
  }
  text.resize(end - 1);
  return text + "…";
}

}  // namespace

std::vector<std::string> LensTexts::of(const std::int32_t* ids, std::int64_t count) {
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < count; ++i) {
    std::string text;
    if (tokenizer_) {
      const auto [at, fresh] = known_.try_emplace(ids[i]);
      if (fresh) { at->second = shortened(display_text(tokenizer_->bytes(ids[i]))); }
      text = at->second;
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace kappascope
