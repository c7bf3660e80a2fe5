#include "core/trace/zip_records.h"

#include <gtest/gtest.h>

namespace kappascope {
namespace {

// Sizes of the records by PKWARE APPNOTE 6.3.10, 4.3.12 to 4.3.16 and 4.5.3.
constexpr std::uint64_t kEnd = 22, kEndOfZip64 = 56 + 20, kEntry = 46, kZip64Id = 4;
constexpr std::uint64_t kLast32 = 0xfffffffe;  // 0xffffffff says: look into the ZIP64 field

TEST(ZipRecords, TheEndIsLongFromTheFirstNumberThatDoesNotFit) {
  const auto bytes = [](std::uint64_t count, std::uint64_t offset, std::uint64_t size) {
    ZipBytes end;
    put_end(end, count, offset, size);
    return end.size();
  };
  EXPECT_EQ(bytes(0xfffe, kLast32, kLast32), kEnd);
  EXPECT_EQ(bytes(0xffff, 0, 0), kEndOfZip64 + kEnd);
  EXPECT_EQ(bytes(1, kLast32 + 1, 0), kEndOfZip64 + kEnd);
  EXPECT_EQ(bytes(1, 0, kLast32 + 1), kEndOfZip64 + kEnd);
}

TEST(ZipRecords, AnEntryNamesInAFieldWhatDoesNotFit) {
  const auto bytes = [](std::uint64_t offset, bool wide) {
    ZipBytes directory;
    put_directory_entry(directory, {.name = "a", .offset = offset, .wide = wide});
    return directory.size();
  };
  EXPECT_EQ(bytes(kLast32, false), kEntry + 1);
  EXPECT_EQ(bytes(kLast32 + 1, false), kEntry + 1 + kZip64Id + 8);
  EXPECT_EQ(bytes(kLast32, true), kEntry + 1 + kZip64Id + 16);
  EXPECT_EQ(bytes(kLast32 + 1, true), kEntry + 1 + kZip64Id + 24);
}

}  // namespace
}  // namespace kappascope
