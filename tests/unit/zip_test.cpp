#include "core/checkpoint/zip.h"

#include <gtest/gtest.h>

#include "tests/unit/expect_error.h"
#include "tests/unit/tiny_pt.h"

namespace kappascope {
namespace {

using testing::error_of;
using testing::MemoryFile;
using testing::number;
using testing::tiny_zip;
using testing::TinyEntry;
using testing::TinyZip;

TinyEntry entry(std::string name, std::string data) {
  TinyEntry made;
  made.name = std::move(name);
  made.data = std::move(data);
  return made;
}

// Opens the archive and asks for every entry; the file's name is left out of the line.
std::string zip_line(const std::string& bytes) {
  const MemoryFile memory(bytes);
  std::string text = error_of([&] {
    const InputFile file = InputFile::open(memory.path());
    const ZipDirectory zip = ZipDirectory::read(file);
    for (const ZipEntry& each : zip.entries()) {
      const std::uint64_t offset = zip.data_offset(file, each);
      file.map(offset, each.size, "entry");
    }
  });
  const std::size_t at = text.find(memory.path() + ": ");
  if (at != std::string::npos) { text.erase(at, memory.path().size() + 2); }
  return text;
}

std::string zip_line(const std::vector<TinyEntry>& entries, bool zip64 = true) {
  return zip_line(tiny_zip(entries, zip64).flat());
}

std::string offset_text(std::uint64_t offset) {
  return "offset " + std::to_string(offset) + ": ";
}

TEST(Zip, FindsEntriesAndTheirBytes) {
  for (const bool zip64 : {false, true}) {
    const TinyZip made = tiny_zip({entry("b/é", "second"), entry("a", ""), entry("c", "x")}, zip64);
    const MemoryFile memory(made.flat());
    const InputFile file = InputFile::open(memory.path());
    const ZipDirectory zip = ZipDirectory::read(file);
    ASSERT_EQ(zip.entries().size(), 3U);
    EXPECT_EQ(zip.entries()[0].name, "a");
    EXPECT_EQ(zip.find("d"), nullptr);
    const ZipEntry* found = zip.find("b/é");
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->size, 6U);
    EXPECT_EQ(found->crc32, testing::checksum("second"));
    EXPECT_EQ(zip.data_offset(file, *found), made.data_offsets[0]);
    EXPECT_EQ(zip.data_offset(file, *zip.find("a")), made.data_offsets[1]);
  }
  EXPECT_EQ(zip_line(std::vector<TinyEntry>{}), "no error");
}

TEST(Zip, RefusesOverlapsAndDuplicates) {
  TinyEntry twin = entry("b", "1234");
  twin.header_offset = 0;
  EXPECT_EQ(zip_line({entry("b", "1234"), twin}),
            "3 zip: entry 'b' overlaps what follows it; expected at most 0, found 0 + 4");
  TinyEntry longer = entry("a", "1234");
  longer.size = 100;
  EXPECT_EQ(zip_line({longer, entry("b", "1234")}),
            "3 zip: entry 'a' overlaps what follows it; expected at most 68, found 0 + 100");
  EXPECT_EQ(zip_line({entry("b", "1234"), longer}).substr(0, 40),
            "3 zip: entry 'a' overlaps what follows i");
  EXPECT_EQ(zip_line({entry("b", "1"), entry("b", "2")}), "3 zip: duplicate entry 'b'");
}

TEST(Zip, RefusesSizesNearTheEndOfTheNumbers) {
  for (const std::uint64_t huge :
       {std::uint64_t{1} << 32, (std::uint64_t{1} << 63) - 1, std::uint64_t{1} << 63,
        ~std::uint64_t{0}, ~std::uint64_t{0} - 40}) {
    TinyEntry wrong = entry("a", "1234");
    wrong.size = huge;
    EXPECT_EQ(zip_line({wrong}).substr(0, 40), "3 zip: entry 'a' overlaps what follows i") << huge;
    wrong = entry("a", "1234");
    wrong.header_offset = huge;
    EXPECT_EQ(zip_line({wrong}).substr(0, 40), "3 zip: entry 'a' overlaps what follows i") << huge;
  }
}

TEST(Zip, RefusesSizesThatSayToLookIntoAFieldThatIsNotThere) {
  TinyEntry wrong = entry("a", "1234");
  wrong.full_size = 0xFFFFFFFF;
  const TinyZip zip = tiny_zip({wrong}, false);
  EXPECT_EQ(zip_line(zip.flat()),
            "3 " + offset_text(zip.directory_offset) + "zip: a ZIP64 extra field is missing");
}

TEST(Zip, RefusesCompressedAndEncryptedEntries) {
  TinyEntry compressed = entry("a", "1234");
  compressed.method = 8;
  EXPECT_EQ(zip_line({compressed}),
            "4 offset 0: zip: entry 'a' is compressed; expected method 0 (stored), found 8");
  for (const int flag : {0, 5, 6, 13}) {
    TinyEntry encrypted = entry("a", "1234");
    encrypted.flags = static_cast<std::uint16_t>(1U << flag);
    EXPECT_EQ(zip_line({encrypted}), "3 offset 68: zip: entry 'a' is encrypted or on another disk");
  }
  EXPECT_EQ(zip_line({entry("a\xff", "1")}),
            "3 offset 65: zip: an entry name that is not valid UTF-8");
  EXPECT_EQ(zip_line({entry("", "1")}), "3 offset 65: zip: an entry name that is not valid UTF-8");
}

TEST(Zip, RefusesOtherFiles) {
  EXPECT_EQ(zip_line(""), "3 zip: too short for an end record; expected 22 bytes, found 0");
  EXPECT_EQ(zip_line(std::string(100, 'x')),
            "3 offset 78: zip: no end record; the file is truncated or no ZIP: make or download it "
            "again");
  const std::string good = tiny_zip({entry("a", "1")}).flat();
  EXPECT_EQ(zip_line(good + "comment"),
            "3 " + offset_text(good.size() - 15) +
                "zip: no end record; the file is truncated or no ZIP: make or download it again");
}

TEST(Zip, RefusesAnEndRecordThatPointsElsewhere) {
  const TinyZip zip = tiny_zip({entry("a", "1")}, false);
  const std::uint64_t end = zip.size - 22;
  const auto changed = [&](std::uint64_t field, std::uint64_t value, std::size_t width) {
    std::string bytes = zip.flat();
    bytes.replace(end + field, width, number(value, width));
    return zip_line(bytes);
  };
  EXPECT_EQ(changed(4, 1, 2),
            "3 " + offset_text(end) + "zip: archives of several disks are not read");
  EXPECT_EQ(changed(8, 2, 2),
            "3 " + offset_text(end) + "zip: archives of several disks are not read");
  EXPECT_EQ(changed(8, 0x00020002, 4),
            "3 offset " + std::to_string(zip.directory_offset) +
                ": zip: more entries than the directory has room for: 2");
  EXPECT_EQ(changed(8, 0, 4), "3 " + offset_text(zip.directory_offset) +
                                  "zip: bytes between the directory and the end record");
  for (const std::uint64_t value : {std::uint64_t{0}, zip.directory_offset + 1,
                                    std::uint64_t{0x7FFFFFFF}, std::uint64_t{0xFFFFFFFF}}) {
    EXPECT_EQ(changed(16, value, 4).substr(0, 60),
              ("3 " + offset_text(end) + "zip: the directory does not end where the end record")
                  .substr(0, 60));
    EXPECT_NE(changed(12, value, 4), "no error");
  }
  EXPECT_EQ(changed(20, 1, 2), "3 " + offset_text(end) + "zip: an archive comment is not expected");
}

TEST(Zip, RefusesAnEndRecordThatDisagreesWithTheLongOne) {
  const TinyZip zip = tiny_zip({entry("a", "1")});
  std::string bytes = zip.flat();
  bytes[zip.size - 22 + 10] = 2;
  EXPECT_EQ(zip_line(bytes),
            "3 " + offset_text(zip.size - 22) + "zip: the two end records disagree");
}

TEST(Zip, ReadsOnlyTheDirectory) {
  TinyEntry big = entry("big", "");
  big.hole = std::uint64_t{60} << 30;
  MemoryFile memory;
  const TinyZip zip = tiny_zip({big, entry("small", "x")});
  zip.write(memory);
  const InputFile file = InputFile::open(memory.path());
  const ZipDirectory directory = ZipDirectory::read(file);
  EXPECT_EQ(directory.find("big")->size, big.hole);
  EXPECT_EQ(directory.data_offset(file, *directory.find("small")), zip.data_offsets[1]);
  EXPECT_LT(file.bytes_read(), 400U);
}

TEST(Zip, LimitsTheDirectory) {
  MemoryFile memory;
  memory.resize((std::uint64_t{64} << 20) + 1 + 22);
  memory.write((std::uint64_t{64} << 20) + 1,
               "PK\5\6" + number(0, 8) + number((64U << 20) + 1, 4) + number(0, 6));
  EXPECT_EQ(error_of([&] { ZipDirectory::read(InputFile::open(memory.path())); }),
            "4 " + memory.path() +
                ": offset 67108865: zip: the directory is too long; expected at most 67108864 "
                "bytes, found 67108865");
}

}  // namespace
}  // namespace kappascope
