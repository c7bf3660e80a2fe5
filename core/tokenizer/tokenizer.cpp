#include "core/tokenizer/tokenizer.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/tokenizer/bpe.h"
#include "core/tokenizer/splitter.h"
#include "core/tokenizer/tiktoken_pickle.h"
#include "core/tokenizer/vocabulary.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

using Index = Vocabulary::Index;

struct SpecialToken {
  std::string text;
  std::int32_t id = 0;
};

bool starts_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

std::int32_t count_characters(std::string_view bytes) {
  return static_cast<std::int32_t>(std::count_if(bytes.begin(), bytes.end(), starts_character));
}

// Turns the pieces of one text into its tokens.
class Encoder {
 public:
  Encoder(const Vocabulary& vocabulary, std::string_view text)
      : vocabulary_(vocabulary),
        text_(text),
        merger_(vocabulary),
        earlier_(std::bit_ceil(std::clamp<std::size_t>(text.size() / 16, 16, 16384))) {}

  // `piece` lies in the text, after the pieces before it.
  void add(std::string_view piece) {
    const auto begin = static_cast<std::size_t>(piece.data() - text_.data());
    characters_ += count_characters(text_.substr(position_, begin - position_));
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
  // A piece that was merged before: a word that comes again costs one look-up. The table is
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
    const std::int32_t start = characters_ - (starts_character(bytes[0]) ? 0 : 1);
    characters_ += count_characters(bytes);
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

struct Tokenizer::State {
  State(TiktokenEncoding encoding, std::string path)
      : file(std::move(path)),
        name(std::move(encoding.name)),
        vocabulary(make_vocabulary(encoding, file)),
        splitter(encoding.pattern, file) {
    for (auto& [text, id] : encoding.specials) { specials.push_back({std::move(text), id}); }
  }

  const SpecialToken* find_special(std::int32_t id) const {
    const auto at = std::find_if(specials.begin(), specials.end(),
                                 [&](const SpecialToken& special) { return special.id == id; });
    return at == specials.end() ? nullptr : &*at;
  }

  std::string file;
  std::string name;
  Vocabulary vocabulary;
  Splitter splitter;
  std::vector<SpecialToken> specials;
};

Tokenizer Tokenizer::load_tiktoken_pickle(const std::filesystem::path& path) {
  return Tokenizer(std::make_unique<State>(read_tiktoken_pickle(path), path.string()));
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<Token> Tokenizer::encode(std::string_view text, std::string_view source) const {
  const Token first{bos(), -1, -1};
  std::vector<Token> tokens = encode_ordinary(text, source);
  tokens.insert(tokens.begin(), first);
  return tokens;
}

std::vector<Token> Tokenizer::encode_ordinary(std::string_view text,
                                              std::string_view source) const {
  require(text.size() < INT32_MAX, ExitCode::unsupported, {source},
          "the text is too long; expected less than 2 GiB, found ", text.size(), " bytes");
  const std::size_t valid = utf8_error(text);
  require(valid == text.size(), ExitCode::damaged, {source, {}, static_cast<std::int64_t>(valid)},
          "expected UTF-8, found the byte ",
          valid < text.size() ? "0x" + hex_text(text.substr(valid, 1)) : "");
  Encoder encoder(state_->vocabulary, text);
  Splitter::Scan scan(state_->splitter, text, source);
  for (std::string_view piece; scan.next(piece);) { encoder.add(piece); }
  return encoder.take();
}

std::int32_t Tokenizer::bos() const {
  for (const std::string_view name : {"<|bos|>", "<|endoftext|>"}) {
    for (const SpecialToken& special : state_->specials) {
      if (special.text == name) { return special.id; }
    }
  }
  fail(ExitCode::unsupported, {state_->file},
       "no token that begins a text; expected a special token <|bos|> or <|endoftext|>");
}

std::string_view Tokenizer::bytes(std::int32_t id) const {
  const Index index = state_->vocabulary.find_id(id);
  if (index != Vocabulary::kNone) { return state_->vocabulary.bytes(index); }
  const SpecialToken* special = state_->find_special(id);
  return special == nullptr ? std::string_view() : special->text;
}

bool Tokenizer::is_special(std::int32_t id) const {
  return state_->find_special(id) != nullptr;
}

std::int32_t Tokenizer::size() const {
  const Vocabulary& vocabulary = state_->vocabulary;
  std::int32_t highest = vocabulary.id(static_cast<Index>(vocabulary.size() - 1));
  for (const SpecialToken& special : state_->specials) { highest = std::max(highest, special.id); }
  return highest + 1;
}

std::string_view Tokenizer::name() const {
  return state_->name;
}

std::string display_text(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = decode_utf8(bytes, at).length;
    if (length == 0 || bytes[at] == '\0') {
      out += "\\x" + hex_text(bytes.substr(at, 1));
      ++at;
    } else {
      out += bytes.substr(at, length);
      at += length;
    }
  }
  return out;
}

std::string hex_text(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace kappascope
