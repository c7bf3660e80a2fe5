#include <gtest/gtest.h>

#include "core/csv_text.h"
#include "tests/unit/corpus_fixture.h"

namespace kappascope {
namespace {

using testing::CorpusFolder;
using testing::gzip_of;
using testing::Lines;

TEST(CorpusCsv, ColumnsAreFoundByName) {
  const CorpusFolder folder;
  EXPECT_EQ(folder.read("a.csv", "\xEF\xBB\xBFid,domain,text\n1,web,one\n2,,two\r\n3,code,"),
            (Lines{"0 a.csv:2 [web] one", "1 a.csv:3 [] two", "2 a.csv:4 [code] "}));
  EXPECT_EQ(folder.read("A.CSV", "text\r\none\r\n\r\n\"\"\r\ntwo"),
            (Lines{"0 A.CSV:2 [] one", "1 A.CSV:4 [] ", "2 A.CSV:5 [] two"}));
  EXPECT_EQ(folder.read("a.csv.gz", gzip_of("text\none")), Lines{"0 a.csv.gz:2 [] one"});
  EXPECT_EQ(folder.read("a.csv", "text\n"), Lines{});
}

TEST(CorpusCsv, QuotedFieldsHaveCommasQuotesAndLineBreaks) {
  const CorpusFolder folder;
  EXPECT_EQ(
      folder.read("a.csv",
                  "\"text\",\"domain\"\r\n\"a, \"\"b\"\"\r\nc\n\",web\r\n\"\"\"\",\"\"\n"
                  "6\" pipe,x\"y\n"),
      (Lines{"0 a.csv:2 [web] a, \"b\"\r\nc\n", "1 a.csv:5 [] \"", "2 a.csv:6 [x\"y] 6\" pipe"}));
}

TEST(CorpusCsv, ARecordThatIsWrongFailsAlone) {
  const CorpusFolder folder;
  EXPECT_EQ(
      folder.read("a.csv", "id,text\n1\n1,2,3\n1,\"a\"b\n1,\xFF\n1,ok\n"),
      (Lines{"0 a.csv:2 !3 a.csv:2: expected 2 fields as in the first line, found 1",
             "1 a.csv:3 !3 a.csv:3: expected 2 fields as in the first line, found 3",
             "2 a.csv:4 !3 a.csv:4: expected a comma or the end of the line after a closing quote, "
             "found other text",
             "3 a.csv:5 !3 a.csv:5: offset 0: not UTF-8; expected a text, found byte 0xff",
             "4 a.csv:6 [] ok"}));
}

TEST(CorpusCsv, AFileThatIsWrongIsOneFailure) {
  const CorpusFolder folder;
  EXPECT_EQ(folder.read("a.csv", ""),
            Lines{"-1 a.csv !3 a.csv: expected a line with the names of the columns, found none"});
  EXPECT_EQ(folder.read("a.csv", "id,body\n1,a\n"),
            Lines{"-1 a.csv !3 a.csv: expected a column \"text\", found \"id\", \"body\""});
  EXPECT_EQ(folder.read("a.csv", "text,text\n1,a\n"),
            Lines{"-1 a.csv !3 a.csv: expected one column \"text\", found several"});
  EXPECT_EQ(folder.read("a.csv", "text\none\n\"two\nthree\n"),
            (Lines{"0 a.csv:2 [] one",
                   "-1 a.csv !3 a.csv:3: expected a quote that closes the field, found the end of "
                   "the file"}));
  EXPECT_EQ(folder.read("a.csv", "text\n" + std::string(1 << 16, ',')),
            Lines{"-1 a.csv !3 a.csv:2: expected at most 65536 fields, found more"});
}

TEST(CorpusCsv, RecordsAreTheSameWhereverABlockEnds) {
  const CorpusFolder folder;
  // A block has 262144 bytes: the record behind the padding begins at every place around its end.
  const std::string record = "\"é,\"\"\n\r\n\",w\r\nplain,\"\"\r\n";
  for (std::size_t before = 0; before < record.size() + 2; ++before) {
    const std::string padding((1 << 18) - before - 15, 'x');
    const std::string text = "text,domain\r\n" + padding + ",\n" + record;
    ASSERT_EQ(folder.read("a.csv", text),
              (Lines{"0 a.csv:2 [] " + padding, "1 a.csv:3 [w] é,\"\n\r\n", "2 a.csv:6 [] plain"}))
        << before;
  }
}

TEST(CsvText, WhatMustBeEscapedIsWrittenAsJsonHasIt) {
  std::string out;
  put_csv_text(out, "a,\"\n\xFF\u200B\U000E0001\U0001F600");
  EXPECT_EQ(out, "a\\u002c\\u0022\\n\\ufffd\\u200b\\udb40\\udc01\U0001F600");
}

}  // namespace
}  // namespace kappascope
