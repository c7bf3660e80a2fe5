// From the words of the command line to token ids: -p, -f, --files-from, --ids, --max-tokens.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/text_files.h"
#include "app/run_text.h"
#include "core/chat/chat_format.h"
#include "core/model/model.h"
#include "core/tokenizer/tokenizer.h"

namespace kappascope {

class Terminal;

// Refuses --only without --chat (usage).
void check_only(const std::string& only, bool chat);

// Says which day a template takes for today, where it asks.
void warn_of_date(const ChatFormat& chat, Terminal& terminal);

// What makes tokens of texts.
struct TextTokenizer {
  Tokenizer tokenizer;
  std::optional<ChatFormat> chat;  // with --chat
};

// One text of the command line: where it is read, as often as needed.
struct TextItem {
  std::string file;                         // as given; "-": standard input
  std::optional<TextLine> line;             // of a file of JSON Lines
  std::string id;                           // "id" of that line, once it was read; "" without
  std::shared_ptr<const std::string> kept;  // the file's bytes, where they cannot be read again

  // "prompt", "standard input" or the file; FILE:LINE, or FILE#ID, for a line.
  std::string source() const;
};

struct TextOptions {
  std::optional<std::string> prompt;
  std::vector<std::string> files;  // "-": standard input
  std::string list_file;
  std::vector<std::string> ids_files;
  std::string text_field;
  std::int64_t max_tokens = 0;  // 0: all
  std::string tokenizer_folder;
  bool chat = false;  // texts are chats
  ChatUse chat_use = ChatUse::whole;

  // -p, -f, --files-from, --text-field, --chat, --ids, --max-tokens, --tokenizer
  void add_to(CLI::App& app);

  // "run -f a.txt MODEL": -f takes all words that follow it. Where MODEL is missing then, the last
  // of them that is a model is it. None: usage.
  void take_model(std::string& model);

  // Exactly one of -p, of -f and --files-from, and of --ids; standard input once: else usage.
  void check() const;

  // The tokenizer of the model, or that of --tokenizer. Ids do without one where none is found.
  std::optional<TextTokenizer> open_tokenizer(const Model& model, Terminal& terminal) const;
  TextTokenizer open_tokenizer(const std::filesystem::path& file, Terminal& terminal) const;

  // The texts in the order given; folders, lists and JSON Lines stand for those in them. No text at
  // all: unsupported. Warns of files that are probably not meant as they are read.
  std::vector<TextItem> list(Terminal& terminal) const;

  // Whether the words can name several texts, however many they do now.
  bool names_several() const;

  // What the model is fed, cut to --max-tokens. With a terminal (at the first reading), warns of
  // what a text probably should not hold.
  TokenizedText read(TextItem& item, const TextTokenizer* tokenizer, const Model& model,
                     Terminal* terminal) const;

  // The text of an item, where ids are none, or the JSON of a chat; `tokenizer` is asked what an
  // empty one is fed as.
  SourceText read_text(TextItem& item, const Tokenizer& tokenizer, Terminal* terminal) const;

 private:
  bool has_lines(const std::string& file) const;  // is read as JSON Lines
  void add_items(const std::string& file, std::vector<TextItem>& items) const;
  TokenizedText read_ids(TextItem& item, std::string_view bytes, const Tokenizer* tokenizer,
                         const Model& model) const;
};

}  // namespace kappascope
