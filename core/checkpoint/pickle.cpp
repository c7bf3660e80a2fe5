#include "core/checkpoint/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "core/checkpoint/byte_cursor.h"
#include "core/checkpoint/hostile_globals.h"
#include "core/checkpoint/pickle_opcodes.h"
#include "core/checkpoint/pickle_stack.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kOrderedDict = "collections OrderedDict";

bool may_be_key(Kind kind) {
  return kind == Kind::none || kind == Kind::boolean || kind == Kind::integer ||
         kind == Kind::real || kind == Kind::text || kind == Kind::bytes;
}

// One function per group of opcodes; each says whether the opcode was one of its own.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, std::span<const std::string_view> known,
                bool any_class, std::string_view file, std::uint64_t base_offset)
      : known_(known),
        any_class_(any_class),
        input_(bytes, file, base_offset, "pickle:"),
        stack_(file, any_class ? ExitCode::unsupported : ExitCode::damaged) {}

  Pickle run() {
    std::uint8_t opcode = next_opcode();
    if (opcode == op_proto) {
      const std::uint64_t protocol = input_.number(1);
      check(protocol >= 2 && protocol <= 5, "unknown protocol; expected 2 to 5, found ", protocol);
      opcode = next_opcode();
    }  // else protocol 0 or 1: their opcodes are refused by name, their globals too
    for (; opcode != op_stop; opcode = next_opcode()) {
      if (!constant(opcode) && !text(opcode) && !memo(opcode) && !stack(opcode) &&
          !container(opcode) && !call(opcode) && !(any_class_ && foreign(opcode))) {
        refuse(opcode);
      }
    }
    return stack_.finish(any_class_);
  }

 private:
  template <typename... Parts>
  void check(bool holds, const Parts&... what) const {
    stack_.check(holds, what...);
  }

  std::uint8_t next_opcode() {
    stack_.set_place(input_.here());
    check(input_.left() > 0, "ends without STOP");
    return static_cast<std::uint8_t>(input_.number(1));
  }

  void refuse(std::uint8_t opcode) const {
    for (const RefusedOpcode& known : kRefusedOpcodes) {
      if (known.code != opcode) { continue; }
      check(any_class_ && known.old, "opcode ", known.name, " is not allowed");
      fail(ExitCode::unsupported, input_.here(), "pickle: opcode ", known.name,
           " of protocol 0 or 1 is not read; save it again with protocol 2, the default of "
           "torch.save");
    }
    check(false, "unknown opcode ", static_cast<int>(opcode));
  }

  bool constant(std::uint8_t opcode) {
    switch (opcode) {
      case op_none:
        stack_.push(Kind::none);
        return true;
      case op_newtrue:
      case op_newfalse:
        return push_integer(opcode == op_newtrue, Kind::boolean);
      case op_binint:
        return push_integer(static_cast<std::int32_t>(input_.number(4)));
      case op_binint1:
        return push_integer(static_cast<std::int64_t>(input_.number(1)));
      case op_binint2:
        return push_integer(static_cast<std::int64_t>(input_.number(2)));
      case op_long1:
        return push_long(input_.number(1));
      case op_long4:
        return push_long(input_.number(4));
      case op_binfloat:
        return push_real();
      case op_frame:  // a hint for buffered reading; the frame must lie inside the pickle
        check(input_.number(8) <= input_.left(), "a frame is longer than the pickle");
        return true;
      default:
        return false;
    }
  }

  bool push_integer(std::int64_t integer, Kind kind = Kind::integer) {
    stack_.push(kind).integer = integer;
    return true;
  }

  // Two's complement, little-endian, `length` bytes.
  bool push_long(std::uint64_t length) {
    if (length > 8 && any_class_) { return take_opaque("builtins int", length); }
    check(length <= 8, "an integer of more than 64 bits");
    if (length == 0) { return push_integer(0); }
    const auto unused = static_cast<int>(64 - 8 * length);
    const std::uint64_t raw = input_.number(length) << unused;
    return push_integer(static_cast<std::int64_t>(raw) >> unused);
  }

  // IEEE double, big-endian.
  bool push_real() {
    std::uint64_t raw = 0;
    for (const char c : input_.take(8)) { raw = raw << 8 | static_cast<std::uint8_t>(c); }
    stack_.push(Kind::real).real = std::bit_cast<double>(raw);
    return true;
  }

  bool text(std::uint8_t opcode) {
    switch (opcode) {
      case op_short_binunicode:
        return push_text(Kind::text, input_.number(1));
      case op_binunicode:
        return push_text(Kind::text, input_.number(4));
      case op_binunicode8:
        return push_text(Kind::text, input_.number(8));
      case op_short_binbytes:
        return push_text(Kind::bytes, input_.number(1));
      case op_binbytes:
        return push_text(Kind::bytes, input_.number(4));
      case op_binbytes8:
        return push_text(Kind::bytes, input_.number(8));
      default:
        return false;
    }
  }

  bool push_text(Kind kind, std::uint64_t length) {
    const std::string_view taken = input_.take(length);
    if (kind == Kind::text && !is_utf8(taken)) {
      check(any_class_, "text that is not valid UTF-8");
      kind = Kind::bytes;
    }
    stack_.push(kind).text = taken;
    return true;
  }

  bool memo(std::uint8_t opcode) {
    switch (opcode) {
      case op_binput:
        stack_.put(input_.number(1));
        return true;
      case op_long_binput:
        stack_.put(input_.number(4));
        return true;
      case op_memoize:
        stack_.put(stack_.memo_size());
        return true;
      case op_binget:
        stack_.get(input_.number(1));
        return true;
      case op_long_binget:
        stack_.get(input_.number(4));
        return true;
      default:
        return false;
    }
  }

  bool stack(std::uint8_t opcode) {
    switch (opcode) {
      case op_mark:
        stack_.mark();
        return true;
      case op_pop:
        if (!stack_.pop_bare_mark()) { stack_.pop(); }
        return true;
      case op_pop_mark:
        stack_.pop_to_mark();
        return true;
      case op_dup:
        stack_.duplicate();
        return true;
      default:
        return false;
    }
  }

  bool container(std::uint8_t opcode) {
    switch (opcode) {
      case op_empty_tuple:
        return push_items(Kind::tuple, {});
      case op_empty_list:
        return push_items(Kind::list, {});
      case op_empty_dict:
        return push_items(Kind::dict, {});
      case op_tuple1:
      case op_tuple2:
      case op_tuple3:
        return push_items(Kind::tuple, stack_.pop_items(opcode - op_tuple1 + std::size_t{1}));
      case op_tuple:
        return push_items(Kind::tuple, stack_.pop_to_mark());
      case op_append:
        return append(stack_.pop_items(1));
      case op_appends:
        return append(stack_.pop_to_mark());
      case op_setitem:
        return set_items(stack_.pop_items(2));
      case op_setitems:
        return set_items(stack_.pop_to_mark());
      default:
        return false;
    }
  }

  bool push_items(Kind kind, std::vector<PickleId> items) {
    stack_.push(kind).items = std::move(items);
    return true;
  }

  bool append(const std::vector<PickleId>& added) {
    if (stack_.top().kind == Kind::opaque) { return true; }
    std::vector<PickleId>& items = stack_.top(Kind::list).items;
    items.insert(items.end(), added.begin(), added.end());
    return true;
  }

  bool set_items(const std::vector<PickleId>& added) {
    check(added.size() % 2 == 0, "a dict key without a value");
    if (stack_.top().kind == Kind::opaque) { return true; }
    for (std::size_t i = 0; i < added.size() && !any_class_; i += 2) {
      const Kind kind = stack_.at(added[i]).kind;
      check(may_be_key(kind), "a dict key must be a text, bytes or a number, found ",
            kind_name(kind));
    }
    std::vector<PickleId>& items = stack_.top(Kind::dict).items;
    items.insert(items.end(), added.begin(), added.end());
    return true;
  }

  bool call(std::uint8_t opcode) {
    switch (opcode) {
      case op_global: {
        const std::string_view module = input_.line();
        return push_global(module, input_.line());
      }
      case op_stack_global: {
        const std::vector<PickleId> names = stack_.pop_items(2);
        const PickleValue& module = stack_.at(names[0]);
        const PickleValue& name = stack_.at(names[1]);
        check(module.kind == Kind::text && name.kind == Kind::text,
              "STACK_GLOBAL without two texts");
        return push_global(module.text, name.text);
      }
      case op_binpersid:
        return push_items(Kind::persistent, stack_.pop_items(1));
      case op_reduce:
      case op_newobj:
        return make_object(stack_.pop_items(2));
      case op_build:
        return build(stack_.pop());
      default:
        return false;
    }
  }

  bool push_global(std::string_view module, std::string_view name) {
    const auto is_named = [&](std::string_view entry) {
      return entry.size() == module.size() + 1 + name.size() && entry[module.size()] == ' ' &&
             entry.substr(0, module.size()) == module && entry.substr(module.size() + 1) == name;
    };
    const auto found = std::find_if(known_.begin(), known_.end(), is_named);
    const bool known = found != known_.end();
    check(known || (any_class_ && !is_hostile(module, name)), "global '", module, " ", name,
          "' is not allowed");
    const std::string_view text = known ? *found : stack_.keep_name(module, name);
    PickleValue& global = stack_.push(Kind::global);
    global.text = text;
    global.known = known;
    return true;
  }

  bool push_opaque(std::string_view text) {
    stack_.push(Kind::opaque).text = text;
    return true;
  }

  bool take_opaque(std::string_view text, std::uint64_t length) {
    input_.take(length);
    return push_opaque(text);
  }

  // Of a function or class that the caller does not know, and what such a one returned.
  bool is_foreign(const PickleValue& callable) const {
    return callable.kind == Kind::opaque || (callable.kind == Kind::global && !callable.known);
  }

  bool make_object(std::vector<PickleId> parts) {
    const PickleValue& callable = stack_.at(parts[0]);
    const PickleValue& arguments = stack_.at(parts[1]);
    if (any_class_ && is_foreign(callable)) { return push_opaque(callable.text); }
    check(callable.kind == Kind::global, "a call of ", kind_name(callable.kind));
    check(arguments.kind == Kind::tuple, "a call with ", kind_name(arguments.kind),
          " for arguments");
    if (callable.text == kOrderedDict && arguments.items.empty()) {
      return push_items(Kind::dict, {});
    }
    return push_items(Kind::object, std::move(parts));
  }

  // Attributes of an OrderedDict (a state_dict carries `_metadata`) are dropped.
  bool build(PickleId state) {
    PickleValue& value = stack_.top();
    if (value.kind == Kind::dict || value.kind == Kind::opaque) { return true; }
    check(value.kind == Kind::object, "state set on ", kind_name(value.kind));
    check(value.items.size() == 2, "state set twice on one object");
    value.items.push_back(state);
    return true;
  }

  // What no checkpoint needs but may have beside its tensors.
  bool foreign(std::uint8_t opcode) {
    switch (opcode) {
      case op_binstring:
        return push_text(Kind::text, input_.number(4));
      case op_short_binstring:
        return push_text(Kind::text, input_.number(1));
      case op_empty_set:
        return push_opaque("builtins set");
      case op_frozenset:
        stack_.pop_to_mark();
        return push_opaque("builtins frozenset");
      case op_additems:
        stack_.pop_to_mark();
        stack_.top(Kind::opaque);
        return true;
      case op_newobj_ex: {
        const std::vector<PickleId> parts = stack_.pop_items(3);
        return push_opaque(is_foreign(stack_.at(parts[0])) ? stack_.at(parts[0]).text
                                                           : "an object");
      }
      case op_bytearray8:
        return take_opaque("builtins bytearray", input_.number(8));
      default:
        return false;
    }
  }

  std::span<const std::string_view> known_;
  bool any_class_;
  ByteCursor input_;
  PickleStack stack_;
};

}  // namespace

std::string_view kind_name(PickleValue::Kind kind) {
  constexpr std::array<std::string_view, 13> kNames = {"None",
                                                       "a boolean",
                                                       "an integer",
                                                       "a number",
                                                       "a text",
                                                       "bytes",
                                                       "a tuple",
                                                       "a list",
                                                       "a dict",
                                                       "a global",
                                                       "a persistent id",
                                                       "an object",
                                                       "an object of another class"};
  return kNames.at(static_cast<std::size_t>(kind));
}

Pickle Pickle::parse(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
                     std::string_view file, std::uint64_t base_offset) {
  return PickleMachine(bytes, allowed, false, file, base_offset).run();
}

Pickle Pickle::parse_any(std::span<const std::byte> bytes, std::span<const std::string_view> known,
                         std::string_view file, std::uint64_t base_offset) {
  return PickleMachine(bytes, known, true, file, base_offset).run();
}

}  // namespace kappascope
