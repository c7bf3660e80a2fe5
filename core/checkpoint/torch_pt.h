// torch.save files: a ZIP of stored entries with a pickle of tensors in front (SPEC §1.1).
#pragma once

#include <filesystem>

#include "core/checkpoint/tensor.h"

namespace kappascope {

// Reads the directory of a `.pt` file: end record, central directory, data.pkl and one local header
// per storage; no tensor data. The root must be a dict or OrderedDict. Its tensors may be views of
// any steps, parameters and tensors with attributes; of dicts in it the names are joined by dots.
// What is no tensor of a type that is read is kept in others(). Names lose the parts that PyTorch's
// wrappers put into them, as "module." and "_orig_mod.". Refused: tensors that leave their storage
// (damaged); big-endian files and other formats, which are named (unsupported).
TensorFile read_torch_pt(const std::filesystem::path& path);

}  // namespace kappascope
