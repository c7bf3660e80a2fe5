// Routing from a file, and what is kept of a run to compare another with.
#include "core/trace/given_routes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/trace/logits_file.h"
#include "core/trace/npy_header.h"
#include "tests/unit/expect_error.h"
#include "tests/unit/temp_folder.h"

namespace kappascope {
namespace {

using ::kappascope::testing::error_of;
using ::kappascope::testing::TempFolder;

// [3,2,2] experts of three tokens in two rows: token·4 + row·2 + slot.
std::string array_bytes() {
  std::string bytes = npy_header({"", NpyType::int16, {3, 2, 2}});
  for (char e = 0; e < 12; ++e) { bytes += {e, '\0'}; }
  return bytes;
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

TEST(GivenRoutes, AnArrayIsTurnedToRowsOfTokens) {
  const TempFolder folder;
  write(folder.path() / "r.npy", array_bytes());
  const auto routes = read_routes(folder.path() / "r.npy");
  EXPECT_EQ(routes->tokens, 3);
  EXPECT_EQ(routes->rows, 2);
  EXPECT_EQ(routes->slots, 2);
  EXPECT_EQ(routes->expert, (std::vector<std::int32_t>{0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11}));
  EXPECT_TRUE(routes->layer.empty() && routes->token_id.empty());
}

TEST(GivenRoutes, EveryPrefixAndEveryOtherByteOfTheHeaderIsAFaultOfTheFile) {
  const TempFolder folder;
  const std::string whole = array_bytes();
  const auto code_of = [&](const std::string& bytes) {
    write(folder.path() / "r.npy", bytes);
    const std::string error = error_of([&] { read_routes(folder.path() / "r.npy"); });
    return error.substr(0, 2);
  };
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(code_of(whole.substr(0, length)), "3 ") << length;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] = char(bytes[at] ^ flip);
      const std::string code = code_of(bytes);
      EXPECT_TRUE(code == "3 " || code == "4 " || code == "no") << at << " " << code;
    }
  }
}

TEST(GivenRoutes, NumbersThatAreNoExpertsAreNamed) {
  const TempFolder folder;
  std::string bytes = array_bytes();
  bytes[bytes.size() - 3] = '\xff';  // token 2, row 1, slot 0: 10 − 256
  write(folder.path() / "r.npy", bytes);
  const std::string error = error_of([&] { read_routes(folder.path() / "r.npy"); });
  EXPECT_NE(error.find("expert at token 2, row 1, slot 0"), std::string::npos) << error;
  EXPECT_NE(error.find("found -246"), std::string::npos) << error;
}

TEST(LogitsFile, GivesTheDivergenceFromWhatWasKept) {
  const TempFolder folder;
  const float before[] = {0, 0, 1, 2, 3, 4}, after[] = {0, 0, 1, 2, 3, 3};
  LogitsFile file(folder.path(), 3, 2);
  NextTokenTap tap{.first_token = 0, .tokens = 3, .vocab = 2};
  tap.logits = before;
  file.keep(tap);
  tap.logits = after;
  const std::vector<float> divergence = file.divergence(tap);
  ASSERT_EQ(divergence.size(), 3u);
  EXPECT_EQ(divergence[0], 0);
  EXPECT_EQ(divergence[1], 0);
  const double p = 1 / (1 + std::exp(-1.0));  // of the likelier of logits 3 and 4
  EXPECT_NEAR(divergence[2], p * std::log(2 * p) + (1 - p) * std::log(2 * (1 - p)), 1e-7);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));  // it has no name
}

TEST(LogitsFile, ALogitThatIsNoNumberGivesNone) {
  const float nan = std::nanf(""), infinity = HUGE_VALF;
  const float good[] = {1, 2}, bad[] = {nan, 1}, never[] = {-infinity, 1};
  EXPECT_TRUE(std::isnan(kl_divergence(good, bad, 2)));
  EXPECT_TRUE(std::isnan(kl_divergence(bad, good, 2)));
  EXPECT_EQ(kl_divergence(good, never, 2), infinity);
  EXPECT_NEAR(kl_divergence(never, good, 2), std::log(1 + std::exp(-1.0)), 1e-12);
}

}  // namespace
}  // namespace kappascope
