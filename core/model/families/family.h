// Who turns a checkpoint into an Architecture: one file for each kind of training repository.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/model/model.h"

namespace kappascope {

struct Family {
  const char* name;    // as Architecture::family
  const char* anchor;  // a tensor that each of its models has, for what precedes names in a file
  // Whether a checkpoint is one of it.
  bool (*claims)(const Json& meta, const TensorFile& tensors);
  // Fills the model whose files and tensors are set: architecture, weights, κ, findings, warnings.
  // All faults together: damaged, unsupported.
  void (*read)(Model& model, const Json& meta, const OpenOptions& options);
};

// Every family, in the order in which they are asked.
std::span<const Family> families();

extern const Family kNanochat;

}  // namespace kappascope
