// Arrays of stats.npz beside those of the experts' choices (core/trace/stats_file).
#pragma once

#include "core/trace/corpus_totals.h"
#include "core/trace/described_arrays.h"

namespace kappascope {

// X_sum, X_sum_square, X_count and X_quantiles of one number X in each of some layers; nothing
// where none has a value.
void add_number(DescribedArrays& to, const std::string& name, const char* axis,
                const std::vector<const NumberTotals*>& layers);

// Of κ of each expert, of what acted in every call alike, of dense layers and of shared experts.
void add_kappa(DescribedArrays& to, const CorpusTotals& totals);
void add_rules(DescribedArrays& to, const CorpusTotals& totals);
void add_sides(DescribedArrays& to, const CorpusTotals& totals);

}  // namespace kappascope
