// stats.npz (schema kappascope.stats/1, SPEC §11): what a corpus adds up to, as arrays for NumPy
// and, as the array `totals`, as this program reads it back and merges it.
#pragma once

#include <filesystem>
#include <memory>

#include "core/checkpoint/json.h"
#include "core/trace/corpus_totals.h"
#include "core/trace/npz.h"
#include "core/trace/trace.h"

namespace kappascope {

inline constexpr const char* kStatsSchema = "kappascope.stats/1";
inline constexpr const char* kStatsFile = "stats.npz";
// In it: bytes in groups of eight, their number in front.
inline constexpr const char* kTotalsArray = "totals";
inline constexpr std::uint32_t kTotalsVersion = 3;  // of these bytes, in which it comes first
inline constexpr const char* kStatsJson = "stats.json";
inline constexpr const char* kStatsCsv = "stats.csv";

// Creates `path`, which must not exist. `meta`: kappascope_meta but for what the totals say
// themselves (arrays, quantile_error, resamples), which is added. Same totals, same bytes.
void write_stats(const std::filesystem::path& path, const CorpusTotals& totals, Json meta);

bool is_corpus_result(const NpzReader& file);

// Fills the rest of a trace whose meta is read from an archive of that schema. `gates`: I. Damaged
// where arrays are missing or do not fit together.
void load_corpus(Trace& trace, std::int64_t gates);

}  // namespace kappascope
