#include "core/checkpoint/json.h"
#include "core/corpus/document_source.h"
#include "core/corpus/text_stream.h"
#include "core/tokenizer/tokenizer.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

// A line is one document: a million values are 100 MB of memory.
constexpr std::size_t kMostLineValues = 1 << 20;

class WholeText final : public DocumentSource {
 public:
  WholeText(const std::string& file, Packing packing) : stream_(file, packing) {}

  bool next(bool wanted, Document& document) override {
    if (given_) { return false; }
    given_ = true;
    if (!wanted) { return true; }
    document.source = stream_.path();
    bool too_long = false;
    for (;;) {
      const std::string_view block = stream_.next();
      too_long = document.text.size() + block.size() > kLongestDocument;
      if (block.empty() || too_long) { break; }
      document.text += block;
    }
    fill_document(document, [&] {
      require_length(too_long ? kLongestDocument + 1 : 0, document.source);
      require_utf8(document.text, document.source, stream_.mark());
    });
    return true;
  }
  std::uint64_t consumed() const override { return stream_.consumed(); }

 private:
  TextStream stream_;
  bool given_ = false;
};

// The value at a field: of that very name or, where there is none, of names with dots between them,
// each of a value in the object before. nullptr: none, or null.
Json* value_of_field(Json& object, std::string_view field) {
  if (!object.is_object()) { return nullptr; }
  const auto found = object.find(field);
  if (found != object.end()) { return found->is_null() ? nullptr : &*found; }
  for (std::size_t dot = field.find('.'); dot != field.npos; dot = field.find('.', dot + 1)) {
    const auto outer = object.find(field.substr(0, dot));
    if (outer == object.end()) { continue; }
    if (Json* inner = value_of_field(*outer, field.substr(dot + 1))) { return inner; }
  }
  return nullptr;
}

class JsonLines final : public DocumentSource {
 public:
  JsonLines(const std::string& file, Packing packing, const CorpusFields& fields)
      : stream_(file, packing), lines_(stream_), fields_(fields) {}

  bool next(bool wanted, Document& document) override {
    if (!lines_.next()) { return false; }
    if (!wanted) { return true; }
    document.source = join_words(stream_.path(), ":", lines_.number());
    fill_document(document, [&] { fill(document); });
    return true;
  }
  std::uint64_t consumed() const override { return stream_.consumed(); }

 private:
  void fill(Document& document) const {
    require_length(lines_.too_long() ? kLongestDocument + 1 : 0, document.source);
    Json line = parse_json(lines_.text(), document.source, NotFinite::refused, kMostLineValues);
    if (fields_.chats) {
      if (!fields_.domain.empty()) { document.domain = domain_of(line); }
      document.text = lines_.text();
      return;
    }
    Json* const text = value_of_field(line, fields_.text);
    require(text && text->is_string(), ExitCode::damaged, {.file = document.source},
            "expected an object with a text \"", fields_.text, "\", found ",
            text ? found_text(*text) : "none");
    if (!fields_.domain.empty()) { document.domain = domain_of(line); }
    document.text = std::move(text->get_ref<std::string&>());
  }

  // Numbers and truth values as JSON writes them; of lists and objects nothing.
  std::string domain_of(Json& line) const {
    const Json* value = value_of_field(line, fields_.domain);
    if (!value || value->is_structured()) { return ""; }
    return value->is_string() ? value->get_ref<const std::string&>() : value->dump();
  }

  TextStream stream_;
  LineReader lines_;
  CorpusFields fields_;
};

}  // namespace

void require_utf8(std::string_view text, std::string_view source, std::uint64_t before) {
  const std::size_t valid = utf8_error(text);
  require(valid == text.size(), ExitCode::damaged,
          {.file = source, .offset = static_cast<std::int64_t>(before + valid)},
          "not UTF-8; expected a text, found byte 0x",
          valid < text.size() ? hex_text(text.substr(valid, 1)) : "");
}

void require_length(std::uint64_t length, std::string_view source) {
  require(length <= kLongestDocument, ExitCode::damaged, {.file = source},
          "text too long; expected at most ", kLongestDocument, " bytes, found more");
}

std::unique_ptr<DocumentSource> open_text(const std::string& file, Packing packing) {
  return std::make_unique<WholeText>(file, packing);
}

std::unique_ptr<DocumentSource> open_json_lines(const std::string& file, Packing packing,
                                                const CorpusFields& fields) {
  return std::make_unique<JsonLines>(file, packing, fields);
}

}  // namespace kappascope
