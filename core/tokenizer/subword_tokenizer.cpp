#include "core/tokenizer/subword_tokenizer.h"

#include <algorithm>

#include "core/tokenizer/byte_signs.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

// Spellings as pieces have them; empty where no piece can spell the token.
std::vector<std::string> piece_spellings(const TokenizerFile& file) {
  const ByteSigns signs;
  std::vector<std::string> spellings;
  spellings.reserve(file.model.tokens.size());
  for (const auto& [spelling, id] : file.model.tokens) {
    std::string piece = spelling;
    if (file.pre_tokenizer.byte_level() && !signs.decode(spelling, piece)) { piece.clear(); }
    spellings.push_back(std::move(piece));
  }
  return spellings;
}

// <0xNN> → the byte; −1: not of this form.
int fallback_byte(std::string_view spelling) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') { return -1; }
  const std::size_t high = kDigits.find(spelling[3]);
  const std::size_t low = kDigits.find(spelling[4]);
  if (high == kDigits.npos || low == kDigits.npos) { return -1; }
  return static_cast<int>(high * 16 + low);
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  if (from.empty()) { return text; }
  std::string out;
  std::size_t at = 0;
  for (std::size_t found; (found = text.find(from, at)) != text.npos; at = found + from.size()) {
    out += text.substr(at, found - at);
    out += to;
  }
  return out += text.substr(at);
}

// The bytes that a token of the model stands for.
std::string written_out(const std::string& spelling, const TokenizerFile& file,
                        const ByteSigns& signs) {
  std::string bytes;
  if (file.pre_tokenizer.byte_level()) { return signs.decode(spelling, bytes) ? bytes : spelling; }
  const int byte = file.model.byte_fallback ? fallback_byte(spelling) : -1;
  if (byte >= 0) { return std::string(1, static_cast<char>(byte)); }
  bytes = spelling;
  for (const auto& [from, to] : file.signs) { bytes = replace_all(std::move(bytes), from, to); }
  return bytes;
}

}  // namespace

// Turns one text into its tokens.
class SubwordTokenizer::Encoder {
 public:
  Encoder(const SubwordTokenizer& tokenizer, std::string_view text, std::string_view source)
      : tokenizer_(tokenizer),
        text_(text),
        source_(source),
        begins_(text),
        ends_(text),
        cutter_(tokenizer.file_.pre_tokenizer, source),
        merging_(tokenizer.model_) {}

  std::vector<Token> run() {
    std::size_t done = 0;
    for (const AddedTokenFinder::Match& match : tokenizer_.plain_.find(text_)) {
      if (done < match.begin) { add_plain(done, match.begin); }
      emit(match.token->id,
           {static_cast<std::uint32_t>(match.begin), static_cast<std::uint32_t>(match.end)});
      done = match.end;
    }
    if (done < text_.size()) { add_plain(done, text_.size()); }
    return std::move(tokens_);
  }

 private:
  // Bytes [begin, end) of the text, in which no token is found as it is written.
  void add_plain(std::size_t begin, std::size_t end) {
    AlignedText text(text_.substr(begin, end - begin), static_cast<std::uint32_t>(begin));
    tokenizer_.file_.normalizer.apply(text, source_);
    const auto matches = tokenizer_.normalized_.find(text.text());
    if (matches.empty()) { return add_pieces(std::move(text)); }
    std::size_t done = 0;
    const auto add_until = [&](std::size_t until) {
      if (done >= until) { return; }
      AlignedText::Builder part(text);
      part.keep(done, until);
      add_pieces(part.take());
    };
    for (const AddedTokenFinder::Match& match : matches) {
      add_until(match.begin);
      emit(match.token->id, text.origin(match.begin, match.end));
      done = match.end;
    }
    add_until(text.text().size());
  }

  void add_pieces(AlignedText text) {
    cutter_.cut(text, pieces_);
    for (const PreTokenizer::Piece& piece : pieces_) {
      merging_.run(text.text().substr(piece.begin, piece.end - piece.begin), parts_);
      for (const SubwordModel::Part& part : parts_) {
        emit(part.id, text.origin(piece.begin + part.begin, piece.begin + part.end));
      }
    }
  }

  void emit(std::int32_t id, Origin origin) {
    const bool inside = origin.begin < origin.end && !starts_utf8(text_[origin.begin]);
    const std::int32_t begin = begins_.before(origin.begin) - (inside ? 1 : 0);
    const std::int32_t end = origin.begin < origin.end ? ends_.before(origin.end) : begin;
    tokens_.push_back({id, begin, end});
  }

  const SubwordTokenizer& tokenizer_;
  std::string_view text_;
  std::string_view source_;
  CodePointCount begins_, ends_;
  PreTokenizer::Cutter cutter_;
  SubwordModel::Merging merging_;
  std::vector<PreTokenizer::Piece> pieces_;
  std::vector<SubwordModel::Part> parts_;
  std::vector<Token> tokens_;
};

SubwordTokenizer::SubwordTokenizer(TokenizerFile file)
    : file_(std::move(file)),
      model_(file_.model, piece_spellings(file_), file_.pre_tokenizer.byte_level(), file_.path) {
  spell_tokens();
  index_added();
  file_.model = {};
}

void SubwordTokenizer::spell_tokens() {
  const ByteSigns signs;
  for (const auto& [spelling, id] : file_.model.tokens) {
    spelled_.push_back({id, false, written_out(spelling, file_, signs)});
  }
  for (const AddedToken& token : file_.added) {
    spelled_.push_back({token.id, token.special, token.text});
  }
  // An added token comes after the model's of the same id, and counts.
  std::stable_sort(spelled_.begin(), spelled_.end(),
                   [](const Spelled& a, const Spelled& b) { return a.id < b.id; });
  const auto same = [](const Spelled& a, const Spelled& b) { return a.id == b.id; };
  const auto kept = std::unique(spelled_.rbegin(), spelled_.rend(), same);
  spelled_.erase(spelled_.begin(), kept.base());
}

void SubwordTokenizer::index_added() {
  std::vector<AddedTokenFinder::Spelling> plain, normalized;
  for (const AddedToken& token : file_.added) {
    if (token.special && !file_.find_special) { continue; }
    if (!token.normalized) {
      plain.push_back({token.text, &token});
      continue;
    }
    AlignedText text(token.text, 0);
    file_.normalizer.apply(text, token.text);
    if (!text.text().empty()) { normalized.push_back({std::string(text.text()), &token}); }
  }
  plain_ = AddedTokenFinder(std::move(plain));
  normalized_ = AddedTokenFinder(std::move(normalized));
}

std::vector<Token> SubwordTokenizer::encode(std::string_view text, std::string_view source) const {
  return Encoder(*this, text, source).run();
}

const SubwordTokenizer::Spelled* SubwordTokenizer::find(std::int32_t id) const {
  const auto at =
      std::lower_bound(spelled_.begin(), spelled_.end(), id,
                       [](const Spelled& one, std::int32_t wanted) { return one.id < wanted; });
  return at == spelled_.end() || at->id != id ? nullptr : &*at;
}

std::int32_t SubwordTokenizer::bos() const {
  require(!file_.prefix.empty(), ExitCode::unsupported, {file_.path},
          "no token that begins a text; its template has none");
  return file_.prefix.front();
}

std::string_view SubwordTokenizer::name() const {
  return file_.pre_tokenizer.byte_level() ? "byte-level BPE" : "BPE";
}

std::string_view SubwordTokenizer::bytes(std::int32_t id) const {
  const Spelled* found = find(id);
  return found == nullptr ? std::string_view() : found->bytes;
}

bool SubwordTokenizer::is_special(std::int32_t id) const {
  const Spelled* found = find(id);
  return found != nullptr && found->special;
}

std::optional<std::int32_t> SubwordTokenizer::special(std::string_view name) const {
  for (const AddedToken& token : file_.added) {
    if (token.special && token.text == name) { return token.id; }
  }
  return {};
}

std::int32_t SubwordTokenizer::size() const {
  return spelled_.empty() ? 0 : spelled_.back().id + 1;
}

}  // namespace kappascope
