#include "core/tokenizer/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/tokenizer/splitter.h"
#include "core/tokenizer/vocabulary.h"

namespace kappascope {
namespace {

// Those of nanochat: words with what is in front of them, numbers of two digits, signs, blanks.
constexpr std::string_view kPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::array<const char*, 9> kSpecials = {
    "<|bos|>",           "<|user_start|>",   "<|user_end|>",   "<|assistant_start|>",
    "<|assistant_end|>", "<|python_start|>", "<|python_end|>", "<|output_start|>",
    "<|output_end|>"};
constexpr std::int64_t kBytes = 256;

using Index = std::uint32_t;
using Pair = std::uint64_t;  // left << 32 | right

Pair pair_of(Index left, Index right) {
  return Pair{left} << 32 | right;
}

// A piece of text that occurs `count` times, as the tokens it consists of so far.
struct Word {
  std::vector<Index> tokens;
  std::int64_t count = 0;
};

class Merging {
 public:
  explicit Merging(const std::map<std::string, std::int64_t, std::less<>>& pieces) {
    for (Index byte = 0; byte < kBytes; ++byte) {
      add_token(std::string(1, static_cast<char>(byte)));
    }
    for (const auto& [piece, count] : pieces) {
      Word& word = words_.emplace_back();
      word.count = count;
      for (const char byte : piece) { word.tokens.push_back(static_cast<unsigned char>(byte)); }
      note_pairs(words_.size() - 1, 1);
    }
    for (const auto& [pair, occurrence] : pairs_) { queue_.push({occurrence.count, ~pair}); }
  }

  // Joins the most frequent pair. False: no pair occurs twice.
  bool join_best() {
    while (!queue_.empty()) {
      const auto [count, inverted] = queue_.top();
      queue_.pop();
      const Pair pair = ~inverted;
      Occurrence& occurrence = pairs_[pair];
      if (occurrence.count != count) { continue; }  // has changed since
      if (count < 2) { return false; }
      join(pair, std::exchange(occurrence.words, {}));
      return true;
    }
    return false;
  }

  const std::vector<std::string>& tokens() const { return tokens_; }

 private:
  struct Occurrence {
    std::int64_t count = 0;
    std::vector<std::size_t> words;  // where it is or was, perhaps more than once
  };

  Index add_token(std::string bytes) {
    const auto [place, fresh] = known_.emplace(std::move(bytes), Index(tokens_.size()));
    if (fresh) { tokens_.push_back(place->first); }
    return place->second;
  }

  // Adds the pairs of a word, or (`sign` −1) takes them off.
  void note_pairs(std::size_t at, std::int64_t sign) {
    const Word& word = words_[at];
    for (std::size_t i = 0; i + 1 < word.tokens.size(); ++i) {
      const Pair pair = pair_of(word.tokens[i], word.tokens[i + 1]);
      Occurrence& occurrence = pairs_[pair];
      occurrence.count += sign * word.count;
      if (sign > 0) { occurrence.words.push_back(at); }
      touched_.insert(pair);
    }
  }

  void join(Pair pair, std::vector<std::size_t> words) {
    const auto left = Index(pair >> 32), right = Index(pair);
    // What spells a token that is there becomes that one: ranks are by their bytes.
    const Index joined = add_token(tokens_[left] + tokens_[right]);
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    touched_.clear();
    for (const std::size_t at : words) {
      note_pairs(at, -1);
      std::vector<Index>& tokens = words_[at].tokens;
      std::size_t kept = 0;
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        const bool both = i + 1 < tokens.size() && tokens[i] == left && tokens[i + 1] == right;
        tokens[kept++] = both ? joined : tokens[i];
        i += both ? 1 : 0;
      }
      tokens.resize(kept);
      note_pairs(at, 1);
    }
    for (const Pair touched : touched_) {
      const std::int64_t count = pairs_[touched].count;
      if (count > 0) { queue_.push({count, ~touched}); }
    }
  }

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, Index> known_;
  std::vector<Word> words_;
  std::unordered_map<Pair, Occurrence> pairs_;
  std::unordered_set<Pair> touched_;
  // Count and pair; of equal counts the pair of the lower ids first.
  std::priority_queue<std::pair<std::int64_t, Pair>> queue_;
};

// Opcodes of one pickle.
class Pickler {
 public:
  std::string out;

  void little(std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) { out += static_cast<char>(value >> (8 * i) & 0xff); }
  }
  void text(std::string_view value) { counted('X', value); }
  void bytes(std::string_view value) { counted('B', value); }
  void integer(std::int64_t value) {
    out += 'J';
    little(static_cast<std::uint64_t>(value), 4);
  }

 private:
  void counted(char code, std::string_view value) {
    out += code;
    little(value.size(), 4);
    out += value;
  }
};

}  // namespace

struct BpeTrainer::State {
  Splitter splitter{kPattern, PatternLanguage::rust, "the built-in pattern"};
  std::map<std::string, std::int64_t, std::less<>> pieces;
};

BpeTrainer::BpeTrainer() : state_(std::make_unique<State>()) {}
BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::string_view text, std::string_view source) {
  Splitter::Scan scan(state_->splitter, source);
  scan.start(text);
  std::string_view piece;
  while (scan.next(piece)) {
    const auto found = state_->pieces.find(piece);
    if (found != state_->pieces.end()) {
      ++found->second;
    } else {
      state_->pieces.emplace(piece, 1);
    }
  }
}

TiktokenEncoding BpeTrainer::train(std::int64_t size) const {
  const auto specials = std::int64_t(kSpecials.size());
  require(size >= kBytes + specials, ExitCode::usage, {}, "--vocab: expected at least ",
          kBytes + specials, ", ", kBytes, " bytes and ", specials, " special tokens, found ",
          size);
  Merging merging(state_->pieces);
  const std::int64_t wanted = size - specials;
  while (std::ssize(merging.tokens()) < wanted && merging.join_best()) {}
  const std::int64_t found = std::ssize(merging.tokens());
  require(found == wanted, ExitCode::unsupported, {}, "--vocab: the texts are too short for ", size,
          " tokens; expected at most ", found + specials);
  TiktokenEncoding encoding;
  encoding.name = "kappascope";
  encoding.pattern = kPattern;
  for (std::int64_t id = 0; id < found; ++id) {
    encoding.ranks.emplace_back(merging.tokens()[id], std::int32_t(id));
  }
  for (std::int64_t i = 0; i < specials; ++i) {
    encoding.specials.emplace_back(kSpecials[i], std::int32_t(found + i));
  }
  return encoding;
}

std::string tiktoken_pickle(const TiktokenEncoding& encoding) {
  Pickler pickler;
  pickler.out =
      "\x80\x04"
      "ctiktoken.core\nEncoding\n)\x81}(";
  pickler.text("name");
  pickler.text(encoding.name);
  pickler.text("pat_str");
  pickler.text(encoding.pattern);
  pickler.text("mergeable_ranks");
  pickler.out += "}(";
  for (const auto& [bytes, id] : encoding.ranks) {
    pickler.bytes(bytes);
    pickler.integer(id);
  }
  pickler.out += 'u';
  pickler.text("special_tokens");
  pickler.out += "}(";
  for (const auto& [text, id] : encoding.specials) {
    pickler.text(text);
    pickler.integer(id);
  }
  pickler.out += "uub.";
  return pickler.out;
}

}  // namespace kappascope
