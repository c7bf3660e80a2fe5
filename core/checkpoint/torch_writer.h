// Writes .pt files as torch.save does: a ZIP of stored entries with a pickle of tensors in front
// and every storage on a 64-byte boundary. ZIP64 where an entry or its place is past 4 GiB. Same
// tensors, same bytes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/tensor.h"

namespace kappascope {

struct TorchTensor {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
};

// Gives the bytes of a tensor, in order and in pieces, to `sink`.
using Bytes = std::span<const std::byte>;
using TensorBytes = std::function<void(const TorchTensor&, const std::function<void(Bytes)>& sink)>;

// Writes `path` (over what is there); when it returns the bytes are on the disk. The folder inside
// the archive is the file's stem. Without `bytes` storages are left as holes: the file has its full
// size, takes hardly any room on the disk, and its checksums are 0. Errors: io.
void write_torch_pt(const std::filesystem::path& path, const std::vector<TorchTensor>& tensors,
                    const TensorBytes& bytes);

// A file whose root is one tensor without a name.
void write_torch_tensor(const std::filesystem::path& path, const TorchTensor& tensor,
                        const TensorBytes& bytes);

// The pickle of such a file, protocol 2: a dict of name → tensor, storage keys "0", "1", …
std::string torch_pickle(const std::vector<TorchTensor>& tensors);

}  // namespace kappascope
