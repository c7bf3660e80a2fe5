// Documents as calls: what goes on after any call ends with the calls of what never stopped.
#include <gtest/gtest.h>

#include <vector>

#include "app/cli/stats_calls.h"

namespace kappascope {
namespace {

// Where a pass was when a call had been run, as stats keeps it.
struct Reached {
  std::int64_t taken = 0, pieces = 0;
};

CorpusText document_of(std::uint64_t key, std::int64_t tokens) {
  CorpusText document;
  document.document = key;
  for (std::int64_t t = 0; t < tokens; ++t) {
    document.text.tokens.push_back(
        {std::int32_t(100 * key + t), std::int32_t(t), std::int32_t(t + 1)});
    document.text.bytes.push_back("x");
  }
  return document;
}

// The ids that count, call after call, from `place` on; the place after each call.
struct Passed {
  std::vector<std::vector<std::int32_t>> calls;
  std::vector<Reached> places;
};
Passed pass(const std::vector<CorpusText>& documents, bool window, Reached place) {
  Passed passed;
  const std::int64_t first = place.taken, done = place.pieces;
  CallPacker packer(8, window, [&](const CorpusCall& call, std::int64_t pieces) {
    passed.calls.emplace_back(call.ids.begin() + call.first_counted, call.ids.end());
    passed.places.push_back({place.taken, pieces});
  });
  for (std::int64_t n = first; n < std::ssize(documents); ++n) {
    place.taken = n;
    packer.add(documents[n], n == first ? done : 0);
    place.taken = n + 1;
  }
  packer.flush();
  return passed;
}

TEST(StatsCalls, GoOnAfterAnyCall) {
  std::vector<CorpusText> documents;
  for (const std::int64_t tokens : {3, 20, 8, 1, 16, 9, 4, 4, 24}) {
    documents.push_back(document_of(documents.size(), tokens));
  }
  for (const bool window : {false, true}) {
    const Passed whole = pass(documents, window, {});
    std::size_t counted = 0;
    for (const auto& call : whole.calls) { counted += call.size(); }
    EXPECT_EQ(counted, 3u + 20 + 8 + 1 + 16 + 9 + 4 + 4 + 24);
    for (std::size_t i = 0; i < whole.calls.size(); ++i) {
      const Passed rest = pass(documents, window, whole.places[i]);
      const std::vector<std::vector<std::int32_t>> expected(
          whole.calls.begin() + std::ptrdiff_t(i) + 1, whole.calls.end());
      EXPECT_EQ(rest.calls, expected) << "window " << window << ", after call " << i;
    }
  }
}

}  // namespace
}  // namespace kappascope
