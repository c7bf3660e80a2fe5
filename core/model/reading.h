// How the names and types of a file become those that a model asks for.
#pragma once

#include <string>
#include <vector>

#include "core/model/model.h"

namespace kappascope {

// Takes off the prefix of every name of the model, as "model." of {"model": state}, and
// gives it back. Several models in one file: unsupported, naming them. `anchor`: a name that every
// model has.
std::string strip_model_prefix(TensorFile& tensors, std::string_view anchor);

// Why a weight whose shape is right cannot be read, and what helps; "" when it can.
std::string unreadable(const TensorFile& tensors, const TensorInfo& weight);

// The line that turns weights of a type that is not read into float32. `what`: of an OtherMember.
std::string conversion(const TensorFile& tensors, std::string_view what);

// "a, b, c and 4 more": the first eight.
std::string listed(const std::vector<std::string>& names);

// What was done to read the weights: parts left out of names, copies, narrowed types, strangers.
std::vector<std::string> reading_notes(const Model& model, const std::string& prefix);

}  // namespace kappascope
