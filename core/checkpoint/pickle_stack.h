// The memory of Python's unpickling machine: values, a stack of them with marks, and a memo.
// Values live in the Pickle; stack, memo and containers hold their indices.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/checkpoint/byte_cursor.h"
#include "core/checkpoint/pickle.h"

namespace kappascope {

class PickleStack {
 public:
  using Kind = PickleValue::Kind;

  // `too_many`: the code of an error when the limit of values is passed.
  PickleStack(std::string_view file, ExitCode too_many) : file_(file), too_many_(too_many) {}

  // The place every message names: that of the opcode at work.
  void set_place(const Place& place) { place_ = place; }

  template <typename... Parts>
  void check(bool holds, const Parts&... what) const {
    require(holds, ExitCode::damaged, place_, "pickle: ", what...);
  }

  const PickleValue& at(PickleId id) const { return pickle_.values_[id]; }

  PickleValue& push(Kind kind) {
    require(pickle_.values_.size() < kMaxValues, too_many_, place_, "pickle: more than ",
            kMaxValues, " values");
    push_again(static_cast<PickleId>(pickle_.values_.size()));
    PickleValue& value = pickle_.values_.emplace_back();
    value.kind = kind;
    value.offset = static_cast<std::uint64_t>(place_.offset);
    return value;
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

  // Takes the topmost mark when no value lies above it.
  bool pop_bare_mark() {
    if (marks_.empty() || marks_.back() != stack_.size()) { return false; }
    marks_.pop_back();
    return true;
  }

  void mark() {
    check(marks_.size() < kMaxValues, "more than ", kMaxValues, " marks");
    marks_.push_back(stack_.size());
  }

  void duplicate() {
    need(1);
    push_again(stack_.back());
  }

  PickleValue& top() {
    need(1);
    return pickle_.values_[stack_.back()];
  }

  // The topmost value, which must be of that kind.
  PickleValue& top(Kind kind) {
    PickleValue& value = top();
    check(value.kind == kind, "expected ", kind_name(kind), ", found ", kind_name(value.kind));
    return value;
  }

  std::size_t memo_size() const { return memo_.size(); }

  // Python numbers the memo without holes, so it is an array no longer than the pickle.
  void put(std::uint64_t index) {
    need(1);
    check(index <= memo_.size(), "the memo has a hole; expected index ", memo_.size(),
          " at most, found ", index);
    if (index == memo_.size()) { memo_.emplace_back(); }
    memo_[index] = stack_.back();
  }

  void get(std::uint64_t index) {
    check(index < memo_.size(), "memo entry ", index, " was never set");
    push_again(memo_[index]);
  }

  // A name that outlives the pickle's bytes, cut to a length that a message has room for. Only so
  // many are kept: a hostile pickle may make millions.
  std::string_view keep_name(std::string_view module, std::string_view name) {
    constexpr std::size_t kLongest = 100, most = 4096;
    if (pickle_.names_.size() >= most) { return "(one of many classes)"; }
    std::string text(module.substr(0, kLongest));
    text += ' ';
    text += name.substr(0, kLongest);
    return *pickle_.names_.insert(std::move(text)).first;
  }

  // At STOP: the one value left is the root. Nothing refers to itself, unless `cycles` may be.
  Pickle finish(bool cycles) {
    check(stack_.size() == 1 && marks_.empty(), "STOP with values left over; expected 1, found ",
          stack_.size());
    pickle_.root_ = stack_.back();
    if (!cycles) { refuse_cycles(); }
    return std::move(pickle_);
  }

 private:
  // A tensor takes some twenty values, a vocabulary two per token: far above any real model, and
  // about 400 MB at worst. Stack and marks have the same limit: repeating costs one byte.
  static constexpr std::size_t kMaxValues = std::size_t{1} << 22;

  void push_again(PickleId id) {
    check(stack_.size() < kMaxValues, "more than ", kMaxValues, " values on the stack");
    stack_.push_back(id);
  }

  // At least `count` values lie above the topmost mark.
  void need(std::size_t count) const {
    const std::size_t found = stack_.size() - (marks_.empty() ? 0 : marks_.back());
    check(found >= count, "stack underflow; expected ", count, " values, found ", found);
  }

  // Walks every value once, depth first, without recursion: whoever reads the values may then
  // follow them without looking for loops.
  void refuse_cycles() const {
    enum : std::uint8_t { unseen, entered, left };
    std::vector<std::uint8_t> state(pickle_.values_.size(), unseen);
    std::vector<std::pair<PickleId, std::size_t>> path;  // value, index of its next item
    for (PickleId first = 0; first < state.size(); ++first) {
      if (state[first] != unseen) { continue; }
      state[first] = entered;
      path.emplace_back(first, 0);
      while (!path.empty()) {
        const PickleValue& value = at(path.back().first);
        if (path.back().second == value.items.size()) {
          state[path.back().first] = left;
          path.pop_back();
          continue;
        }
        const PickleId item = value.items[path.back().second++];
        require(state[item] != entered, ExitCode::damaged,
                Place{file_, {}, static_cast<std::int64_t>(value.offset)},
                "pickle: a container holds itself");
        if (state[item] == left) { continue; }
        state[item] = entered;
        path.emplace_back(item, 0);
      }
    }
  }

  std::string_view file_;
  ExitCode too_many_;
  Place place_;
  Pickle pickle_;
  std::vector<PickleId> stack_;
  std::vector<std::size_t> marks_;  // stack sizes
  std::vector<PickleId> memo_;
};

}  // namespace kappascope
