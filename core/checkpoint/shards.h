// The tensors of a checkpoint, whichever files they are in.
#pragma once

#include "core/checkpoint/folder.h"
#include "core/checkpoint/tensor.h"

namespace kappascope {

// Reads the directories of the files that find_checkpoint found: a file of torch.save or of
// safetensors, or an index and the shards that its weight_map names. No tensor data. Errors of a
// file are those of read_torch_pt and read_safetensors. Of an index: shards that are missing (io)
// or lead out of the folder (damaged), all named together; tensors of the weight_map that are in
// another shard or in none, and tensors that are in two (damaged). What is damaged in several
// shards is reported together.
TensorFile read_weights(const CheckpointFiles& files);

}  // namespace kappascope
