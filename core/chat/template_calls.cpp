#include "core/chat/template_calls.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/error.h"
#include "core/tokenizer/text_pattern.h"
#include "core/utf8.h"

namespace kappascope {

using Kind = ChatValue::Kind;

namespace {

using Arguments = std::vector<ChatValue>;

constexpr CallRule kFilters[] = {{"trim"}, {"length"},        {"count"},   {"first"},
                                 {"last"}, {"lower"},         {"upper"},   {"string"},
                                 {"list"}, {"default", 1, 2}, {"d", 1, 2}, {"replace", 2, 2}};
constexpr CallRule kTests[] = {{"defined"},  {"undefined"}, {"none"},    {"string"},  {"mapping"},
                               {"sequence"}, {"iterable"},  {"boolean"}, {"integer"}, {"number"},
                               {"true"},     {"false"},     {"odd"},     {"even"}};
constexpr CallRule kMethods[] = {{"strip", 0, 1},      {"lstrip", 0, 1},   {"rstrip", 0, 1},
                                 {"startswith", 1, 1}, {"endswith", 1, 1}, {"split", 0, 1},
                                 {"replace", 2, 2},    {"lower"},          {"upper"},
                                 {"get", 1, 2}};
constexpr CallRule kFunctions[] = {
    {"raise_exception", 1, 1}, {"namespace", 0, 16}, {"range", 1, 2}, {"strftime_now", 1, 1}};

CallResult text_result(MarkedText text) {
  return {ChatValue::of(std::move(text)), ""};
}
CallResult problem_of(std::string_view name, const ChatValue& value) {
  return {{}, join_words("\"", name, "\" of ", value.kind_name())};
}

bool is_python_space(char32_t code) {
  return is_space(code) || (code >= 0x1c && code <= 0x1f);
}

// The code point at text[at]. A byte that is not valid UTF-8 gets a value of its own above
// U+10FFFF.
CodePoint code_point_at(std::string_view text, std::size_t at) {
  const CodePoint found = decode_utf8(text, at);
  return found.length > 0 ? found : CodePoint{0x110000U + static_cast<unsigned char>(text[at]), 1};
}

// Which code points are taken off the ends of a text: Python's blanks, or those that are given.
struct Stripped {
  std::optional<std::u32string> given;  // ascending
  bool has(char32_t code) const {
    return given ? std::binary_search(given->begin(), given->end(), code) : is_python_space(code);
  }
};

MarkedText strip(const MarkedText& text, const Stripped& stripped, bool left, bool right) {
  const std::string_view all = text.text;
  std::size_t begin = 0, end = all.size();
  while (left && begin < end) {
    const CodePoint code = code_point_at(all, begin);
    if (!stripped.has(code.value)) { break; }
    begin += code.length;
  }
  while (right && begin < end) {
    std::size_t last = end - 1;
    while (last > begin && !starts_utf8(all[last])) { --last; }
    if (!stripped.has(code_point_at(all, last).value)) { break; }
    end = last;
  }
  return text.part(begin, end);
}

// Bytes of what is given: each code point of a text may be looked up among them.
constexpr std::size_t kMostStripped = 256;

CallResult stripped_result(std::string_view name, const Arguments& arguments) {
  Stripped stripped;
  if (arguments.size() > 1) {
    if (!arguments[1].is(Kind::text)) { return problem_of(name, arguments[1]); }
    const std::string& given = arguments[1].text().text;
    if (given.size() > kMostStripped) {
      return {{}, join_words("\"", name, "\" of more than ", kMostStripped, " bytes")};
    }
    std::u32string& codes = stripped.given.emplace();
    for (std::size_t at = 0; at < given.size();) {
      const CodePoint code = code_point_at(given, at);
      codes += code.value;
      at += code.length;
    }
    std::sort(codes.begin(), codes.end());
  }
  return text_result(strip(arguments[0].text(), stripped, name != "rstrip", name != "lstrip"));
}

// Letters of ASCII alone: other ones may change their length.
CallResult with_case(std::string_view name, const ChatValue& value) {
  MarkedText text = value.text();
  for (char& unit : text.text) {
    if (static_cast<unsigned char>(unit) > 127) {
      return {{}, join_words("\"", name, "\" of a text beyond ASCII")};
    }
    const bool changes = name == "upper" ? unit >= 'a' && unit <= 'z' : unit >= 'A' && unit <= 'Z';
    if (changes) { unit = char(unit ^ 0x20); }
  }
  return text_result(std::move(text));
}

// What a template may make at once: more is no chat's.
constexpr std::size_t kMostParts = std::size_t{1} << 18;
constexpr std::size_t kMostReplaced = std::size_t{64} << 20;  // bytes

// Its parts between `by`; without `by` between blanks, of which none is left.
CallResult split(const MarkedText& text, const std::string* by) {
  const std::string_view all = text.text;
  ChatValue::List parts;
  const auto add = [&](std::size_t begin, std::size_t end) {
    parts.push_back(ChatValue::of(text.part(begin, end)));
  };
  std::size_t begin = 0;
  if (by != nullptr) {
    if (by->empty()) { return {{}, "\"split\" by an empty text"}; }
    for (std::size_t at; (at = find_text(all, *by, begin)) != all.npos; begin = at + by->size()) {
      if (parts.size() == kMostParts) { return {{}, "\"split\" into more than 262,144 parts"}; }
      add(begin, at);
    }
    add(begin, all.size());
    return {ChatValue::of(std::move(parts)), ""};
  }
  const Stripped blanks;
  for (std::size_t at = 0; at <= all.size();) {
    const CodePoint code = at < all.size() ? code_point_at(all, at) : CodePoint{U' ', 1};
    if (blanks.has(code.value)) {
      if (parts.size() == kMostParts) { return {{}, "\"split\" into more than 262,144 parts"}; }
      if (at > begin) { add(begin, at); }
      begin = at + code.length;
    }
    at += code.length;
  }
  return {ChatValue::of(std::move(parts)), ""};
}

CallResult replaced(const Arguments& arguments) {
  for (const ChatValue& value : arguments) {
    if (!value.is(Kind::text)) { return problem_of("replace", value); }
  }
  const MarkedText &text = arguments[0].text(), &by = arguments[2].text();
  const std::string& what = arguments[1].text().text;
  if (what.empty()) { return {{}, "\"replace\" of an empty text"}; }
  MarkedText result;
  std::size_t begin = 0, places = 0;
  for (std::size_t at; (at = find_text(text.text, what, begin)) != std::string::npos;) {
    if (++places > kMostParts) { return {{}, "\"replace\" in more than 262,144 places"}; }
    result.append(text.part(begin, at));
    MarkedText put = by;
    // What stands for an assistant's words is the assistant's.
    if (!text.part(at, at + what.size()).marks.empty()) { put.marks = {{0, put.text.size()}}; }
    result.append(put);
    if (result.text.size() > kMostReplaced) {
      return {{}, "\"replace\" that makes more than 64 MiB"};
    }
    begin = at + what.size();
  }
  result.append(text.part(begin, text.text.size()));
  return {ChatValue::of(std::move(result)), "", places};
}

CallResult length_of(std::string_view name, const ChatValue& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return {ChatValue::of(std::int64_t{0}), ""};
    case Kind::text:
      return {ChatValue::of(count_code_points(value.text().text)), ""};
    case Kind::list:
      return {ChatValue::of(std::int64_t(std::ssize(value.list()))), ""};
    case Kind::dict:
      return {ChatValue::of(std::int64_t(value.dict().size())), ""};
    default:
      return problem_of(name, value);
  }
}

CallResult end_of(std::string_view name, const ChatValue& value) {
  if (value.is(Kind::undefined)) { return {}; }
  if (!value.is(Kind::list)) { return problem_of(name, value); }
  if (value.list().empty()) { return {}; }
  return {name == "first" ? value.list().front() : value.list().back(), ""};
}

CallResult string_of(const ChatValue& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return text_result({});
    case Kind::none:
      return text_result({"None", {}});
    case Kind::boolean:
      return text_result({value.number() != 0 ? "True" : "False", {}});
    case Kind::integer:
      return text_result({std::to_string(value.number()), {}});
    case Kind::text:
      return {value, ""};
    default:
      return {{}, join_words(value.kind_name(), " as a text")};
  }
}

}  // namespace

const CallRule* find_call(CallKind kind, std::string_view name) {
  const auto find = [&](const auto& rules) -> const CallRule* {
    const auto found = std::find_if(std::begin(rules), std::end(rules),
                                    [&](const CallRule& rule) { return rule.name == name; });
    return found == std::end(rules) ? nullptr : found;
  };
  switch (kind) {
    case CallKind::filter:
      return find(kFilters);
    case CallKind::test:
      return find(kTests);
    case CallKind::method:
      return find(kMethods);
    case CallKind::function:
      return find(kFunctions);
  }
  return nullptr;
}

CallResult apply_filter(std::string_view name, const Arguments& arguments) {
  const ChatValue& value = arguments[0];
  if (name == "default" || name == "d") {
    const bool also_false = arguments.size() > 2 && arguments[2].truth();
    const bool missing = value.is(Kind::undefined) || (also_false && !value.truth());
    return {missing ? arguments[1] : value, ""};
  }
  if (name == "length" || name == "count") { return length_of(name, value); }
  if (name == "first" || name == "last") { return end_of(name, value); }
  if (name == "string") { return string_of(value); }
  if (name == "list") {
    return value.is(Kind::list) ? CallResult{value, ""} : problem_of(name, value);
  }
  const CallResult text = string_of(value);
  if (!text.problem.empty()) { return text; }
  std::vector<ChatValue> of_text = arguments;
  of_text[0] = text.value;
  if (name == "trim") { return stripped_result("strip", {text.value}); }
  return apply_method(name, of_text);
}

CallResult apply_method(std::string_view name, const Arguments& arguments) {
  const ChatValue& value = arguments[0];
  if (name == "get") {
    if (!value.is(Kind::dict) || !arguments[1].is(Kind::text)) { return problem_of(name, value); }
    const auto found = value.dict().find(arguments[1].text().text);
    if (found != value.dict().end()) { return {found->second, ""}; }
    return {arguments.size() > 2 ? arguments[2] : ChatValue::none(), ""};
  }
  if (!value.is(Kind::text)) { return problem_of(name, value); }
  if (name.ends_with("strip")) { return stripped_result(name, arguments); }
  if (name == "lower" || name == "upper") { return with_case(name, value); }
  if (name == "replace") { return replaced(arguments); }
  if (name == "split" && arguments.size() == 1) { return split(value.text(), nullptr); }
  if (!arguments[1].is(Kind::text)) { return problem_of(name, arguments[1]); }
  const std::string &text = value.text().text, &part = arguments[1].text().text;
  if (name == "split") { return split(value.text(), &part); }
  require(name == "startswith" || name == "endswith", ExitCode::internal, {},
          "a method without a rule");
  return {ChatValue::of(name == "startswith" ? text.starts_with(part) : text.ends_with(part)), ""};
}

bool apply_test(std::string_view name, const ChatValue& value) {
  const bool boolean = value.is(Kind::boolean), integer = value.is(Kind::integer);
  const bool list = value.is(Kind::list), dict = value.is(Kind::dict), text = value.is(Kind::text);
  if (name == "defined") { return !value.is(Kind::undefined); }
  if (name == "undefined") { return value.is(Kind::undefined); }
  if (name == "none") { return value.is(Kind::none); }
  if (name == "string") { return text; }
  if (name == "mapping") { return dict; }
  if (name == "sequence" || name == "iterable") {
    return list || dict || text || value.is(Kind::undefined);
  }
  if (name == "boolean") { return boolean; }
  if (name == "integer") { return integer; }
  if (name == "number") { return integer || boolean || value.is(Kind::real); }
  if (name == "true") { return boolean && value.number() != 0; }
  if (name == "false") { return boolean && value.number() == 0; }
  const bool odd = (boolean || integer) && value.number() % 2 != 0;
  return name == "odd" ? odd : (boolean || integer) && !odd;
}

}  // namespace kappascope
