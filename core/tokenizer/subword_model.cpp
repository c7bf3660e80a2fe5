#include "core/tokenizer/subword_model.h"

#include <algorithm>

#include "core/utf8.h"

namespace kappascope {
namespace {

using Index = Vocabulary::Index;

Vocabulary make_vocabulary(const SubwordSpec& spec, const std::vector<std::string>& spellings,
                           std::string_view file) {
  std::vector<VocabularyToken> tokens;
  for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
    if (!spellings[i].empty()) { tokens.push_back({spec.tokens[i].second, spellings[i]}); }
  }
  return Vocabulary(std::move(tokens), file);
}

MergeTable make_merges(const SubwordSpec& spec, const Vocabulary& vocabulary) {
  std::vector<MergeTable::Merge> merges;
  merges.reserve(spec.merges.size());
  const auto index = [&](Index token) { return vocabulary.find_id(spec.tokens[token].second); };
  for (const MergeTable::Merge& merge : spec.merges) {
    const MergeTable::Merge known{index(merge.left), index(merge.right), index(merge.joined)};
    // A part that no piece spells is never there to be joined.
    const bool possible = known.left != Vocabulary::kNone && known.right != Vocabulary::kNone &&
                          known.joined != Vocabulary::kNone;
    if (possible) { merges.push_back(known); }
  }
  return MergeTable(merges, vocabulary.size());
}

std::string fallback_name(std::size_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">";
}

}  // namespace

SubwordModel::SubwordModel(const SubwordSpec& spec, const std::vector<std::string>& spellings,
                           bool byte_pieces, std::string_view file)
    : vocabulary_(make_vocabulary(spec, spellings, file)),
      merges_(make_merges(spec, vocabulary_)),
      fuse_unknown_(spec.fuse_unknown),
      byte_fallback_(spec.byte_fallback),
      ignore_merges_(spec.ignore_merges),
      byte_pieces_(byte_pieces) {
  for (std::size_t byte = 0; byte < fallback_.size(); ++byte) {
    fallback_[byte] = vocabulary_.find(fallback_name(byte));
  }
  if (spec.unknown) { unknown_ = vocabulary_.find_id(spec.tokens[*spec.unknown].second); }
}

void SubwordModel::Merging::run(std::string_view piece, std::vector<Part>& parts) {
  parts.clear();
  const Vocabulary& vocabulary = model_.vocabulary_;
  if (model_.ignore_merges_) {
    const Index whole = vocabulary.find(piece);
    if (whole != Vocabulary::kNone) {
      parts.push_back({vocabulary.id(whole), 0, static_cast<std::uint32_t>(piece.size())});
      return;
    }
  }
  add_symbols(piece);
  merged_.clear();
  for (std::uint32_t i = 0; i < symbols_.size(); ++i) {
    merged_.push_back({i, i + 1, symbols_[i].token});
  }
  const MergeTable& merges = model_.merges_;
  merger_.merge(
      merged_,
      [&](const PairMerger::Part& left, const PairMerger::Part& right) {
        return merges.rank(left.token, right.token);
      },
      [&](PairMerger::Rank rank) { return merges.joined(rank); });
  for (const PairMerger::Part& part : merged_) {
    parts.push_back(
        {vocabulary.id(part.token), symbols_[part.begin].begin, symbols_[part.end - 1].end});
  }
}

void SubwordModel::Merging::add_symbols(std::string_view piece) {
  symbols_.clear();
  for (std::uint32_t at = 0; at < piece.size();) {
    const std::uint32_t length =
        model_.byte_pieces_ ? 1U : static_cast<std::uint32_t>(decode_utf8(piece, at).length);
    const std::string_view character = piece.substr(at, length);
    const Index token = length == 1
                            ? model_.vocabulary_.of_byte(static_cast<unsigned char>(character[0]))
                            : model_.vocabulary_.find(character);
    if (token != Vocabulary::kNone) {
      flush_unknown();
      symbols_.push_back({token, at, at + length});
    } else if (!add_bytes(character, at)) {
      add_unknown(at, at + length);
    }
    at += length;
  }
  flush_unknown();
}

// The library leaves a pending unknown token pending here: it then follows these bytes.
bool SubwordModel::Merging::add_bytes(std::string_view character, std::uint32_t begin) {
  const auto fallback = [&](char byte) {
    return model_.fallback_[static_cast<unsigned char>(byte)];
  };
  const bool all = model_.byte_fallback_ &&
                   std::all_of(character.begin(), character.end(),
                               [&](char byte) { return fallback(byte) != Vocabulary::kNone; });
  if (!all) { return false; }
  for (const char byte : character) {
    symbols_.push_back({fallback(byte), begin, begin + 1});
    ++begin;
  }
  return true;
}

void SubwordModel::Merging::add_unknown(std::uint32_t begin, std::uint32_t end) {
  if (model_.unknown_ == Vocabulary::kNone) { return; }
  if (unknown_ && model_.fuse_unknown_) {
    unknown_->end = end;
  } else {
    flush_unknown();
    unknown_ = Symbol{model_.unknown_, begin, end};
  }
}

void SubwordModel::Merging::flush_unknown() {
  if (unknown_) { symbols_.push_back(*unknown_); }
  unknown_.reset();
}

}  // namespace kappascope
