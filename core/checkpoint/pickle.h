// A restricted reader of Python pickles: it builds plain values and runs nothing.
//
// Globals outside the caller's list are refused by name and offset, or (parse_any) kept as objects
// of which only the class is known; REDUCE, NEWOBJ and BUILD only record what was asked for, the
// caller decides what it means. The one exception: an empty `collections OrderedDict` is a dict,
// and attributes set on it are dropped. Memory is bounded by the input's size and by 2²² values:
// the memo refers to values, it never copies them.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace kappascope {

// Index of a value in the Pickle's arena.
using PickleId = std::uint32_t;

struct PickleValue {
  enum class Kind : std::uint8_t {
    none,
    boolean,
    integer,
    real,
    text,
    bytes,
    tuple,
    list,
    dict,
    global,      // text = "module name"
    persistent,  // items = {id}
    object,      // items = {callable, arguments[, state]}: REDUCE, NEWOBJ, then BUILD
    opaque       // an object whose class the caller does not know: text = the class; no items
  };
  Kind kind = Kind::none;
  bool known = true;         // global: of the caller's list
  std::int64_t integer = 0;  // boolean and integer
  double real = 0;
  std::string_view text;        // text and bytes: into the pickle itself; global, opaque: a name
  std::vector<PickleId> items;  // tuple, list, persistent, object; dict: key, value, key, value …
  std::uint64_t offset = 0;     // of the opcode that made the value, for messages
};

std::string_view kind_name(PickleValue::Kind kind);  // "a text", for messages

class Pickle {
 public:
  // Parses one pickle, protocols 2 to 5, that must end with STOP at the end of `bytes` or before
  // it. `allowed` holds "module name" strings; it and `bytes` must outlive the result. `file` and
  // `base_offset` are for messages. Refused (damaged): unknown opcodes, globals not allowed, stack
  // underflow, memo holes, lengths past the end, integers over 64 bits, cycles (a container put
  // into itself), text that is no UTF-8, dict keys other than None, booleans, numbers, texts and
  // bytes. A key that occurs twice is kept twice.
  static Pickle parse(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
                      std::string_view file, std::uint64_t base_offset = 0);

  // The same for files that may hold anything beside what the caller looks for: objects of classes
  // that are not in `known` are opaque, whatever is done to them; sets, bytearrays and integers
  // over 64 bits are opaque too; texts that are no UTF-8 are bytes; dict keys may be anything;
  // containers may hold themselves, so whoever follows values sees to it that it ends. Still
  // refused (damaged): what is no pickle, and functions whose only use in a pickle is to run a
  // program when Python loads it. Refused (unsupported): opcodes of protocols 0 and 1.
  static Pickle parse_any(std::span<const std::byte> bytes, std::span<const std::string_view> known,
                          std::string_view file, std::uint64_t base_offset = 0);

  const PickleValue& root() const { return values_[root_]; }
  const PickleValue& at(PickleId id) const { return values_[id]; }

 private:
  std::vector<PickleValue> values_;
  std::set<std::string, std::less<>> names_;  // of globals that the caller does not know
  PickleId root_ = 0;
  friend class PickleStack;
};

}  // namespace kappascope
