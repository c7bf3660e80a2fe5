// Any bytes as what stats.npz keeps to be merged: an Error, or totals that can be read off and
// added, and that are the same bytes again.
#include <cstdlib>

#include "core/trace/byte_archive.h"
#include "core/trace/corpus_totals.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"

void kappascope::testing::fuzz_totals(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  testing::only_file_errors([&] {
    ByteReader reader({reinterpret_cast<const std::byte*>(data), size}, "stats.npz");
    CorpusTotals totals;
    totals.exchange(reader);
    ByteWriter written;
    totals.exchange(written);
    if (!totals.consistent()) { return; }
    totals.quantile_error();
    for (const std::int32_t id : totals.shown_tokens()) { totals.token_text(id); }
    ByteReader again(written.bytes, "again");
    CorpusTotals read;
    read.exchange(again);
    ByteWriter twice;
    read.exchange(twice);
    if (twice.bytes != written.bytes) { std::abort(); }
    totals.add(read);
  });
}
