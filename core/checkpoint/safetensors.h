// safetensors files: the length of a header, the header (JSON), and the tensors one after another.
//
//   u64 N, little-endian | N bytes: {"__metadata__": {text: text}, NAME: {"dtype": "BF16",
//   "shape": [2, 3], "data_offsets": [begin, end]}, …} and spaces | tensors, row by row
#pragma once

#include <filesystem>

#include "core/checkpoint/tensor.h"

namespace kappascope {

// Reads the header of a file, no tensor data. Each byte after the header is of one tensor. Refused
// (damaged): a header of more than 100 MB or that is no such JSON, duplicate names, tensors that
// overlap or leave holes, a length other than that of shape and dtype, a file that is shorter or
// longer than its tensors; (unsupported) a dtype that the format does not have, and other formats,
// which are named. Tensors of numbers that are not whole bytes, and complex ones, are in others().
TensorFile read_safetensors(const std::filesystem::path& path);

}  // namespace kappascope
