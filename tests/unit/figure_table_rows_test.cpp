// Rows of tables in the order of a column.
#include "core/figure/table_rows.h"

#include <gtest/gtest.h>

#include "core/nan.h"

namespace kappascope {
namespace {

using Rows = std::vector<std::int64_t>;

Table table() {
  Table table;
  table.rows = 4;
  table.columns = {{"name", std::vector<std::string>{"b.Bias", "a", "c", "a.bias"}},
                   {"double", std::vector<double>{2, kNaN, -1.25, 2}},
                   {"float", std::vector<float>{1, 2}, 2},
                   {"whole", std::vector<std::int64_t>{12345, 3, -7, 0}},
                   {"absent", std::vector<double>()}};
  return table;
}

TEST(FigureTableRows, FollowAColumn) {
  EXPECT_EQ(ordered_rows(table(), "", 0, false), (Rows{1, 3, 0, 2}));
  EXPECT_EQ(ordered_rows(table(), "", 0, true), (Rows{2, 0, 3, 1}));
  EXPECT_EQ(ordered_rows(table(), "", 1, false), (Rows{2, 0, 3, 1}));  // NaN last
  EXPECT_EQ(ordered_rows(table(), "", 1, true), (Rows{0, 3, 2, 1}));
  EXPECT_EQ(ordered_rows(table(), "", 2, true), (Rows{2, 3, 0, 1}));
  EXPECT_EQ(ordered_rows(table(), "", 3, false), (Rows{2, 3, 1, 0}));
  EXPECT_EQ(ordered_rows(table(), "", 4, false), (Rows{0, 1, 2, 3}));
  EXPECT_EQ(ordered_rows(table(), "", 99, false), (Rows{0, 1, 2, 3}));
  EXPECT_TRUE(ordered_rows({}, "", 0, false).empty());
}

TEST(FigureTableRows, AreThoseOfAName) {
  EXPECT_EQ(ordered_rows(table(), "bias", 3, false), (Rows{3, 0}));
  EXPECT_TRUE(ordered_rows(table(), "d", 0, false).empty());
}

TEST(FigureTableRows, AreTextsForPeople) {
  const Table all = table();
  EXPECT_EQ(field_text(all.columns[0], 0), "b.Bias");
  EXPECT_EQ(field_text(all.columns[1], 2), "−1.250");
  EXPECT_EQ(field_text(all.columns[1], 1), "–");
  EXPECT_EQ(field_text(all.columns[2], 3), "2");
  EXPECT_EQ(field_text(all.columns[3], 0), "12,345");
  EXPECT_EQ(field_text(all.columns[4], 0), "");
}

}  // namespace
}  // namespace kappascope
