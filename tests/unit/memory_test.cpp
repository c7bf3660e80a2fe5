#include "core/memory.h"

#include <gtest/gtest.h>

#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

TEST(Memory, SizesAsPeopleWriteThem) {
  EXPECT_EQ(parse_bytes("8GB"), 8'000'000'000);
  EXPECT_EQ(parse_bytes("8gb"), 8'000'000'000);
  EXPECT_EQ(parse_bytes("1.5 GiB"), 1'610'612'736);
  EXPECT_EQ(parse_bytes("512MB"), 512'000'000);
  EXPECT_EQ(parse_bytes("4e9"), 4'000'000'000);
  EXPECT_EQ(parse_bytes("12345B"), 12345);
  for (const char* words :
       {"", "GB", "-1GB", "0", "8 GBs", "8G", "nan", "inf", "1e300TB", "8GB "}) {
    EXPECT_EQ(parse_bytes(words), std::nullopt) << words;
  }
}

TEST(Memory, BytesInOneText) {
  EXPECT_EQ(bytes_text(17), "17 bytes");
  EXPECT_EQ(bytes_text(1300000000), "1.3 GB");
  EXPECT_EQ(bytes_text(31'240'000'000), "31.2 GB");
  EXPECT_EQ(bytes_text(512'000'000), "512 MB");
  EXPECT_EQ(bytes_text(999'900'000), "1.0 GB");
}

TEST(Memory, WhatAControlGroupLeavesCountsPagesOfFilesAsFree) {
  const testing::TempFolder folder;
  folder.write("job/memory.max", "1000\n");
  folder.write("job/memory.current", "900\n");
  folder.write("job/memory.stat", "anon 100\ninactive_file 500\nactive_file 200\n");
  EXPECT_EQ(cgroup_memory_left("0::/job\n", folder.path()), 800);
  folder.write("job/memory.max", "max\n");
  EXPECT_EQ(cgroup_memory_left("0::/job\n", folder.path()), std::nullopt);
  folder.write("memory/job/memory.limit_in_bytes", "5000\n");
  folder.write("memory/job/memory.usage_in_bytes", "1000\n");
  EXPECT_EQ(cgroup_memory_left("4:memory:/job\n", folder.path()), 4000);
  folder.write("memory/job/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(cgroup_memory_left("4:memory:/job\n", folder.path()), std::nullopt);
}

TEST(Memory, ThisProcessHasSomeAndMayTakeMore) {
  EXPECT_GT(resident_memory(), 100'000u);
  EXPECT_GT(available_memory(), 100'000u);
}

}  // namespace
}  // namespace kappascope
