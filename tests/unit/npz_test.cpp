#include "core/trace/npz.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>

#include <algorithm>
#include <csignal>
#include <numeric>

#include "core/trace/npy_header.h"
#include "trace_fixture.h"

namespace kappascope {
namespace {

using trace_test::failure_of;
using trace_test::read_bytes;
using trace_test::TempFolder;
using trace_test::write_bytes;

std::vector<NpyArray> all_types() {
  return {{"a", NpyType::boolean, {3}},      {"b", NpyType::int16, {2, 2}},
          {"c", NpyType::int32, {}},         {"d", NpyType::int64, {1}},
          {"e", NpyType::float32, {100, 7}}, {"f", NpyType::float64, {2}},
          {"g", NpyType::text, {4}, 3},      {"h", NpyType::text, {}, 5},
          {"i", NpyType::float32, {0, 4}}};
}

std::vector<float> ramp() {
  std::vector<float> values(700);
  std::iota(values.begin(), values.end(), 0.25f);
  return values;
}

// `e` in pieces of 7·k values, in the order of `pieces`.
void write_all(const std::filesystem::path& path, const std::vector<int>& pieces) {
  NpzWriter writer(path, all_types());
  const std::vector<float> values = ramp();
  for (const int piece : pieces) {
    writer.write("e", 70 * piece, std::as_bytes(std::span(values).subspan(70 * piece, 70)));
  }
  writer.write_text("g", 2, std::vector<std::string>{"", "abc"});
  writer.write_text("g", 0, std::vector<std::string>{"é😀", "\xE2\x82\xAC"});
  writer.write_text("h", 0, std::vector<std::string>{"hello"});
  writer.write("a", std::vector<std::uint8_t>{1, 0, 1});
  writer.write("b", std::vector<std::int16_t>{1, -2, 3, -4});
  writer.write("c", std::vector<std::int32_t>{-70000});
  writer.write("d", std::vector<std::int64_t>{std::int64_t{1} << 40});
  writer.write("f", std::vector<double>{0.1, -1e300});
  writer.finish();
}

const std::vector<int> kForward{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

template <typename T>
std::vector<T> copy(std::span<const T> values) {
  return {values.begin(), values.end()};
}

TEST(Npz, ReadsBackEveryTypeAligned) {
  TempFolder folder;
  write_all(folder / "x.npz", kForward);
  const NpzReader reader(folder / "x.npz");
  EXPECT_EQ(reader.arrays().size(), 9u);
  EXPECT_EQ(copy(reader.boolean("a")), (std::vector<std::uint8_t>{1, 0, 1}));
  EXPECT_EQ(copy(reader.int16("b")), (std::vector<std::int16_t>{1, -2, 3, -4}));
  EXPECT_EQ(copy(reader.int32("c")), std::vector<std::int32_t>{-70000});
  EXPECT_EQ(copy(reader.int64("d")), std::vector<std::int64_t>{std::int64_t{1} << 40});
  EXPECT_EQ(copy(reader.float32("e")), ramp());
  EXPECT_EQ(copy(reader.float64("f")), (std::vector<double>{0.1, -1e300}));
  EXPECT_EQ(reader.text("g"), (std::vector<std::string>{"é😀", "\xE2\x82\xAC", "", "abc"}));
  EXPECT_EQ(reader.text("h"), std::vector<std::string>{"hello"});
  EXPECT_TRUE(reader.float32("i").empty());
  EXPECT_EQ(reader.find("b")->shape, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(reader.find("absent"), nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(reader.float32("e").data()) % 64, 0u);
  EXPECT_EQ(failure_of([&] { reader.float32("f"); }).code, ExitCode::damaged);
  EXPECT_EQ(failure_of([&] { reader.float32("absent"); }).code, ExitCode::damaged);
}

TEST(Npz, OrderOfPiecesLeavesNoTrace) {
  TempFolder folder;
  write_all(folder / "x.npz", kForward);
  write_all(folder / "y.npz", {9, 0, 8, 2, 4, 3, 1, 7, 5, 6});
  EXPECT_EQ(read_bytes(folder / "x.npz"), read_bytes(folder / "y.npz"));
}

TEST(Npz, ChecksumsAreThoseOfTheEntries) {
  TempFolder folder;
  write_all(folder / "x.npz", {5, 1, 0, 9, 8, 2, 7, 6, 3, 4});
  const InputFile file = InputFile::open(folder / "x.npz");
  const ZipDirectory directory = ZipDirectory::read(file);
  ASSERT_EQ(directory.entries().size(), 9u);
  for (const ZipEntry& entry : directory.entries()) {
    const auto bytes = file.read(directory.data_offset(file, entry), entry.size, "entry");
    const auto* data = reinterpret_cast<const Bytef*>(bytes.data());
    EXPECT_EQ(crc32_z(0, data, bytes.size()), entry.crc32) << entry.name;
  }
}

TEST(Npz, HeaderIsWhatNumpyWrites) {
  const auto dict = [](NpyArray array) {
    const std::string header = npy_header(array);
    EXPECT_EQ(header.size() % 64, 0u);
    EXPECT_EQ(header.back(), '\n');
    return header.substr(10, header.find('}') - 9);
  };
  EXPECT_EQ(dict({"", NpyType::float32, {}}),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
  EXPECT_EQ(dict({"", NpyType::boolean, {3}}),
            "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }");
  EXPECT_EQ(dict({"", NpyType::text, {2, 3, 4}, 0}),
            "{'descr': '<U1', 'fortran_order': False, 'shape': (2, 3, 4), }");
}

// Each of these is a mistake of ours, and leaves no file behind.
TEST(Npz, WriterRefusesWrongUse) {
  TempFolder folder;
  const std::vector<float> two{1, 2}, three{1, 2, 3};
  const auto bytes = [](const std::vector<float>& values) {
    return std::as_bytes(std::span(values));
  };
  const auto code = [&](auto use) {
    const Failure failure = failure_of([&] {
      NpzWriter writer(folder / "x.npz",
                       {{"x", NpyType::float32, {4}}, {"t", NpyType::text, {1}, 2}});
      use(writer);
      writer.finish();
    });
    EXPECT_FALSE(std::filesystem::exists(folder / "x.npz"));
    return failure.code;
  };
  EXPECT_EQ(code([&](NpzWriter&) {}), ExitCode::internal);
  EXPECT_EQ(code([&](NpzWriter& w) { w.write("x", 0, bytes(three)); }), ExitCode::internal);
  EXPECT_EQ(code([&](NpzWriter& w) { w.write("x", 3, bytes(two)); }), ExitCode::internal);
  EXPECT_EQ(code([&](NpzWriter& w) { w.write("x", -1, bytes(two)); }), ExitCode::internal);
  EXPECT_EQ(code([&](NpzWriter& w) { w.write("y", 0, bytes(two)); }), ExitCode::internal);
  EXPECT_EQ(code([&](NpzWriter& w) { w.write("x", 0, bytes(two).first(3)); }), ExitCode::internal);
  EXPECT_EQ(code([&](NpzWriter& w) {
              w.write("x", 0, bytes(two));
              w.write("x", 1, bytes(two));
            }),
            ExitCode::internal);
  EXPECT_EQ(code([&](NpzWriter& w) {
              w.write("x", 1, bytes(three));
              w.write("x", 0, bytes(two));
            }),
            ExitCode::internal);
  for (const std::string text : {"abc", "\xff"}) {
    EXPECT_EQ(code([&](NpzWriter& w) { w.write_text("t", 0, std::vector<std::string>{text}); }),
              ExitCode::internal);
  }
}

TEST(Npz, AFileThatExistsIsLeftAlone) {
  TempFolder folder;
  write_bytes(folder / "x.npz", "mine");
  EXPECT_EQ(failure_of([&] { NpzWriter(folder / "x.npz", all_types()); }).code, ExitCode::io);
  EXPECT_EQ(read_bytes(folder / "x.npz"), "mine");
}

TEST(Npz, NoRoomIsSaidBeforeTheWork) {
  TempFolder folder;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Failure failure = failure_of([&] {
    NpzWriter writer(folder / "x.npz", {{"x", NpyType::float32, {100000}}});
    writer.write("x", std::vector<float>(100000));
    writer.finish();
  });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(failure.code, ExitCode::io);
  EXPECT_NE(failure.message.find("x.npz"), std::string::npos);
  EXPECT_NE(failure.message.find("expected room for 400"), std::string::npos) << failure.message;
  EXPECT_FALSE(std::filesystem::exists(folder / "x.npz"));
}

std::string unhex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// numpy.savez(x=float32 [1.5, -2, nan], word=['a', 'né', '😀'], note='hi') of NumPy 2.2: data lie
// unaligned, sizes are ZIP64.
constexpr std::string_view kNumpyArchive =
    "504b03042d00000000000000210033a4f973ffffffffffffffff05001400782e6e7079010010008c00000000"
    "0000008c00000000000000934e554d5059010076007b276465736372273a20273c6634272c2027666f727472"
    "616e5f6f72646572273a2046616c73652c20277368617065273a2028332c292c207d20202020202020202020"
    "2020202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "2020202020200a0000c03f000000c00000c07f504b03042d000000000000002100af288b83ffffffffffffff"
    "ff08001400776f72642e6e70790100100098000000000000009800000000000000934e554d5059010076007b"
    "276465736372273a20273c5532272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028332c292c207d2020202020202020202020202020202020202020202020202020202020202020"
    "202020202020202020202020202020202020202020202020202020200a61000000000000006e000000e90000"
    "0000f6010000000000504b03042d000000000000002100a7af3e0effffffffffffffff080014006e6f74652e"
    "6e70790100100088000000000000008800000000000000934e554d5059010076007b276465736372273a2027"
    "3c5532272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028292c207d"
    "2020202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "2020202020202020202020202020202020200a6800000069000000504b01022d032d00000000000000210033"
    "a4f9738c0000008c000000050000000000000000000000800100000000782e6e7079504b01022d032d000000"
    "000000002100af288b8398000000980000000800000000000000000000008001c3000000776f72642e6e7079"
    "504b01022d032d000000000000002100a7af3e0e880000008800000008000000000000000000000080019501"
    "00006e6f74652e6e7079504b050600000000030003009f000000570200000000";

TEST(Npz, ReadsWhatNumpyWrote) {
  TempFolder folder;
  write_bytes(folder / "x.npz", unhex(kNumpyArchive));
  const NpzReader reader(folder / "x.npz");
  const auto values = reader.float32("x");
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0], 1.5f);
  EXPECT_EQ(values[1], -2.0f);
  EXPECT_TRUE(std::isnan(values[2]));
  EXPECT_EQ(reader.text("word"), (std::vector<std::string>{"a", "né", "😀"}));
  EXPECT_EQ(reader.text("note"), std::vector<std::string>{"hi"});
}

ExitCode dict_code(std::string_view text) {
  return failure_of([&] { parse_npy_dict(text, "x", Place{"f"}); }).code;
}

TEST(Npz, HeaderParserTakesWhatPythonWrites) {
  const NpyArray array = parse_npy_dict(
      "{\"shape\": (2,3), 'fortran_order':False , 'descr': '<U12'}  \n", "x", Place{"f"});
  EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(array.type, NpyType::text);
  EXPECT_EQ(array.text_width, 12);
  EXPECT_EQ(dict_code("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9), }"), ExitCode::ok);
}

TEST(Npz, HeaderParserRefusesTheRest) {
  const std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  for (const char* tail :
       {"(3)}", "(3,", "(3,)", "(-1,)}", "(3L,)}", "(,)}", "(9223372036854775808,)}",
        "(4611686018427387904, 4)}", "(9223372036854775807,)}", "(3,)} x", "(3,), 'shape': (3,)}",
        "(3,), 'more': 1}", "[3]}", "(3,),,}", ""}) {
    EXPECT_EQ(dict_code(head + tail), ExitCode::damaged) << tail;
  }
  for (const char* text :
       {"", "{", "{}", "{'descr': '<f4', 'shape': ()}", "{'descr: 1}", "[1]",
        "{'descr': '<U', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<U0', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<U99999999999999999999', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': ()}"}) {
    EXPECT_EQ(dict_code(text), ExitCode::damaged) << text;
  }
  for (const char* descr : {"'|O'", "'>f4'", "'<f2'", "'|S4'", "'<c8'", "[('a', '<f4')]"}) {
    const std::string text =
        join_words("{'descr': ", descr, ", 'fortran_order': False, 'shape': (2,)}");
    EXPECT_EQ(dict_code(text), ExitCode::unsupported) << text;
  }
  EXPECT_EQ(dict_code("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}"),
            ExitCode::unsupported);
}

// Opens the archive and touches every array; anything but an error of the file escapes.
ExitCode read_all(const std::filesystem::path& path) {
  return failure_of([&] {
           const NpzReader reader(path);
           for (const NpyArray& array : reader.arrays()) {
             if (array.type == NpyType::text) { reader.text(array.name); }
             if (array.type == NpyType::float32) { reader.float32(array.name); }
             if (array.type == NpyType::int64) { reader.int64(array.name); }
           }
         })
      .code;
}

TEST(Npz, CompressedArchivesReadBackTheSame) {
  TempFolder folder;
  write_all(folder / "x.npz", kForward);
  compress_npz(folder / "x.npz", folder / "small.npz");
  compress_npz(folder / "x.npz", folder / "again.npz");
  EXPECT_EQ(read_bytes(folder / "small.npz"), read_bytes(folder / "again.npz"));
  EXPECT_LT(read_bytes(folder / "small.npz").size(), read_bytes(folder / "x.npz").size());
  const NpzReader plain(folder / "x.npz"), small(folder / "small.npz");
  for (const NpyArray& array : plain.arrays()) {
    ASSERT_NE(small.find(array.name), nullptr);
    EXPECT_EQ(small.find(array.name)->shape, array.shape);
  }
  EXPECT_EQ(copy(small.boolean("a")), copy(plain.boolean("a")));
  EXPECT_EQ(copy(small.int16("b")), copy(plain.int16("b")));
  EXPECT_EQ(copy(small.int64("d")), copy(plain.int64("d")));
  EXPECT_EQ(copy(small.float32("e")), ramp());
  EXPECT_EQ(small.float32("e").data(), small.float32("e").data());
  EXPECT_EQ(copy(small.float64("f")), copy(plain.float64("f")));
  EXPECT_EQ(small.text("g"), plain.text("g"));
  EXPECT_TRUE(small.float32("i").empty());
}

// A small file that declares terabytes is refused before anything is allocated.
TEST(Npz, DeclaredSizesBoundWhatIsInflated) {
  TempFolder folder;
  {
    NpzWriter writer(folder / "x.npz", {{"x", NpyType::float32, {1000}}});
    writer.write("x", std::vector<float>(1000));
    writer.finish();
  }
  compress_npz(folder / "x.npz", folder / "small.npz");
  const std::string whole = read_bytes(folder / "small.npz");
  const std::string declared("\x20\x10\0\0", 4);  // 4128 bytes: header and values
  for (const char* other : {"\x21\x10\0\0", "\x1f\x10\0\0", "\xf0\xff\xff\xff"}) {
    std::string broken = whole;
    std::size_t places = 0;
    for (std::size_t at = broken.find(declared); at != broken.npos;
         at = broken.find(declared, at + 4), ++places) {
      broken.replace(at, 4, other, 4);
    }
    ASSERT_EQ(places, 2u);  // the local header and the directory
    write_bytes(folder / "y.npz", broken);
    const auto ask = [&] { NpzReader(folder / "y.npz").float32("x"); };
    EXPECT_EQ(failure_of(ask).code, ExitCode::damaged);
  }
}

TEST(Npz, BrokenCompressedBytesNeverDoMoreThanFail) {
  TempFolder folder;
  write_bytes(folder / "x.npz", unhex(kNumpyArchive));
  compress_npz(folder / "x.npz", folder / "small.npz");
  const std::string whole = read_bytes(folder / "small.npz");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_bytes(folder / "y.npz", std::string_view(whole).substr(0, length));
    EXPECT_EQ(read_all(folder / "y.npz"), ExitCode::damaged) << length;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ mask);
      write_bytes(folder / "y.npz", broken);
      const ExitCode code = read_all(folder / "y.npz");
      EXPECT_TRUE(code == ExitCode::ok || code == ExitCode::damaged ||
                  code == ExitCode::unsupported)
          << at;
    }
  }
}

TEST(Npz, EveryPrefixIsDamaged) {
  TempFolder folder;
  const std::string whole = unhex(kNumpyArchive);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_bytes(folder / "x.npz", std::string_view(whole).substr(0, length));
    EXPECT_EQ(read_all(folder / "x.npz"), ExitCode::damaged) << length;
  }
}

TEST(Npz, FlippedBytesNeverDoMoreThanFail) {
  TempFolder folder;
  const std::string whole = unhex(kNumpyArchive);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ mask);
      write_bytes(folder / "x.npz", broken);
      const ExitCode code = read_all(folder / "x.npz");
      EXPECT_TRUE(code == ExitCode::ok || code == ExitCode::damaged ||
                  code == ExitCode::unsupported)
          << at;
    }
  }
}

}  // namespace
}  // namespace kappascope
