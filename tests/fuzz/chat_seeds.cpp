// Seeds of chats: each word that a template may have, one construct a seed where it is refused.
#include "tests/fuzz/more_seeds.h"

namespace kappascope::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTemplates[] = {
    "{{ 'a b'|upper ~ 'AB'|lower ~ ' x '|trim ~ 'x'|replace('x', 'yz') ~ [1]|length ~ 'é'|count }}",
    "{{ [1, 2]|first + [1, 2]|last }}{{ []|first }}{{ nothing|last }}{{ nothing|length }}",
    "{{ none|string ~ true|string ~ 1|string ~ nothing|string }}{{ [1]|list|length }}",
    "{{ nothing|default('a') ~ ''|d('b', true) ~ messages[0]|length }}",
    "{% for t in [1 is defined, x is undefined, none is none, 'a' is string, messages[0] is "
    "mapping, [] is sequence, 'a' is iterable, true is boolean, 1 is integer, 1 is number, true is "
    "true, false is false, 1 is odd, 2 is even, 3 is not even] %}{{ t }}{% endfor %}",
    "{{ 'xax'.strip('x') ~ ' a'.lstrip() ~ 'a\\t'.rstrip() ~ 'é '.strip('é') }}",
    "{{ 'ab'.startswith('a') and 'ab'.endswith('b') or not false }}",
    "{{ 'a,b'.split(',')[1] ~ ' a  b '.split()|length ~ 'a'.replace('a', 'b').lower().upper() }}",
    "{{ messages[0].get('role') ~ messages[0].get('x', 'y') ~ messages[0].get('x') }}",
    "{% set ns = namespace(a=1, b='x',) %}{% set ns.a = -ns.a - -2 %}{{ ns.a }}",
    "{% for i in range(2, 4) %}{{ loop.index0 + loop.revindex * loop.length }}{{ loop.previtem }}"
    "{{ loop.nextitem }}{% else %}none{% endfor %}{% for i in [] %}{% else %}empty{% endfor %}",
    "{{ 7 // 2 ~ -7 % 3 ~ 2 * 3 }}{{ 'a' < 'b' and 1 <= 2 and 3 > 2 and 2 >= 2 and 1 != 2 }}",
    "{{ 'a' in 'ab' }}{{ 1 not in [2] }}{{ 'role' in messages[0] }}{{ 'a' in nothing }}{{ 1 == 'a' "
    "}}",
    "{{ 'abc'[1] ~ 'abc'[-1] ~ 'é语x'[1:] ~ 'abc'[:2] ~ [1, 2, 3][::-1]|length ~ 'abc'[9] }}"
    "{{ [1, 2, 3][0:2:1]|length }}{{ [1][none:-1] | length }}{{ messages[0]['no'] }}{{ 1[0] }}",
    "{{ 1 if false else 2 if true }}{{ 3 if false }}{{ (1, 2)|length ~ (1,)|length ~ ()|length }}",
    "{{ [1] + [2] == [] }}{{ 'a' 'b' + \"c\\n\\t\\r\\\\\\'\\\"\" }}{{ True }}{{ None }}{{ False }}",
    "a\r\nb\rc\n  {%- if true -%}  d  {%+ endif +%}\n{#- e -#} f {# g #}\n{#+ h +#}\n{{- 1 -}}\n",
    "{% if 0 %}{% elif none %}{% elif nothing %}{% elif '' %}{% elif [] %}{% else %}x{% endif %}",
    "{% for m in messages if m.role != 'user' %}{% generation %}{{ m.content|trim }}"
    "{% endgeneration %}{{ m.content|replace('a', 'b') ~ m.content[2:] ~ m.none.x }}{% endfor %}",
    "{% for m in messages %}{{ m.content.split('</think>')|last|string|length }}{% endfor %}",
    // Refused when it is read.
    "{{ 1 | nothing }}", "{{ 1 is nothing }}", "{{ 'a'.nothing() }}", "{{ nothing() }}",
    "{{ 'a'.replace('a') }}", "{{ 'a'|replace('a', b='c') }}", "{{ namespace(1) }}",
    "{{ strftime_now }}", "{{ m.items }}", "{{ 1 < 2 < 3 }}", "{{ --1 }}", "{{ 1.5 }}",
    "{{ 99999999999999999999 }}", "{{ a[] }}", "{{ a[1:2:3:4] }}", "{{ a[1 2] }}", "{{ [1 2] }}",
    "{{ (1 }}", "{{ 1(2) }}", "{{ 1 2 }}", "{{ a. }}", "{{ a.1 }}", "{{ }}", "{{ {1} }}",
    "{{ 2 ** 3 }}", "{{ 'a", "{{ 'a\\x' }}", "{{ 'a\\", "{{ \x01 }}", "{{ 1", "{# a", "{% for %}",
    "{% for if in a %}", "{% for a of b %}", "{% for a in b c %}{% endfor %}", "{% for a in b %}",
    "{% if a %}{% endfor %}", "{% set a %}", "{% set a.b.c = 1 %}", "{% set loop = 1 %}",
    "{% macro a() %}", "{% endif %}", "{% generation x %}", "{% else x %}",
    "{% if a %}{% else %}{% elif b %}{% endif %}", "{{ not }}", "{{ ; }}", "{{ f(a b) }}",
    "{{ range(1 2) }}",
    // Refused when it is run.
    "{{ 1|trim }}{{ messages|upper }}", "{{ 'é'|upper }}", "{{ 'a'.strip(1) }}",
    "{{ 'a'.split('') }}", "{{ 'a'.replace('', 'b') }}", "{{ 'a'.replace(1, 'b') }}",
    "{{ 1|length }}", "{{ 1|first }}", "{{ 1|list }}", "{{ 1.get('a') }}",
    "{{ messages.get('a') }}", "{{ messages[0].get(1) }}", "{{ 'a'.startswith(1) }}",
    "{{ [].lower() }}", "{{ nothing.x }}", "{{ nothing[0] }}", "{{ [[1]] == [[1]] }}",
    "{{ 'a' in 1 }}", "{{ 'a' < 1 }}", "{{ 'a' + 1 }}", "{{ 1 // 0 }}",
    "{{ 9223372036854775807 + 1 }}", "{{ 9223372036854775807 * 2 }}", "{{ -'a' }}",
    "{{ 'a'['b':] }}", "{{ 'abc'[::2] }}", "{{ {}[0:1] }}", "{{ 1[0:1] }}", "{{ range('a') }}",
    "{{ range(100001) }}", "{{ range(-9, 99999) }}", "{{ raise_exception('no') }}",
    "{{ raise_exception([]) }}", "{% for a in 1 %}{% endfor %}", "{% set a = 1 %}{% set a.b = 2 %}",
    "{% set z.b = 2 %}", "{% generation %}{% generation %}{% endgeneration %}{% endgeneration %}",
    "{% set ns = namespace(l=[]) %}{% for i in range(99) %}{% set ns.l = [ns.l] %}{% endfor %}",
    "{% set ns = namespace(l=[]) %}{% for i in range(99) %}{% set ns.l = namespace(l=ns.l) %}"
    "{% endfor %}",
    "{% set ns = namespace(t='abcdefgh') %}{% for i in range(40) %}{% set ns.t = ns.t ~ ns.t %}"
    "{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{% if range(9999)[1:] == [] %}{% endif %}{% endfor %}"};

constexpr const char* kChats[] = {
    R"([{"role":"assistant","content":"a"},{"role":"assistant","content":null},)"
    R"({"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":"c"},)"
    R"({"type":"python","text":"d"}]},{"role":"user","content":"e"}])",
    R"([{"role":"system","content":"s"},{"role":"assistant","content":"a"}])",
    R"([{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
    R"({"role":"user","content":"q"}])",
    R"([{"role":"system","content":"s"}])",
    R"([{"role":"tool","content":"s"}])",
    R"([{"role":"user","content":"q"},{"role":"tool","content":"s"}])",
    R"([{"role":"user","content":7}])",
    R"([{"role":"user","content":[7]}])",
    R"([{"role":"user","content":[{"type":"image","text":""}]}])",
    R"([{"role":"user","content":[{"type":1,"text":""}]}])",
    R"([{"role":"user"}])",
    R"([{"role":"user","content":1.5,"x":[true,null,{"y":18446744073709551615}]}])",
    R"([{"role":"user","content":"a","x":[true,null,{"y":1}]},{"role":"assistant","content":"b<|end|>"},)"
    R"({"role":"assistant","content":"<|end|>c"},{"role":"user","content":"\u00e9\u8a9e"}])",
    R"([{"role":7}])",
    "[7]",
    "[]",
    "7",
    R"({"a":1})",
    R"({"messages":{}})",
    "x"};

std::string number_of(std::size_t i) {
  return (i < 10 ? "0" : "") + std::to_string(i);
}

}  // namespace

void write_chat_seeds(const fs::path& root, WriteSeed* write) {
  for (std::size_t i = 0; i < std::size(kTemplates); ++i) {
    write(root / "chat_template" / number_of(i), kTemplates[i]);
  }
  const std::string many(200, '('), blocks = "{% if 1 %}";
  write(root / "chat_template" / "brackets", "{{ " + many + "1" + std::string(200, ')') + " }}");
  write(root / "chat_template" / "inversions", "{{ " + many + " -1" + std::string(200, ')') + "}}");
  std::string nested, sum = "{{ 1";
  for (int i = 0; i < 200; ++i) { nested += blocks, sum += " + 1"; }
  write(root / "chat_template" / "blocks", nested);
  write(root / "chat_template" / "sum", sum + " }}");
  for (std::size_t i = 0; i < std::size(kChats); ++i) {
    for (const char* form : {"n", "t", "p"}) {
      write(root / "chat" / (form + number_of(i)), std::string(form) + kChats[i]);
    }
  }
  // Of tokenizer_config.json.
  const fs::path folder = root / "tokenizer_config";
  write(folder / "template of a list",
        R"({"chat_template":[{"name":"tool_use","template":"a"},7]})");
  write(folder / "template of a number", R"({"chat_template":7})");
  write(folder / "no template", "{}");
  write(folder / "list", "[]");
}

}  // namespace kappascope::testing
