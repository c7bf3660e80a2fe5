#include "core/checkpoint/input_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "tests/unit/expect_error.h"
#include "tests/unit/memory_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::MemoryFile;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class InputFileFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "input-file-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(InputFileFolder, RefusesWhatIsNoRegularFileWithoutBlocking) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { InputFile::open(fifo); }),
            "3 " + fifo.string() + ": not a regular file; expected a file, found a FIFO");
  EXPECT_EQ(error_of([&] { InputFile::open(folder_); }),
            "3 " + folder_.string() + ": not a regular file; expected a file, found a folder");
  EXPECT_EQ(error_of([&] { InputFile::open("/dev/null"); }),
            "3 /dev/null: not a regular file; expected a file, found a device");
}

TEST_F(InputFileFolder, MissingFileIsAnInputOutputError) {
  const fs::path file = folder_ / "absent";
  EXPECT_EQ(error_of([&] { InputFile::open(file); }),
            "5 " + file.string() + ": cannot be opened: No such file or directory");
  fs::create_symlink("loop", folder_ / "loop");
  EXPECT_EQ(error_of([&] { InputFile::open(folder_ / "loop"); }).substr(0, 2), "5 ");
}

TEST_F(InputFileFolder, NoPermissionIsAnInputOutputError) {
  const fs::path file = folder_ / "secret";
  if (::geteuid() == 0) { GTEST_SKIP() << "skipped: root may read everything"; }
  std::ofstream(file) << "x";
  fs::permissions(file, fs::perms::none);
  EXPECT_EQ(error_of([&] { InputFile::open(file); }),
            "5 " + file.string() + ": cannot be opened: Permission denied");
}

TEST(InputFile, ReadsAndMapsTheSameBytes) {
  const MemoryFile memory("0123456789");
  const InputFile file = InputFile::open(memory.path());
  EXPECT_EQ(file.size(), 10U);
  EXPECT_EQ(text_of(file.read(2, 3, "part")), "234");
  EXPECT_EQ(text_of(file.map(2, 3, "part")), "234");
  EXPECT_EQ(text_of(file.map(0, 10, "part")), "0123456789");
  EXPECT_EQ(file.bytes_read(), 3U);
  file.release(0, 10);
  file.release(3, 1000);
  EXPECT_EQ(text_of(file.map(9, 1, "part")), "9");
  EXPECT_TRUE(file.read(10, 0, "part").empty());
  EXPECT_TRUE(file.map(10, 0, "part").empty());
}

TEST(InputFile, RefusesRangesOutside) {
  const MemoryFile memory("0123456789");
  const InputFile file = InputFile::open(memory.path());
  const auto line = [&](std::uint64_t offset, std::uint64_t length) {
    return error_of([&] { file.read(offset, length, "part"); });
  };
  EXPECT_EQ(line(8, 3), "3 " + memory.path() +
                            ": offset 8: part is outside the file; expected 3 bytes, found 2");
  for (const std::uint64_t huge : {std::uint64_t{11}, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    EXPECT_NE(line(huge, 1), "no error");
    EXPECT_NE(line(1, huge), "no error");
    EXPECT_NE(line(huge, huge), "no error");
    EXPECT_NE(error_of([&] { file.map(1, huge, "part"); }), "no error");
    EXPECT_NE(error_of([&] { file.map(huge, 0, "part"); }), "no error");
  }
}

TEST(InputFile, NoticesThatTheFileBecameShorter) {
  MemoryFile memory("0123456789");
  const InputFile file = InputFile::open(memory.path());
  memory.resize(4);
  EXPECT_EQ(error_of([&] { file.read(2, 8, "part"); }),
            "3 " + memory.path() +
                ": offset 4: changed while it was read; another program wrote it: open it again "
                "when that is done");
}

TEST(InputFile, AMappingThatIsCutShortGivesZerosAndSaysSo) {
  const std::size_t page = 4096;
  for (const std::size_t left : {std::size_t{0}, page, 3 * page + 1}) {
    MemoryFile memory(std::string(8 * page, 'x'));
    const InputFile file = InputFile::open(memory.path());
    const auto bytes = file.map(0, 8 * page, "part");
    EXPECT_FALSE(file.changed());
    file.require_unchanged();
    memory.resize(left);
    std::vector<std::size_t> found(4);
    std::vector<std::thread> threads;
    for (std::size_t& count : found) {
      threads.emplace_back([&] { count = std::count(bytes.begin(), bytes.end(), std::byte{'x'}); });
    }
    for (std::thread& thread : threads) { thread.join(); }
    for (const std::size_t count : found) { EXPECT_EQ(count, left); }
    EXPECT_TRUE(file.changed());
    EXPECT_NE(error_of([&] { file.require_unchanged(); }).find("changed while it was read"),
              std::string::npos);
    memory.resize(8 * page);  // of the same length again, but zeros
    EXPECT_TRUE(file.changed());
  }
}

TEST(InputFile, NoticesThatTheFileWasWrittenAnew) {
  MemoryFile memory("0123456789");
  const InputFile file = InputFile::open(memory.path());
  file.require_unchanged();
  std::this_thread::sleep_for(
      std::chrono::milliseconds(20));  // the kernel's clock of files is coarse
  memory.assign("0123456789");
  EXPECT_TRUE(file.changed());
}

TEST(InputFileDeathTest, AnotherBusErrorEndsTheProcessAsBefore) {
  MemoryFile memory("0123456789");
  const InputFile ours = InputFile::open(memory.path());
  ours.map(0, 10, "part");
  // By the signal, or by the handler that was there before ours: AddressSanitizer's reports it.
  EXPECT_DEATH(::raise(SIGBUS), "");
}

TEST(InputFile, MovesTakeTheMappingAlong) {
  const MemoryFile first("abc"), second("defg");
  InputFile file = InputFile::open(first.path());
  const auto bytes = file.map(0, 3, "part");
  InputFile moved = std::move(file);
  EXPECT_EQ(text_of(bytes), "abc");
  moved = InputFile::open(second.path());
  EXPECT_EQ(moved.size(), 4U);
  EXPECT_EQ(text_of(moved.map(0, 4, "part")), "defg");
}

TEST(InputFile, ThreadsShareOneMapping) {
  const MemoryFile memory("0123456789");
  const InputFile file = InputFile::open(memory.path());
  std::vector<const std::byte*> seen(4);
  {
    std::vector<std::thread> threads;
    for (auto& place : seen) {
      threads.emplace_back([&file, &place] { place = file.map(0, 10, "part").data(); });
    }
    for (std::thread& thread : threads) { thread.join(); }
  }
  for (const std::byte* place : seen) { EXPECT_EQ(place, seen[0]); }
}

TEST(ReadTextFile, HasALimit) {
  const MemoryFile memory("0123456789");
  EXPECT_EQ(read_text_file(memory.path(), 10), "0123456789");
  EXPECT_EQ(error_of([&] { read_text_file(memory.path(), 9); }),
            "3 " + memory.path() + ": the file is too long; expected at most 9 bytes, found 10");
  EXPECT_EQ(read_text_file(MemoryFile("").path(), 0), "");
}

}  // namespace
}  // namespace kappascope
