// The filters, tests, methods and functions of Jinja and Python that chat templates may use.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/chat/chat_value.h"

namespace kappascope {

// A callable: its name and how many arguments it takes, that which it is called on not counted.
struct CallRule {
  std::string_view name;
  int least = 0, most = 0;
};
enum class CallKind : std::uint8_t { filter, test, method, function };
// nullptr: there is none of that name.
const CallRule* find_call(CallKind kind, std::string_view name);

// What cannot be computed is said as a text; "" when it could.
struct CallResult {
  ChatValue value;
  std::string problem;
  std::size_t places = 0;  // where a text was replaced: each is work, whatever is put there
};
// `arguments`: the value that it is called on, then the others, as many as the rule has.
CallResult apply_filter(std::string_view name, const std::vector<ChatValue>& arguments);
CallResult apply_method(std::string_view name, const std::vector<ChatValue>& arguments);
bool apply_test(std::string_view name, const ChatValue& value);

}  // namespace kappascope
