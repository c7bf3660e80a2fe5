// What a chat template computes with: Python's values as far as templates need them. Texts know
// which of their bytes an assistant's message gave, through whatever the template does with them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/json.h"

namespace kappascope {

struct ByteRange {
  std::size_t begin = 0, end = 0;  // [begin, end); empty where an empty text was put
};

// UTF-8, with the parts of it that are an assistant's, ascending and apart.
struct MarkedText {
  std::string text;
  std::vector<ByteRange> marks;

  void append(const MarkedText& other);
  MarkedText part(std::size_t begin, std::size_t end) const;
};

class ChatValue {
 public:
  // real: a number that is not whole or not within int64, which nothing is computed with.
  enum class Kind : std::uint8_t { undefined, none, boolean, integer, real, text, list, dict };
  using List = std::vector<ChatValue>;
  using Dict = std::map<std::string, ChatValue, std::less<>>;

  ChatValue() = default;  // undefined
  static ChatValue none();
  static ChatValue of(bool value);
  static ChatValue of(std::int64_t value);
  static ChatValue of(MarkedText text);
  static ChatValue of(List list);
  static ChatValue of(Dict dict);
  // A message, or a list of them; all texts of a message whose role is the assistant's are marked
  // but the role.
  static ChatValue of_messages(const Json& json, bool marked = false);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  std::int64_t number() const { return number_; }  // of boolean and integer
  const MarkedText& text() const { return *text_; }
  const List& list() const { return *list_; }
  const Dict& dict() const { return *dict_; }
  int depth() const { return depth_; }  // lists and objects in each other
  bool truth() const;                   // Python's bool()
  // Python's ==; of lists and objects only whether they are of a kind.
  bool equals(const ChatValue& other) const;
  std::string_view kind_name() const;  // for messages

 private:
  Kind kind_ = Kind::undefined;
  std::int64_t number_ = 0;
  int depth_ = 0;
  std::shared_ptr<const MarkedText> text_;
  std::shared_ptr<const List> list_;
  std::shared_ptr<const Dict> dict_;
};

}  // namespace kappascope
