// Which device runs a model when none is named: what can be known without loading Torch or CUDA.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine/engine.h"

namespace kappascope {

// The CUDA that this kappascope is built with and the architectures of its machine code: "12.8
// (architectures 80, 90, PTX 90)"; "" where it is built without.
std::string_view cuda_text() noexcept;

// Names of the NVIDIA GPUs that the driver shows ("NVIDIA H100 80GB HBM3"; "NVIDIA GPU" where it
// does not name them), in its order; empty without driver or device, or where CUDA_VISIBLE_DEVICES
// hides all of them. `root` is "/" but in tests.
std::vector<std::string> visible_gpus(const std::filesystem::path& root = "/");

// cuda where this kappascope is built with CUDA and a GPU is visible, else cpu.
ComputeDevice automatic_device();

// Why automatic_device() is the CPU although a GPU is visible: "built without CUDA; NVIDIA H100 is
// not used"; "" where none is, or it is used.
std::string unused_gpu(const std::filesystem::path& root = "/");

// The same in words with the reason, as `--version` prints it: "cuda (NVIDIA H100 80GB HBM3)",
// "cpu (no NVIDIA GPU is visible)".
std::string automatic_device_text();

}  // namespace kappascope
