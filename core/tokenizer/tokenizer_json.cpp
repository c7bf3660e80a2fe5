#include <algorithm>
#include <array>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/other_format.h"
#include "core/tokenizer/component.h"
#include "core/tokenizer/tokenizer_file.h"

namespace kappascope {
namespace {

constexpr std::uint64_t kLongestFile = std::uint64_t{256} << 20;  // bytes; known ones have 35 MB

using Tokens = std::vector<std::pair<std::string, std::int32_t>>;

// {"token": id, …}
Tokens read_vocabulary(const Json& vocabulary, std::string_view file) {
  require(vocabulary.is_object(), ExitCode::damaged, {file},
          "model.vocab; expected an object of ids, found ", found_text(vocabulary));
  Tokens tokens;
  tokens.reserve(vocabulary.size());
  for (const auto& [spelling, id] : vocabulary.items()) {
    const bool usable = id.is_number_integer() && id >= 0 && id < kTokenIdLimit;
    require(usable, ExitCode::damaged, {file}, "model.vocab, token \"", spelling,
            "\"; expected an id from 0 to ", kTokenIdLimit - 1, ", found ", found_text(id));
    require(spelling.size() <= kLongestToken, ExitCode::unsupported, {file},
            "model.vocab; expected tokens of at most ", kLongestToken, " bytes, found one of ",
            spelling.size());
    tokens.emplace_back(spelling, id.get<std::int32_t>());
  }
  std::vector<std::int32_t> ids;
  for (const auto& token : tokens) { ids.push_back(token.second); }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  require(twice == ids.end(), ExitCode::damaged, {file}, "model.vocab: two tokens have the id ",
          twice == ids.end() ? 0 : *twice);
  return tokens;
}

// ["a", "b"] or "a b".
std::pair<std::string_view, std::string_view> merge_parts(const Json& merge, std::size_t at,
                                                          std::string_view file) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  }
  std::string_view text;
  if (merge.is_string()) { text = merge.get_ref<const std::string&>(); }
  const std::size_t space = text.find(' ');
  require(space != text.npos && text.find(' ', space + 1) == text.npos, ExitCode::damaged, {file},
          "model.merges[", at, R"(]; expected "LEFT RIGHT" or ["LEFT", "RIGHT"], found )",
          found_text(merge));
  return {text.substr(0, space), text.substr(space + 1)};
}

std::vector<MergeTable::Merge> read_merges(const Json& list, const TokenBook& book,
                                           std::string_view file) {
  std::vector<MergeTable::Merge> merges;
  merges.reserve(list.size());
  std::string joined;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool heading =
        list[i].is_string() && list[i].get_ref<const std::string&>().starts_with("#version");
    if (heading) { continue; }
    const auto [left, right] = merge_parts(list[i], i, file);
    joined.assign(left).append(right);
    std::array<std::uint32_t, 3> found{};
    std::size_t next = 0;
    for (const std::string_view spelling : {left, right, std::string_view(joined)}) {
      const auto index = book.find(spelling);
      require(index.has_value(), ExitCode::damaged, {file}, "model.merges[", i, "]: \"", spelling,
              "\" is not a token of model.vocab");
      found[next++] = static_cast<std::uint32_t>(*index);
    }
    merges.push_back({found[0], found[1], found[2]});
  }
  return merges;
}

// What would change the tokens in ways that are not computed here.
void check_model(const Component& model) {
  for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* found = model.find(field);
    require(found == nullptr || *found == "", ExitCode::unsupported, {model.file()}, "model.",
            field, "; expected null or \"\", found ",
            found == nullptr ? std::string() : found_text(*found));
  }
  const Json* dropout = model.find("dropout");
  require(dropout == nullptr || *dropout == 0, ExitCode::unsupported, {model.file()},
          "model.dropout; expected null or 0, found ",
          dropout == nullptr ? std::string() : found_text(*dropout));
}

void read_unknown(const Component& model, const TokenBook& book, SubwordSpec& spec) {
  spec.fuse_unknown = model.flag("fuse_unk", false);
  if (model.find("unk_token") == nullptr) { return; }
  const std::string& unknown = model.text("unk_token");
  const auto index = book.find(unknown);
  require(index.has_value(), ExitCode::damaged, {model.file()}, "model.unk_token \"", unknown,
          "\" is not a token of model.vocab");
  spec.unknown = *index;
}

AddedToken read_added(const Json& json, std::size_t at, std::string_view file) {
  const auto flag = [&](const char* field) {
    const auto found = json.find(field);
    require(found != json.end() && found->is_boolean(), ExitCode::damaged, {file}, "added_tokens[",
            at, "].", field, "; expected true or false, found ",
            found == json.end() ? "nothing" : found_text(*found));
    return found->get<bool>();
  };
  const bool usable = json.is_object() && json.contains("content") && json["content"].is_string() &&
                      json.contains("id") && json["id"].is_number_integer();
  require(usable, ExitCode::damaged, {file}, "added_tokens[", at,
          "]; expected an object with \"id\" and \"content\", found ", found_text(json));
  AddedToken token;
  token.text = json["content"].get<std::string>();
  token.special = flag("special");
  token.normalized = flag("normalized");
  token.single_word = flag("single_word");
  token.left_strip = flag("lstrip");
  token.right_strip = flag("rstrip");
  return token;
}

// The ids that a template puts in front of and behind a text.
void read_template(const Component& component, TokenizerFile& file) {
  const Json& single = component.list("single");
  const Json& specials = component.at("special_tokens");
  bool text_found = false;
  for (const Json& piece : single) {
    const bool known = piece.is_object() && piece.size() == 1 && piece.begin()->is_object() &&
                       piece.begin()->contains("id") && (*piece.begin())["id"].is_string();
    require(known, ExitCode::damaged, {file.path}, component.place(),
            ".single; expected {\"SpecialToken\": …} or {\"Sequence\": …}, found ",
            found_text(piece));
    const auto& id = (*piece.begin())["id"].get_ref<const std::string&>();
    if (piece.contains("Sequence")) {
      require(id == "A" && !text_found, ExitCode::unsupported, {file.path}, component.place(),
              ".single; expected the sequence A once, found ", found_text(single));
      text_found = true;
      continue;
    }
    const bool there = specials.is_object() && specials.contains(id) && specials[id].is_object() &&
                       specials[id].contains("ids") && specials[id]["ids"].is_array();
    require(there, ExitCode::damaged, {file.path}, component.place(),
            ".special_tokens; expected the ids of \"", id, "\", found none");
    for (const Json& one : specials[id]["ids"]) {
      require(one.is_number_integer() && one >= 0 && one < kTokenIdLimit, ExitCode::damaged,
              {file.path}, component.place(), ".special_tokens; expected an id from 0 to ",
              kTokenIdLimit - 1, ", found ", found_text(one));
      (text_found ? file.suffix : file.prefix).push_back(one.get<std::int32_t>());
    }
  }
  require(text_found, ExitCode::unsupported, {file.path}, component.place(),
          ".single; expected the sequence A once, found ", found_text(single));
}

void read_post_processor(const Json& json, const std::string& place, TokenizerFile& file) {
  const Component component(json, place, file.path);
  if (component.type() == "Sequence") {
    const Json& list = component.list("processors");
    for (std::size_t i = 0; i < list.size(); ++i) {
      read_post_processor(list[i], join_words(place, ".processors[", i, "]"), file);
    }
  } else if (component.type() == "TemplateProcessing") {
    // A second template goes around what the first one made.
    std::vector<std::int32_t> prefix, suffix;
    prefix.swap(file.prefix);
    suffix.swap(file.suffix);
    read_template(component, file);
    file.prefix.insert(file.prefix.end(), prefix.begin(), prefix.end());
    file.suffix.insert(file.suffix.begin(), suffix.begin(), suffix.end());
  } else if (component.type() != "ByteLevel") {  // which only trims the library's offsets
    component.refuse_type("ByteLevel, TemplateProcessing, Sequence");
  }
}

// Decoders say what tokens are written out as; of what they do to whole texts nothing is needed.
void read_decoder(const Json& json, const std::string& place, TokenizerFile& file) {
  const Component component(json, place, file.path);
  const std::string& type = component.type();
  if (type == "Sequence") {
    const Json& list = component.list("decoders");
    for (std::size_t i = 0; i < list.size(); ++i) {
      read_decoder(list[i], join_words(place, ".decoders[", i, "]"), file);
    }
  } else if (type == "Replace") {
    const Json& pattern = component.at("pattern");
    const bool plain = pattern.is_object() && pattern.size() == 1 && pattern.contains("String") &&
                       pattern["String"].is_string();
    require(plain, ExitCode::unsupported, {file.path}, place,
            R"(.pattern; expected {"String": "…"}, found )", found_text(pattern));
    file.signs.emplace_back(pattern["String"].get<std::string>(), component.text("content"));
  } else if (type == "Metaspace") {
    file.signs.emplace_back(component.character("replacement"), " ");
  } else if (type != "ByteLevel" && type != "ByteFallback" && type != "Fuse" && type != "Strip") {
    component.refuse_type("ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence");
  }
}

// The model's type; files of the first versions have none.
void check_type(const Json& model, std::string_view file) {
  require(model.is_object(), ExitCode::damaged, {file}, "model; expected an object, found ",
          found_text(model));
  const auto type = model.find("type");
  const bool named = type != model.end() && !type->is_null();
  require(named ? *type == "BPE" : model.contains("merges"), ExitCode::unsupported, {file},
          "model.type; expected BPE, found ", named ? found_text(*type) : "none");
}

void read_model(const Json& json, TokenBook& book, TokenizerFile& file) {
  Json typed = Json::object();
  typed["type"] = "BPE";
  for (const auto& [key, value] : json.items()) {
    if (key != "vocab" && key != "merges" && key != "type") { typed[key] = value; }
  }
  const Component model(typed, "model", file.path);
  check_model(model);
  read_unknown(model, book, file.model);
  file.model.byte_fallback = model.flag("byte_fallback", false);
  file.model.ignore_merges = model.flag("ignore_merges", false);
  require(!file.model.byte_fallback || !file.pre_tokenizer.byte_level(), ExitCode::unsupported,
          {file.path}, "model.byte_fallback with a ByteLevel pre_tokenizer");
  const auto merges = json.find("merges");
  require(merges != json.end() && merges->is_array(), ExitCode::damaged, {file.path},
          "model.merges; expected a list, found ",
          merges == json.end() ? "nothing" : found_text(*merges));
  file.model.merges = read_merges(*merges, book, file.path);
}

void read_components(const Json& root, TokenizerFile& file) {
  const Json none;
  const auto component = [&](const char* name) -> const Json& {
    const Json* found = value_at(root, name);
    return found == nullptr ? none : *found;
  };
  file.normalizer = Normalizer::read(component("normalizer"), file.path);
  file.pre_tokenizer = PreTokenizer::read(component("pre_tokenizer"), file.path);
  if (const Json* post = value_at(root, "post_processor")) {
    read_post_processor(*post, "post_processor", file);
  }
  if (const Json* decoder = value_at(root, "decoder")) {
    read_decoder(*decoder, "decoder", file);
  } else if (const auto* metaspace = file.pre_tokenizer.metaspace()) {
    file.signs.emplace_back(metaspace->replacement, " ");
  }
}

// A field that is misspelled would leave its component out, and give other ids.
void check_fields(const Json& root, const std::string& file) {
  constexpr std::string_view kFields[] = {"version",        "truncation", "padding",
                                          "added_tokens",   "normalizer", "pre_tokenizer",
                                          "post_processor", "decoder",    "model"};
  for (const auto& [field, value] : root.items()) {
    require(std::find(std::begin(kFields), std::end(kFields), field) != std::end(kFields),
            ExitCode::unsupported, {file}, "unknown field ", printable(field),
            "; a tokenizer.json has none of that name");
  }
}

TokenizerFile read_file(const InputFile& input, const std::filesystem::path& config) {
  const Json root = parse_json(read_text(input, kLongestFile), input.path());
  TokenizerFile file;
  file.path = input.path();
  require(root.is_object() && root.contains("model"), ExitCode::damaged, {file.path},
          "expected an object with a \"model\", found ", found_text(root));
  const Json* version = value_at(root, "version");
  require(version == nullptr || *version == "1.0", ExitCode::unsupported, {file.path},
          "version; expected \"1.0\", found ", version == nullptr ? "" : found_text(*version));
  check_fields(root, file.path);
  const Json& model = root["model"];
  check_type(model, file.path);
  read_components(root, file);
  const Json* vocabulary = value_at(model, "vocab");
  require(vocabulary != nullptr, ExitCode::damaged, {file.path}, "model.vocab is missing");
  file.model.tokens = read_vocabulary(*vocabulary, file.path);
  TokenBook book(file.model.tokens);
  read_model(model, book, file);
  if (const Json* added = value_at(root, "added_tokens")) {
    require(added->is_array(), ExitCode::damaged, {file.path},
            "added_tokens; expected a list, found ", found_text(*added));
    for (std::size_t i = 0; i < added->size(); ++i) {
      AddedToken token = read_added((*added)[i], i, file.path);
      book.add(std::move(token), (*added)[i]["id"].get<std::int64_t>(), file.path, file);
    }
  }
  TokenizerConfig(config).apply(book, file);
  return file;
}

}  // namespace

TokenizerFile read_tokenizer_json(const std::filesystem::path& path,
                                  const std::filesystem::path& config) {
  const InputFile input = InputFile::open(path);
  return with_format(input, Expected::json, [&] { return read_file(input, config); });
}

}  // namespace kappascope
