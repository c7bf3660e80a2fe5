// A tensor as a checkpoint stores it: its type to Torch, its bytes, and its numbers that are none.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/checkpoint/tensor.h"

namespace kappascope {

// Of a weight that is used as it is stored; another type is our mistake.
at::ScalarType scalar_type(DType dtype);

// How many values are NaN or infinite; of float64, those that float32 cannot hold. 0 for types that
// have none.
std::uint64_t count_nonfinite(std::span<const std::byte> bytes, DType dtype);

// `shape` elements of a tensor from element `first` on, in memory of their own: as stored, but
// float64 as float32, unless `wanted` says another type. The file is not mapped for them.
at::Tensor read_part(const TensorFile& tensors, const TensorInfo& info, std::int64_t first,
                     const std::vector<std::int64_t>& shape,
                     std::optional<at::ScalarType> wanted = {});

}  // namespace kappascope
