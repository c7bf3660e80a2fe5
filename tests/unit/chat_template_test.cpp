// Chat templates: the forms of known models, what is refused and where, and that nothing of a
// template or chat takes long, much memory or a deep stack.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "core/chat/chat_template.h"
#include "tests/unit/expect_error.h"

namespace kappascope {
namespace {

using testing::error_of;

const char* const kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ "
    "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}";

const char* const kInst = R"({%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.first and system_message is defined %}
            {{- " [INST] " + system_message + "\n\n" + message["content"] + " [/INST]" }}
        {%- else %}
            {{- " [INST] " + message["content"] + " [/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- endif %}
{%- endfor %}
)";

const char* const kHeaders =
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
    "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | "
    "trim "
    "+ '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}";

const char* const kZephyr =
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor "
    "%}";

// A thinking model's: earlier turns lose their thoughts.
const char* const kThinking = R"({%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if message.role == "user" and ns.last == messages|length - 1 %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == "assistant" and '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
{%- endfor %})";

MarkedText render(const std::string& source, const std::string& messages) {
  const ChatTemplate chat(source, "T", {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  return chat.render(Json::parse(messages), "chat");
}
std::string rendered(const std::string& source, const std::string& messages = "[]") {
  return render(source, messages).text;
}
// The texts of the marks, each in brackets.
std::string marked(const std::string& source, const std::string& messages) {
  const MarkedText text = render(source, messages);
  std::string parts;
  for (const ByteRange& mark : text.marks) {
    parts += "[" + text.text.substr(mark.begin, mark.end - mark.begin) + "]";
  }
  return parts;
}

const char* const kTwo =
    R"([{"role":"user","content":" Hi "},{"role":"assistant","content":" Hello\n"}])";
const char* const kFour =
    R"([{"role":"system","content":"S"},{"role":"user","content":"Q"},)"
    R"({"role":"assistant","content":"<think>w</think>\n\nA"},{"role":"user","content":"R"},)"
    R"({"role":"assistant","content":"<think>v</think>\n\nB"}])";

TEST(ChatTemplate, FormsOfKnownModels) {
  EXPECT_EQ(rendered(kChatMl, kTwo),
            "<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\n Hello\n<|im_end|>\n");
  EXPECT_EQ(rendered(kInst, kTwo), "<s> [INST]  Hi  [/INST]  Hello\n</s>");
  EXPECT_EQ(rendered(kInst, R"([{"role":"system","content":"S"},{"role":"user","content":"Q"}])"),
            "<s> [INST] S\n\nQ [/INST]");
  EXPECT_EQ(rendered(kHeaders, kTwo),
            "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>");
  EXPECT_EQ(rendered(kZephyr, kTwo), "<|user|>\n Hi </s>\n<|assistant|>\n Hello\n</s>\n");
  EXPECT_EQ(rendered(kThinking, kFour),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n"
            "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nR<|im_end|>\n"
            "<|im_start|>assistant\n<think>v</think>\n\nB<|im_end|>\n");
}

TEST(ChatTemplate, MarksWhatTheAssistantSays) {
  EXPECT_EQ(marked(kChatMl, kTwo), "[ Hello\n]");
  EXPECT_EQ(marked(kInst, kTwo), "[ Hello\n]");
  EXPECT_EQ(marked(kHeaders, kTwo), "[Hello]");
  EXPECT_EQ(marked(kThinking, kFour), "[A][<think>v</think>\n\nB]");
  EXPECT_EQ(marked("{{ messages[0].content.replace('b', 'xy')[1:] }}",
                   R"([{"role":"assistant","content":"abc"}])"),
            "[xyc]");
  // Nothing said, and nothing but blanks: the place where it would be.
  EXPECT_EQ(marked("a{{ messages[0].content }}b", R"([{"role":"assistant","content":""}])"), "[]");
  EXPECT_EQ(marked("{{ messages[0].content|trim }}b", R"([{"role":"assistant","content":" "}])"),
            "[]");
  EXPECT_EQ(marked("{{ messages[0].role }}", R"([{"role":"assistant","content":"x"}])"), "");
}

TEST(ChatTemplate, GenerationSaysWhatIsTheAssistants) {
  const std::string source =
      "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}"
      "{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
      "{% endfor %}";
  EXPECT_EQ(rendered(source, kTwo), "user: Hi assistant: Hello\n</s>");
  EXPECT_EQ(marked(source, kTwo), "[ Hello\n</s>]");
}

TEST(ChatTemplate, BlanksAsTransformersSetsThem) {
  EXPECT_EQ(rendered("  {% if true %}\n  a {#- c -#}  \n b\n{%+ if true %}x{% endif +%}\n"
                     "{% endif -%}\n\n y {{- ' z ' -}} \n w\n   {# c #}\nv\r\nq\n"),
            "  ab\nx\ny z w\nv\nq");
}

TEST(ChatTemplate, ValuesArePythons) {
  EXPECT_EQ(
      rendered("{{ -7 // 2 }} {{ -7 % 3 }} {{ 1 + 2 * 3 }} {{ 'é日本'[1] }} {{ 'é日'|length }}"),
      "-4 2 7 日 2");
  EXPECT_EQ(rendered("{{ 'a' ~ 1 ~ true ~ none ~ u }}{{ u is defined }}{{ u or 'd' }}"),
            "a1TrueNoneFalsed");
  EXPECT_EQ(rendered("{% for x in range(4) if x != 1 %}{{ x }}{{ loop.index }}{% endfor %}"),
            "012233");
  EXPECT_EQ(rendered("{% for x in [1] %}{% set y = x %}{% endfor %}{{ y is defined }}"), "False");
  EXPECT_EQ(rendered("{{ 'x' if 0 else 'y' if 1 else 'z' }}{{ not 'a' in 'abc' }}"), "yFalse");
  EXPECT_EQ(rendered("{{ missing|length }} {{ []|length }}"), "0 0");
  EXPECT_EQ(rendered("{{ [1, 2, 3][-1] }}{{ [1, 2, 3][1:]|length }}{{ 'a,b'.split(',')[1] }}"),
            "32b");
}

TEST(ChatTemplate, RefusesWhatItDoesNotKnowByName) {
  const auto refused = [](const std::string& source) {
    return error_of([&] { rendered(source); });
  };
  const std::string remedy = "; render the chats elsewhere and give them as plain texts";
  EXPECT_EQ(refused("a\n {% import 'x' as y %}"),
            "4 T: the chat template, line 2, column 2: the statement {% import … %}" + remedy);
  EXPECT_EQ(refused("{{ messages[0 1] }}"),
            "4 T: the chat template, line 1, column 15: the construct at \"1\"" + remedy);
  EXPECT_EQ(refused("{{ messages[0:1:1:1] }}"),
            "4 T: the chat template, line 1, column 19: the construct at \"1\"" + remedy);
  EXPECT_EQ(refused("{{ messages[] }}"),
            "4 T: the chat template, line 1, column 12: an index that is not there" + remedy);
  EXPECT_EQ(refused("{{ messages|tojson }}"),
            "4 T: the chat template, line 1, column 13: the filter \"tojson\" is not one that is "
            "known here" +
                remedy);
  EXPECT_EQ(
      refused("{{ x.items() }}"),
      "4 T: the chat template, line 1, column 6: the method \"items\" is not one that is known "
      "here" +
          remedy);
  EXPECT_EQ(
      refused("{{ lipsum(1) }}"),
      "4 T: the chat template, line 1, column 4: the function \"lipsum\" is not one that is known "
      "here" +
          remedy);
  EXPECT_EQ(refused("{{ 1.5 }}").find("4 T: the chat template, line 1, column 5: the construct"),
            0U);
  EXPECT_EQ(refused("{% if x %}a")
                .find("4 T: the chat template, line 1, column 1: expected {% "
                      "endif %} after it, found the end"),
            0U);
}

// Templates have forms for chats of other kinds: what is not reached does not matter.
TEST(ChatTemplate, WhatIsNotReachedIsNotRefused) {
  EXPECT_EQ(
      rendered("{% if tools %}{{ tools|tojson }}{% for k, v in x.items() %}{{ k }}"
               "{% endfor %}{% filter upper %}a{% endfilter %}{% set a, b = 1, 2 %}{% endif %}b"),
      "b");
  EXPECT_NE(error_of([] {
              rendered("{% for k, v in messages %}{% endfor %}");
            }).find("4 T: the chat template, line 1, column 9: the construct at \",\""),
            std::string::npos);
  std::string many;
  for (int i = 0; i < 101; ++i) { many += "{% if 0 %}{{ a|b }}{% endif %}"; }
  EXPECT_NE(error_of([&] { rendered(many); }).find("the filter \"b\""), std::string::npos);
  EXPECT_NE(error_of([] {
              rendered("{% if f(1.5) %}{% endif %}");
            }).find("4 T: the chat template, line 1, column 10"),
            std::string::npos);
}

TEST(ChatTemplate, MacrosAndObjects) {
  EXPECT_EQ(rendered("{% macro f(x, y='b', z) %}<{{ x }}{{ y }}{{ z is defined }}{{ w }}>"
                     "{% endmacro %}{% set w = 'w' %}{% for i in [1] %}{% set w = 'loop' %}"
                     "{{ f(i) }}{{ f(z=i, x='c') }}{{ f('a', y=2)|upper }}{{ i }}{% endfor %}"),
            "<1bFalsew><cbTruew><A2FALSEW>1");
  EXPECT_EQ(marked("{%- macro said(m) %}[{{ m.content }}]{% endmacro %}{{ said(messages[0]) }}",
                   R"([{"role":"assistant","content":"x"}])"),
            "[x]");
  EXPECT_EQ(rendered("{% set names = {'a': 'b', 'c': [1]} %}{{ names['a'] }}{{ names.c[0] }}"
                     "{{ {}|length }}{{ {'k': {'l': 2}}.k.l }}"),
            "b102");
  EXPECT_EQ(rendered("{% macro f() %}{% endmacro %}{{ f is defined }}{{ range is defined }}"
                     "{{ g is defined }}{% set range = 1 %}{{ range is not undefined }}"),
            "TrueTrueFalseTrue");
  const auto refused = [](const std::string& source) {
    return error_of([&] { rendered(source); });
  };
  const std::string macro = "{% macro f(x) %}{{ f(x) }}{% endmacro %}";
  EXPECT_NE(refused(macro + "{{ f(1) }}").find("over 20 macros in each other"), std::string::npos);
  EXPECT_NE(refused(macro + "{{ f(1, 2) }}").find("an argument that it does not have"),
            std::string::npos);
  EXPECT_NE(refused(macro + "{{ f(y=2) }}").find("an argument that it does not have"),
            std::string::npos);
  EXPECT_NE(refused(macro + "{{ f }}").find("a macro that is not called"), std::string::npos);
  EXPECT_NE(refused("{% for i in [1] %}" + macro + "{% endfor %}").find("inside a loop"),
            std::string::npos);
  EXPECT_NE(refused("{% macro f() %}{% generation %}a{% endgeneration %}{% endmacro %}{{ f() }}")
                .find("inside a macro"),
            std::string::npos);
  EXPECT_NE(refused("{{ {1: 2} }}").find("a key that is a number"), std::string::npos);
}

// What a dataset has beside the texts does not keep a chat from being rendered.
TEST(ChatTemplate, NumbersThatAreNotWholeAreRefusedWhereTheyAreUsed) {
  const char* const kWeighed = R"([{"role":"user","content":"x","weight":0.5,"zero":0.0}])";
  const auto of = [&](const std::string& source) { return rendered(source, kWeighed); };
  EXPECT_EQ(of("{{ messages[0].content }}{{ messages[0].weight is number }}"
               "{{ messages[0].weight is integer }}{{ 'a' if messages[0].zero else 'b' }}"
               "{{ messages[0].weight == 'x' }}"),
            "xTrueFalsebFalse");
  EXPECT_NE(error_of([&] { of("{{ messages[0].weight }}"); }).find("that is not whole as a text"),
            std::string::npos);
  EXPECT_NE(error_of([&] { of("{{ messages[0].weight == 1 }}"); }).find("is not whole is another"),
            std::string::npos);
  EXPECT_NE(error_of([&] { of("{{ messages[0].weight > 0 }}"); }).find("\">\" of a number that"),
            std::string::npos);
}

TEST(ChatTemplate, TodayIsToldAndCanBeSet) {
  const char* const kDay = "{{ strftime_now('%d %b %Y') }}";
  ::setenv("SOURCE_DATE_EPOCH", "1780000000", 1);
  EXPECT_EQ(rendered(kDay), "28 May 2026");
  EXPECT_EQ(ChatTemplate(kDay, "T", {}).date(), "2026-05-28");
  ::setenv("SOURCE_DATE_EPOCH", "no number", 1);
  EXPECT_GT(ChatTemplate(kDay, "T", {}).date(), "2026-05-28");
  ::unsetenv("SOURCE_DATE_EPOCH");
  EXPECT_EQ(ChatTemplate("{{ messages }}", "T", {}).date(), "");
}

TEST(ChatTemplate, RefusesChatsAsPythonWould) {
  EXPECT_EQ(error_of([] { rendered("{{ 3|length }}"); }),
            "4 chat: the chat template (T, line 1, column 6): \"length\" of a number");
  EXPECT_EQ(error_of([] { rendered(kInst, R"([{"role":"assistant","content":"x"}])"); }),
            "4 chat: the chat template (T, line 11, column 13): it refuses the chat: roles must "
            "alternate");
  EXPECT_EQ(error_of([] { rendered(kChatMl, R"([{"role":"user","content":null}])"); }),
            "4 chat: the chat template (T, line 1, column 72): \"+\" of a text and none");
  EXPECT_EQ(error_of([] { rendered("{{ a.b.c }}"); }),
            "4 chat: the chat template (T, line 1, column 6): \"b\" of something undefined");
  EXPECT_EQ(error_of([] { rendered("{{ messages }}"); }),
            "4 chat: the chat template (T, line 1, column 1): a list as a text");
}

TEST(ChatTemplate, IsBounded) {
  const auto refused = [](const std::string& source) {
    return error_of([&] { rendered(source); });
  };
  const auto repeated = [](const std::string& part, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) { all += part; }
    return all;
  };
  EXPECT_NE(refused("{{ " + repeated("(", 9999) + "1" + repeated(")", 9999) + " }}")
                .find("constructs in each other"),
            std::string::npos);
  EXPECT_NE(refused("{{ 1" + repeated(" + 1", 100'000) + " }}").find("constructs in each other"),
            std::string::npos);
  EXPECT_NE(refused(repeated("{% if 1 %}", 10'000)).find("blocks in each other"),
            std::string::npos);
  EXPECT_NE(refused(repeated("{{ 1 }}", 200'000)).find("at most 1048576 bytes"), std::string::npos);
  EXPECT_NE(refused("{% set x = 'xxxxxxxxxxxxxxxx' %}" + repeated("{% set x = x + x %}", 40))
                .find("bytes of text to be made"),
            std::string::npos);
  const std::string loops =
      repeated("{% for i in range(100000) %}", 3) + "{% set y = 1 %}" + repeated("{% endfor %}", 3);
  EXPECT_NE(refused(loops).find("steps, found more"), std::string::npos);
  // A round makes what `loop` names where it is named, though nothing is done with it.
  const std::string rounds = "{% for a in range(1500) %}{% for b in range(100) %}";
  EXPECT_NE(refused(rounds + "{% if 0 %}{{ loop }}{% endif %}{% endfor %}{% endfor %}")
                .find("steps, found more"),
            std::string::npos);
  EXPECT_EQ(rendered(rounds + "{% endfor %}{% endfor %}"), "");
  EXPECT_EQ(rendered("{% for i in range(100000) %}x{% endfor %}"), std::string(100'000, 'x'));
  EXPECT_NE(refused("{% set n = namespace(x=1) %}{% for i in range(9999) %}{% set n.x = [n.x] %}"
                    "{% endfor %}")
                .find("nested too deep"),
            std::string::npos);
  EXPECT_NE(refused("{{ range(100001)|length }}").find("more than 100000"), std::string::npos);
}

// 8 × 2^17 bytes in n.t. None of it takes the square of them.
TEST(ChatTemplate, LongTextsAreSearchedInLinearTime) {
  const std::string head =
      "{% set n = namespace(t='aaaaaaaa') %}{% for i in range(17) %}{% set n.t = n.t ~ n.t %}"
      "{% endfor %}";
  EXPECT_EQ(rendered(head + "{{ (n.t ~ 'b') in (n.t ~ n.t) }}"), "False");
  EXPECT_EQ(rendered(head + "{{ (n.t ~ n.t).split(n.t ~ 'b')|length }}"), "1");
  EXPECT_EQ(rendered(head + "{{ (n.t ~ n.t)|replace(n.t ~ 'b', '')|length }}"), "2097152");
  EXPECT_EQ(rendered(head + "{{ n.t.strip('\xe2\x96\x81"
                            "ba') }}"),
            "");
  EXPECT_NE(error_of([&] {
              rendered(head + "{{ n.t.strip(n.t) }}");
            }).find("\"strip\" of more than 256 bytes"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              rendered(head + "{{ n.t|replace('a', '') }}");
            }).find("\"replace\" in more than 262,144 places"),
            std::string::npos);
  // Fewer places at a time, but many times.
  const std::string often =
      "{% set part = n.t[:99999] %}{% for i in range(999) %}"
      "{% if part|replace('a', '') %}{% endif %}{% endfor %}";
  EXPECT_NE(error_of([&] { rendered(head + often); }).find("bytes of text to be made"),
            std::string::npos);
}

// Renders or is refused: nothing else happens.
TEST(ChatTemplate, EveryPrefixAndFlippedByteEndsInTextOrRefusal) {
  std::size_t texts = 0, refusals = 0;
  const auto attempt = [&](const std::string& source) {
    const std::string found = error_of([&] { rendered(source, kFour); });
    const bool refused = found.starts_with("4 T: ") || found.starts_with("4 chat: ");
    ASSERT_TRUE(refused || found == "no error") << source << "\n" << found;
    ++(refused ? refusals : texts);
  };
  for (const std::string source : {kChatMl, kInst, kHeaders, kZephyr, kThinking}) {
    for (std::size_t i = 0; i < source.size(); ++i) {
      attempt(source.substr(0, i));
      for (const int bit : {1, 16}) {
        std::string flipped = source;
        flipped[i] = char(flipped[i] ^ bit);
        attempt(flipped);
      }
    }
  }
  EXPECT_GT(texts, 1000U);
  EXPECT_GT(refusals, 1000U);
}

}  // namespace
}  // namespace kappascope
