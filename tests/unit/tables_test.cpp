#include "core/trace/tables.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "trace_fixture.h"

namespace kappascope {
namespace {

using trace_test::failure_of;
using trace_test::make_model;
using trace_test::make_text;
using trace_test::read_bytes;
using trace_test::record;
using trace_test::TempFolder;
using trace_test::write_bytes;

// Rows of fields, by RFC 4180 and nothing looser.
std::vector<std::vector<std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string& field = rows.back().back();
    if (text[i] == '"') {
      const bool doubled = quoted && i + 1 < text.size() && text[i + 1] == '"';
      if (doubled) { field += text[i++]; }
      if (!doubled) { quoted = !quoted; }
    } else if (!quoted && text[i] == ',') {
      rows.back().emplace_back();
    } else if (!quoted && text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') {
      ++i;
      rows.push_back({""});
    } else {
      field += text[i];
    }
  }
  EXPECT_FALSE(quoted);
  rows.pop_back();  // what follows the last line break
  return rows;
}

std::size_t column(const std::vector<std::string>& header, std::string_view name) {
  return static_cast<std::size_t>(std::find(header.begin(), header.end(), name) - header.begin());
}

TEST(Tables, TokensAreEscapedAndMissingIsEmpty) {
  TempFolder folder;
  TokenizedText text = make_text(6);
  text.bytes[2] = ",\"\r\n";
  text.document = {.source = "a, b.txt", .sha256 = "00"};
  text.bytes[3] = std::string("\0=1+2", 5);
  record(folder / "t.npz", make_model(), text);
  write_tokens_csv(folder / "tokens.csv", open_trace(folder / "t.npz"));
  const auto rows = parse_csv(read_bytes(folder / "tokens.csv"));
  ASSERT_EQ(rows.size(), 7u);
  for (const auto& row : rows) { EXPECT_EQ(row.size(), 19u); }
  const auto field = [&](std::size_t token, std::string_view name) {
    return rows[token + 1][column(rows[0], name)];
  };
  EXPECT_EQ(field(0, "token_text"), "<|bos|>");
  EXPECT_EQ(field(5, "document"), R"(a\u002c b.txt)");
  EXPECT_EQ(field(0, "nll"), "");
  EXPECT_EQ(field(0, "target_rank"), "");
  EXPECT_EQ(field(0, "char_start"), "");
  EXPECT_EQ(field(1, "token_bytes_hex"), "e2");
  EXPECT_EQ(field(2, "token_text"), R"(\u002c\u0022\r\n)");
  EXPECT_EQ(field(3, "token_text"), R"(\\x00=1+2)");
  EXPECT_EQ(field(4, "nll"), "0.5");
  EXPECT_EQ(field(4, "token"), "4");
  EXPECT_EQ(field(4, "char_end"), "8");
  EXPECT_EQ(field(5, "top_token_id_4"), "4");
}

TEST(Tables, RoutingReadsBackToTheSameFloats) {
  TempFolder folder;
  record(folder / "t.npz", make_model(), make_text(5));
  const Trace trace = open_trace(folder / "t.npz");
  write_routing_csv(folder / "routing.csv", trace);
  const auto rows = parse_csv(read_bytes(folder / "routing.csv"));
  ASSERT_EQ(rows.size(), 1u + 6 * 5 * 2);
  const auto same = [](const std::string& text, float value) {
    return std::isnan(value) ? text.empty() : std::stof(text) == value;
  };
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    const auto field = [&](std::string_view name) { return rows[i + 1][column(rows[0], name)]; };
    ASSERT_EQ(rows[i + 1].size(), 28u);
    EXPECT_EQ(field("layer"), std::to_string(trace.layer_index[i / 10]));
    EXPECT_EQ(field("pass"), std::to_string(trace.pass_index[i / 10]));
    EXPECT_EQ(field("token"), std::to_string(i / 2 % 5));
    EXPECT_EQ(field("slot"), std::to_string(i % 2));
    EXPECT_EQ(field("token_id"), std::to_string(trace.token_id[i / 2 % 5]));
    EXPECT_EQ(field("expert"), std::to_string(trace.expert_index[i]));
    EXPECT_EQ(field("expert_kept"), trace.expert_kept[i] ? "true" : "false");
    EXPECT_TRUE(same(field("expert_weight"), trace.expert_weight[i]));
    EXPECT_TRUE(same(field("kappa_input"), trace.kappa_input[i]));
    EXPECT_TRUE(same(field("kappa_p95"), trace.kappa_p95[i]));
    EXPECT_TRUE(same(field("gate_saturated_fraction"), trace.gate_saturated_fraction[i]));
    EXPECT_TRUE(same(field("expert_output_norm"), trace.expert_output_norm[i]));
    EXPECT_TRUE(same(field("router_entropy"), trace.router_entropy[i / 2]));
  }
}

TEST(Tables, AFileThatExistsIsLeftAlone) {
  TempFolder folder;
  record(folder / "t.npz", make_model(), make_text(5));
  write_bytes(folder / "tokens.csv", "mine");
  const Trace trace = open_trace(folder / "t.npz");
  EXPECT_EQ(failure_of([&] { write_tokens_csv(folder / "tokens.csv", trace); }).code, ExitCode::io);
  EXPECT_EQ(read_bytes(folder / "tokens.csv"), "mine");
}

}  // namespace
}  // namespace kappascope
