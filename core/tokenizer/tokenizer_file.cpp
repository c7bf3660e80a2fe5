#include "core/tokenizer/tokenizer_file.h"

#include <algorithm>
#include <numeric>

namespace kappascope {

TokenBook::TokenBook(const std::vector<std::pair<std::string, std::int32_t>>& tokens)
    : tokens_(tokens), order_(tokens.size()), next_(static_cast<std::int32_t>(tokens.size())) {
  std::iota(order_.begin(), order_.end(), 0U);
  std::sort(order_.begin(), order_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return tokens_[a].first < tokens_[b].first; });
}

std::optional<std::size_t> TokenBook::find(std::string_view spelling) const {
  const auto at = std::lower_bound(
      order_.begin(), order_.end(), spelling,
      [&](std::uint32_t index, std::string_view wanted) { return tokens_[index].first < wanted; });
  if (at == order_.end() || tokens_[*at].first != spelling) { return {}; }
  return *at;
}

std::optional<std::int32_t> TokenBook::id(std::string_view spelling,
                                          const TokenizerFile& file) const {
  if (const auto at = added_.find(spelling); at != added_.end()) {
    return file.added[at->second].id;
  }
  const auto index = find(spelling);
  if (!index) { return {}; }
  return tokens_[*index].second;
}

void TokenBook::add(AddedToken token, std::optional<std::int64_t> declared, std::string_view source,
                    TokenizerFile& file) {
  if (token.text.empty()) { return; }
  require(token.text.size() <= kLongestToken, ExitCode::unsupported, {source},
          "an added token is too long; expected at most ", kLongestToken, " bytes, found ",
          token.text.size());
  const std::optional<std::int32_t> known = id(token.text, file);
  token.id = known ? *known : next_++;
  require(token.id < kTokenIdLimit, ExitCode::unsupported, {source},
          "too many tokens; expected ids below ", kTokenIdLimit);
  require(!declared || *declared == token.id, ExitCode::damaged, {source}, "the added token \"",
          token.text, "\"; expected the id ", token.id,
          known ? ", which the token has in the vocabulary" : ", the next after the vocabulary's",
          ", found ", declared.value_or(-1));
  const auto [at, is_new] = added_.emplace(token.text, file.added.size());
  if (is_new) {
    file.added.push_back(std::move(token));
  } else {
    file.added[at->second] = std::move(token);
  }
}

}  // namespace kappascope
