// Fields of the components of a tokenizer.json, of which nothing is believed.
#pragma once

#include <string>
#include <string_view>

#include "core/checkpoint/json.h"
#include "core/utf8.h"

namespace kappascope {

// Normalizers or pre-tokenizers one after another; known tokenizers have 7.
inline constexpr std::size_t kMostSteps = 64;

// A normalizer, pre-tokenizer, … : an object with a "type". Errors name its place in the file.
class Component {
 public:
  Component(const Json& json, std::string place, std::string_view file)
      : json_(json), place_(std::move(place)), file_(file) {
    require(json.is_object() && json.contains("type") && json["type"].is_string(),
            ExitCode::damaged, {file_}, place_, "; expected an object with a \"type\", found ",
            found_text(json));
  }

  const std::string& type() const { return json_["type"].get_ref<const std::string&>(); }
  const std::string& place() const { return place_; }
  std::string_view file() const { return file_; }

  [[noreturn]] void refuse_type(std::string_view supported) const {
    fail(ExitCode::unsupported, {file_}, place_, ".type; expected one of ", supported, ", found ",
         found_text(json_["type"]));
  }

  // nullptr when the field is absent or null.
  const Json* find(const char* field) const {
    const auto at = json_.find(field);
    return at == json_.end() || at->is_null() ? nullptr : &*at;
  }

  const Json& at(const char* field) const {
    const Json* found = find(field);
    require(found != nullptr, ExitCode::damaged, {file_}, place_, ".", field, " is missing");
    return *found;
  }

  bool flag(const char* field) const { return as_flag(at(field), field); }
  bool flag(const char* field, bool absent) const {
    const Json* found = find(field);
    return found == nullptr ? absent : as_flag(*found, field);
  }

  const std::string& text(const char* field) const {
    const Json& found = at(field);
    require(found.is_string(), ExitCode::damaged, {file_}, place_, ".", field,
            "; expected a text, found ", found_text(found));
    return found.get_ref<const std::string&>();
  }

  // One code point.
  const std::string& character(const char* field) const {
    const std::string& found = text(field);
    require(!found.empty() && decode_utf8(found, 0).length == found.size(), ExitCode::damaged,
            {file_}, place_, ".", field, "; expected one character, found ", found_text(at(field)));
    return found;
  }

  const Json& list(const char* field) const {
    const Json& found = at(field);
    require(found.is_array(), ExitCode::damaged, {file_}, place_, ".", field,
            "; expected a list, found ", found_text(found));
    return found;
  }

 private:
  bool as_flag(const Json& value, const char* field) const {
    require(value.is_boolean(), ExitCode::damaged, {file_}, place_, ".", field,
            "; expected true or false, found ", found_text(value));
    return value.get<bool>();
  }

  const Json& json_;
  std::string place_;
  std::string_view file_;
};

}  // namespace kappascope
