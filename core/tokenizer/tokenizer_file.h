// What a tokenizer.json (with its tokenizer_config.json) or a tokenizer.model says, checked.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/tokenizer/added_tokens.h"
#include "core/tokenizer/normalizer.h"
#include "core/tokenizer/pre_tokenizer.h"
#include "core/tokenizer/subword_model.h"

namespace kappascope {

struct TokenizerFile {
  std::string path;
  SubwordSpec model;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::vector<AddedToken> added;             // unique in text and id
  bool find_special = true;                  // false: special tokens in a text are plain text
  std::vector<std::int32_t> prefix, suffix;  // ids in front of and behind a text
  // How spellings are written out, applied in order: "▁" → " ".
  std::vector<std::pair<std::string, std::string>> signs;
};

// Finds tokens by their spelling, and gives new ones their ids as the `tokenizers` library does: a
// token of the model keeps its id, the others follow the model's.
class TokenBook {
 public:
  // `tokens` must outlive this and stay as they are.
  explicit TokenBook(const std::vector<std::pair<std::string, std::int32_t>>& tokens);

  std::optional<std::size_t> find(std::string_view spelling) const;  // index into the tokens
  std::optional<std::int32_t> id(std::string_view spelling, const TokenizerFile& file) const;

  // Adds `token`, or gives one of its text its flags. Declared: the id that the file says; another
  // than the library would give is damaged. A token without text is left out.
  void add(AddedToken token, std::optional<std::int64_t> declared, std::string_view source,
           TokenizerFile& file);

 private:
  const std::vector<std::pair<std::string, std::int32_t>>& tokens_;
  std::vector<std::uint32_t> order_;                       // indices by spelling
  std::map<std::string, std::size_t, std::less<>> added_;  // text → index into file.added
  std::int32_t next_ = 0;
};

// tokenizer.json; with `config` (may be missing) tokenizer_config.json. Malformed: damaged; a kind
// of component that is not known: unsupported, by name.
TokenizerFile read_tokenizer_json(const std::filesystem::path& path,
                                  const std::filesystem::path& config);

// tokenizer.model: one SentencePiece ModelProto of the kind BPE, as above.
TokenizerFile read_sentencepiece_model(const std::filesystem::path& path,
                                       const std::filesystem::path& config);

// What is read beside a tokenizer_config.json where a folder has no tokenizer.json:
// special_tokens_map.json and added_tokens.json.
std::array<std::filesystem::path, 2> files_beside_config(const std::filesystem::path& config);

// tokenizer_config.json, as `transformers` applies it. Of a missing file nothing changes.
class TokenizerConfig {
 public:
  explicit TokenizerConfig(const std::filesystem::path& path);

  // added_tokens_decoder, the named special tokens, split_special_tokens. Without
  // added_tokens_decoder what special_tokens_map.json says beside it counts before it, and
  // added_tokens.json, too.
  void apply(TokenBook& book, TokenizerFile& file) const;
  // add_bos_token and add_eos_token: a tokenizer.json says for itself what texts begin and end
  // with. `bos` and `eos`: of a model whose configuration does not name them; "" for none.
  void apply_ends(const std::string& bos, const std::string& eos, const TokenBook& book,
                  TokenizerFile& file) const;
  std::map<std::int64_t, std::string> added_texts() const;  // of added_tokens_decoder, by id
  std::optional<bool> flag(const char* name) const;         // null is false

 private:
  std::filesystem::path path_;
  Json root_;  // null: there is no file
};

}  // namespace kappascope
