// The statements of a template, and its names.
#include "core/chat/template_run.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>

namespace kappascope {

using Kind = ChatValue::Kind;

TemplateRun::TemplateRun(const TemplateNode& whole, std::string_view source,
                         ChatValue::Dict variables, const std::tm& now)
    : whole_(whole), source_(source), now_(now) {
  Scope& scope = scopes_.emplace_back();
  for (auto& [name, value] : variables) { scope[name] = {std::move(value)}; }
}

MarkedText TemplateRun::run() {
  execute(whole_);
  if (has_generation(whole_)) { out_.marks = std::move(generated_); }
  return std::move(out_);
}

TemplateRun::Binding* TemplateRun::find(std::string_view name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(name);
    if (found != scope->end()) { return &found->second; }
  }
  return nullptr;
}

void TemplateRun::count_bytes(const TemplateNode& node, std::size_t bytes) {
  bytes_ += std::int64_t(bytes);
  if (bytes_ > kMostTemplateBytes) {
    refuse(node, "expected at most ", kMostTemplateBytes, " bytes of text to be made, found more");
  }
}

MarkedText TemplateRun::text_of(const TemplateNode& node, const ChatValue& value) {
  const ChatValue text = checked(node, apply_filter("string", {value}));
  count_bytes(node, text.text().text.size());
  return text.text();
}

ChatValue TemplateRun::checked(const TemplateNode& node, CallResult result) {
  if (!result.problem.empty()) { refuse(node, result.problem); }
  return std::move(result.value);
}

void TemplateRun::put(const MarkedText& text) {
  out_.append(text);
}

void TemplateRun::execute(const TemplateNode& node) {
  if (++steps_ > kMostTemplateSteps) {
    refuse(node, "expected at most ", kMostTemplateSteps, " steps, found more");
  }
  switch (node.kind) {
    case NodeKind::body:
      for (const TemplateNode& child : node.children) { execute(child); }
      return;
    case NodeKind::plain:
      count_bytes(node, node.text.size());
      return put({node.text, {}});
    case NodeKind::output:
      return put(text_of(node, evaluate(node.children[0])));
    case NodeKind::loop:
      return loop(node);
    case NodeKind::choice:
      return choose(node);
    case NodeKind::assignment:
      return assign(node);
    case NodeKind::generation:
      return generate(node);
    case NodeKind::macro:
      return define(node);
    case NodeKind::refusal:
      throw Error(ExitCode::unsupported, node.text);
    default:
      fail(ExitCode::internal, {}, "a statement of a chat template without a rule");
  }
}

ChatValue::List TemplateRun::items(const TemplateNode& node, const ChatValue& value) {
  if (value.is(Kind::undefined)) { return {}; }
  if (!value.is(Kind::list)) { refuse(node, "a loop over ", value.kind_name()); }
  return value.list();
}

// The fields of `loop` in round `i` over `list`; made anew in each round, they cost time.
void TemplateRun::set_loop(const ChatValue::List& list, std::int64_t i) {
  constexpr std::int64_t kStepsOfFields = 20;
  steps_ += kStepsOfFields;
  const std::int64_t length = std::ssize(list);
  ChatValue::Dict loop{{"index0", ChatValue::of(i)},
                       {"index", ChatValue::of(i + 1)},
                       {"revindex0", ChatValue::of(length - i - 1)},
                       {"revindex", ChatValue::of(length - i)},
                       {"length", ChatValue::of(length)},
                       {"first", ChatValue::of(i == 0)},
                       {"last", ChatValue::of(i + 1 == length)}};
  if (i > 0) { loop["previtem"] = list[i - 1]; }
  if (i + 1 < length) { loop["nextitem"] = list[i + 1]; }
  scopes_.back()["loop"] = {ChatValue::of(std::move(loop))};
}

// Names that are set in a loop are gone after each round, as in Jinja.
void TemplateRun::loop(const TemplateNode& node) {
  ChatValue::List list = items(node, evaluate(node.children[0]));
  const auto bind = [&](const ChatValue& value) { scopes_.back()[node.text] = {value}; };
  if (node.children[1].kind != NodeKind::absent) {
    ChatValue::List taken;
    for (const ChatValue& value : list) {
      scopes_.emplace_back();
      bind(value);
      if (evaluate(node.children[1]).truth()) { taken.push_back(value); }
      scopes_.pop_back();
    }
    list = std::move(taken);
  }
  const std::int64_t length = std::ssize(list);
  for (std::int64_t i = 0; i < length; ++i) {
    scopes_.emplace_back();
    bind(list[i]);
    if (node.children[2].names_loop) { set_loop(list, i); }
    execute(node.children[2]);
    scopes_.pop_back();
  }
  if (length == 0 && node.children[3].kind != NodeKind::absent) { execute(node.children[3]); }
}

void TemplateRun::choose(const TemplateNode& node) {
  const std::size_t pairs = node.children.size() / 2;
  for (std::size_t i = 0; i < pairs; ++i) {
    if (evaluate(node.children[2 * i]).truth()) { return execute(node.children[2 * i + 1]); }
  }
  if (node.children.size() % 2 == 1) { execute(node.children.back()); }
}

void TemplateRun::assign(const TemplateNode& node) {
  ChatValue value = evaluate(node.children[0]);
  const bool names =
      node.children[0].kind == NodeKind::call && node.children[0].text == "namespace";
  if (node.name.empty()) {
    scopes_.back()[node.text] = {std::move(value), names};
    return;
  }
  Binding* const binding = find(node.text);
  if (binding == nullptr || !binding->is_namespace) {
    refuse(node, "\"", node.text, "\" is no namespace, and no field of it can be set");
  }
  ChatValue::Dict changed = binding->value.dict();
  changed[node.name] = std::move(value);
  binding->value = fields(node, std::move(changed));
}

void TemplateRun::generate(const TemplateNode& node) {
  if (generating_) { refuse(node, "\"generation\" inside another"); }
  if (macros_ > 0) { refuse(node, "\"generation\" inside a macro"); }
  generating_ = true;
  const std::size_t begin = out_.text.size();
  execute(node.children[0]);
  generated_.push_back({begin, out_.text.size()});
  generating_ = false;
}

// A macro sees its arguments and what is set outside of all loops; one that is made in a loop would
// see that loop's, too.
void TemplateRun::define(const TemplateNode& node) {
  if (scopes_.size() > 1) { refuse(node, "a macro that is defined inside a loop or a macro"); }
  scopes_.back()[node.text] = {{}, false, &node};
}

// Whether a test is of the name of a function or a macro, which no variable hides.
bool TemplateRun::names_call(const TemplateNode& test) {
  const TemplateNode& name = test.children[0];
  if (name.kind != NodeKind::name) { return false; }
  const Binding* binding = find(name.text);
  return binding ? binding->macro != nullptr : find_call(CallKind::function, name.text) != nullptr;
}

// The arguments of a call, by the macro's names for them.
TemplateRun::Scope TemplateRun::bound(const TemplateNode& macro, const TemplateNode& call) {
  const std::size_t parameters = macro.children.size() - 1;
  Scope scope;
  for (std::size_t i = 0; i < call.children.size(); ++i) {
    const TemplateNode& given = call.children[i];
    const bool named = given.kind == NodeKind::named;
    std::size_t at = i;
    for (at = named ? 0 : i; named && at < parameters; ++at) {
      if (macro.children[at].text == given.text) { break; }
    }
    if (at >= parameters || scope.contains(macro.children[at].text)) {
      refuse(call, "\"", call.text, "\" with an argument that it does not have");
    }
    scope[macro.children[at].text] = {evaluate(named ? given.children[0] : given)};
  }
  return scope;
}

// The text that a macro makes.
ChatValue TemplateRun::called(const TemplateNode& node) {
  constexpr int kMostMacros = 20;
  const Binding* binding = find(node.text);
  if (binding == nullptr || binding->macro == nullptr) {
    refuse_template(node.place, "the function \"", node.text, "\" is not one that is known here");
  }
  const TemplateNode& macro = *binding->macro;
  if (macros_ == kMostMacros) { refuse(node, "over ", kMostMacros, " macros in each other"); }
  Scope arguments = bound(macro, node);
  std::vector<Scope> outside(std::make_move_iterator(scopes_.begin() + 1),
                             std::make_move_iterator(scopes_.end()));
  scopes_.resize(1);
  scopes_.push_back(std::move(arguments));
  MarkedText before = std::exchange(out_, {});
  ++macros_;
  for (std::size_t i = 0; i + 1 < macro.children.size(); ++i) {
    const TemplateNode& parameter = macro.children[i];
    if (scopes_.back().contains(parameter.text)) { continue; }
    ChatValue value = evaluate(parameter.children[0]);  // may name those in front of it
    scopes_.back()[parameter.text] = {std::move(value)};
  }
  execute(macro.children.back());
  --macros_;
  scopes_.resize(1);
  std::move(outside.begin(), outside.end(), std::back_inserter(scopes_));
  return ChatValue::of(std::exchange(out_, std::move(before)));
}

namespace {

// SOURCE_DATE_EPOCH (reproducible-builds.org): seconds since 1970, for outputs that are the same on
// every day; then in UTC.
std::tm clock_now() {
  std::tm now{};
  const char* const given = std::getenv("SOURCE_DATE_EPOCH");
  std::int64_t seconds = 0;
  const char* const end = given ? given + std::strlen(given) : nullptr;
  if (given && std::from_chars(given, end, seconds).ptr == end && end != given) {
    const std::time_t time = seconds;
    if (gmtime_r(&time, &now)) { return now; }
  }
  const std::time_t time = std::time(nullptr);
  localtime_r(&time, &now);
  return now;
}

}  // namespace

struct ChatTemplate::State {
  std::string file;
  std::tm now = clock_now();
  TemplateNode whole;
  std::map<std::string, std::string> variables;
};

ChatTemplate::ChatTemplate(std::string_view source, std::string file,
                           std::map<std::string, std::string> variables)
    : state_(std::make_unique<State>()) {
  state_->file = std::move(file);
  state_->whole = parse_template(source, state_->file);
  state_->variables = std::move(variables);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

bool ChatTemplate::has_generation() const {
  return kappascope::has_generation(state_->whole);
}

std::string ChatTemplate::date() const {
  if (!calls(state_->whole, "strftime_now")) { return ""; }
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d", &state_->now)};
}

MarkedText ChatTemplate::render(const Json& messages, std::string_view source, bool prompt,
                                const Json& tools) const {
  ChatValue::Dict variables{{"add_generation_prompt", ChatValue::of(prompt)},
                            {"tools", ChatValue::of_messages(tools)},
                            {"documents", ChatValue::none()}};
  for (const auto& [name, text] : state_->variables) {
    variables[name] = ChatValue::of(MarkedText{text, {}});
  }
  variables["messages"] = ChatValue::of_messages(messages);
  return TemplateRun(state_->whole, source, std::move(variables), state_->now).run();
}

}  // namespace kappascope
