// A tensor as a checkpoint stores it: its type to Torch, its bytes, and its numbers that are none.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/checkpoint/tensor.h"

namespace kappascope {

// Of a weight that is used as it is stored; another type is our mistake.
at::ScalarType scalar_type(DType dtype);

// How many values are NaN or infinite; of float64, those that float32 cannot hold. 0 for types that
// have none.
std::uint64_t count_nonfinite(std::span<const std::byte> bytes, DType dtype);

// Copies a part of a tensor, from byte `first` on, without mapping the file.
void read_bytes(const TensorFile& tensors, const TensorInfo& tensor, std::uint64_t first,
                std::span<std::byte> into);

}  // namespace kappascope
