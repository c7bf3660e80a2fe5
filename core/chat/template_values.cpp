// The values of a template's expressions: Python's, and an error where Python has one.
#include <algorithm>
#include <array>
#include <utility>

#include "core/chat/template_run.h"
#include "core/tokenizer/text_pattern.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

using Kind = ChatValue::Kind;

bool is_whole(const ChatValue& value) {
  return value.is(Kind::integer) || value.is(Kind::boolean);
}

// Where code point n begins; the end when there are not so many.
std::size_t place_of_code_point(std::string_view text, std::int64_t n) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (starts_utf8(text[at]) && n-- == 0) { break; }
  }
  return at;
}

// Python's rule for the ends of a slice over n things.
struct SliceEnds {
  std::int64_t begin, end, step;
};
SliceEnds slice_ends(const std::optional<std::int64_t>& begin,
                     const std::optional<std::int64_t>& end, std::int64_t step, std::int64_t n) {
  const std::int64_t least = step < 0 ? -1 : 0, most = step < 0 ? n - 1 : n;
  const auto placed = [&](std::int64_t at) {
    return std::clamp(at < 0 ? at + n : at, least, most);
  };
  return {begin ? placed(*begin) : (step < 0 ? most : least),
          end ? placed(*end) : (step < 0 ? least : most), step};
}

}  // namespace

std::vector<ChatValue> TemplateRun::values_of(const TemplateNode& node) {
  std::vector<ChatValue> values;
  for (const TemplateNode& child : node.children) { values.push_back(evaluate(child)); }
  return values;
}

ChatValue TemplateRun::listed(const TemplateNode& node, ChatValue::List list) {
  count_bytes(node, list.size() * sizeof(ChatValue));
  ChatValue value = ChatValue::of(std::move(list));
  if (value.depth() > kMostTemplateDepth) { refuse(node, "lists nested too deep"); }
  return value;
}

ChatValue TemplateRun::fields(const TemplateNode& node, ChatValue::Dict dict) {
  count_bytes(node, dict.size() * sizeof(ChatValue));
  ChatValue value = ChatValue::of(std::move(dict));
  if (value.depth() > kMostTemplateDepth) { refuse(node, "objects nested too deep"); }
  return value;
}

ChatValue TemplateRun::evaluate(const TemplateNode& node) {
  if (++steps_ > kMostTemplateSteps) {
    refuse(node, "expected at most ", kMostTemplateSteps, " steps, found more");
  }
  switch (node.kind) {
    case NodeKind::absent:
      return {};
    case NodeKind::constant:
      count_bytes(node, node.text.size());
      return ChatValue::of(MarkedText{node.text, {}});
    case NodeKind::number:
      return ChatValue::of(node.number);
    case NodeKind::word:
      return node.text == "none" ? ChatValue::none() : ChatValue::of(node.text == "true");
    case NodeKind::name: {
      const Binding* binding = find(node.text);
      if (binding && binding->macro) { refuse(node, "a macro that is not called"); }
      return binding ? binding->value : ChatValue();
    }
    case NodeKind::list:
      return listed(node, values_of(node));
    case NodeKind::object:
      return object(node);
    case NodeKind::refusal:
      throw Error(ExitCode::unsupported, node.text);
    case NodeKind::field:
      return field(node);
    case NodeKind::item:
      return item(node);
    case NodeKind::slice:
      return slice(node);
    case NodeKind::condition:
      return evaluate(node.children[evaluate(node.children[1]).truth() ? 0 : 2]);
    case NodeKind::operation:
      return operation(node);
    default:
      return call(node);
  }
}

ChatValue TemplateRun::call(const TemplateNode& node) {
  if (node.kind == NodeKind::call && node.text == "namespace") {
    ChatValue::Dict dict;
    for (const TemplateNode& child : node.children) {
      dict[child.text] = evaluate(child.children[0]);
    }
    return fields(node, std::move(dict));
  }
  if (node.kind == NodeKind::call && find_call(CallKind::function, node.text) == nullptr) {
    return called(node);
  }
  if (node.kind == NodeKind::test && node.text.ends_with("defined") && names_call(node)) {
    return ChatValue::of(node.text == "defined");
  }
  const std::vector<ChatValue> values = values_of(node);
  switch (node.kind) {
    case NodeKind::test:
      return ChatValue::of(apply_test(node.text, values[0]));
    case NodeKind::inversion:
      return ChatValue::of(!values[0].truth());
    case NodeKind::negation:
      if (!is_whole(values[0]) || values[0].number() == INT64_MIN) {
        refuse(node, "\"-\" of ", values[0].kind_name());
      }
      return ChatValue::of(-values[0].number());
    case NodeKind::filter:
    case NodeKind::method: {
      for (const ChatValue& value : values) {
        if (value.is(Kind::text)) { count_bytes(node, value.text().text.size()); }
      }
      const bool filter = node.kind == NodeKind::filter;
      CallResult result =
          filter ? apply_filter(node.text, values) : apply_method(node.text, values);
      count_bytes(node, result.places * sizeof(ChatValue));
      const ChatValue value = checked(node, std::move(result));
      if (value.is(Kind::text)) { count_bytes(node, value.text().text.size()); }
      if (value.is(Kind::list)) { count_bytes(node, value.list().size() * sizeof(ChatValue)); }
      return value;
    }
    case NodeKind::call:
      if (node.text == "range") { return range(node); }
      if (node.text == "strftime_now") { return time_text(node, values[0]); }
      refuse(node, "it refuses the chat: ", text_of(node, values[0]).text);
    default:
      fail(ExitCode::internal, {}, "an expression of a chat template without a rule");
  }
}

ChatValue TemplateRun::object(const TemplateNode& node) {
  ChatValue::Dict dict;
  for (std::size_t i = 0; i < node.children.size(); i += 2) {
    const ChatValue key = evaluate(node.children[i]);
    if (!key.is(Kind::text)) { refuse(node, "an object with a key that is ", key.kind_name()); }
    dict[key.text().text] = evaluate(node.children[i + 1]);
  }
  return fields(node, std::move(dict));
}

ChatValue TemplateRun::range(const TemplateNode& node) {
  const std::vector<ChatValue> ends = values_of(node);
  for (const ChatValue& end : ends) {
    if (!is_whole(end)) { refuse(node, "\"range\" of ", end.kind_name()); }
  }
  const std::int64_t begin = ends.size() > 1 ? ends[0].number() : 0, end = ends.back().number();
  constexpr std::int64_t kMostRange = 100'000;  // as Jinja's sandbox
  if (end > begin && (begin < -kMostRange || end - kMostRange > begin)) {
    refuse(node, "\"range\" over more than ", kMostRange);
  }
  ChatValue::List list;
  for (std::int64_t i = begin; i < end; ++i) { list.push_back(ChatValue::of(i)); }
  return listed(node, std::move(list));
}

// In English, as Python has it: no verb sets a locale of its own.
ChatValue TemplateRun::time_text(const TemplateNode& node, const ChatValue& format) {
  constexpr std::size_t kMost = 256;  // bytes
  if (!format.is(Kind::text) || format.text().text.size() > kMost) {
    refuse(node, "\"strftime_now\" of ", format.kind_name());
  }
  std::array<char, 8 * kMost> text;
  const std::size_t length =
      std::strftime(text.data(), text.size(), format.text().text.c_str(), &now_);
  return ChatValue::of(MarkedText{std::string(text.data(), length), {}});
}

ChatValue TemplateRun::field(const TemplateNode& node) {
  const ChatValue of = evaluate(node.children[0]);
  if (of.is(Kind::undefined)) { refuse(node, "\"", node.text, "\" of ", of.kind_name()); }
  if (!of.is(Kind::dict)) { return {}; }
  const auto found = of.dict().find(node.text);
  return found == of.dict().end() ? ChatValue() : found->second;
}

ChatValue TemplateRun::item(const TemplateNode& node) {
  const ChatValue of = evaluate(node.children[0]), which = evaluate(node.children[1]);
  if (of.is(Kind::undefined)) { refuse(node, "an item of ", of.kind_name()); }
  if (of.is(Kind::dict) && which.is(Kind::text)) {
    const auto found = of.dict().find(which.text().text);
    return found == of.dict().end() ? ChatValue() : found->second;
  }
  if (!is_whole(which) || !(of.is(Kind::list) || of.is(Kind::text))) { return {}; }
  const bool text = of.is(Kind::text);
  if (text) { count_bytes(node, of.text().text.size()); }
  const std::int64_t n = text ? count_code_points(of.text().text) : std::ssize(of.list());
  const std::int64_t at = which.number() + (which.number() < 0 ? n : 0);
  if (at < 0 || at >= n) { return {}; }
  if (!text) { return of.list()[at]; }
  const std::size_t begin = place_of_code_point(of.text().text, at);
  return ChatValue::of(of.text().part(begin, place_of_code_point(of.text().text, at + 1)));
}

ChatValue TemplateRun::slice(const TemplateNode& node) {
  const ChatValue of = evaluate(node.children[0]);
  const auto end_at = [&](std::size_t i) -> std::optional<std::int64_t> {
    const ChatValue value = evaluate(node.children[i]);
    if (node.children[i].kind == NodeKind::absent || value.is(Kind::none)) { return {}; }
    if (!is_whole(value)) { refuse(node, "a slice from or to ", value.kind_name()); }
    return value.number();
  };
  const auto begin = end_at(1), end = end_at(2);
  const std::int64_t step = end_at(3).value_or(1);
  if (of.is(Kind::text) && step == 1) {
    const std::string& text = of.text().text;
    count_bytes(node, text.size());
    const SliceEnds ends = slice_ends(begin, end, 1, count_code_points(text));
    return ChatValue::of(of.text().part(place_of_code_point(text, ends.begin),
                                        place_of_code_point(text, std::max(ends.begin, ends.end))));
  }
  if (!of.is(Kind::list) || (step != 1 && step != -1)) {
    refuse(node, "a slice of ", of.kind_name(), " with step ", step);
  }
  const SliceEnds ends = slice_ends(begin, end, step, std::ssize(of.list()));
  ChatValue::List list;
  for (std::int64_t i = ends.begin; step > 0 ? i < ends.end : i > ends.end; i += step) {
    list.push_back(of.list()[i]);
  }
  return listed(node, std::move(list));
}

ChatValue TemplateRun::operation(const TemplateNode& node) {
  ChatValue left = evaluate(node.children[0]);
  if (node.text == "and") { return left.truth() ? evaluate(node.children[1]) : left; }
  if (node.text == "or") { return left.truth() ? left : evaluate(node.children[1]); }
  const ChatValue right = evaluate(node.children[1]);
  if (node.text == "in") { return ChatValue::of(contains(node, right, left)); }
  if (node.text == "not in") { return ChatValue::of(!contains(node, right, left)); }
  if (node.text == "==") { return ChatValue::of(equal(node, left, right)); }
  if (node.text == "!=") { return ChatValue::of(!equal(node, left, right)); }
  if (node.text[0] == '<' || node.text[0] == '>') { return compared(node, left, right); }
  if (node.text == "~") {
    MarkedText text = text_of(node, left);
    text.append(text_of(node, right));
    return ChatValue::of(std::move(text));
  }
  return computed(node, left, right);
}

bool TemplateRun::equal(const TemplateNode& node, const ChatValue& left, const ChatValue& right) {
  const auto is_nested = [](const ChatValue& value) {
    return (value.is(Kind::list) || value.is(Kind::dict)) && value.truth();
  };
  if (is_nested(left) && left.kind() == right.kind() && is_nested(right)) {
    refuse(node, "whether ", left.kind_name(), " is another one");
  }
  const auto is_number = [](const ChatValue& value) {
    return is_whole(value) || value.is(Kind::real);
  };
  if (is_number(left) && is_number(right) && !(is_whole(left) && is_whole(right))) {
    refuse(node, "whether a number that is not whole is another one");
  }
  if (left.is(Kind::text)) { count_bytes(node, left.text().text.size()); }
  return left.equals(right) && left.truth() == right.truth();
}

bool TemplateRun::contains(const TemplateNode& node, const ChatValue& all, const ChatValue& one) {
  if (all.is(Kind::undefined)) { return false; }
  if (all.is(Kind::text) && one.is(Kind::text)) {
    count_bytes(node, all.text().text.size());
    return find_text(all.text().text, one.text().text) != std::string::npos;
  }
  if (all.is(Kind::list)) {
    count_bytes(node, all.list().size());
    return std::any_of(all.list().begin(), all.list().end(),
                       [&](const ChatValue& value) { return equal(node, value, one); });
  }
  if (!all.is(Kind::dict)) { refuse(node, "\"in\" ", all.kind_name()); }
  return one.is(Kind::text) && all.dict().contains(one.text().text);
}

ChatValue TemplateRun::compared(const TemplateNode& node, const ChatValue& left,
                                const ChatValue& right) {
  int order = 0;
  if (left.is(Kind::text) && right.is(Kind::text)) {
    count_bytes(node, std::min(left.text().text.size(), right.text().text.size()));
    order = left.text().text.compare(right.text().text);
  } else if (is_whole(left) && is_whole(right)) {
    order = left.number() < right.number() ? -1 : left.number() > right.number() ? 1 : 0;
  } else {
    refuse(node, "\"", node.text, "\" of ", left.kind_name(), " and ", right.kind_name());
  }
  const bool or_equal = node.text.size() == 2 && order == 0;
  return ChatValue::of(or_equal || (node.text[0] == '<' ? order < 0 : order > 0));
}

ChatValue TemplateRun::sum(const TemplateNode& node, const ChatValue& left,
                           const ChatValue& right) {
  if (left.is(Kind::text)) {
    MarkedText text = text_of(node, left);
    text.append(text_of(node, right));
    return ChatValue::of(std::move(text));
  }
  ChatValue::List list = left.list();
  list.insert(list.end(), right.list().begin(), right.list().end());
  return listed(node, std::move(list));
}

ChatValue TemplateRun::computed(const TemplateNode& node, const ChatValue& left,
                                const ChatValue& right) {
  const bool alike = left.kind() == right.kind() && (left.is(Kind::text) || left.is(Kind::list));
  if (node.text == "+" && alike) { return sum(node, left, right); }
  const std::int64_t a = left.number(), b = right.number();
  std::int64_t result = 0;
  bool known = is_whole(left) && is_whole(right);
  const bool divides = node.text == "//" || node.text == "%";
  if (known && divides) {
    constexpr std::int64_t kMost = std::int64_t{1} << 53;
    known = b != 0 && b < kMost && a < kMost && a > -kMost && b > -kMost;
    const std::int64_t rest = known ? ((a % b) + b) % b : 0;  // of b's sign, as Python's
    result = !known ? 0 : node.text == "%" ? rest : (a - rest) / b;
  } else if (known) {
    known = node.text == "+"   ? !__builtin_add_overflow(a, b, &result)
            : node.text == "-" ? !__builtin_sub_overflow(a, b, &result)
                               : !__builtin_mul_overflow(a, b, &result);
  }
  if (!known) {
    refuse(node, "\"", node.text, "\" of ", left.kind_name(), " and ", right.kind_name());
  }
  return ChatValue::of(result);
}

}  // namespace kappascope
