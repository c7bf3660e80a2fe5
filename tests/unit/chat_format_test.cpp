// Chats as tokens: nanochat's rule, and templates of Hugging Face folders.
#include "core/chat/chat_format.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include <filesystem>
#include <string>
#include <vector>

#include "core/chat/nanochat.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

using testing::error_of;

const std::filesystem::path kNanochat =
    std::filesystem::path(KAPPASCOPE_SOURCE_DIR) / "assets/tokenizer/tokenizer.pkl";

// The tokens as text; the assistant's in braces, special ones in brackets without their bars.
std::string spelled(const std::filesystem::path& path, const std::string& document) {
  const Tokenizer tokenizer = Tokenizer::load(path);
  const ChatTokens chat = ChatFormat::load(path).render(document, tokenizer, "chat");
  std::string text;
  for (std::size_t t = 0; t < chat.tokens.size(); ++t) {
    const bool begins = chat.assistant[t] != 0 && (t == 0 || chat.assistant[t - 1] == 0);
    const bool ends = t > 0 && chat.assistant[t] == 0 && chat.assistant[t - 1] != 0;
    text += ends ? "}" : "";
    text += begins ? "{" : "";
    std::string token(tokenizer.bytes(chat.tokens[t].id));
    if (tokenizer.is_special(chat.tokens[t].id)) {
      const std::size_t bar = token.starts_with("<|") ? 2 : 1;
      token = "[" + token.substr(bar, token.size() - 2 * bar) + "]";
    }
    text += token;
  }
  return text + (!chat.assistant.empty() && chat.assistant.back() != 0 ? "}" : "");
}
std::string nanochat(const std::string& messages) {
  return spelled(kNanochat, messages);
}

TEST(ChatFormat, NanochatAsItIsTrained) {
  EXPECT_EQ(nanochat(R"({"messages":[{"role":"user","content":"Hi"},)"
                     R"({"role":"assistant","content":"Hello"}]})"),
            "[bos][user_start]Hi[user_end][assistant_start]{Hello[assistant_end]}");
  EXPECT_EQ(nanochat(R"([{"role":"system","content":"S"},{"role":"user","content":"Q"},)"
                     R"({"role":"assistant","content":[{"type":"text","text":"T"},)"
                     R"({"type":"python","text":"1+1"},{"type":"python_output","text":"2"},)"
                     R"({"type":"text","text":"so 2"}]}])"),
            "[bos][user_start]S\n\nQ[user_end][assistant_start]{T[python_start]1+1[python_end]}"
            "[output_start]2[output_end]{so 2[assistant_end]}");
}

TEST(ChatFormat, NanochatMakesTurns) {
  EXPECT_EQ(nanochat(R"([{"role":"assistant","content":"A"}])"),
            "[bos][user_start]...[user_end][assistant_start]{A[assistant_end]}");
  EXPECT_EQ(nanochat(R"([{"role":"user","content":"a"},{"role":"user","content":"b"},)"
                     R"({"role":"assistant","content":""},{"role":"user","content":"c"},)"
                     R"({"role":"assistant","content":"A"},{"role":"user","content":"left"}])"),
            "[bos][user_start]a\n\nb\n\nc[user_end][assistant_start]{A[assistant_end]}");
  EXPECT_EQ(nanochat(R"([{"role":"user","content":"alone"}])"), "[bos][user_start]alone[user_end]");
}

TEST(ChatFormat, NanochatTakesNoTextForSpecialTokens) {
  const std::string found = nanochat(R"([{"role":"user","content":"<|assistant_start|>"},)"
                                     R"({"role":"assistant","content":"<|bos|>"}])");
  EXPECT_EQ(found,
            "[bos][user_start]<|assistant_start|>[user_end][assistant_start]"
            "{<|bos|>[assistant_end]}");
}

TEST(ChatFormat, NanochatPlacesTokensInTheTextAsItIsSpelled) {
  const Tokenizer tokenizer = Tokenizer::load(kNanochat);
  const ChatTokens chat = ChatFormat::load(kNanochat).render(
      R"([{"role":"user","content":"é"},{"role":"assistant","content":"x"}])", tokenizer, "chat");
  EXPECT_EQ(chat.tokens[0].char_start, -1);
  const auto bos = std::int32_t(std::string("<|bos|><|user_start|>").size());
  EXPECT_EQ(chat.tokens[2].char_start, bos);
  EXPECT_EQ(chat.tokens[2].char_end, bos + 1);
  const auto gap = std::int32_t(std::string("<|user_end|><|assistant_start|>").size());
  const Token& last = chat.tokens[chat.tokens.size() - 2];
  EXPECT_EQ(last.char_start, bos + 1 + gap);
}

TEST(ChatFormat, NanochatRefuses) {
  const auto refused = [](const std::string& messages) {
    return error_of([&] { nanochat(messages); });
  };
  EXPECT_EQ(refused("{}"), "3 chat: expected an object with \"messages\", found none");
  EXPECT_EQ(refused("[]"), "3 chat: expected a list of messages, found []");
  EXPECT_EQ(refused(R"([{"content":"x"}])"),
            "3 chat: expected messages with a text \"role\", found {\"content\":\"x\"}");
  EXPECT_EQ(refused(R"([{"role":"user","content":3},{"role":"assistant","content":"x"}])"),
            "3 chat: message 0: expected a text or a list of parts as content, found 3");
  EXPECT_EQ(refused(R"([{"role":"user","content":"a"},{"role":"tool","content":"b"}])"),
            "4 chat: message 1: expected the role assistant, found \"tool\"");
  EXPECT_EQ(refused(R"([{"role":"user","content":[{"type":"image","text":""}]}])"),
            "4 chat: a part of a message: expected the type text, python or python_output, found "
            "\"image\"");
  EXPECT_EQ(refused(R"([{"role":"system","content":"a"}])"),
            "4 chat: expected a user's text after the system's, found none");
}

const char* const kLetters =
    R"({"added_tokens":[{"id":0,"content":"<s>","single_word":false,"lstrip":false,)"
    R"("rstrip":false,"normalized":false,"special":true},{"id":1,"content":"</s>",)"
    R"("single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],)"
    R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a-z]+"},"behavior":"Isolated",)"
    R"("invert":false},"model":{"type":"BPE","byte_fallback":true,"unk_token":"?","vocab":)"
    R"({"<s>":0,"</s>":1,"a":2,"b":3,"ab":4,"?":5,"[":6,"]":7},"merges":["a b"]}})";

TEST(ChatFormat, TemplatesOfFolders) {
  const testing::TempFolder folder;
  const std::filesystem::path file = folder / "tokenizer.json";
  folder.write("tokenizer.json", kLetters);
  const std::string chat = R"([{"role":"user","content":"b"},{"role":"assistant","content":"ab"}])";
  EXPECT_EQ(error_of([&] { spelled(file, chat); }),
            "4 " + folder.path().string() +
                ": no chat template; expected chat_template.jinja, or \"chat_template\" in "
                "tokenizer_config.json, found neither; render the chats elsewhere and give them as "
                "plain texts");
  for (const char* none : {"3", "[]", R"([{"name":"tools","template":"x"}])",
                           R"([{"name":"default","template":3},{"template":"x"},"default"])"}) {
    folder.write("tokenizer_config.json", std::string(R"({"chat_template":)") + none + "}");
    EXPECT_EQ(error_of([&] { ChatFormat::load(file); })
                  .find("3 " + (folder / "tokenizer_config.json").string() +
                        ": chat_template: expected a text, or a list with one called \"default\""),
              0U)
        << none;
  }
  folder.write(
      "tokenizer_config.json",
      R"({"bos_token":"<s>","eos_token":{"content":"</s>"},"chat_template":)"
      R"([{"name":"tools","template":"x"},{"name":"default","template":)"
      R"("{{ bos_token }}{% for m in messages %}[{{ m.content + eos_token }}]{% endfor %}"}]})");
  EXPECT_EQ(spelled(file, chat), "[s][b[/s]][{ab[/s]}]");
  const std::string known = ChatFormat::load(file).sha256();
  EXPECT_EQ(known.size(), 64U);
  EXPECT_EQ(ChatFormat::load(kNanochat).sha256(), "");
  // Between "a" and "b" nothing is cut: the token is the assistant's as soon as a part of it is.
  folder.write("chat_template.jinja", "{% for m in messages %}{{ 'a' + m.content }}{% endfor %}");
  EXPECT_EQ(spelled(file, R"([{"role":"assistant","content":"b"}])"), "{ab}");
  EXPECT_NE(ChatFormat::load(file).sha256(), known);
  folder.write("chat_template.jinja", "{% include 'x' %}");
  EXPECT_EQ(error_of([&] { spelled(file, chat); })
                .find("4 " + (folder / "chat_template.jinja").string() +
                      ": the chat template, line 1, column 1: the statement {% include … %}"),
            0U);
}

// As transformers hands them to a template.
TEST(ChatFormat, NullFieldsThoughtsAndTools) {
  const testing::TempFolder folder;
  const std::filesystem::path file = folder / "tokenizer.json";
  folder.write("tokenizer.json", kLetters);
  const auto of = [&](const std::string& source, const std::string& chat) {
    folder.write("chat_template.jinja", source);
    return spelled(file, chat);
  };
  const std::string null_fields =
      R"([{"role":"user","content":"b","tool_calls":null,"parts":[null]}])";
  EXPECT_EQ(of("{% for m in messages %}{{ 'a' if 'tool_calls' in m else m.content }}{% endfor %}",
               null_fields),
            "b");
  EXPECT_EQ(of("{{ 'a' if messages[0].parts[0] is none else 'b' }}", null_fields), "a");
  const std::string thought = "{{ messages[0].reasoning_content }}[{{ messages[0].thinking }}";
  EXPECT_EQ(of(thought, R"([{"role":"user","reasoning":"ab"}])"), "ab[ab");
  EXPECT_EQ(of(thought, R"([{"role":"user","thinking":"a","reasoning_content":"b"}])"), "b[a");
  EXPECT_EQ(of(thought, R"([{"role":"user","thinking":"a","reasoning_content":null}])"), "a[a");
  const std::string tools = "{% if tools %}{{ tools[0].name }}{% else %}[{% endif %}";
  EXPECT_EQ(of(tools, R"({"messages":[{"role":"user"}],"tools":[{"name":"ab"}]})"), "ab");
  EXPECT_EQ(of(tools, R"({"messages":[{"role":"user"}],"tools":null})"), "[");
  EXPECT_EQ(of(tools, R"([{"role":"user"}])"), "[");
}

// Of another day it is another text.
TEST(ChatFormat, TheDayIsPartOfWhatATemplateIs) {
  const testing::TempFolder folder;
  folder.write("tokenizer.json", kLetters);
  folder.write("chat_template.jinja", "{{ strftime_now('%d') }}");
  const auto on = [&](const char* seconds) {
    ::setenv("SOURCE_DATE_EPOCH", seconds, 1);
    return ChatFormat::load(folder / "tokenizer.json");
  };
  const ChatFormat one = on("0"), same = on("3600"), next = on("86400");
  ::unsetenv("SOURCE_DATE_EPOCH");
  EXPECT_EQ(one.date(), "1970-01-01");
  EXPECT_EQ(one.sha256(), same.sha256());
  EXPECT_NE(one.sha256(), next.sha256());
}

}  // namespace
}  // namespace kappascope
