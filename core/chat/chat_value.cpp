#include "core/chat/chat_value.h"

#include <algorithm>

#include "core/error.h"

namespace kappascope {
namespace {

int deepest(const ChatValue::List& list) {
  int depth = 0;
  for (const ChatValue& value : list) { depth = std::max(depth, value.depth()); }
  return depth;
}

}  // namespace

void MarkedText::append(const MarkedText& other) {
  const std::size_t shift = text.size();
  text += other.text;
  for (const ByteRange& mark : other.marks) {
    const ByteRange moved{mark.begin + shift, mark.end + shift};
    if (!marks.empty() && marks.back().end == moved.begin) {
      marks.back().end = moved.end;
    } else {
      marks.push_back(moved);
    }
  }
}

MarkedText MarkedText::part(std::size_t begin, std::size_t end) const {
  MarkedText result{text.substr(begin, end - begin), {}};
  const auto before = [&](const ByteRange& mark) { return mark.end < begin; };
  for (auto at = std::partition_point(marks.begin(), marks.end(), before);
       at != marks.end() && at->begin <= end; ++at) {
    const ByteRange& mark = *at;
    const std::size_t from = std::max(mark.begin, begin), to = std::min(mark.end, end);
    // What is left of an assistant's text that was all blanks is the assistant's, too.
    const bool empty = mark.begin == mark.end || begin == end;
    if (empty ? from > to : from >= to) { continue; }
    result.marks.push_back({from - begin, to - begin});
  }
  return result;
}

ChatValue ChatValue::none() {
  ChatValue result;
  result.kind_ = Kind::none;
  return result;
}

ChatValue ChatValue::of(bool value) {
  ChatValue result;
  result.kind_ = Kind::boolean;
  result.number_ = value ? 1 : 0;
  return result;
}

ChatValue ChatValue::of(std::int64_t value) {
  ChatValue result;
  result.kind_ = Kind::integer;
  result.number_ = value;
  return result;
}

ChatValue ChatValue::of(MarkedText text) {
  ChatValue result;
  result.kind_ = Kind::text;
  result.text_ = std::make_shared<const MarkedText>(std::move(text));
  return result;
}

ChatValue ChatValue::of(List list) {
  ChatValue result;
  result.kind_ = Kind::list;
  result.depth_ = 1 + deepest(list);
  result.list_ = std::make_shared<const List>(std::move(list));
  return result;
}

ChatValue ChatValue::of(Dict dict) {
  ChatValue result;
  result.kind_ = Kind::dict;
  for (const auto& [key, value] : dict) { result.depth_ = std::max(result.depth_, value.depth_); }
  ++result.depth_;
  result.dict_ = std::make_shared<const Dict>(std::move(dict));
  return result;
}

ChatValue ChatValue::of_messages(const Json& json, bool marked) {
  if (json.is_null()) { return none(); }
  if (json.is_boolean()) { return of(json.get<bool>()); }
  if (json.is_string()) {
    MarkedText text{json.get<std::string>(), {}};
    if (marked) { text.marks.push_back({0, text.text.size()}); }
    return of(std::move(text));
  }
  if (json.is_array()) {
    List list;
    for (const Json& value : json) { list.push_back(of_messages(value, marked)); }
    return of(std::move(list));
  }
  if (json.is_object()) {
    const Json* role = value_at(json, "role");
    const bool assistant = marked || (role != nullptr && *role == "assistant");
    Dict dict;
    for (const auto& [key, value] : json.items()) {
      dict[key] = of_messages(value, assistant && key != "role");
    }
    return of(std::move(dict));
  }
  const bool huge = json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX;
  if (json.is_number_integer() && !huge) { return of(json.get<std::int64_t>()); }
  ChatValue result;
  result.kind_ = Kind::real;
  result.number_ = json.get<double>() != 0 ? 1 : 0;
  return result;
}

bool ChatValue::truth() const {
  switch (kind_) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
      return number_ != 0;
    case Kind::text:
      return !text_->text.empty();
    case Kind::list:
      return !list_->empty();
    case Kind::dict:
      return !dict_->empty();
  }
  return false;
}

bool ChatValue::equals(const ChatValue& other) const {
  const auto is_number = [](Kind kind) { return kind == Kind::boolean || kind == Kind::integer; };
  if (is_number(kind_) && is_number(other.kind_)) { return number_ == other.number_; }
  if (kind_ != other.kind_) { return false; }
  if (kind_ == Kind::text) { return text_->text == other.text_->text; }
  return true;
}

std::string_view ChatValue::kind_name() const {
  constexpr std::string_view kNames[] = {
      "something undefined",        "none",   "true or false", "a number",
      "a number that is not whole", "a text", "a list",        "an object"};
  return kNames[std::size_t(kind_)];
}

}  // namespace kappascope
