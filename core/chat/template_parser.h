// A chat template as a tree. What is not among the plain forms of Jinja below is a `refusal`, by
// name and place: a template may have it for chats of other kinds.
//
//   {{ e }}  {% for x in e [if e] %} {% else %} {% endfor %}  {% if e %} {% elif e %} {% else %}
//   {% endif %}  {% set x = e %}  {% set x.y = e %}  {% generation %} {% endgeneration %}
//   {% macro f(x, y=e) %} {% endmacro %}
//   e: texts, whole numbers, lists, objects, names, x.y, x[e], x[e:e:e], methods, filters, tests,
//   calls, not, and, or, in, == != < <= > >=, + - * // % ~, x if y else z
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/chat/template_lexer.h"

namespace kappascope {

enum class NodeKind : std::uint8_t {
  // statements
  body,        // children one after another
  plain,       // text
  output,      // children: value
  loop,        // text: variable; children: list, condition, body, body without items
  choice,      // children: condition, body, condition, body, …, body of else
  assignment,  // text: variable, name: its field or ""; children: value
  generation,  // children: body
  macro,       // text: its name; children: parameters, body
  // expressions
  constant,  // text
  number,    // number
  word,      // text: true, false or none
  name,      // text
  list,      // children
  object,    // children: key, value, key, value, …
  field,     // text; children: of what
  item,      // children: of what, which
  slice,     // children: of what, begin, end, step; `absent` where one is not given
  absent,
  method,     // text; children: of what, arguments
  filter,     // likewise
  test,       // likewise, one child
  call,       // text: function or macro; children: arguments, `named` ones last
  named,      // text; children: value; of a parameter its default, `absent` where it has none
  negation,   // -x
  inversion,  // not x
  operation,  // text: the operator; children: left, right
  condition,  // children: value, condition, otherwise
  refusal     // text: why a statement or an expression is refused; of either kind
};

struct TemplateNode {
  NodeKind kind = NodeKind::absent;
  std::string text, name;
  std::int64_t number = 0;
  std::vector<TemplateNode> children;
  TemplatePlace place;
  int depth = 1;            // of the tree from here
  bool names_loop = false;  // somewhere in it: the variable `loop`
};

// Trees are no deeper than this: what walks them recursively needs little stack.
inline constexpr int kMostTemplateDepth = 200;

// Blocks that do not close, more than a hundred refusals, or too deep: unsupported, with its place.
// `file` must outlive the result.
TemplateNode parse_template(std::string_view source, std::string_view file);

// Whether there is a {% generation %}.
bool has_generation(const TemplateNode& node);
// Whether the function of that name is called.
bool calls(const TemplateNode& node, std::string_view function);

// The expression of `words`, which an `end` closes.
class ExpressionParser {
 public:
  explicit ExpressionParser(const std::vector<TemplateWord>& words, std::size_t at = 0)
      : words_(words), at_(at) {}

  TemplateNode expression();
  TemplateNode alternatives();  // without a condition
  const TemplateWord& word() const { return words_[at_]; }
  bool take_sign(std::string_view sign);
  bool take_name(std::string_view name);
  std::string expect_name();  // a variable's
  void expect_sign(std::string_view sign);
  void expect_end() const;
  [[noreturn]] void refuse_word() const;  // "expected …, found …"

 private:
  struct Nested;
  TemplateNode conjunction();
  TemplateNode inverted();
  TemplateNode comparison();
  TemplateNode sum();
  TemplateNode concatenation();
  TemplateNode product();
  TemplateNode signed_one();
  TemplateNode primary();
  TemplateNode of_name();
  TemplateNode listed(std::string_view end, bool tuple);
  TemplateNode with_postfixes(TemplateNode node);
  TemplateNode with_filters(TemplateNode node);
  TemplateNode dotted(TemplateNode node);
  TemplateNode subscripted(TemplateNode node);
  TemplateNode filtered(TemplateNode node);
  TemplateNode tested(TemplateNode node);
  TemplateNode object();
  // Which arguments of a call may have a name: none, all must, or any.
  enum class Named : std::uint8_t { none, all, any };
  void arguments(TemplateNode& node, Named named);

  const std::vector<TemplateWord>& words_;
  std::size_t at_;
  int nested_ = 0;
};

// A node over its children; too deep: unsupported.
TemplateNode make_node(NodeKind kind, const TemplatePlace& place, std::string text,
                       std::vector<TemplateNode> children);

}  // namespace kappascope
