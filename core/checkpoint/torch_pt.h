// torch.save files: a ZIP of stored entries with a pickle of tensors in front (SPEC §1.1).
#pragma once

#include <filesystem>

#include "core/checkpoint/tensor.h"

namespace kappascope {

// Reads the directory of a `.pt` file: end record, central directory, data.pkl and one local header
// per storage; no tensor data. The root must be a dict or OrderedDict of name → tensor (other
// values are refused by name). Tensors must be contiguous and lie inside their storage; keys lose
// the prefix "_orig_mod.". Big-endian files are refused (unsupported).
TensorFile read_torch_pt(const std::filesystem::path& path);

}  // namespace kappascope
