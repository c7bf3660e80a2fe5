// What the meta of a trace says, at a key of it or of an object inside it.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "core/checkpoint/json.h"
#include "core/nan.h"
#include "core/trace/trace.h"

namespace kappascope {

// nullptr where `object` is none or has no such key; the same of nullptr.
inline const Json* member(const Json* object, const char* key) {
  if (object == nullptr || !object->is_object()) { return nullptr; }
  const auto found = object->find(key);
  return found == object->end() ? nullptr : &*found;
}
inline const Json* meta_at(const Trace& trace, const char* key) {
  return member(&trace.meta, key);
}
inline const Json* meta_at(const Trace& trace, const char* key, const char* inner) {
  return member(member(&trace.meta, key), inner);
}

// "" or NaN where the value is of another kind, or nullptr.
inline std::string text_of(const Json* value) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}
inline double number_of(const Json* value) {
  return value != nullptr && value->is_number() ? value->get<double>() : kNaN;
}
inline bool flag_is(const Json* value, bool truth) {
  return value != nullptr && value->is_boolean() && value->get<bool>() == truth;
}

// A threshold of the gate statistics, as the run recorded it ("gate_top": how many largest).
inline double trace_threshold(const Trace& trace, const char* name, double otherwise) {
  const double value = number_of(meta_at(trace, "thresholds", name));
  return std::isnan(value) ? otherwise : value;
}

// Whether test(word) holds of an intervention of the run.
template <typename Test>
bool any_intervention(const Trace& trace, Test&& test) {
  const Json* words = meta_at(trace, "interventions");
  if (words == nullptr || !words->is_array()) { return false; }
  return std::any_of(words->begin(), words->end(), [&](const Json& word) {
    return word.is_string() && test(word.get_ref<const std::string&>());
  });
}

}  // namespace kappascope
