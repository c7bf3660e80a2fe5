// Jinja's grammar of expressions, which is Python's but for filters, tests and ~.
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/chat/template_calls.h"
#include "core/chat/template_parser.h"

namespace kappascope {
namespace {

constexpr int kMostNestedWords = 50;  // parentheses and the like in each other

// Names that Python's objects have as methods, which are no fields.
bool is_method_of_dict(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kNames{
      "items", "keys", "values", "get", "copy", "pop", "update", "setdefault", "clear"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

const CallRule& known_call(CallKind kind, std::string_view what, const TemplateWord& word) {
  const CallRule* rule = find_call(kind, word.text);
  if (rule == nullptr) {
    refuse_template(word.place, "the ", what, " \"", word.text, "\" is not one that is known here");
  }
  return *rule;
}

void check_arguments(const CallRule& rule, const TemplateNode& node, std::size_t before) {
  const auto given = int(node.children.size() - before);
  if (given < rule.least || given > rule.most) {
    refuse_template(node.place, "\"", rule.name, "\" with ", given, " arguments");
  }
}

}  // namespace

TemplateNode make_node(NodeKind kind, const TemplatePlace& place, std::string text,
                       std::vector<TemplateNode> children) {
  TemplateNode node{.kind = kind, .text = std::move(text), .place = place};
  const bool variable = kind == NodeKind::name || kind == NodeKind::assignment;
  node.names_loop = variable && node.text == "loop";
  for (const TemplateNode& child : children) {
    node.depth = std::max(node.depth, child.depth + 1);
    node.names_loop |= child.names_loop;
  }
  if (node.depth > kMostTemplateDepth) {
    refuse_template(place, "over ", kMostTemplateDepth, " constructs in each other");
  }
  node.children = std::move(children);
  return node;
}

// Counts a step into something nested.
struct ExpressionParser::Nested {
  explicit Nested(ExpressionParser& parser_) : parser(parser_) {
    if (++parser.nested_ > kMostNestedWords) {
      refuse_template(parser.word().place, "over ", kMostNestedWords, " constructs in each other");
    }
  }
  ~Nested() { --parser.nested_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ExpressionParser& parser;
};

bool ExpressionParser::take_sign(std::string_view sign) {
  const bool found = word().is_sign(sign);
  at_ += found ? 1 : 0;
  return found;
}

bool ExpressionParser::take_name(std::string_view name) {
  const bool found = word().is_name(name);
  at_ += found ? 1 : 0;
  return found;
}

void ExpressionParser::refuse_word() const {
  refuse_template(word().place, "the construct at \"", word().text, "\"");
}

std::string ExpressionParser::expect_name() {
  static constexpr std::array<std::string_view, 8> kReserved{"not", "and", "or",   "in",
                                                             "is",  "if",  "else", "loop"};
  const bool taken = std::find(kReserved.begin(), kReserved.end(), word().text) != kReserved.end();
  if (word().kind != TemplateWord::Kind::name || taken) { refuse_word(); }
  return words_[at_++].text;
}

void ExpressionParser::expect_sign(std::string_view sign) {
  if (!take_sign(sign)) { refuse_word(); }
}

void ExpressionParser::expect_end() const {
  if (word().kind != TemplateWord::Kind::end) { refuse_word(); }
}

TemplateNode ExpressionParser::expression() {
  const Nested nested(*this);
  TemplateNode value = alternatives();
  while (word().is_name("if")) {
    const TemplatePlace place = words_[at_++].place;
    TemplateNode asked = alternatives();
    TemplateNode otherwise;
    if (take_name("else")) { otherwise = expression(); }
    value = make_node(NodeKind::condition, place, "",
                      {std::move(value), std::move(asked), std::move(otherwise)});
  }
  return value;
}

TemplateNode ExpressionParser::alternatives() {
  TemplateNode left = conjunction();
  while (word().is_name("or")) {
    const TemplatePlace place = words_[at_++].place;
    left = make_node(NodeKind::operation, place, "or", {std::move(left), conjunction()});
  }
  return left;
}

TemplateNode ExpressionParser::conjunction() {
  TemplateNode left = inverted();
  while (word().is_name("and")) {
    const TemplatePlace place = words_[at_++].place;
    left = make_node(NodeKind::operation, place, "and", {std::move(left), inverted()});
  }
  return left;
}

TemplateNode ExpressionParser::inverted() {
  if (!word().is_name("not")) { return comparison(); }
  const Nested nested(*this);
  const TemplatePlace place = words_[at_++].place;
  return make_node(NodeKind::inversion, place, "", {inverted()});
}

// a < b < c is no form of the plain ones.
TemplateNode ExpressionParser::comparison() {
  static constexpr std::array<std::string_view, 6> kSigns{"==", "!=", "<", "<=", ">", ">="};
  const auto found = [&]() -> std::string {
    if (word().is_name("in")) { return "in"; }
    if (word().is_name("not") && words_[at_ + 1].is_name("in")) { return "not in"; }
    for (const std::string_view sign : kSigns) {
      if (word().is_sign(sign)) { return std::string(sign); }
    }
    return "";
  };
  TemplateNode left = sum();
  const std::string sign = found();
  if (sign.empty()) { return left; }
  const TemplatePlace place = word().place;
  at_ += sign == "not in" ? 2 : 1;
  left = make_node(NodeKind::operation, place, sign, {std::move(left), sum()});
  if (!found().empty()) { refuse_word(); }
  return left;
}

TemplateNode ExpressionParser::sum() {
  TemplateNode left = concatenation();
  while (word().is_sign("+") || word().is_sign("-")) {
    const TemplateWord sign = words_[at_++];
    left =
        make_node(NodeKind::operation, sign.place, sign.text, {std::move(left), concatenation()});
  }
  return left;
}

TemplateNode ExpressionParser::concatenation() {
  TemplateNode left = product();
  while (word().is_sign("~")) {
    const TemplatePlace place = words_[at_++].place;
    left = make_node(NodeKind::operation, place, "~", {std::move(left), product()});
  }
  return left;
}

TemplateNode ExpressionParser::product() {
  TemplateNode left = signed_one();
  while (word().is_sign("*") || word().is_sign("//") || word().is_sign("%")) {
    const TemplateWord sign = words_[at_++];
    left = make_node(NodeKind::operation, sign.place, sign.text, {std::move(left), signed_one()});
  }
  return left;
}

TemplateNode ExpressionParser::signed_one() {
  if (!word().is_sign("-")) { return with_filters(with_postfixes(primary())); }
  const Nested nested(*this);
  const TemplatePlace place = words_[at_++].place;
  const bool twice = word().is_sign("-");
  if (twice) { refuse_word(); }
  return with_filters(make_node(NodeKind::negation, place, "", {with_postfixes(primary())}));
}

TemplateNode ExpressionParser::primary() {
  const Nested nested(*this);
  const TemplateWord first = word();
  switch (first.kind) {
    case TemplateWord::Kind::name:
      return of_name();
    case TemplateWord::Kind::text: {
      std::string text;
      while (word().kind == TemplateWord::Kind::text) { text += words_[at_++].text; }
      return make_node(NodeKind::constant, first.place, std::move(text), {});
    }
    case TemplateWord::Kind::integer: {
      TemplateNode node = make_node(NodeKind::number, first.place, first.text, {});
      const char* const end = first.text.data() + first.text.size();
      if (std::from_chars(first.text.data(), end, node.number).ec != std::errc()) { refuse_word(); }
      ++at_;
      if (word().is_sign(".")) { refuse_word(); }  // a number that is not whole
      return node;
    }
    case TemplateWord::Kind::sign:
      if (take_sign("(")) { return listed(")", true); }
      if (take_sign("[")) { return listed("]", false); }
      if (take_sign("{")) { return object(); }
      break;
    case TemplateWord::Kind::end:
      break;
  }
  refuse_word();
}

TemplateNode ExpressionParser::of_name() {
  const TemplateWord first = word();
  for (const char* known : {"true", "false", "none"}) {
    std::string capital = known;
    capital[0] = char(capital[0] - 'a' + 'A');
    if (first.text != known && first.text != capital) { continue; }
    ++at_;
    return make_node(NodeKind::word, first.place, known, {});
  }
  if (words_[at_ + 1].is_sign("(")) {
    const CallRule* rule = find_call(CallKind::function, first.text);  // nullptr: a macro
    at_ += 2;
    TemplateNode node = make_node(NodeKind::call, first.place, first.text, {});
    arguments(node, first.text == "namespace" ? Named::all : rule ? Named::none : Named::any);
    if (rule) { check_arguments(*rule, node, 0); }
    return node;
  }
  if (first.text == "loop") {
    ++at_;
    return make_node(NodeKind::name, first.place, first.text, {});
  }
  return make_node(NodeKind::name, first.place, expect_name(), {});
}

// What is between brackets; in parentheses one without a comma is itself.
TemplateNode ExpressionParser::listed(std::string_view end, bool tuple) {
  const TemplatePlace place = words_[at_ - 1].place;
  std::vector<TemplateNode> values;
  bool comma = false;
  while (!word().is_sign(end)) {
    if (!values.empty() && !comma) { refuse_word(); }
    values.push_back(expression());
    comma = take_sign(",");
  }
  ++at_;
  if (tuple && values.size() == 1 && !comma) { return std::move(values[0]); }
  return make_node(NodeKind::list, place, "", std::move(values));
}

TemplateNode ExpressionParser::object() {
  const TemplatePlace place = words_[at_ - 1].place;
  std::vector<TemplateNode> parts;
  for (bool comma = true; !take_sign("}"); comma = take_sign(",")) {
    if (!comma) { refuse_word(); }
    parts.push_back(expression());
    expect_sign(":");
    parts.push_back(expression());
  }
  return make_node(NodeKind::object, place, "", std::move(parts));
}

TemplateNode ExpressionParser::with_postfixes(TemplateNode node) {
  for (;;) {
    if (take_sign(".")) {
      node = dotted(std::move(node));
    } else if (take_sign("[")) {
      node = subscripted(std::move(node));
    } else {
      return node;
    }
  }
}

TemplateNode ExpressionParser::dotted(TemplateNode node) {
  const TemplateWord field = word();
  if (field.kind != TemplateWord::Kind::name) { refuse_word(); }
  ++at_;
  if (take_sign("(")) {
    const CallRule& rule = known_call(CallKind::method, "method", field);
    TemplateNode call = make_node(NodeKind::method, field.place, field.text, {std::move(node)});
    arguments(call, Named::none);
    check_arguments(rule, call, 1);
    return call;
  }
  if (is_method_of_dict(field.text)) {
    refuse_template(field.place, "the method \"", field.text, "\" that is not called");
  }
  return make_node(NodeKind::field, field.place, field.text, {std::move(node)});
}

TemplateNode ExpressionParser::subscripted(TemplateNode node) {
  const TemplatePlace place = words_[at_ - 1].place;
  std::vector<TemplateNode> parts;
  parts.push_back(std::move(node));
  int colons = 0;
  bool given = false;
  while (!word().is_sign("]")) {
    if (take_sign(":")) {
      if (!given) { parts.emplace_back(); }
      given = false;
      if (++colons > 2) { refuse_word(); }
    } else if (!given) {
      parts.push_back(expression());
      given = true;
    } else {
      refuse_word();
    }
  }
  ++at_;
  if (colons == 0 && parts.size() != 2) { refuse_template(place, "an index that is not there"); }
  if (colons == 0) { return make_node(NodeKind::item, place, "", std::move(parts)); }
  parts.resize(4);
  return make_node(NodeKind::slice, place, "", std::move(parts));
}

TemplateNode ExpressionParser::with_filters(TemplateNode node) {
  for (;;) {
    if (take_sign("|")) {
      node = filtered(std::move(node));
    } else if (take_name("is")) {
      node = tested(std::move(node));
    } else if (word().is_sign("(")) {
      refuse_word();
    } else {
      return node;
    }
  }
}

TemplateNode ExpressionParser::filtered(TemplateNode node) {
  const TemplateWord name = word();
  const CallRule& rule = known_call(CallKind::filter, "filter", name);
  ++at_;
  TemplateNode call = make_node(NodeKind::filter, name.place, name.text, {std::move(node)});
  if (take_sign("(")) { arguments(call, Named::none); }
  check_arguments(rule, call, 1);
  return call;
}

TemplateNode ExpressionParser::tested(TemplateNode node) {
  const bool inverted_test = take_name("not");
  const TemplateWord name = word();
  known_call(CallKind::test, "test", name);
  ++at_;
  TemplateNode test = make_node(NodeKind::test, name.place, name.text, {std::move(node)});
  if (!inverted_test) { return test; }
  return make_node(NodeKind::inversion, name.place, "", {std::move(test)});
}

void ExpressionParser::arguments(TemplateNode& node, Named named) {
  std::vector<TemplateNode> children = std::move(node.children);
  bool any = false;
  for (bool comma = true; !take_sign(")"); comma = take_sign(",")) {
    if (!comma) { refuse_word(); }
    const TemplateWord first = word();
    if (first.kind == TemplateWord::Kind::name && words_[at_ + 1].is_sign("=")) {
      if (named == Named::none) {
        refuse_template(first.place, "the named argument \"", first.text, "\"");
      }
      at_ += 2;
      any = true;
      children.push_back(make_node(NodeKind::named, first.place, first.text, {expression()}));
    } else if (named == Named::all || any) {
      refuse_word();
    } else {
      children.push_back(expression());
    }
  }
  node = make_node(node.kind, node.place, node.text, std::move(children));
}

}  // namespace kappascope
