#include "app/device.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <system_error>

namespace kappascope {
namespace {

namespace fs = std::filesystem;

bool built_with_cuda() noexcept {
  return !cuda_text().empty();
}

constexpr const char* kUnnamed = "NVIDIA GPU";

// "Model: \t\t NVIDIA H100 80GB HBM3" among the lines of /proc/driver/nvidia/gpus/*/information.
std::string model_name(const fs::path& information) {
  std::ifstream in(information);
  for (std::string line; std::getline(in, line);) {
    constexpr std::string_view kField = "Model:";
    if (!line.starts_with(kField)) { continue; }
    const std::size_t begin = line.find_first_not_of(" \t", kField.size());
    if (begin == std::string::npos) { break; }
    return line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
  }
  return kUnnamed;
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code none;
  for (fs::directory_iterator at(folder, none), end; !none && at != end; at.increment(none)) {
    found.push_back(at->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// "nvidia0", but neither "nvidiactl" nor "nvidia-uvm".
bool is_device_file(const std::string& name) {
  constexpr std::string_view kPrefix = "nvidia";
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
         name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos;
}

bool all_hidden() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible && (*visible == '\0' || *visible == '-');
}

}  // namespace

std::vector<std::string> visible_gpus(const fs::path& root) {
  std::vector<std::string> names;
  if (all_hidden()) { return names; }
  // A container may see the driver's list of all GPUs and be given the device files of some.
  std::size_t files = 0;
  for (const fs::path& file : entries(root / "dev")) {
    const std::string name = file.filename().string();
    files += is_device_file(name) || name == "dxg";  // dxg: Windows' subsystem for Linux
  }
  for (const fs::path& folder : entries(root / "proc/driver/nvidia/gpus")) {
    names.push_back(model_name(folder / "information"));
  }
  if (names.size() != files) { names.assign(files, kUnnamed); }
  return names;
}

std::string_view cuda_text() noexcept {
#ifdef KAPPASCOPE_CUDA_TEXT
  return KAPPASCOPE_CUDA_TEXT;
#else
  return "";
#endif
}

ComputeDevice automatic_device() {
  return built_with_cuda() && !visible_gpus().empty() ? ComputeDevice::cuda : ComputeDevice::cpu;
}

std::string unused_gpu(const fs::path& root) {
  const std::vector<std::string> gpus = visible_gpus(root);
  if (gpus.empty() || built_with_cuda()) { return ""; }
  return "built without CUDA; " + gpus.front() + " is not used";
}

std::string automatic_device_text() {
  const std::vector<std::string> gpus = visible_gpus();
  if (gpus.empty()) { return "cpu (no NVIDIA GPU is visible)"; }
  if (!built_with_cuda()) { return "cpu (" + unused_gpu() + ")"; }
  return "cuda (" + gpus.front() + ")";
}

}  // namespace kappascope
