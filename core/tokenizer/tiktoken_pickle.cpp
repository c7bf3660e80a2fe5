#include "core/tokenizer/tiktoken_pickle.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "core/checkpoint/input_file.h"
#include "core/checkpoint/other_format.h"
#include "core/checkpoint/pickle.h"
#include "core/tokenizer/vocabulary.h"

namespace kappascope {
namespace {

using Kind = PickleValue::Kind;
using Entries = std::vector<std::pair<std::string, std::int32_t>>;

constexpr std::string_view kEncodingClass = "tiktoken.core Encoding";
constexpr std::uint64_t kLongestPickle = std::uint64_t{256} << 20;  // bytes; known ones have 4 MB

// The members of the Encoding's state; null: absent or of another kind, and reported as a fault.
struct State {
  const PickleValue* name = nullptr;
  const PickleValue* pattern = nullptr;
  const PickleValue* ranks = nullptr;
  const PickleValue* specials = nullptr;
};

// The state that BUILD gave to the one object of the file.
const PickleValue& encoding_state(const Pickle& pickle, std::string_view file) {
  const PickleValue& root = pickle.root();
  const bool is_encoding = root.kind == Kind::object && root.items.size() == 3 &&
                           pickle.at(root.items[0]).kind == Kind::global &&
                           pickle.at(root.items[0]).text == kEncodingClass;
  require(is_encoding, ExitCode::damaged, {file, {}, static_cast<std::int64_t>(root.offset)},
          "expected one object ", kEncodingClass, " with its state, found ", kind_name(root.kind));
  const PickleValue& state = pickle.at(root.items[2]);
  require(state.kind != Kind::text, ExitCode::unsupported, {file},
          "the encoding is tiktoken's own \"", state.text,
          "\", named but not held by the file; expected its tokens in the file");
  require(state.kind == Kind::dict, ExitCode::damaged,
          {file, {}, static_cast<std::int64_t>(state.offset)}, "the state of the encoding; ",
          "expected a dict, found ", kind_name(state.kind));
  return state;
}

State find_members(const Pickle& pickle, const PickleValue& dict, Faults& faults) {
  struct Member {
    std::string_view key;
    Kind kind;
    const PickleValue* State::* slot;
  };
  constexpr std::array<Member, 4> kMembers = {{{"name", Kind::text, &State::name},
                                               {"pat_str", Kind::text, &State::pattern},
                                               {"mergeable_ranks", Kind::dict, &State::ranks},
                                               {"special_tokens", Kind::dict, &State::specials}}};
  State state;
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& key = pickle.at(dict.items[i]);
    const PickleValue& value = pickle.at(dict.items[i + 1]);
    const auto member = std::find_if(kMembers.begin(), kMembers.end(), [&](const Member& m) {
      return key.kind == Kind::text && m.key == key.text;
    });
    if (member == kMembers.end()) {
      faults.add(ExitCode::unsupported, {}, "unknown member \"",
                 key.kind == Kind::text ? key.text : "(no text)", "\" of the encoding");
    } else if (state.*member->slot != nullptr) {
      faults.add(ExitCode::damaged, {}, "member ", member->key, " twice");
    } else if (value.kind != member->kind) {
      faults.add(ExitCode::damaged, {}, "member ", member->key, "; expected ",
                 kind_name(member->kind), ", found ", kind_name(value.kind));
    } else {
      state.*member->slot = &value;
    }
  }
  for (const Member& member : kMembers) {
    if (state.*member.slot == nullptr) {
      faults.add(ExitCode::damaged, {}, "no usable member ", member.key);
    }
  }
  return state;
}

// A dict of `key_kind` → id. Each kind of fault is reported once, with its first place.
Entries read_entries(const Pickle& pickle, const PickleValue& dict, Kind key_kind,
                     std::string_view member, Faults& faults) {
  Entries entries;
  bool kinds_hold = true;
  bool ids_hold = true;
  bool lengths_hold = true;
  const auto check = [&](bool& held, bool holds, const PickleValue& at, auto&&... what) {
    if (held && !holds) {
      faults.add(ExitCode::damaged, {}, member, ", offset ", at.offset, ": ", what...);
    }
    held = held && holds;
    return holds;
  };
  for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& key = pickle.at(dict.items[i]);
    const PickleValue& id = pickle.at(dict.items[i + 1]);
    const bool usable =
        check(kinds_hold, key.kind == key_kind && id.kind == Kind::integer, key, "expected ",
              kind_name(key_kind), " and ", kind_name(Kind::integer), ", found ",
              kind_name(key.kind), " and ", kind_name(id.kind)) &&
        check(ids_hold, id.integer >= 0 && id.integer < kTokenIdLimit, id,
              "expected an id from 0 to ", kTokenIdLimit - 1, ", found ", id.integer) &&
        check(lengths_hold, !key.text.empty() && key.text.size() <= kLongestToken, key,
              "expected a token of 1 to ", kLongestToken, " bytes, found ", key.text.size());
    if (usable) { entries.emplace_back(key.text, static_cast<std::int32_t>(id.integer)); }
  }
  return entries;
}

// Reports the first value that `values` holds twice, if any. Sorts them.
template <typename T>
void check_unique(std::vector<T> values, std::string_view what, Faults& faults) {
  std::sort(values.begin(), values.end());
  const auto twice = std::adjacent_find(values.begin(), values.end());
  if (twice != values.end()) { faults.add(ExitCode::damaged, {}, what, " ", *twice, " twice"); }
}

void check_tokens(const TiktokenEncoding& encoding, Faults& faults) {
  std::vector<std::int32_t> ids;
  std::vector<std::string_view> tokens;
  std::vector<std::string_view> names;
  std::array<bool, 256> seen{};
  for (const auto& [bytes, id] : encoding.ranks) {
    ids.push_back(id);
    tokens.push_back(bytes);
    if (bytes.size() == 1) { seen[static_cast<unsigned char>(bytes[0])] = true; }
  }
  for (const auto& [text, id] : encoding.specials) {
    ids.push_back(id);
    names.push_back(text);
  }
  check_unique(std::move(ids), "id", faults);
  check_unique(std::move(tokens), "token", faults);
  check_unique(std::move(names), "special token", faults);
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing != seen.end()) {
    faults.add(ExitCode::damaged, {},
               "mergeable_ranks: ", std::count(seen.begin(), seen.end(), false),
               " single bytes have no token; the first is ", missing - seen.begin());
  }
}

TiktokenEncoding read_encoding(const InputFile& input) {
  require(input.size() <= kLongestPickle, ExitCode::unsupported, {input.path()},
          "the file is too long; expected at most ", kLongestPickle, " bytes, found ",
          input.size());
  const std::vector<std::byte> bytes = input.read(0, input.size(), "pickle");
  constexpr std::array<std::string_view, 1> kAllowed = {kEncodingClass};
  const Pickle pickle = Pickle::parse(bytes, kAllowed, input.path());
  Faults faults(input.path());
  const State state = find_members(pickle, encoding_state(pickle, input.path()), faults);
  TiktokenEncoding encoding;
  if (state.name != nullptr) { encoding.name = state.name->text; }
  if (state.pattern != nullptr) { encoding.pattern = state.pattern->text; }
  if (state.ranks != nullptr) {
    encoding.ranks = read_entries(pickle, *state.ranks, Kind::bytes, "mergeable_ranks", faults);
  }
  if (state.specials != nullptr) {
    encoding.specials = read_entries(pickle, *state.specials, Kind::text, "special_tokens", faults);
  }
  if (faults.empty()) { check_tokens(encoding, faults); }
  faults.throw_if_any();
  return encoding;
}

}  // namespace

TiktokenEncoding read_tiktoken_pickle(const std::filesystem::path& path) {
  const InputFile input = InputFile::open(path);
  return with_format(input, Expected::pickle, [&] { return read_encoding(input); });
}

}  // namespace kappascope
