// tokenizer.model: the message ModelProto of SentencePiece (fields of its
// sentencepiece_model.proto).
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "core/checkpoint/input_file.h"
#include "core/tokenizer/protobuf.h"
#include "core/tokenizer/tokenizer_file.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

using Wire = ProtobufField::Wire;

constexpr std::uint64_t kLongestModel = std::uint64_t{64} << 20;  // bytes; known ones have 5 MB
// Every cut of a piece is looked up: the cost of a file is its length times this. Known: 93 bytes.
constexpr std::size_t kLongestPiece = 512;
constexpr std::string_view kSpace = "\u2581";

struct ModelPiece {
  enum Type : std::uint64_t { normal = 1, unknown, control, user_defined, unused, byte };
  std::string text;
  float score = 0;
  std::uint64_t type = normal;
};

struct PieceModel {
  std::vector<ModelPiece> pieces;  // index = id
  std::uint64_t kind = 1;          // 1 unigram, 2 BPE, 3 word, 4 char
  bool byte_fallback = false, space_as_suffix = false;
  std::int64_t unknown_id = 0, bos_id = 1, eos_id = 2;
  std::string unknown_piece = "<unk>", bos_piece = "<s>", eos_piece = "</s>";
  std::string normalizer_name;
  std::size_t charsmap_bytes = 0;
  bool dummy_prefix = true, remove_extra_spaces = true, escape_spaces = true;
};

// Reads the fields of a message: each `take` is for one number, and checks its wire type.
class FieldTaker {
 public:
  FieldTaker(const ProtobufField& field, std::string_view message, std::string_view file)
      : field_(field), message_(message), file_(file) {}

  void take(std::uint32_t number, std::string& into) const {
    if (!is(number, Wire::bytes)) { return; }
    into = field_.bytes;
    require(is_utf8(into), ExitCode::damaged, place(), message_, ", field ", number,
            "; expected UTF-8, found other bytes");
  }
  void take(std::uint32_t number, std::uint64_t& into) const {
    if (is(number, Wire::varint)) { into = field_.varint; }
  }
  void take(std::uint32_t number, std::int64_t& into) const {
    if (is(number, Wire::varint)) { into = static_cast<std::int32_t>(field_.varint); }
  }
  void take(std::uint32_t number, bool& into) const {
    if (is(number, Wire::varint)) { into = field_.varint != 0; }
  }
  void take(std::uint32_t number, float& into) const {
    if (is(number, Wire::fixed32)) { into = std::bit_cast<float>(field_.fixed32); }
  }
  void take_size(std::uint32_t number, std::size_t& into) const {
    if (is(number, Wire::bytes)) { into = field_.bytes.size(); }
  }

 private:
  Place place() const { return {file_, {}, static_cast<std::int64_t>(field_.offset)}; }

  bool is(std::uint32_t number, Wire wire) const {
    if (field_.number != number) { return false; }
    require(field_.wire == wire, ExitCode::damaged, {file_}, message_, ", field ", number,
            "; expected the wire type ", name(wire), ", found ", name(field_.wire));
    return true;
  }

  static std::string_view name(Wire wire) {
    switch (wire) {
      case Wire::varint:
        return "varint";
      case Wire::fixed64:
        return "64-bit";
      case Wire::bytes:
        return "length-delimited";
      case Wire::fixed32:
        return "32-bit";
    }
    return "?";
  }

  const ProtobufField& field_;
  std::string_view message_;
  std::string_view file_;
};

// Calls `take` for every field of the message that `outer` holds.
template <typename Take>
void read_message(const ProtobufField& outer, std::string_view name, std::string_view file,
                  const Take& take) {
  require(outer.wire == Wire::bytes, ExitCode::damaged, {file}, name,
          "; expected a message, found a number");
  ProtobufReader reader(outer.bytes, file, outer.offset);
  for (ProtobufField field; reader.next(field);) { take(FieldTaker(field, name, file)); }
}

void read_piece(const ProtobufField& outer, std::string_view file, PieceModel& model) {
  ModelPiece piece;
  read_message(outer, "pieces", file, [&](const FieldTaker& field) {
    field.take(1, piece.text);
    field.take(2, piece.score);
    field.take(3, piece.type);
  });
  const std::size_t id = model.pieces.size();
  require(piece.type >= ModelPiece::normal && piece.type <= ModelPiece::byte, ExitCode::unsupported,
          {file}, "pieces[", id, "].type; expected 1 to 6, found ", piece.type);
  require(!piece.text.empty() && piece.text.size() <= kLongestPiece, ExitCode::unsupported, {file},
          "pieces[", id, "].piece; expected 1 to ", kLongestPiece, " bytes, found ",
          piece.text.size());
  require(!std::isnan(piece.score), ExitCode::damaged, {file}, "pieces[", id,
          "].score; expected a number, found NaN");
  model.pieces.push_back(std::move(piece));
}

void read_trainer_spec(const ProtobufField& outer, std::string_view file, PieceModel& model) {
  read_message(outer, "trainer_spec", file, [&](const FieldTaker& field) {
    field.take(3, model.kind);
    field.take(24, model.space_as_suffix);
    field.take(35, model.byte_fallback);
    field.take(40, model.unknown_id);
    field.take(41, model.bos_id);
    field.take(42, model.eos_id);
    field.take(45, model.unknown_piece);
    field.take(46, model.bos_piece);
    field.take(47, model.eos_piece);
  });
}

void read_normalizer_spec(const ProtobufField& outer, std::string_view file, PieceModel& model) {
  read_message(outer, "normalizer_spec", file, [&](const FieldTaker& field) {
    field.take(1, model.normalizer_name);
    field.take_size(2, model.charsmap_bytes);
    field.take(3, model.dummy_prefix);
    field.take(4, model.remove_extra_spaces);
    field.take(5, model.escape_spaces);
  });
}

PieceModel read_model(std::string_view bytes, std::string_view file) {
  PieceModel model;
  ProtobufReader reader(bytes, file, 0);
  for (ProtobufField field; reader.next(field);) {
    if (field.number == 1) {
      read_piece(field, file, model);
    } else if (field.number == 2) {
      read_trainer_spec(field, file, model);
    } else if (field.number == 3) {
      read_normalizer_spec(field, file, model);
    }
  }
  return model;
}

std::string kind_of(std::uint64_t kind) {
  constexpr std::array<std::string_view, 4> kNames = {"unigram", "BPE", "word", "char"};
  return kind >= 1 && kind <= kNames.size() ? std::string(kNames[kind - 1])
                                            : join_words("a model of type ", kind);
}

// As SentencePiece itself asks of a model.
void check_pieces(const PieceModel& model, std::string_view file) {
  std::size_t unknown = 0;
  for (const ModelPiece& piece : model.pieces) {
    if (piece.type == ModelPiece::unknown) { ++unknown; }
    const std::string& text = piece.text;
    const bool of_byte = text.size() == 6 && text.starts_with("<0x") && text.ends_with('>') &&
                         text.find_first_not_of("0123456789ABCDEF", 3) == 5;
    require(piece.type != ModelPiece::byte || of_byte, ExitCode::damaged, {file}, "pieces[",
            &piece - model.pieces.data(), "].piece; expected a byte as <0x00> to <0xFF>, found \"",
            text, "\"");
  }
  require(unknown == 1, ExitCode::damaged, {file},
          "pieces; expected one of type 2 (unknown), found ", unknown);
}

// What is not computed here, by name.
void check_model(const PieceModel& model, std::string_view file) {
  require(!model.pieces.empty(), ExitCode::damaged, {file},
          "expected a SentencePiece model, found no pieces in it");
  require(model.kind == 2, ExitCode::unsupported, {file},
          "trainer_spec.model_type; expected BPE, found ", kind_of(model.kind));
  require(model.charsmap_bytes == 0, ExitCode::unsupported, {file},
          "normalizer_spec.precompiled_charsmap; expected none (identity), found the table of ",
          model.normalizer_name.empty() ? "a normalizer without a name" : model.normalizer_name);
  require(!model.space_as_suffix, ExitCode::unsupported, {file},
          "trainer_spec.treat_whitespace_as_suffix; expected false, found true");
  check_pieces(model, file);
}

// Joining two normal pieces makes a third. A higher score goes first, then the lower id.
std::vector<MergeTable::Merge> make_merges(const PieceModel& model, const TokenBook& book) {
  const auto normal = [&](std::string_view text) -> std::optional<std::size_t> {
    const auto found = book.find(text);
    return found && model.pieces[*found].type == ModelPiece::normal ? found : std::nullopt;
  };
  std::vector<MergeTable::Merge> merges;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type != ModelPiece::normal) { continue; }
    const std::string_view text = model.pieces[id].text;
    for (std::size_t at = 1; at < text.size(); ++at) {
      if (!starts_utf8(text[at])) { continue; }
      const auto left = normal(text.substr(0, at));
      const auto right = left ? normal(text.substr(at)) : std::nullopt;
      if (right) {
        merges.push_back({static_cast<std::uint32_t>(*left), static_cast<std::uint32_t>(*right),
                          static_cast<std::uint32_t>(id)});
      }
    }
  }
  // Those of one piece are in the order of their left parts already.
  std::stable_sort(merges.begin(), merges.end(), [&](const auto& a, const auto& b) {
    const float first = model.pieces[a.joined].score;
    const float second = model.pieces[b.joined].score;
    return first != second ? first > second : a.joined < b.joined;
  });
  return merges;
}

void set_steps(const PieceModel& model, bool first_only, TokenizerFile& file) {
  std::vector<Normalizer::Step> steps;
  if (model.remove_extra_spaces) { steps.push_back(Normalizer::ExtraSpaces{}); }
  if (model.escape_spaces || model.dummy_prefix) {
    steps.push_back(Normalizer::Replace{TextPattern::of_string(" "), std::string(kSpace)});
  }
  std::vector<PreTokenizer::Step> cuts;
  if (model.dummy_prefix && first_only) {
    cuts.push_back(PreTokenizer::Metaspace{std::string(kSpace),
                                           PreTokenizer::Metaspace::Prepend::first, false});
  } else if (model.dummy_prefix) {
    steps.push_back(Normalizer::Prepend{std::string(kSpace)});
  }
  std::vector<std::string> whole;
  for (const ModelPiece& piece : model.pieces) {
    if (piece.type == ModelPiece::user_defined) { whole.push_back(piece.text); }
  }
  file.model.ignore_merges = !whole.empty();
  if (!whole.empty()) { cuts.push_back(PreTokenizer::Split{TextPattern::of_strings(whole)}); }
  file.normalizer = Normalizer(std::move(steps));
  file.pre_tokenizer = PreTokenizer(std::move(cuts));
  file.signs.emplace_back(kSpace, " ");
}

// Control pieces, and those that the trainer names, are found in a text as they are written.
void add_special(const PieceModel& model, TokenBook& book, TokenizerFile& file) {
  const auto add = [&](const std::string& text) {
    if (!book.find(text)) { return; }
    AddedToken token;
    token.text = text;
    token.special = true;
    book.add(std::move(token), {}, file.path, file);
  };
  for (const ModelPiece& piece : model.pieces) {
    if (piece.type == ModelPiece::control) { add(piece.text); }
  }
  if (model.bos_id >= 0) { add(model.bos_piece); }
  if (model.eos_id >= 0) { add(model.eos_piece); }
  if (model.unknown_id >= 0) { add(model.unknown_piece); }
}

// As transformers 5.24 has it: a piece whose id the configuration gives to another text is that
// text, unless it is a piece of its own.
void rename_placeholders(const std::map<std::int64_t, std::string>& texts, PieceModel& model) {
  std::set<std::string_view> kept;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (!texts.contains(std::int64_t(id))) { kept.insert(model.pieces[id].text); }
  }
  for (const auto& [id, text] : texts) {
    if (id < 0 || id >= std::ssize(model.pieces) || kept.contains(text)) { continue; }
    model.pieces[id].text = text;
  }
}

void check_unique(const PieceModel& model, const TokenBook& book, std::string_view file) {
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const std::size_t found = book.find(model.pieces[id].text).value_or(id);
    require(found == id, ExitCode::damaged, {file}, "pieces ", std::min(found, id), " and ",
            std::max(found, id), " are both \"", model.pieces[id].text, "\"");
  }
}

}  // namespace

TokenizerFile read_sentencepiece_model(const std::filesystem::path& path,
                                       const std::filesystem::path& config) {
  const InputFile input = InputFile::open(path);
  require(input.size() <= kLongestModel, ExitCode::unsupported, {input.path()},
          "the file is too long; expected at most ", kLongestModel, " bytes, found ", input.size());
  const std::vector<std::byte> bytes = input.read(0, input.size(), "model");
  TokenizerFile file;
  file.path = input.path();
  PieceModel model =
      read_model({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.path);
  check_model(model, file.path);
  const TokenizerConfig settings(config);
  rename_placeholders(settings.added_texts(), model);
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    file.model.tokens.emplace_back(model.pieces[id].text, static_cast<std::int32_t>(id));
  }
  TokenBook book(file.model.tokens);
  check_unique(model, book, file.path);
  file.model.merges = make_merges(model, book);
  file.model.fuse_unknown = true;
  file.model.byte_fallback = model.byte_fallback;
  file.model.unknown = book.find(model.unknown_piece);
  add_special(model, book, file);
  set_steps(model, !settings.flag("legacy").value_or(true), file);
  settings.apply(book, file);
  if (model.dummy_prefix) {  // as they are written, so that each text between them gets a prefix
    for (AddedToken& token : file.added) { token.normalized = false; }
  }
  settings.apply_ends(model.bos_id >= 0 ? model.bos_piece : "",
                      model.eos_id >= 0 ? model.eos_piece : "", book, file);
  return file;
}

}  // namespace kappascope
