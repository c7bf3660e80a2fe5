#include "core/model/families/fields.h"

#include <cmath>

namespace kappascope {

Fields::Fields(const Json& document, Faults& faults, const FieldNames& names)
    : document_(document), faults_(faults), names_(names) {
  for (const auto& [field, value] : document.items()) {
    old_names_ = old_names_ || (names_.old && names_.old(field));
    const std::string name = names_.canonical(field);
    const auto [at, fresh] = given_.try_emplace(name, Given{field, &value});
    if (fresh || value.is_null()) { continue; }
    Given& before = at->second;
    if (before.value->is_null()) {
      before = {field, &value};
    } else if (*before.value != value) {
      faults_.add(names_.two_values, "", names_.prefix, before.name, " and ", names_.prefix, field,
                  " are two names of one field; expected one value, found ",
                  found_text(*before.value), " and ", found_text(value));
    }
  }
}

const Json* Fields::find(const char* field) {
  asked_.insert(field);
  const auto found = given_.find(field);
  return found == given_.end() || found->second.value->is_null() ? nullptr : found->second.value;
}

bool Fields::is_null(const char* field) const {
  const auto found = given_.find(field);
  return found != given_.end() && found->second.value->is_null();
}

std::string Fields::spelled(const char* field) const {
  const auto found = given_.find(field);
  return found == given_.end() ? field : found->second.name;
}

void Fields::required(const char* field, std::int64_t& value, std::int64_t high) {
  if (find(field) == nullptr) {
    faults_.add(ExitCode::damaged, "", names_.prefix, field, " is missing; expected an integer");
  } else {
    integer(field, value, 1, high);
  }
}

void Fields::integer(const char* field, std::int64_t& value, std::int64_t low, std::int64_t high) {
  const Json* found = find(field);
  record(field, value);
  if (found == nullptr) { return; }
  if (found->is_number_float() && !std::isfinite(found->get<double>())) {
    return refuse(field, "an integer", *found);
  }
  if (!found->is_number_integer()) { return wrong_type(field, "an integer", *found); }
  const bool huge =
      found->is_number_unsigned() && found->get<std::uint64_t>() > static_cast<std::uint64_t>(kAny);
  if (huge || found->get<std::int64_t>() < low || found->get<std::int64_t>() > high) {
    const std::string range = high == kAny ? join_words("at least ", low)
                                           : join_words("a value from ", low, " to ", high);
    return refuse(field, range, *found);
  }
  value = found->get<std::int64_t>();
  record(field, value);
}

void Fields::number(const char* field, double& value, double low, bool open) {
  const Json* found = find(field);
  record(field, value);
  if (found == nullptr) { return; }
  if (!found->is_number()) { return wrong_type(field, "a number", *found); }
  const double given = found->get<double>();
  if (!std::isfinite(given) || given < low || (open && given == low)) {
    if (std::isinf(low)) { return refuse(field, "a finite number", *found); }
    return refuse(field, join_words("a finite number ", open ? "> " : ">= ", low), *found);
  }
  value = given;
  record(field, value);
}

bool Fields::boolean(const char* field, bool& value) {
  const Json* found = find(field);
  if (found != nullptr && !found->is_boolean()) {
    wrong_type(field, "true or false", *found);
  } else if (found != nullptr) {
    value = found->get<bool>();
  }
  record(field, value);
  return found != nullptr;
}

std::optional<std::string> Fields::text(const char* field) {
  const Json* found = find(field);
  if (found == nullptr) { return std::nullopt; }
  if (!found->is_string()) {
    wrong_type(field, "a string", *found);
    return std::nullopt;
  }
  return found->get<std::string>();
}

void Fields::refuse(const char* field, std::string_view expected, const Json& found) {
  faults_.add(ExitCode::unsupported, "", names_.prefix, spelled(field), " is not supported",
              names_.family.empty() ? "" : " in ", names_.family, "; expected ", expected,
              ", found ", found_text(found));
}

std::vector<std::string> Fields::unknown() const {
  std::vector<std::string> result;
  for (const auto& [field, value] : document_.items()) {
    const std::string name = names_.canonical(field);
    if (!names_.ignored(field) && !names_.ignored(name) && asked_.count(name) == 0) {
      result.push_back(field);
    }
  }
  return result;
}

void Fields::wrong_type(const char* field, const char* expected, const Json& found) {
  faults_.add(ExitCode::damaged, "", names_.prefix, spelled(field),
              " has the wrong type; expected ", expected, ", found ", found_text(found));
}

}  // namespace kappascope
