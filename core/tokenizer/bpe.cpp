#include "core/tokenizer/bpe.h"

namespace kappascope {

void BytePairMerger::merge(std::string_view piece, std::vector<Vocabulary::Index>& tokens) {
  using Part = PairMerger::Part;
  parts_.resize(piece.size());
  for (std::uint32_t i = 0; i < piece.size(); ++i) {
    parts_[i] = {i, i + 1, vocabulary_.of_byte(static_cast<unsigned char>(piece[i]))};
  }
  const auto joined = [&](const Part& left, const Part& right) {
    const std::size_t length = right.end - left.begin;
    if (length > vocabulary_.longest()) { return Vocabulary::kNone; }
    return vocabulary_.find(piece.substr(left.begin, length));
  };
  merger_.merge(parts_, joined, [](PairMerger::Rank rank) { return rank; });
  for (const Part& part : parts_) { tokens.push_back(part.token); }
}

}  // namespace kappascope
