#include "core/chat/template_parser.h"

#include <algorithm>
#include <utility>

namespace kappascope {
namespace {

constexpr int kMostNestedBlocks = 50;
constexpr int kMostRefusals = 100;

class TemplateParser {
 public:
  TemplateParser(const std::vector<TemplatePiece>& pieces, std::string_view file)
      : pieces_(pieces), file_(file) {}

  TemplateNode run() {
    TemplateNode whole = body({}, {file_, 1, 1});
    if (at_ < pieces_.size()) { refuse_statement(pieces_[at_]); }
    return whole;
  }

 private:
  [[noreturn]] static void refuse_statement(const TemplatePiece& piece) {
    refuse_template(piece.place, "the statement {% ", piece.words.front().text, " … %}");
  }

  bool at_statement(std::string_view name) const {
    return at_ < pieces_.size() && pieces_[at_].kind == TemplatePiece::Kind::statement &&
           pieces_[at_].words.front().is_name(name);
  }

  // Statements up to one of `ends`, which is left; without ends up to one that nothing is known of.
  TemplateNode body(const std::vector<std::string_view>& ends, const TemplatePlace& place) {
    if (++nested_ > kMostNestedBlocks) {
      refuse_template(place, "over ", kMostNestedBlocks, " blocks in each other");
    }
    std::vector<TemplateNode> children;
    while (at_ < pieces_.size()) {
      const auto is_here = [&](std::string_view end) { return at_statement(end); };
      if (std::any_of(ends.begin(), ends.end(), is_here)) { break; }
      children.push_back(statement());
    }
    if (at_ == pieces_.size() && !ends.empty()) {
      refuse_template(place, "expected {% ", ends.back(), " %} after it, found the end");
    }
    --nested_;
    return make_node(NodeKind::body, place, "", std::move(children));
  }

  TemplateNode statement() {
    const TemplatePiece& piece = pieces_[at_];
    if (piece.kind == TemplatePiece::Kind::text) {
      ++at_;
      return make_node(NodeKind::plain, piece.place, piece.text, {});
    }
    if (piece.kind == TemplatePiece::Kind::expression) {
      ++at_;
      return known_or_refusal(piece, [&] {
        ExpressionParser parser(piece.words);
        TemplateNode value = parser.expression();
        parser.expect_end();
        return make_node(NodeKind::output, piece.place, "", {std::move(value)});
      });
    }
    if (at_statement("for")) { return loop(); }
    if (at_statement("if")) { return choice(); }
    if (at_statement("set")) { return assignment(); }
    if (at_statement("generation")) { return generation(); }
    if (at_statement("macro")) { return macro(); }
    return known_or_refusal(piece, [&]() -> TemplateNode {
      ++at_;
      refuse_statement(piece);
    });
  }

  // What `parse` makes of the words of one piece; a refusal where they are not of the plain forms.
  template <typename Parse>
  TemplateNode known_or_refusal(const TemplatePiece& piece, Parse parse) {
    try {
      return parse();
    } catch (const Error& error) {
      if (error.code() != ExitCode::unsupported || ++refusals_ > kMostRefusals) { throw; }
      return make_node(NodeKind::refusal, piece.place, error.failure().message, {});
    }
  }

  // Goes past {% name %}.
  void pass(std::string_view name) {
    if (!at_statement(name)) { refuse_statement(pieces_[at_]); }
    ExpressionParser(pieces_[at_].words, 1).expect_end();
    ++at_;
  }

  TemplateNode loop() {
    const TemplatePiece& piece = pieces_[at_++];
    std::string variable;
    std::vector<TemplateNode> children(2);
    children[0] = known_or_refusal(piece, [&] {
      ExpressionParser parser(piece.words, 1);
      variable = parser.expect_name();
      if (!parser.take_name("in")) { parser.refuse_word(); }
      TemplateNode list = parser.alternatives();
      if (parser.take_name("if")) { children[1] = parser.expression(); }
      parser.expect_end();
      return list;
    });
    children.push_back(body({"else", "endfor"}, piece.place));
    children.emplace_back();
    if (at_statement("else")) {
      pass("else");
      children.back() = body({"endfor"}, piece.place);
    }
    pass("endfor");
    return make_node(NodeKind::loop, piece.place, variable, std::move(children));
  }

  TemplateNode choice() {
    const TemplatePlace place = pieces_[at_].place;
    std::vector<TemplateNode> children;
    do {
      const TemplatePiece& piece = pieces_[at_++];
      children.push_back(known_or_refusal(piece, [&] {
        ExpressionParser parser(piece.words, 1);
        TemplateNode condition = parser.expression();
        parser.expect_end();
        return condition;
      }));
      children.push_back(body({"elif", "else", "endif"}, place));
    } while (at_statement("elif"));
    if (at_statement("else")) {
      pass("else");
      children.push_back(body({"endif"}, place));
    }
    pass("endif");
    return make_node(NodeKind::choice, place, "", std::move(children));
  }

  TemplateNode assignment() {
    const TemplatePiece& piece = pieces_[at_++];
    return known_or_refusal(piece, [&] {
      ExpressionParser parser(piece.words, 1);
      const std::string variable = parser.expect_name();
      std::string field;
      if (parser.take_sign(".")) { field = parser.expect_name(); }
      parser.expect_sign("=");
      TemplateNode value = parser.expression();
      parser.expect_end();
      TemplateNode node =
          make_node(NodeKind::assignment, piece.place, variable, {std::move(value)});
      node.name = field;
      return node;
    });
  }

  TemplateNode macro() {
    const TemplatePiece& piece = pieces_[at_++];
    TemplateNode node = known_or_refusal(piece, [&] {
      ExpressionParser parser(piece.words, 1);
      const std::string name = parser.expect_name();
      parser.expect_sign("(");
      std::vector<TemplateNode> parameters;
      for (bool comma = true; !parser.take_sign(")"); comma = parser.take_sign(",")) {
        if (!comma) { parser.refuse_word(); }
        const TemplatePlace place = parser.word().place;
        const std::string parameter = parser.expect_name();
        TemplateNode value;
        if (parser.take_sign("=")) { value = parser.expression(); }
        parameters.push_back(make_node(NodeKind::named, place, parameter, {std::move(value)}));
      }
      parser.expect_end();
      return make_node(NodeKind::macro, piece.place, name, std::move(parameters));
    });
    TemplateNode inside = body({"endmacro"}, piece.place);
    pass("endmacro");
    if (node.kind == NodeKind::refusal) { return node; }
    std::vector<TemplateNode> children = std::move(node.children);
    children.push_back(std::move(inside));
    return make_node(NodeKind::macro, piece.place, node.text, std::move(children));
  }

  TemplateNode generation() {
    const TemplatePlace place = pieces_[at_].place;
    pass("generation");
    TemplateNode inside = body({"endgeneration"}, place);
    pass("endgeneration");
    return make_node(NodeKind::generation, place, "", {std::move(inside)});
  }

  const std::vector<TemplatePiece>& pieces_;
  std::string_view file_;
  std::size_t at_ = 0;
  int nested_ = 0, refusals_ = 0;
};

}  // namespace

TemplateNode parse_template(std::string_view source, std::string_view file) {
  const std::vector<TemplatePiece> pieces = read_template(source, file);
  return TemplateParser(pieces, file).run();
}

bool has_generation(const TemplateNode& node) {
  return node.kind == NodeKind::generation ||
         std::any_of(node.children.begin(), node.children.end(), has_generation);
}

bool calls(const TemplateNode& node, std::string_view function) {
  return (node.kind == NodeKind::call && node.text == function) ||
         std::any_of(node.children.begin(), node.children.end(),
                     [&](const TemplateNode& child) { return calls(child, function); });
}

}  // namespace kappascope
