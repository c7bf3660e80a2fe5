#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/unit/corpus_fixture.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;
using testing::CorpusFolder;
using testing::Lines;

bool has_library() {
  return fs::exists(fs::read_symlink("/proc/self/exe").parent_path() / "libkappascope_arrow.so");
}

// Runs lines of Python in the folder with the pyarrow whose libraries ours has; false where it is
// the system's Arrow, which has no Python.
bool run_python(const CorpusFolder& folder, const std::string& lines) {
  folder.write("make.py", "import pyarrow as pa, pyarrow.parquet as pq\n" + lines);
  const std::string command =
      "cd '" + folder.path().string() + "' && '" KAPPASCOPE_ARROW_PYTHON "' -B make.py";
  return fs::exists(KAPPASCOPE_ARROW_PYTHON) && std::system(command.c_str()) == 0;
}

class CorpusParquet : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_library()) { GTEST_SKIP() << "skipped: built without Arrow"; }
    if (!fs::exists(KAPPASCOPE_ARROW_PYTHON)) {
      GTEST_SKIP() << "skipped: no pyarrow to write a file with";
    }
  }
  Lines read(const std::string& name) const {
    return folder_.read({.files = {folder_.file(name)}, .domain_field = "domain"});
  }
  CorpusFolder folder_;
};

TEST_F(CorpusParquet, ARowIsADocument) {
  ASSERT_TRUE(run_python(folder_, R"(
table = pa.table({'id': [1, 2, 3], 'text': ['one', None, 'thr\u00e9e'], 'domain': ['web', 'web', None]})
pq.write_table(table, 'a.parquet', row_group_size=2)
)"));
  EXPECT_EQ(read("a.parquet"),
            (Lines{"0 a.parquet: row 0 [web] one",
                   "1 a.parquet: row 1 !3 a.parquet: row 1: expected a text, found null",
                   "2 a.parquet: row 2 [] thrée"}));
}

TEST_F(CorpusParquet, WhatIsMarkedAsJsonIsItsText) {
  ASSERT_TRUE(run_python(folder_, R"(
storage = pa.array(['"one"', '"two"'])
table = pa.table({'text': pa.ExtensionArray.from_storage(pa.json_(), storage)})
pq.write_table(table, 'a.parquet')
)"));
  EXPECT_EQ(read("a.parquet"),
            (Lines{"0 a.parquet: row 0 [] \"one\"", "1 a.parquet: row 1 [] \"two\""}));
}

TEST_F(CorpusParquet, ADomainThatIsNoTextIsNone) {
  ASSERT_TRUE(run_python(folder_, R"(
table = pa.table({'text': ['one', 'two'], 'domain': pa.array([b'\xff\xfe', b'web'])})
pq.write_table(table, 'a.parquet')
)"));
  EXPECT_EQ(read("a.parquet"),
            (Lines{"0 a.parquet: row 0 [] one", "1 a.parquet: row 1 [web] two"}));
}

TEST_F(CorpusParquet, ColumnsMayBeInsideStructs) {
  ASSERT_TRUE(run_python(folder_, R"(
rows = [{'text': 'a', 'n': 1, 'in': {'site': 'x'}}, None, {'text': 'c', 'n': 3, 'in': None}]
table = pa.table({'id': [1, 2, 3], 'meta': rows, 'list': [[{'text': 'l'}], [], None]})
pq.write_table(table, 'a.parquet')
pq.write_table(table.append_column('meta.text', pa.array(['1', '2', '3'])), 'b.parquet')
)"));
  const auto read = [&](const std::string& name, const std::string& text, const char* domain) {
    return folder_.read(
        {.files = {folder_.file(name)}, .text_field = text, .domain_field = domain});
  };
  EXPECT_EQ(read("a.parquet", "meta.text", "meta.in.site"),
            (Lines{"0 a.parquet: row 0 [x] a",
                   "1 a.parquet: row 1 !3 a.parquet: row 1: expected a text, found null",
                   "2 a.parquet: row 2 [] c"}));
  EXPECT_EQ(
      read("b.parquet", "meta.text", "meta.n"),
      (Lines{"0 b.parquet: row 0 [1] 1", "1 b.parquet: row 1 [] 2", "2 b.parquet: row 2 [3] 3"}));
  const Lines none = read("a.parquet", "list.list.element.text", "");
  ASSERT_EQ(none.size(), 1U);
  EXPECT_NE(none[0].find("expected a column"), std::string::npos) << none[0];
}

TEST_F(CorpusParquet, AllFormsOfTextAreRead) {
  ASSERT_TRUE(run_python(folder_, R"(
for name, kind in (('large', pa.large_string()), ('binary', pa.binary()), ('view', pa.string_view()),
                   ('dictionary', pa.dictionary(pa.int32(), pa.string()))):
    column = pa.array(['a', 'b', 'a']).cast(pa.string())
    column = column.dictionary_encode() if name == 'dictionary' else column.cast(kind)
    table = pa.table({'domain': pa.array([1, 2, None]), 'text': column})
    for codec in ('snappy', 'zstd', 'none'):
        pq.write_table(table, f'{name}-{codec}.parquet', compression=codec)
)"));
  for (const std::string kind : {"large", "binary", "view", "dictionary"}) {
    for (const std::string codec : {"snappy", "zstd", "none"}) {
      const std::string name = kind + "-" + codec + ".parquet";
      EXPECT_EQ(read(name), (Lines{"0 " + name + ": row 0 [1] a", "1 " + name + ": row 1 [2] b",
                                   "2 " + name + ": row 2 [] a"}));
    }
  }
}

TEST_F(CorpusParquet, ManyRowsAreReadInBatches) {
  ASSERT_TRUE(run_python(folder_, R"(
table = pa.table({'text': [str(i) for i in range(10000)], 'domain': ['d' + str(i % 7) for i in range(10000)]})
pq.write_table(table, 'a.parquet', row_group_size=999)
)"));
  const Lines found = read("a.parquet");
  ASSERT_EQ(found.size(), 10000U);
  for (int i = 0; i < 10000; ++i) {
    const std::string row = std::to_string(i);
    ASSERT_EQ(found[i],
              row + " a.parquet: row " + row + " [d" + std::to_string(i % 7) + "] " + row);
  }
}

TEST_F(CorpusParquet, WhatIsWrongIsSaid) {
  ASSERT_TRUE(run_python(folder_, R"(
pq.write_table(pa.table({'id': [1], 'body': ['a']}), 'column.parquet')
pq.write_table(pa.table({'text': [1]}), 'number.parquet')
pq.write_table(pa.table({'text': [['a']]}), 'list.parquet')
pq.write_table(pa.table({'text': pa.array([b'\xff', b'ok'])}), 'bytes.parquet')
)"));
  EXPECT_EQ(read("column.parquet"), Lines{"-1 column.parquet !3 column.parquet: "
                                          "expected a column \"text\", found \"id\", \"body\""});
  EXPECT_EQ(read("number.parquet"), Lines{"-1 number.parquet !3 number.parquet: "
                                          "column \"text\"; expected texts, found int64"});
  EXPECT_EQ(read("list.parquet"), Lines{"-1 list.parquet !3 list.parquet: expected a column "
                                        "\"text\", found \"text.list.element\""});
  EXPECT_EQ(
      read("bytes.parquet"),
      (Lines{"0 bytes.parquet: row 0 !3 bytes.parquet: row 0: offset 0: not UTF-8; expected a "
             "text, found byte 0xff",
             "1 bytes.parquet: row 1 [] ok"}));
  EXPECT_EQ(folder_.read("no.parquet", "PAR1").at(0).substr(0, 56),
            "-1 no.parquet !3 no.parquet: cannot be read as Parquet: ");
}

TEST_F(CorpusParquet, EveryPrefixIsAFailure) {
  ASSERT_TRUE(run_python(folder_, "pq.write_table(pa.table({'text': ['a', 'b']}), 'a.parquet')\n"));
  std::ifstream in(folder_ / "a.parquet");
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(bytes.size(), 100U);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const Lines found = folder_.read("b.parquet", bytes.substr(0, length));
    ASSERT_FALSE(found.empty()) << length;
    EXPECT_EQ(found.back().substr(0, 17), "-1 b.parquet !3 b") << found.back();
  }
}

TEST_F(CorpusParquet, EveryFlippedByteIsReadOrAFailure) {
  ASSERT_TRUE(run_python(folder_, "pq.write_table(pa.table({'text': ['a', 'b']}), 'a.parquet')\n"));
  std::ifstream in(folder_ / "a.parquet");
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  for (char& byte : bytes) {
    for (const int bits : {0x01, 0x80, 0xFF}) {
      byte = static_cast<char>(byte ^ bits);
      for (const std::string& line : folder_.read("b.parquet", bytes)) {
        EXPECT_EQ(line.find(" !1 "), line.npos) << line;  // no mistake of ours
      }
      byte = static_cast<char>(byte ^ bits);
    }
  }
}

TEST(CorpusParquetFiles, WithoutTheLibraryTheRemedyIsNamed) {
  const CorpusFolder folder;
  EXPECT_EQ(folder.read({.files = {folder.file("a.parquet")}}),
            Lines{"-1 a.parquet !5 a.parquet: cannot be opened: No such file or directory"});
  EXPECT_EQ(folder.read("a.parquet.gz", "x"),
            Lines{"-1 a.parquet.gz !4 a.parquet.gz: a packed Parquet file; expected one that is "
                  "unpacked"});
  if (has_library()) { GTEST_SKIP() << "skipped: built with Arrow"; }
  EXPECT_EQ(folder.read("a.parquet", "PAR1"),
            Lines{"-1 a.parquet !4 a.parquet: this kappascope is built without Apache Arrow, which "
                  "reads Parquet; `KAPPASCOPE_ARROW=ON make build` builds it with, or convert the "
                  "file to .jsonl or .csv"});
}

}  // namespace
}  // namespace kappascope
