#include "app/device.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class Device : public ::testing::Test {
 protected:
  void SetUp() override { unsetenv("CUDA_VISIBLE_DEVICES"); }
  void write(const char* file, const char* text) const {
    fs::create_directories((folder.path() / file).parent_path());
    std::ofstream(folder.path() / file) << text;
  }
  testing::TempFolder folder;
};

TEST_F(Device, NoneWithoutDriver) {
  write("dev/null", "");
  EXPECT_EQ(visible_gpus(folder.path()), Names());
}

TEST_F(Device, NamesAreTheDriversOwn) {
  write("dev/nvidia0", "");
  write("dev/nvidia1", "");
  write("dev/nvidiactl", "");
  write("dev/nvidia-uvm", "");
  write("proc/driver/nvidia/gpus/0000:65:00.0/information",
        "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 192\n");
  write("proc/driver/nvidia/gpus/0000:b3:00.0/information", "Model: \t\t NVIDIA L4\n");
  EXPECT_EQ(visible_gpus(folder.path()), (Names{"NVIDIA H100 80GB HBM3", "NVIDIA L4"}));
  setenv("CUDA_VISIBLE_DEVICES", "1", 1);
  EXPECT_FALSE(visible_gpus(folder.path()).empty());
  for (const char* hidden : {"", "-1"}) {
    setenv("CUDA_VISIBLE_DEVICES", hidden, 1);
    EXPECT_EQ(visible_gpus(folder.path()), Names());
  }
}

// The list of the driver is the machine's; the device files are what a container was given.
TEST_F(Device, ContainerWithOneOfTwo) {
  write("dev/nvidia1", "");
  write("proc/driver/nvidia/gpus/0000:65:00.0/information", "Model: NVIDIA H100\n");
  write("proc/driver/nvidia/gpus/0000:b3:00.0/information", "Model: NVIDIA L4\n");
  EXPECT_EQ(visible_gpus(folder.path()), Names{"NVIDIA GPU"});
  fs::remove(folder.path() / "dev/nvidia1");
  EXPECT_EQ(visible_gpus(folder.path()), Names());
}

TEST_F(Device, AGpuThatIsNotUsedIsNamed) {
  EXPECT_EQ(unused_gpu(folder.path()), "");
  write("dev/nvidia0", "");
  write("proc/driver/nvidia/gpus/0000:65:00.0/information", "Model: NVIDIA H100\n");
  const std::string unused = unused_gpu(folder.path());  // a build with CUDA uses it
  EXPECT_TRUE(unused.empty() || unused == "built without CUDA; NVIDIA H100 is not used") << unused;
}

}  // namespace
}  // namespace kappascope
