#include "core/checkpoint/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <utility>

#include "core/checkpoint/pickle_opcodes.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

// A tensor takes some twenty values, a vocabulary two per token: far above any real model, and
// about 400 MB at worst.
constexpr std::size_t max_values = std::size_t{1} << 22;

constexpr std::string_view ordered_dict = "collections OrderedDict";

bool is_hashable(PickleValue::Kind kind) {
  using Kind = PickleValue::Kind;
  return kind == Kind::none || kind == Kind::boolean || kind == Kind::integer ||
         kind == Kind::real || kind == Kind::text || kind == Kind::bytes;
}

}  // namespace

std::string_view kind_name(PickleValue::Kind kind) {
  constexpr std::array<std::string_view, 11> names = {
      "None",    "a boolean", "an integer", "a number", "a text",         "bytes",
      "a tuple", "a list",    "a dict",     "a global", "a persistent id"};
  const auto index = static_cast<std::size_t>(kind);
  return index < names.size() ? names[index] : "an object";
}

// Python's unpickling machine: a stack of values, marks in it, and a memo. Values live in the
// Pickle; stack, memo and containers hold their indices.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
                std::string_view file, std::uint64_t base_offset)
      : bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        allowed_(allowed),
        file_(file),
        base_offset_(base_offset) {}

  Pickle run() {
    start();
    std::uint8_t opcode = 0;
    while ((opcode = next_opcode()) != op_stop) {
      if (!constant(opcode) && !text(opcode) && !memo(opcode) && !stack(opcode) &&
          !container(opcode) && !call(opcode)) {
        refuse(opcode);
      }
    }
    check(stack_.size() == 1 && marks_.empty(), "STOP with values left over; expected 1, found ",
          stack_.size());
    pickle_.root_ = stack_.back();
    refuse_cycles();
    return std::move(pickle_);
  }

 private:
  using Kind = PickleValue::Kind;

  // Place of the opcode at work.
  Place here() const { return {file_, {}, static_cast<std::int64_t>(base_offset_ + opcode_at_)}; }

  template <typename... Parts>
  void check(bool holds, const Parts&... what) const {
    require(holds, ExitCode::damaged, here(), "pickle: ", what...);
  }

  // --- input ---------------------------------------------------------------------------------

  std::string_view take(std::uint64_t length) {
    const std::uint64_t left = bytes_.size() - at_;
    check(length <= left, "the pickle ends too early; expected ", length, " bytes, found ", left);
    const std::string_view taken = bytes_.substr(at_, length);
    at_ += length;
    return taken;
  }

  std::uint64_t take_unsigned(std::size_t width) {  // little-endian, width ≤ 8
    std::uint64_t value = 0;
    const std::string_view digits = take(width);
    for (std::size_t i = width; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(digits[i]);
    return value;
  }

  std::string_view take_line() {
    const std::size_t end = bytes_.find('\n', at_);
    check(end != bytes_.npos, "the pickle ends inside a name");
    const std::string_view line = take(end - at_);
    ++at_;
    return line;
  }

  std::uint8_t next_opcode() {
    opcode_at_ = at_;
    check(at_ < bytes_.size(), "the pickle ends without STOP");
    return static_cast<std::uint8_t>(bytes_[at_++]);
  }

  void start() {
    check(next_opcode() == op_proto, "not a pickle of protocol 2 to 5");
    const std::uint64_t protocol = take_unsigned(1);
    check(protocol >= 2 && protocol <= 5, "unknown protocol; expected 2 to 5, found ", protocol);
  }

  [[noreturn]] void refuse(std::uint8_t opcode) const {
    for (const RefusedOpcode& known : refused_opcodes) {
      check(known.code != opcode, "opcode ", known.name, " is not allowed");
    }
    fail(ExitCode::damaged, here(), "pickle: unknown opcode ", static_cast<int>(opcode));
  }

  // --- values and stack ----------------------------------------------------------------------

  PickleValue& push(Kind kind) {
    check(pickle_.values_.size() < max_values, "more than ", max_values, " values");
    stack_.push_back(static_cast<PickleId>(pickle_.values_.size()));
    PickleValue& value = pickle_.values_.emplace_back();
    value.kind = kind;
    value.offset = base_offset_ + opcode_at_;
    return value;
  }

  bool push_integer(std::int64_t integer, Kind kind = Kind::integer) {
    push(kind).integer = integer;
    return true;
  }

  bool push_text(Kind kind, std::uint64_t length) {
    const std::string_view taken = take(length);
    check(kind != Kind::text || is_utf8(taken), "text that is no UTF-8");
    push(kind).text = taken;
    return true;
  }

  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  // The values above the floor; fewer than `count` is an error.
  void need(std::size_t count) const {
    check(stack_.size() - floor() >= count, "stack underflow; expected ", count, " values, found ",
          stack_.size() - floor());
  }

  PickleId pop() {
    need(1);
    const PickleId id = stack_.back();
    stack_.pop_back();
    return id;
  }

  // Takes the `count` topmost values, in the order they were pushed.
  std::vector<PickleId> pop_items(std::size_t count) {
    need(count);
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<PickleId> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    return items;
  }

  // Takes everything above the topmost mark, and the mark.
  std::vector<PickleId> pop_to_mark() {
    check(!marks_.empty(), "no mark on the stack");
    std::vector<PickleId> items = pop_items(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  // The topmost value, which must be of that kind.
  PickleValue& top(Kind kind) {
    need(1);
    PickleValue& value = pickle_.values_[stack_.back()];
    check(value.kind == kind, "expected ", kind_name(kind), ", found ", kind_name(value.kind));
    return value;
  }

  // --- opcodes -------------------------------------------------------------------------------

  bool constant(std::uint8_t opcode) {
    switch (opcode) {
      case op_none:
        push(Kind::none);
        return true;
      case op_newtrue:
      case op_newfalse:
        return push_integer(opcode == op_newtrue, Kind::boolean);
      case op_binint:
        return push_integer(static_cast<std::int32_t>(take_unsigned(4)));
      case op_binint1:
        return push_integer(static_cast<std::int64_t>(take_unsigned(1)));
      case op_binint2:
        return push_integer(static_cast<std::int64_t>(take_unsigned(2)));
      case op_long1:
        return push_long(take_unsigned(1));
      case op_long4:
        return push_long(take_unsigned(4));
      case op_binfloat:
        return push_real();
      case op_frame:  // a hint for buffered reading; the frame must lie inside the pickle
        check(take_unsigned(8) <= bytes_.size() - at_, "a frame is longer than the pickle");
        return true;
      default:
        return false;
    }
  }

  // Two's complement, little-endian, `length` bytes.
  bool push_long(std::uint64_t length) {
    check(length <= 8, "an integer of more than 64 bits");
    if (length == 0) return push_integer(0);
    const auto unused = static_cast<int>(64 - 8 * length);
    const std::uint64_t raw = take_unsigned(length) << unused;
    return push_integer(static_cast<std::int64_t>(raw) >> unused);
  }

  // IEEE double, big-endian.
  bool push_real() {
    std::uint64_t raw = 0;
    for (const char c : take(8)) raw = raw << 8 | static_cast<std::uint8_t>(c);
    push(Kind::real).real = std::bit_cast<double>(raw);
    return true;
  }

  bool text(std::uint8_t opcode) {
    switch (opcode) {
      case op_short_binunicode:
        return push_text(Kind::text, take_unsigned(1));
      case op_binunicode:
        return push_text(Kind::text, take_unsigned(4));
      case op_binunicode8:
        return push_text(Kind::text, take_unsigned(8));
      case op_short_binbytes:
        return push_text(Kind::bytes, take_unsigned(1));
      case op_binbytes:
        return push_text(Kind::bytes, take_unsigned(4));
      case op_binbytes8:
        return push_text(Kind::bytes, take_unsigned(8));
      default:
        return false;
    }
  }

  bool memo(std::uint8_t opcode) {
    switch (opcode) {
      case op_binput:
        return put(take_unsigned(1));
      case op_long_binput:
        return put(take_unsigned(4));
      case op_memoize:
        return put(memo_.size());
      case op_binget:
        return get(take_unsigned(1));
      case op_long_binget:
        return get(take_unsigned(4));
      default:
        return false;
    }
  }

  // Python numbers the memo without holes, so it is an array no longer than the pickle.
  bool put(std::uint64_t index) {
    need(1);
    check(index <= memo_.size(), "the memo has a hole; expected index ", memo_.size(),
          " at most, found ", index);
    if (index == memo_.size()) memo_.emplace_back();
    memo_[index] = stack_.back();
    return true;
  }

  bool get(std::uint64_t index) {
    check(index < memo_.size(), "memo entry ", index, " was never set");
    stack_.push_back(memo_[index]);
    return true;
  }

  bool stack(std::uint8_t opcode) {
    switch (opcode) {
      case op_mark:
        marks_.push_back(stack_.size());
        return true;
      case op_pop:
        if (!marks_.empty() && marks_.back() == stack_.size()) {
          marks_.pop_back();
        } else {
          pop();
        }
        return true;
      case op_pop_mark:
        pop_to_mark();
        return true;
      case op_dup:
        need(1);
        stack_.push_back(stack_.back());
        return true;
      default:
        return false;
    }
  }

  bool container(std::uint8_t opcode) {
    switch (opcode) {
      case op_empty_tuple:
        push(Kind::tuple);
        return true;
      case op_empty_list:
        push(Kind::list);
        return true;
      case op_empty_dict:
        push(Kind::dict);
        return true;
      case op_tuple1:
      case op_tuple2:
      case op_tuple3:
        return push_items(Kind::tuple, pop_items(opcode - op_tuple1 + std::size_t{1}));
      case op_tuple:
        return push_items(Kind::tuple, pop_to_mark());
      case op_append:
        return append(pop_items(1));
      case op_appends:
        return append(pop_to_mark());
      case op_setitem:
        return set_items(pop_items(2));
      case op_setitems:
        return set_items(pop_to_mark());
      default:
        return false;
    }
  }

  bool push_items(Kind kind, std::vector<PickleId> items) {
    push(kind).items = std::move(items);
    return true;
  }

  bool append(const std::vector<PickleId>& added) {
    std::vector<PickleId>& items = top(Kind::list).items;
    items.insert(items.end(), added.begin(), added.end());
    return true;
  }

  bool set_items(const std::vector<PickleId>& added) {
    check(added.size() % 2 == 0, "a dict key without a value");
    for (std::size_t i = 0; i < added.size(); i += 2) {
      const Kind kind = pickle_.at(added[i]).kind;
      check(is_hashable(kind), "dict key of an unexpected kind: ", kind_name(kind));
    }
    std::vector<PickleId>& items = top(Kind::dict).items;
    items.insert(items.end(), added.begin(), added.end());
    return true;
  }

  bool call(std::uint8_t opcode) {
    switch (opcode) {
      case op_global: {
        const std::string_view module = take_line();
        return push_global(module, take_line());
      }
      case op_stack_global: {
        const std::vector<PickleId> names = pop_items(2);
        const PickleValue& module = pickle_.at(names[0]);
        const PickleValue& name = pickle_.at(names[1]);
        check(module.kind == Kind::text && name.kind == Kind::text,
              "STACK_GLOBAL without two texts");
        return push_global(module.text, name.text);
      }
      case op_binpersid:
        return push_items(Kind::persistent, pop_items(1));
      case op_reduce:
      case op_newobj:
        return make_object(pop_items(2));
      case op_build:
        return build(pop());
      default:
        return false;
    }
  }

  bool push_global(std::string_view module, std::string_view name) {
    const auto is_named = [&](std::string_view entry) {
      return entry.size() == module.size() + 1 + name.size() && entry[module.size()] == ' ' &&
             entry.substr(0, module.size()) == module && entry.substr(module.size() + 1) == name;
    };
    const auto found = std::find_if(allowed_.begin(), allowed_.end(), is_named);
    check(found != allowed_.end(), "global '", module, " ", name, "' is not allowed");
    push(Kind::global).text = *found;
    return true;
  }

  bool make_object(std::vector<PickleId> parts) {
    const PickleValue& callable = pickle_.at(parts[0]);
    const PickleValue& arguments = pickle_.at(parts[1]);
    check(callable.kind == Kind::global, "a call of ", kind_name(callable.kind));
    check(arguments.kind == Kind::tuple, "a call whose arguments are ", kind_name(arguments.kind));
    if (callable.text == ordered_dict && arguments.items.empty()) {
      push(Kind::dict);
      return true;
    }
    return push_items(Kind::object, std::move(parts));
  }

  // Attributes of an OrderedDict (a state_dict carries `_metadata`) are dropped.
  bool build(PickleId state) {
    need(1);
    PickleValue& value = pickle_.values_[stack_.back()];
    if (value.kind == Kind::dict) return true;
    check(value.kind == Kind::object, "state set on ", kind_name(value.kind));
    check(value.items.size() == 2, "state set twice on one object");
    value.items.push_back(state);
    return true;
  }

  // --- afterwards ----------------------------------------------------------------------------

  // Walks every value once, depth first, without recursion: whoever reads the values may then
  // follow them without looking for loops.
  void refuse_cycles() {
    enum : std::uint8_t { unseen, entered, left };
    std::vector<std::uint8_t> state(pickle_.values_.size(), unseen);
    std::vector<std::pair<PickleId, std::size_t>> path;  // value, index of its next item
    for (PickleId first = 0; first < state.size(); ++first) {
      if (state[first] != unseen) continue;
      state[first] = entered;
      path.emplace_back(first, 0);
      while (!path.empty()) {
        const PickleValue& value = pickle_.at(path.back().first);
        if (path.back().second == value.items.size()) {
          state[path.back().first] = left;
          path.pop_back();
          continue;
        }
        const PickleId item = value.items[path.back().second++];
        require(state[item] != entered, ExitCode::damaged,
                Place{file_, {}, static_cast<std::int64_t>(value.offset)},
                "pickle: a container holds itself");
        if (state[item] == left) continue;
        state[item] = entered;
        path.emplace_back(item, 0);
      }
    }
  }

  std::string_view bytes_;
  std::span<const std::string_view> allowed_;
  std::string_view file_;
  std::uint64_t base_offset_;
  std::size_t at_ = 0;
  std::size_t opcode_at_ = 0;
  Pickle pickle_;
  std::vector<PickleId> stack_;
  std::vector<std::size_t> marks_;  // stack sizes
  std::vector<PickleId> memo_;
};

Pickle Pickle::parse(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
                     std::string_view file, std::uint64_t base_offset) {
  return PickleMachine(bytes, allowed, file, base_offset).run();
}

}  // namespace kappascope
