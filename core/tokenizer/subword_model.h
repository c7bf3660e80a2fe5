// The model of a tokenizer.json or tokenizer.model: byte-pair merges between tokens of a table.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tokenizer/merge_table.h"
#include "core/tokenizer/vocabulary.h"

namespace kappascope {

// What a file says of the model, checked: ids are unique and in [0, kTokenIdLimit), spellings
// unique and at most kLongestToken bytes; merges are of indices into `tokens`.
struct SubwordSpec {
  std::vector<std::pair<std::string, std::int32_t>> tokens;  // spelling → id
  std::vector<MergeTable::Merge> merges;                     // in the order of their ranks
  std::optional<std::size_t> unknown;                        // index of the token of what has none
  bool fuse_unknown = false;                                 // neighbouring ones are one token
  bool byte_fallback = false;  // characters without a token are the tokens <0xNN> of their bytes
  bool ignore_merges = false;  // a piece that is a token is not merged
};

// Immutable; safe to use from several threads, each with a Merging of its own.
class SubwordModel {
 public:
  using Index = Vocabulary::Index;

  // `spellings`: those of spec.tokens as the pieces spell them (pieces of bytes: the bytes that the
  // file's signs stand for); empty ones are never found. `byte_pieces`: a piece starts as its
  // bytes, else as its code points. `file` is for messages.
  SubwordModel(const SubwordSpec& spec, const std::vector<std::string>& spellings, bool byte_pieces,
               std::string_view file);

  struct Part {
    std::int32_t id = 0;
    std::uint32_t begin = 0, end = 0;  // bytes of the piece
  };

  // Cuts pieces in one thread; keeps the scratch space.
  class Merging {
   public:
    explicit Merging(const SubwordModel& model) : model_(model) {}
    // The tokens of `piece`, in order. A character that the file has neither token nor unknown
    // token for is left out, as the `tokenizers` library does. O(n log n) in the piece's bytes.
    void run(std::string_view piece, std::vector<Part>& parts);

   private:
    struct Symbol {
      Index token = Vocabulary::kNone;
      std::uint32_t begin = 0, end = 0;
    };
    void add_symbols(std::string_view piece);
    bool add_bytes(std::string_view character, std::uint32_t begin);
    void add_unknown(std::uint32_t begin, std::uint32_t end);
    void flush_unknown();

    const SubwordModel& model_;
    PairMerger merger_;
    std::vector<Symbol> symbols_;
    std::vector<PairMerger::Part> merged_;
    std::optional<Symbol> unknown_;  // what has no token and is not in symbols_ yet
  };

 private:
  Vocabulary vocabulary_;
  MergeTable merges_;
  std::array<Index, 256> fallback_{};  // the tokens <0xNN>
  Index unknown_ = Vocabulary::kNone;
  bool fuse_unknown_, byte_fallback_, ignore_merges_, byte_pieces_;
};

}  // namespace kappascope
