// Makes Hugging Face folders in the shape of JetBrains' Mellum2, of any size: config.json,
// tokenizer.json and safetensors, weights from a seed.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/checkpoint/json.h"
#include "core/checkpoint/tensor.h"

namespace kappascope::synthetic {

// The defaults are the shape of Mellum2 but for the vocabulary: 22.6 GB in bfloat16.
struct HubSpec {
  std::int64_t hidden = 2304;  // H
  std::int64_t layers = 28;    // L; every fourth sees the whole context, the others a window
  std::int64_t heads = 32, kv_heads = 4, head_width = 128;
  std::int64_t experts = 64;  // E
  std::int64_t slots = 8;     // K
  std::int64_t gates = 896;   // I of an expert
  std::int64_t vocab = 1024;  // V ≥ 256: the tokenizer has one token for each byte
  std::int64_t window = 1024;
  DType dtype = DType::bfloat16;  // or float32
  std::uint64_t seed = 1;
  std::uint64_t shard_bytes = UINT64_MAX;
  bool sparse = false;  // holes for weights: the size of the files, not their content
};

Json hub_config(const HubSpec& spec);  // config.json, in the spelling of the hub

// Makes `folder` when it is absent. The values are the same on every machine, and however they are
// divided into shards; a few MB of memory whatever the size.
void write_hub_model(const std::filesystem::path& folder, const HubSpec& spec);

}  // namespace kappascope::synthetic
