#include "core/tokenizer/tokenizer.h"

#include <system_error>
#include <utility>
#include <variant>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/tensor.h"
#include "core/tokenizer/subword_tokenizer.h"
#include "core/tokenizer/tiktoken_tokenizer.h"
#include "core/tokenizer/tokenizer_file.h"
#include "core/utf8.h"

namespace kappascope {

namespace fs = std::filesystem;

struct Tokenizer::State {
  explicit State(TiktokenTokenizer tiktoken) : kind(std::move(tiktoken)) {}
  explicit State(SubwordTokenizer subword) : kind(std::move(subword)) {}

  const SubwordTokenizer* subword() const { return std::get_if<SubwordTokenizer>(&kind); }
  template <typename Call>
  auto with(const Call& call) const {
    return std::visit(call, kind);
  }

  std::variant<TiktokenTokenizer, SubwordTokenizer> kind;
};

Tokenizer Tokenizer::load(const fs::path& path) {
  const fs::path config = path.parent_path() / "tokenizer_config.json";
  const std::string kind = path.extension();
  if (kind == ".json") { return load_json(path, config); }
  if (kind == ".model") { return load_sentencepiece(path, config); }
  return load_tiktoken_pickle(path);
}

std::string Tokenizer::files_sha256(const fs::path& path) {
  std::vector<fs::path> files{path};
  const std::string kind = path.extension();
  if (kind == ".json" || kind == ".model") {
    files.push_back(path.parent_path() / "tokenizer_config.json");
  }
  if (kind == ".model") {
    for (const fs::path& file : files_beside_config(files[1])) { files.push_back(file); }
  }
  std::string hashes;
  std::error_code unknown;
  for (const fs::path& file : files) {
    if (!fs::exists(file, unknown)) { continue; }
    const InputFile input = InputFile::open(file);
    const std::vector<std::byte> bytes = input.read(0, input.size(), "tokenizer");
    hashes += file.filename().native() +
              sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  return sha256_hex(hashes);
}

Tokenizer Tokenizer::load_tiktoken_pickle(const fs::path& path) {
  return Tokenizer(
      std::make_unique<State>(TiktokenTokenizer(read_tiktoken_pickle(path), path.string())));
}

Tokenizer Tokenizer::load_json(const fs::path& path, const fs::path& config) {
  return Tokenizer(std::make_unique<State>(SubwordTokenizer(read_tokenizer_json(path, config))));
}

Tokenizer Tokenizer::load_sentencepiece(const fs::path& path, const fs::path& config) {
  return Tokenizer(
      std::make_unique<State>(SubwordTokenizer(read_sentencepiece_model(path, config))));
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<Token> Tokenizer::encode(std::string_view text, std::string_view source) const {
  std::vector<Token> tokens;
  std::vector<std::int32_t> suffix;
  if (const SubwordTokenizer* subword = state_->subword()) {
    for (const std::int32_t id : subword->prefix()) { tokens.push_back({id, -1, -1}); }
    suffix = subword->suffix();
  } else {
    tokens.push_back({bos(), -1, -1});
  }
  const std::vector<Token> ordinary = encode_ordinary(text, source);
  tokens.insert(tokens.end(), ordinary.begin(), ordinary.end());
  for (const std::int32_t id : suffix) { tokens.push_back({id, -1, -1}); }
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
  return state_->with([&](const auto& kind) { return kind.encode(text, source); });
}

std::int32_t Tokenizer::bos() const {
  return state_->with([](const auto& kind) { return kind.bos(); });
}

std::string_view Tokenizer::bytes(std::int32_t id) const {
  return state_->with([&](const auto& kind) { return kind.bytes(id); });
}

bool Tokenizer::is_special(std::int32_t id) const {
  return state_->with([&](const auto& kind) { return kind.is_special(id); });
}

std::optional<std::int32_t> Tokenizer::special(std::string_view name) const {
  return state_->with([&](const auto& kind) { return kind.special(name); });
}

std::int32_t Tokenizer::size() const {
  return state_->with([](const auto& kind) { return kind.size(); });
}

std::string_view Tokenizer::name() const {
  return state_->with([](const auto& kind) { return kind.name(); });
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
