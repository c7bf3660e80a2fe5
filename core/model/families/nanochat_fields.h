// The fields of a nanochat model_config, read by name and type.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/error.h"

namespace kappascope::nanochat {

inline constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();

// The name that this program knows a field by: fields were renamed twice (SPEC-layouts §1.2b,
// §1.2c).
std::string canonical_field(std::string_view name);

// Reads fields and collects what is wrong with them. A field that is null counts as absent and
// leaves its default; a faulty one too. Fields are asked for by their canonical name, and messages
// use the one that is in the file. Two names of one field with different values: damaged.
class Fields {
 public:
  Fields(const Json& document, Faults& faults);

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
  std::map<std::string, Given, std::less<>> given_;  // by canonical name
  std::set<std::string, std::less<>> asked_;
  bool old_names_ = false;
};

}  // namespace kappascope::nanochat
