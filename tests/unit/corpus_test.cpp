#include "core/corpus/documents.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/corpus/corpus_files.h"
#include "tests/unit/corpus_fixture.h"
#include "tests/unit/expect_error.h"

namespace kappascope {
namespace {

using testing::CorpusFolder;
using testing::error_of;
using testing::gzip_of;
using testing::Lines;
using testing::zstd_of;

TEST(CorpusText, AFileIsADocument) {
  const CorpusFolder folder;
  EXPECT_EQ(folder.read("a.txt", "one\ntwo\n"), Lines{"0 a.txt [] one\ntwo\n"});
  EXPECT_EQ(folder.read("a.unknown", "one"), Lines{"0 a.unknown [] one"});
  EXPECT_EQ(folder.read("a.txt", ""), Lines{"0 a.txt [] "});
  EXPECT_EQ(folder.read("a.txt",
                        "\xEF\xBB\xBF"
                        "é"),
            Lines{"0 a.txt [] é"});
  EXPECT_EQ(folder.read("a.txt", "\xEF\xBB"),
            Lines{"0 a.txt !3 a.txt: offset 0: not UTF-8; expected a text, found byte 0xef"});
  EXPECT_EQ(folder.read("a.txt", "ab\xFF"),
            Lines{"0 a.txt !3 a.txt: offset 2: not UTF-8; expected a text, found byte 0xff"});
  EXPECT_EQ(folder.read("a.txt",
                        "\xEF\xBB\xBF"
                        "ab\xFF"),
            Lines{"0 a.txt !3 a.txt: offset 5: not UTF-8; expected a text, found byte 0xff"});
  EXPECT_EQ(folder.read("a.txt",
                        "\xFF\xFE"
                        "a"),
            Lines{"-1 a.txt !3 a.txt: the text is UTF-16; expected UTF-8: "
                  "`iconv -f UTF-16 -t UTF-8` converts it"});
}

TEST(CorpusText, ALineOfJsonIsADocument) {
  const CorpusFolder folder;
  EXPECT_EQ(folder.read("a.jsonl",
                        "\xEF\xBB\xBF{\"text\": \"a\\nb\", \"domain\": \"web\"}\r\n \n"
                        "{\"text\": \"\", \"domain\": 7}\n{\"text\":\"c\",\"domain\":[1]}"),
            (Lines{"0 a.jsonl:1 [web] a\nb", "1 a.jsonl:3 [7] ", "2 a.jsonl:4 [] c"}));
  EXPECT_EQ(folder.read("A.NDJSON", "{\"text\":\"a\",\"domain\":null}"),
            Lines{"0 A.NDJSON:1 [] a"});
  EXPECT_EQ(folder.read("b.jsonl", "{\"txt\": 1}\n[1]\n{\"text\": 2}\n{\"text\": \"ok\"}\n{\n"),
            (Lines{"0 b.jsonl:1 !3 b.jsonl:1: expected an object with a text \"text\", found none",
                   "1 b.jsonl:2 !3 b.jsonl:2: expected an object with a text \"text\", found none",
                   "2 b.jsonl:3 !3 b.jsonl:3: expected an object with a text \"text\", found 2",
                   "3 b.jsonl:4 [] ok",
                   "4 b.jsonl:5 !3 b.jsonl:5: offset 0: invalid JSON: syntax error while parsing "
                   "object key - "
                   "unexpected end of input; expected string literal"}));
  const Lines wrong = folder.read("c.jsonl", "{\"text\": \"\xFF\"}\n{\"text\": \"ok\"}\n");
  ASSERT_EQ(wrong.size(), 2U);
  EXPECT_EQ(wrong[0].substr(0, 36), "0 c.jsonl:1 !3 c.jsonl:1: offset 10:");
}

TEST(CorpusText, FieldsMayBeInsideObjects) {
  const CorpusFolder folder;
  folder.write("a.jsonl",
               "{\"doc\":{\"text\":\"a\"},\"meta\":{\"from\":{\"site\":\"x\"}}}\n"
               "{\"doc\":{\"text\":\"b\"},\"meta\":{\"from.site\":7}}\n"
               "{\"doc.text\":\"c\",\"doc\":{\"text\":\"no\"},\"meta\":{\"from\":\"x\"}}\n"
               "{\"doc\":[{\"text\":\"d\"}]}\n{\"doc\":\"text\"}\n");
  EXPECT_EQ(
      folder.read({.files = {folder.file("a.jsonl")},
                   .text_field = "doc.text",
                   .domain_field = "meta.from.site"}),
      (Lines{"0 a.jsonl:1 [x] a", "1 a.jsonl:2 [7] b", "2 a.jsonl:3 [] c",
             "3 a.jsonl:4 !3 a.jsonl:4: expected an object with a text \"doc.text\", found none",
             "4 a.jsonl:5 !3 a.jsonl:5: expected an object with a text \"doc.text\", found none"}));
}

TEST(CorpusFiles, ReadingCanBeStoppedBetweenDocumentsThatAreNotTaken) {
  const CorpusFolder folder;
  std::string text;
  for (int i = 0; i < 100; ++i) { text += "{\"text\":\"" + std::to_string(i) + "\"}\n"; }
  folder.write("a.jsonl", text);
  CorpusSource rare{.files = {folder.file("a.jsonl")}, .sample_seed = 1, .sample_share = 0.02};
  const Lines all = folder.read(rare);
  ASSERT_GT(all.size(), 0U);
  DocumentReader reader(rare);
  int looks = 0;
  const auto stop = [&] { require(++looks != 2, ExitCode::interrupted, {}, "stop"); };
  Document document;
  EXPECT_EQ(error_of([&] { reader.next(document, stop); }).substr(0, 3), "130");
  EXPECT_EQ(looks, 2);
  Lines found;
  while (reader.next(document, stop)) { found.push_back(folder.shown(document)); }
  EXPECT_EQ(found, all);
  EXPECT_GT(looks, 100);
}

TEST(CorpusText, LinesAreTheSameWhereverABlockEnds) {
  const CorpusFolder folder;
  std::string text;
  Lines expected;
  // Lines whose lengths have no common measure with a block, of characters of two bytes.
  for (int i = 0; text.size() < (3U << 18); ++i) {
    std::string line;
    for (int k = 0; k < i * 37 % 4099; ++k) { line += "é"; }
    text += "{\"text\":\"" + line + "\"}\n";
    expected.push_back(std::to_string(i) + " x [] " + line);
  }
  for (const std::string name : {"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"}) {
    const bool gz = name.ends_with("gz"), zst = name.ends_with("zst");
    Lines found = folder.read(name, gz ? gzip_of(text) : zst ? zstd_of(text) : text);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::string source = name + ":" + std::to_string(i + 1);
      found[i].replace(found[i].find(source), source.size(), "x");
      ASSERT_EQ(found[i], expected[i]) << name;
    }
  }
}

TEST(CorpusText, ALineLongerThanTheLimitFailsAlone) {
  const CorpusFolder folder;
  const std::string file = folder.file("a.jsonl");
  folder.write("a.jsonl", "");
  ASSERT_EQ(::truncate(file.c_str(), (256 << 20) + 1), 0);  // a line of zeros
  std::ofstream(file, std::ios::app) << "\n{\"text\":\"b\"}\n";
  EXPECT_EQ(folder.read({.files = {file}}),
            (Lines{"0 a.jsonl:1 !3 a.jsonl:1: text too long; expected at most 268435456 bytes, "
                   "found more",
                   "1 a.jsonl:2 [] b"}));
  std::filesystem::rename(file, folder / "a.txt");
  EXPECT_EQ(folder.read({.files = {folder.file("a.txt")}}),
            Lines{"0 a.txt !3 a.txt: text too long; expected at most 268435456 bytes, found more"});
}

TEST(CorpusFiles, AFileThatCannotBeReadIsOneFailureAndTheNextGoesOn) {
  const CorpusFolder folder;
  folder.write("b.txt", "b");
  std::filesystem::create_directory(folder / "d.txt");
  EXPECT_EQ(
      folder.read({.files = {folder.file("a.txt"), folder.file("d.txt"), folder.file("b.txt")},
                   .sample_share = 1}),
      (Lines{"-1 a.txt !5 a.txt: cannot be opened: No such file or directory",
             "-1 d.txt !3 d.txt: not a regular file; expected a file, found a folder",
             "0 b.txt [] b"}));
}

TEST(CorpusFiles, FoldersAndPatternsAreFiles) {
  const CorpusFolder folder;
  for (const char* name : {"b/x.txt", "b/.hidden.txt", "b/c/y.jsonl.gz", "b/z.bin", "b/w.parquet",
                           "b/data.json", "b/more.json.gz", "a[1].txt", "a1.txt", "e/z.bin"}) {
    folder.write(name, "x");
  }
  const auto found = [&](const Lines& names) {
    Lines paths;
    for (const std::string& name : names) { paths.push_back(folder.file(name)); }
    Lines files = corpus_files(paths);
    for (std::string& file : files) { file = folder.without_folder(file); }
    return files;
  };
  EXPECT_EQ(found({"b/z.bin", "b"}),
            (Lines{"b/z.bin", "b/c/y.jsonl.gz", "b/more.json.gz", "b/w.parquet", "b/x.txt"}));
  EXPECT_EQ(found({"b/../b/x.txt"}), Lines{"b/x.txt"});
  EXPECT_EQ(found({"a[1].txt"}), Lines{"a[1].txt"});  // a file of that name comes first
  EXPECT_EQ(found({"a?.txt"}), Lines{"a1.txt"});
  EXPECT_EQ(found({"b/[wx].*"}), (Lines{"b/w.parquet", "b/x.txt"}));
  EXPECT_EQ(error_of([&] { found({"none.txt"}); }),
            "5 " + folder.file("none.txt") + ": cannot be opened: No such file or directory");
  EXPECT_EQ(error_of([&] { found({"*.none"}); }),
            "5 " + folder.file("*.none") + ": expected files that this pattern names, found none");
  EXPECT_EQ(error_of([&] { found({"a1.txt", "e"}); }),
            "4 " + folder.file("e") + ": expected a text, found none in it");
  EXPECT_EQ(error_of([&] { corpus_files({}); }), "2 expected a text, found none");
}

TEST(CorpusSampling, DependsOnSeedAndPlaceAlone) {
  const CorpusFolder folder;
  std::string text;
  for (int i = 0; i < 1000; ++i) { text += "{\"text\":\"" + std::to_string(i) + "\"}\n"; }
  folder.write("a.jsonl", text);
  folder.write("b.txt", "b");
  const CorpusSource half{.files = {folder.file("a.jsonl"), folder.file("b.txt")},
                          .sample_seed = 1,
                          .sample_share = 0.5};
  const Lines all = folder.read(half);
  EXPECT_GT(all.size(), 440U);
  EXPECT_LT(all.size(), 560U);
  EXPECT_EQ(folder.read(half), all);
  CorpusSource other = half;
  other.sample_seed = 2;
  EXPECT_NE(folder.read(other), all);
  CorpusSource first = half;
  first.documents = 10;
  DocumentReader reader(first);
  Document document;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(reader.next(document));
    EXPECT_EQ(folder.shown(document), all[i]);
  }
  EXPECT_FALSE(reader.next(document));
  EXPECT_LT(reader.bytes_read(), reader.bytes_total() + 1);
  // What a smaller share takes, a larger one takes too.
  CorpusSource fewer = half;
  fewer.sample_share = 0.1;
  for (const std::string& line : folder.read(fewer)) {
    EXPECT_NE(std::find(all.begin(), all.end(), line), all.end()) << line;
  }
  EXPECT_EQ(error_of([&] { DocumentReader({.sample_share = 0}); }),
            "2 share of the documents; expected over 0 to 1, found 0");
}

TEST(CorpusPacked, MembersAndFramesAreReadOn) {
  const CorpusFolder folder;
  EXPECT_EQ(folder.read("a.txt.gz", gzip_of("\xEF\xBB\xBF"
                                            "on") +
                                        gzip_of("") + gzip_of("e") + std::string(600, '\0')),
            Lines{"0 a.txt.gz [] one"});
  EXPECT_EQ(folder.read("a.zst", zstd_of("on") + zstd_of("") + zstd_of("e")),
            Lines{"0 a.zst [] one"});
  EXPECT_EQ(folder.read("a.json.gz", gzip_of("{\"text\":\"a\"}\n{\"text\":\"b\"}")),
            (Lines{"0 a.json.gz:1 [] a", "1 a.json.gz:2 [] b"}));
}

TEST(CorpusPacked, ABrokenStreamEndsItsFile) {
  const CorpusFolder folder;
  const std::string gz = gzip_of("text"), zst = zstd_of("text");
  EXPECT_EQ(folder.read("a.gz", ""),
            Lines{"-1 a.gz !3 a.gz: offset 0: the gzip stream ends early"});
  EXPECT_EQ(folder.read("a.gz", "no gzip"),
            Lines{"-1 a.gz !3 a.gz: offset 2: broken gzip stream: incorrect header check"});
  // A zlib stream of "text", which gzip would not read either.
  EXPECT_EQ(
      folder.read("a.gz", std::string("\x78\x9c\x2b\x49\xad\x28\x01\x00\x04\x67\x01\xc6", 12)),
      Lines{"-1 a.gz !3 a.gz: offset 2: broken gzip stream: incorrect header check"});
  EXPECT_EQ(folder.read("a.zst", ""),
            Lines{"-1 a.zst !3 a.zst: offset 0: the zstd stream ends early"});
  EXPECT_EQ(folder.read("a.zst", "no zstd"),
            Lines{"-1 a.zst !3 a.zst: offset 0: broken zstd stream: Unknown frame descriptor"});
  for (std::size_t length = 1; length < gz.size(); ++length) {
    const Lines found = folder.read("a.gz", gz.substr(0, length));
    ASSERT_EQ(found.size(), 1U) << length;
    EXPECT_EQ(found[0].substr(0, 16), "-1 a.gz !3 a.gz:") << length;
  }
  for (std::size_t length = 1; length < zst.size(); ++length) {
    EXPECT_EQ(folder.read("a.zst", zst.substr(0, length)),
              Lines{"-1 a.zst !3 a.zst: offset " + std::to_string(length) +
                    ": the zstd stream ends early"});
  }
  std::string lines;
  for (int i = 0; i < 20000; ++i) { lines += "{\"text\":\"" + std::to_string(i * 7919) + "\"}\n"; }
  std::string packed = gzip_of(lines);
  packed.resize(packed.size() - 4);  // the lines are whole, the end of the stream is not
  const Lines found = folder.read("a.jsonl.gz", packed);
  ASSERT_EQ(found.size(), 20001U);
  EXPECT_EQ(found.back(), "-1 a.jsonl.gz !3 a.jsonl.gz: offset " + std::to_string(packed.size()) +
                              ": the gzip stream ends early");
}

TEST(CorpusPacked, AWindowOfMoreThan128MebibytesIsRefused) {
  const CorpusFolder folder;
  // An empty frame: magic number, its descriptor, the window (2^(10 + byte/8)), an empty last
  // block.
  const std::string magic("\x28\xB5\x2F\xFD\0", 5), block("\x01\0\0", 3);
  EXPECT_EQ(folder.read("a.zst", magic + "\x88" + block), Lines{"0 a.zst [] "});
  EXPECT_EQ(folder.read("a.zst", magic + "\x90" + block),
            Lines{"-1 a.zst !4 a.zst: offset 0: zstd window; expected at most 128 MiB, found more: "
                  "`zstd -d --long=31 -c FILE | zstd -o NEW` packs it anew"});
}

TEST(CorpusPacked, ABombCostsNoMemory) {
  const CorpusFolder folder;
  const std::string zeros(1 << 20, '\0');
  const std::string member = gzip_of(zeros), frame = zstd_of(zeros);
  std::string gz, zst;
  for (int i = 0; i < 300; ++i) {
    gz += member;
    zst += frame;
  }
  const std::string message = "text too long; expected at most 268435456 bytes, found more";
  EXPECT_EQ(folder.read("a.jsonl.gz", gz), Lines{"0 a.jsonl.gz:1 !3 a.jsonl.gz:1: " + message});
  EXPECT_EQ(folder.read("a.jsonl.zst", zst), Lines{"0 a.jsonl.zst:1 !3 a.jsonl.zst:1: " + message});
}

}  // namespace
}  // namespace kappascope
