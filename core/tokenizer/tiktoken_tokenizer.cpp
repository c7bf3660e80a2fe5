#include "core/tokenizer/tiktoken_tokenizer.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/tokenizer/bpe.h"
#include "core/tokenizer/tiktoken_pickle.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

using Index = Vocabulary::Index;

// Turns the pieces of one text into its tokens.
class Encoder {
 public:
  Encoder(const Vocabulary& vocabulary, std::string_view text)
      : vocabulary_(vocabulary),
        text_(text),
        merger_(vocabulary),
        earlier_(std::bit_ceil(std::clamp<std::size_t>(text.size() / 16, 16, 16384))) {}

  // `piece` is part of the text, after the pieces before it.
  void add(std::string_view piece) {
    const auto begin = static_cast<std::size_t>(piece.data() - text_.data());
    characters_ += std::int32_t(count_code_points(text_.substr(position_, begin - position_)));
    position_ = begin;
    const std::uint64_t hash = vocabulary_.hash(piece);
    const Index whole = vocabulary_.find(piece, hash);
    if (whole != Vocabulary::kNone) {
      emit(whole);
    } else {
      add_merged(piece, hash);
    }
  }

  std::vector<Token> take() { return std::move(tokens_); }

 private:
  // A piece that was merged before: a repeated word costs one look-up. The table is
  // direct-mapped: bounded, and no choice of words makes it slow.
  struct Earlier {
    std::uint32_t begin = 0, length = 0;       // bytes of the text; length 0: empty
    std::uint32_t first_token = 0, count = 0;  // in tokens_
    std::int32_t characters_before = 0, characters = 0;
  };

  void add_merged(std::string_view piece, std::uint64_t hash) {
    Earlier& earlier = earlier_[(hash >> 32) & (earlier_.size() - 1)];
    if (text_.substr(earlier.begin, earlier.length) == piece) { return repeat(earlier); }
    const Earlier now{static_cast<std::uint32_t>(position_),
                      static_cast<std::uint32_t>(piece.size()),
                      static_cast<std::uint32_t>(tokens_.size()),
                      0,
                      characters_,
                      0};
    merged_.clear();
    merger_.merge(piece, merged_);
    for (const Index index : merged_) { emit(index); }
    earlier = now;
    earlier.count = static_cast<std::uint32_t>(merged_.size());
    earlier.characters = characters_ - now.characters_before;
  }

  void repeat(const Earlier& earlier) {
    const std::int32_t shift = characters_ - earlier.characters_before;
    for (std::uint32_t i = 0; i < earlier.count; ++i) {
      const Token& token = tokens_[earlier.first_token + i];
      tokens_.push_back({token.id, token.char_start + shift, token.char_end + shift});
    }
    characters_ += earlier.characters;
    position_ += earlier.length;
  }

  // The token that starts at position_.
  void emit(Index index) {
    const std::string_view bytes = text_.substr(position_, vocabulary_.length(index));
    const std::int32_t start = characters_ - (starts_utf8(bytes[0]) ? 0 : 1);
    characters_ += std::int32_t(count_code_points(bytes));
    position_ += bytes.size();
    tokens_.push_back({vocabulary_.id(index), start, characters_});
  }

  const Vocabulary& vocabulary_;
  std::string_view text_;
  BytePairMerger merger_;
  std::vector<Earlier> earlier_;
  std::vector<Index> merged_;  // of one piece
  std::vector<Token> tokens_;
  std::size_t position_ = 0;     // bytes of the text that are done
  std::int32_t characters_ = 0;  // that begin before position_
};

Vocabulary make_vocabulary(const TiktokenEncoding& encoding, std::string_view file) {
  std::vector<VocabularyToken> tokens;
  tokens.reserve(encoding.ranks.size());
  for (const auto& [bytes, id] : encoding.ranks) { tokens.push_back({id, bytes}); }
  return Vocabulary(std::move(tokens), file);
}

}  // namespace

TiktokenTokenizer::TiktokenTokenizer(TiktokenEncoding encoding, std::string file)
    : file_(std::move(file)),
      name_(std::move(encoding.name)),
      vocabulary_(make_vocabulary(encoding, file_)),
      splitter_(encoding.pattern, PatternLanguage::rust, file_) {
  for (auto& [text, id] : encoding.specials) { specials_.push_back({std::move(text), id}); }
}

std::vector<Token> TiktokenTokenizer::encode(std::string_view text, std::string_view source) const {
  Encoder encoder(vocabulary_, text);
  Splitter::Scan scan(splitter_, source);
  scan.start(text);
  for (std::string_view piece; scan.next(piece);) { encoder.add(piece); }
  return encoder.take();
}

std::optional<std::int32_t> TiktokenTokenizer::special(std::string_view name) const {
  for (const SpecialToken& one : specials_) {
    if (one.text == name) { return one.id; }
  }
  return {};
}

std::int32_t TiktokenTokenizer::bos() const {
  for (const std::string_view name : {"<|bos|>", "<|endoftext|>"}) {
    if (const auto id = special(name)) { return *id; }
  }
  fail(ExitCode::unsupported, {file_},
       "no token that begins a text; expected a special token <|bos|> or <|endoftext|>");
}

const TiktokenTokenizer::SpecialToken* TiktokenTokenizer::find_special(std::int32_t id) const {
  const auto at = std::find_if(specials_.begin(), specials_.end(),
                               [&](const SpecialToken& special) { return special.id == id; });
  return at == specials_.end() ? nullptr : &*at;
}

std::string_view TiktokenTokenizer::bytes(std::int32_t id) const {
  const Index index = vocabulary_.find_id(id);
  if (index != Vocabulary::kNone) { return vocabulary_.bytes(index); }
  const SpecialToken* special = find_special(id);
  return special == nullptr ? std::string_view() : special->text;
}

bool TiktokenTokenizer::is_special(std::int32_t id) const {
  return find_special(id) != nullptr;
}

std::int32_t TiktokenTokenizer::size() const {
  std::int32_t highest = vocabulary_.id(static_cast<Index>(vocabulary_.size() - 1));
  for (const SpecialToken& special : specials_) { highest = std::max(highest, special.id); }
  return highest + 1;
}

}  // namespace kappascope
