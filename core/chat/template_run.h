// One rendering of a template.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "core/chat/chat_template.h"
#include "core/chat/template_calls.h"
#include "core/chat/template_parser.h"

namespace kappascope {

class TemplateRun {
 public:
  // All must outlive it. `variables`: of the outermost scope.
  TemplateRun(const TemplateNode& whole, std::string_view source, ChatValue::Dict variables,
              const std::tm& now);

  MarkedText run();

 private:
  struct Binding {
    ChatValue value;
    bool is_namespace = false;
    const TemplateNode* macro = nullptr;
  };
  using Scope = std::map<std::string, Binding, std::less<>>;

  void execute(const TemplateNode& node);
  void loop(const TemplateNode& node);
  void set_loop(const ChatValue::List& list, std::int64_t i);
  void choose(const TemplateNode& node);
  void assign(const TemplateNode& node);
  void generate(const TemplateNode& node);
  void define(const TemplateNode& node);
  void put(const MarkedText& text);

  ChatValue evaluate(const TemplateNode& node);
  ChatValue operation(const TemplateNode& node);
  ChatValue compared(const TemplateNode& node, const ChatValue& left, const ChatValue& right);
  ChatValue computed(const TemplateNode& node, const ChatValue& left, const ChatValue& right);
  ChatValue sum(const TemplateNode& node, const ChatValue& left, const ChatValue& right);
  bool equal(const TemplateNode& node, const ChatValue& left, const ChatValue& right);
  bool contains(const TemplateNode& node, const ChatValue& all, const ChatValue& one);
  ChatValue item(const TemplateNode& node);
  ChatValue slice(const TemplateNode& node);
  ChatValue field(const TemplateNode& node);
  ChatValue call(const TemplateNode& node);
  ChatValue called(const TemplateNode& node);
  Scope bound(const TemplateNode& macro, const TemplateNode& call);
  ChatValue object(const TemplateNode& node);
  bool names_call(const TemplateNode& test);
  ChatValue range(const TemplateNode& node);
  ChatValue time_text(const TemplateNode& node, const ChatValue& format);
  ChatValue listed(const TemplateNode& node, ChatValue::List list);
  ChatValue fields(const TemplateNode& node, ChatValue::Dict dict);
  ChatValue checked(const TemplateNode& node, CallResult result);
  std::vector<ChatValue> values_of(const TemplateNode& node);
  ChatValue::List items(const TemplateNode& node, const ChatValue& value);

  Binding* find(std::string_view name);
  MarkedText text_of(const TemplateNode& node, const ChatValue& value);
  void count_bytes(const TemplateNode& node, std::size_t bytes);
  template <typename... Words>
  [[noreturn]] void refuse(const TemplateNode& node, const Words&... words) const {
    fail(ExitCode::unsupported, {.file = source_}, "the chat template (", node.place.file,
         ", line ", node.place.line, ", column ", node.place.column, "): ", words...);
  }

  const TemplateNode& whole_;
  std::string_view source_;
  const std::tm& now_;
  std::vector<Scope> scopes_;
  MarkedText out_;
  std::vector<ByteRange> generated_;
  bool generating_ = false;
  int macros_ = 0;  // that are called in each other
  std::int64_t steps_ = 0, bytes_ = 0;
};

}  // namespace kappascope
