// Writes a folder's safetensors files as save_pretrained does: one file, or shards and their index.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/checkpoint/torch_writer.h"

namespace kappascope::synthetic {

// Writes model.safetensors into `folder`; where its tensors take more than `shard_bytes`, then
// model-00001-of-N.safetensors, … and model.safetensors.index.json. Tensors keep their order, and
// one of more than `shard_bytes` has a shard to itself. They pass through in pieces: nothing of
// their size is held. Without `bytes` they are holes: full size, hardly any room on the disk.
void write_safetensors(const std::filesystem::path& folder, const std::vector<TorchTensor>& tensors,
                       const TensorBytes& bytes, std::uint64_t shard_bytes = UINT64_MAX);

}  // namespace kappascope::synthetic
