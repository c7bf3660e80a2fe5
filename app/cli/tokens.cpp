// `kappascope tokens`: the ids that `run` would feed to a model.
#include <cstdio>

#include "app/cli/command_line.h"
#include "app/cli/terminal.h"
#include "app/cli/texts.h"
#include "app/cli/verbs.h"
#include "core/checkpoint/folder.h"

namespace kappascope {
namespace {

constexpr const char* kTokensExamples = R"(
Examples:
  kappascope tokens assets/d8-kappa -p "Once upon a time"
  kappascope tokens assets/d8-kappa -f - --json < text.txt > ids.json
  kappascope run assets/d8-kappa --ids ids.json)";

std::string as_json(const TokenizedText& text) {
  Json ids = Json::array(), bytes = Json::array();
  for (std::size_t t = 0; t < text.tokens.size(); ++t) {
    ids.push_back(text.tokens[t].id);
    bytes.push_back(hex_text(text.bytes[t]));
  }
  Json json{{"token_id", ids}, {"token_bytes_hex", bytes}};
  for (const std::uint8_t assistant : text.assistant) {
    json["token_mask"].push_back(assistant != 0);
  }
  return json.dump() + "\n";
}

// One row per token: position, id, code points of the text, the token in quotes.
std::string as_listing(const TokenizedText& text) {
  std::string listing = bold("position      id  characters  token") + "\n";
  for (std::size_t t = 0; t < text.tokens.size(); ++t) {
    const Token& token = text.tokens[t];
    const std::string span =
        token.char_start < 0 ? "" : join_words(token.char_start, "-", token.char_end);
    char columns[64];
    std::snprintf(columns, sizeof columns, "%8zu  %6d  %10s  ", t, int(token.id), span.c_str());
    listing += columns + ('"' + printable(display_text(text.bytes[t])) + "\"\n");
  }
  return listing;
}

TextItem only_item(const TextOptions& words, Terminal& terminal) {
  std::vector<TextItem> items = words.list(terminal);
  require(items.size() == 1, ExitCode::usage, {}, "tokens takes one text, found ", items.size());
  return std::move(items.front());
}

TokenizedText tokens_of_model(const std::string& path, std::optional<std::int64_t> step,
                              const TextOptions& words, Terminal& terminal) {
  const Model model = open_model(path, {.step = step, .kappa_values = false});
  say_unknown(model, terminal);
  const std::optional<TextTokenizer> tokenizer = words.open_tokenizer(model, terminal);
  TextItem item = only_item(words, terminal);
  return words.read(item, tokenizer ? &*tokenizer : nullptr, model, &terminal);
}

// What any model would be fed.
TokenizedText tokens_of_tokenizer(const std::filesystem::path& file, const TextOptions& words,
                                  Terminal& terminal) {
  require(words.ids_files.empty(), ExitCode::usage, {}, "--ids: expected a model, found ",
          file.string());
  require(words.tokenizer_folder.empty(), ExitCode::usage, {}, "--tokenizer: ", file.string(),
          " is a tokenizer; expected one of the two");
  const auto [tokenizer, chat] = words.open_tokenizer(file, terminal);
  TextItem item = only_item(words, terminal);
  const SourceText text = words.read_text(item, tokenizer, &terminal);
  if (!chat) {
    return with_bytes(tokenizer.encode(text.text, text.source), &tokenizer, words.max_tokens);
  }
  ChatTokens rendered = chat->render(text.text, tokenizer, text.source);
  TokenizedText result = with_bytes(std::move(rendered.tokens), &tokenizer, words.max_tokens);
  rendered.assistant.resize(result.tokens.size());
  result.assistant = std::move(rendered.assistant);
  return result;
}

}  // namespace

int tokens_verb(const Arguments& arguments) {
  CLI::App app("Print the token ids that `run` would feed to a model, BOS included",
               "kappascope tokens");
  app.footer(kTokensExamples);
  std::string path;
  std::optional<std::int64_t> step;
  TextOptions words;
  TalkOptions talk;
  bool json = false;
  app.add_option("MODEL", path,
                 "model folder or model_NNNNNN.pt; or a tokenizer alone: tokenizer.pkl, "
                 "tokenizer.json or tokenizer.model, or a folder of one");
  words.add_to(app);
  app.add_option("--step", step, "training step; the newest unless given")->check(at_least_zero());
  app.add_flag("--json", json, R"(print {"token_bytes_hex": […], "token_id": […]})");
  talk.add_to(app);
  if (!parse_words(app, arguments.words)) { return int(ExitCode::ok); }
  words.take_model(path);
  words.check();

  Interrupts interrupts;
  Terminal terminal(talk.talk(), interrupts);
  const std::filesystem::path alone = find_tokenizer_alone(path);
  const TokenizedText text = alone.empty() ? tokens_of_model(path, step, words, terminal)
                                           : tokens_of_tokenizer(alone, words, terminal);
  print(json ? as_json(text) : as_listing(text));
  return int(ExitCode::ok);
}

}  // namespace kappascope
