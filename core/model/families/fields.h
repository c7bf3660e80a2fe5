// The fields of a configuration, read by name and type.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/error.h"

namespace kappascope {

inline constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();

// How a family spells its fields.
struct FieldNames {
  const char* prefix;  // in front of a field's name in messages: "model_config."
  // The name that this program knows a field by.
  std::string (*canonical)(std::string_view name);
  // Whether a field changes nothing in evaluation.
  bool (*ignored)(std::string_view name);
  // Whether a name is one of a time before; nullptr: there is no such time.
  bool (*old)(std::string_view name);
  ExitCode two_values;           // where two names of one field have different values
  std::string_view family = {};  // what does not support a value, in messages; "": left out
};

// Reads fields and collects what is wrong with them. A field that is null counts as absent and
// leaves its default; a faulty one too. Fields are asked for by their canonical name, and messages
// use the one that is in the file.
class Fields {
 public:
  Fields(const Json& document, Faults& faults, const FieldNames& names);

  const Json* find(const char* field);
  bool is_null(const char* field) const;
  // As the file spells it.
  std::string spelled(const char* field) const;
  // Whether any field has a name from before the κ names.
  bool old_names() const { return old_names_; }

  void required(const char* field, std::int64_t& value, std::int64_t high);
  void integer(const char* field, std::int64_t& value, std::int64_t low, std::int64_t high);
  // A finite number ≥ low, or > low where `open`.
  void number(const char* field, double& value, double low, bool open);
  // Whether the field was given (well or not).
  bool boolean(const char* field, bool& value);
  std::optional<std::string> text(const char* field);

  // One of the enumerators, by the name that is in the file.
  template <typename Enum, std::size_t N>
  void choice(const char* field, Enum& value, const std::array<Enum, N>& known) {
    const std::optional<std::string> given = text(field);
    if (!given) { return; }
    std::string names;
    for (const Enum candidate : known) {
      if (*given == name(candidate)) {
        value = candidate;
        return;
      }
      names += (names.empty() ? "" : ", ") + std::string(name(candidate));
    }
    refuse(field, "one of " + names, Json(*given));
  }

  // Notes what a field is taken as.
  void record(const char* field, Json value) { resolved_[field] = std::move(value); }
  void forget(const char* field) { resolved_.erase(field); }  // another one says it
  // Every field that was read, by its canonical name, with the value that counts: the same for all
  // spellings of one configuration.
  const Json& resolved() const { return resolved_; }

  void refuse(const char* field, std::string_view expected, const Json& found);

  // Fields of the document that neither were asked for nor are known to be of training only.
  std::vector<std::string> unknown() const;

 private:
  void wrong_type(const char* field, const char* expected, const Json& found);

  struct Given {
    std::string name;  // in the file
    const Json* value;
  };

  const Json& document_;
  Faults& faults_;
  const FieldNames& names_;
  std::map<std::string, Given, std::less<>> given_;  // by canonical name
  std::set<std::string, std::less<>> asked_;
  Json resolved_ = Json::object();
  bool old_names_ = false;
};

}  // namespace kappascope
