// Sums, quantiles and totals that merge, and their bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "core/stats/pairs.h"
#include "core/stats/router.h"
#include "core/trace/byte_archive.h"
#include "core/trace/corpus_totals.h"
#include "tests/unit/expect_error.h"

namespace kappascope {
namespace {

std::vector<float> numbers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::lognormal_distribution<float> draw(0, 2);
  std::vector<float> values(count);
  for (float& value : values) { value = draw(random); }
  return values;
}

template <typename T>
T read_back(const T& value) {
  ByteWriter writer;
  writer(value);
  T result;
  ByteReader reader(writer.bytes, "file");
  reader(result);
  reader.require_end();
  return result;
}

TEST(Sum, IsTheSameInAnyOrderAndInParts) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) { values.insert(values.end(), {1e16 / (i + 1), 0.1 * i, -1e16}); }
  Sum forward, backward, first, second;
  for (const double value : values) { forward.add(value); }
  for (auto at = values.rbegin(); at != values.rend(); ++at) { backward.add(*at); }
  for (std::size_t i = 0; i < values.size(); ++i) { (i < 700 ? first : second).add(values[i]); }
  first.add(second);
  EXPECT_EQ(forward.value(), backward.value());
  EXPECT_EQ(forward.value(), first.value());
}

TEST(QuantileSketch, IsExactWhileThereAreFewValues) {
  std::vector<float> values = numbers(QuantileSketch::kExact, 1);
  QuantileSketch sketch;
  for (const float value : values) { sketch.add(value); }
  std::sort(values.begin(), values.end());
  constexpr double kPlaces[] = {0, 0.3, 0.5, 1};
  const std::vector<double> found = sketch.quantiles(kPlaces);
  EXPECT_EQ(sketch.rank_error(), 0);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double place = kPlaces[i] * double(values.size() - 1);
    const auto below = std::size_t(place);
    const double low = values[below], high = values[std::min(below + 1, values.size() - 1)];
    EXPECT_DOUBLE_EQ(found[i], low + (high - low) * (place - double(below)));
  }
  EXPECT_TRUE(std::isnan(QuantileSketch{}.quantiles(kPlaces)[0]));
}

TEST(QuantileSketch, StaysWithinTheErrorThatItStates) {
  std::vector<float> values = numbers(400000, 2);
  QuantileSketch whole, left, right;
  for (std::size_t i = 0; i < values.size(); ++i) {
    whole.add(values[i]);
    (i % 3 == 0 ? left : right).add(values[i]);
  }
  left.add(right);
  std::sort(values.begin(), values.end());
  constexpr double kPlaces[] = {0.05, 0.25, 0.5, 0.75, 0.95};
  for (const QuantileSketch* sketch : {&whole, &left}) {
    EXPECT_TRUE(sketch->consistent());
    EXPECT_EQ(sketch->count(), std::ssize(values));
    EXPECT_GT(sketch->rank_error(), 0);
    EXPECT_LT(sketch->rank_error(), 0.01);
    const std::vector<double> found = sketch->quantiles(kPlaces);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto rank = std::lower_bound(values.begin(), values.end(), float(found[i]));
      const double share = double(rank - values.begin()) / double(values.size());
      EXPECT_NEAR(share, kPlaces[i], sketch->rank_error()) << kPlaces[i];
    }
  }
}

TEST(QuantileSketch, ComesBackFromItsBytes) {
  QuantileSketch sketch;
  for (const float value : numbers(50000, 3)) { sketch.add(value); }
  QuantileSketch back = read_back(sketch);
  EXPECT_TRUE(back.consistent());
  for (const float value : numbers(50000, 4)) {
    sketch.add(value);
    back.add(value);
  }
  constexpr double kPlaces[] = {0.1, 0.5, 0.9};
  EXPECT_EQ(back.quantiles(kPlaces), sketch.quantiles(kPlaces));
}

// Four tokens of three experts, two slots each; the last token is spoilt.
RowTokens small_row() {
  RowTokens row{.tokens = 4, .experts = 3, .slots = 2};
  row.expert = {0, 1, 1, 2, 0, 2, 0, 1};
  row.kept = {1, 0, 1, 1, 0, 0, 1, 1};
  row.counted = {1, 1, 1, 0};
  static const std::vector<float> weights{0.75, 0, 0.5, 0.25, 0, 0, 1, 1},
      norms{2, 9, 4, 8, 9, 9, 9, 9};
  row.numbers[row_number("expert_weight")] = {weights.data(), 1};
  row.numbers[row_number("expert_output_norm")] = {norms.data(), 1};
  return row;
}

TEST(ChoiceTotals, CountWhatTokensChose) {
  ChoiceTotals choices;
  choices.add(small_row());
  using Counts = std::vector<std::int64_t>;
  EXPECT_EQ(choices.tokens, 3);
  EXPECT_EQ(choices.spoilt_tokens, 1);
  EXPECT_EQ(choices.assigned, (Counts{2, 2, 2}));
  EXPECT_EQ(choices.kept, (Counts{1, 1, 1}));
  EXPECT_EQ(choices.first_choice, (Counts{2, 1, 0}));
  EXPECT_EQ(choices.dropped_by_slot, (Counts{1, 2}));
  EXPECT_EQ(choices.tokens_by_run, (Counts{1, 1, 1}));
  const DropRates drops = drop_rates(choices);
  EXPECT_DOUBLE_EQ(drops.all, 0.5);
  EXPECT_DOUBLE_EQ(drops.no_expert, 1 / 3.0);
  EXPECT_DOUBLE_EQ(experts_run(choices).mean, 1);
  ChoiceTotals twice = choices;
  twice.add(read_back(choices));
  EXPECT_EQ(twice.assigned, (Counts{4, 4, 4}));
  EXPECT_EQ(expert_loads(twice).entropy, expert_loads(choices).entropy);
}

TEST(ImportanceTotals, WeighWhatRanByItsOutput) {
  ImportanceTotals totals;
  totals.add(small_row());
  EXPECT_DOUBLE_EQ(totals.saliency[0].value(), 1.5);
  EXPECT_DOUBLE_EQ(totals.saliency[1].value(), 2);
  EXPECT_DOUBLE_EQ(totals.saliency[2].value(), 2);
  EXPECT_TRUE(totals.selected_logit.empty());
}

TEST(RowTotals, AddAllThatIsCounted) {
  RowTotals one, other;
  for (RowTotals* row : {&one, &other}) {
    const std::int64_t n = row == &one ? 1 : 10;
    row->kappa_hist = {n, 2 * n};
    row->gate_pre_hist = {3 * n, 4 * n};
    row->call_load_entropy.add(0.5 * double(n));
    row->call_load_cv.add(0.25 * double(n));
    row->calls = 5 * n;
    row->capacity = 6 * n;
    row->tokens_at_cap = 8 * n;
    row->kappa.count = {9 * n};
    row->choices.tokens = 7 * n;
    row->effect.resize(std::size_t(n == 1 ? 1 : 2));
    row->domain_assigned = {{n, 0}};
  }
  one.add(other, {1});
  EXPECT_EQ(one.kappa_hist, (std::vector<std::int64_t>{11, 22}));
  EXPECT_EQ(one.gate_pre_hist, (std::vector<std::int64_t>{33, 44}));
  EXPECT_EQ(one.call_load_entropy.value(), 5.5);
  EXPECT_EQ(one.call_load_cv.value(), 2.75);
  EXPECT_EQ(one.calls, 55);
  EXPECT_EQ(one.capacity, 66);
  EXPECT_EQ(one.tokens_at_cap, 88);
  EXPECT_EQ(one.kappa.count, (std::vector<std::int64_t>{99}));
  EXPECT_EQ(one.choices.tokens, 77);
  EXPECT_EQ(one.effect.size(), 2U);
  EXPECT_EQ(one.domain_assigned, (std::vector<std::vector<std::int64_t>>{{1, 0}, {10, 0}}));
}

TEST(PairTotals, CountWhatGoesTogether) {
  PairTotals pairs;
  const RowTokens row = small_row();
  pairs.add(row, {{0, 2}, {2, 4}}, {2, 2, 1, 0});
  using Counts = std::vector<std::int64_t>;
  EXPECT_EQ(pairs.coactivation, (Counts{2, 1, 1, 1, 2, 1, 1, 1, 2}));
  EXPECT_EQ(pairs.transition, (Counts{0, 0, 0, 1, 0, 0, 1, 1, 0}));
  EXPECT_EQ(pairs.neighbours, 1);  // not across texts, not with the spoilt token
  EXPECT_DOUBLE_EQ(pairs.neighbour_share.value(), 0.5);
}

// With tokens left out, the other token of a token is one of those that are not.
TEST(PairTotals, ShuffleTheTokensThatCount) {
  RowTokens row{.tokens = 5, .experts = 2, .slots = 1};
  row.expert = {0, 0, 0, 0, 1};
  row.kept.assign(5, 1);
  row.counted.assign(5, 1);
  leave_out(row, std::vector<std::uint8_t>{0, 0, 0, 1, 1});
  PairTotals pairs;
  pairs.add(row, {{0, 5}}, {-1, -1, -1, 0, 1});
  using Counts = std::vector<std::int64_t>;
  EXPECT_EQ(pairs.transition, (Counts{1, 0, 0, 1}));
  EXPECT_EQ(pairs.transition_shuffled, (Counts{0, 1, 1, 0}));
}

// First choices that follow from the row before, and such that have nothing to do with it.
TEST(PairStatistics, TellWhatTheRowBeforePredicts) {
  PairTotals same, unrelated;
  same.transition = {50, 0, 0, 50};
  same.transition_shuffled = {25, 25, 25, 25};
  ChoiceTotals choices;
  choices.tokens = 100;
  choices.assigned = {50, 50};
  const PairStatistics found = pair_statistics(same, choices);
  EXPECT_DOUBLE_EQ(found.predictability, 1);
  // Entropies with (m − 1)/2n added: ln 2 + 1/200 of two experts, ln 4 + 3/200 of their four pairs.
  EXPECT_NEAR(found.predictability_shuffled, -0.005 / (std::log(2.0) + 0.005), 1e-12);
  EXPECT_DOUBLE_EQ(found.neighbour_chance, 0.5);
  EXPECT_TRUE(std::isnan(found.neighbour_overlap));
  EXPECT_EQ(hot_set({1, 80, 10, 9}), 2);
  EXPECT_EQ(hot_set({0, 0}), 0);
}

TEST(Resamples, DrawDocumentsOnceOnAverage) {
  double sum = 0, square = 0;
  constexpr int kDocuments = 20000;
  for (int i = 0; i < kDocuments; ++i) {
    const auto weight = double(resample_weight(1, document_key(std::to_string(i)), i % 200));
    sum += weight;
    square += weight * weight;
  }
  const double mean = sum / kDocuments;
  EXPECT_NEAR(mean, 1, 0.03);
  EXPECT_NEAR(square / kDocuments - mean * mean, 1, 0.05);  // of Poisson: its mean
}

TokenContext context_of(std::uint64_t document, std::int64_t position, std::int64_t expert) {
  TokenContext context{choice_hash(place_hash(document, position), 3, 0, expert), document,
                       position};
  context.ids.fill(-1);
  context.ids[kContextBefore] = std::int32_t(position);
  return context;
}

TEST(ExpertContexts, AreTheSmallestHashesInWhateverOrderAndParts) {
  ExpertContexts all, backwards, parts[3], joined;
  std::vector<TokenContext> every;
  for (std::int64_t i = 0; i < 200; ++i) { every.push_back(context_of(i % 7, i, 1)); }
  for (std::size_t i = 0; i < every.size(); ++i) {
    EXPECT_EQ(all.limit(1) < std::numeric_limits<std::uint64_t>::max(), i >= kContexts);
    all.add(1, every[i]);
    backwards.add(1, every[every.size() - 1 - i]);
    parts[i % 3].add(1, every[i]);
    parts[0].add(1, every[i]);  // in two of them
  }
  for (const ExpertContexts& part : parts) { joined.add(part); }
  std::sort(every.begin(), every.end());
  every.resize(kContexts);
  EXPECT_TRUE(all.of_expert[0].empty());
  EXPECT_EQ(all.of_expert[1], every);
  EXPECT_EQ(all.limit(1), every.back().hash);
  EXPECT_EQ(backwards.of_expert, all.of_expert);
  EXPECT_EQ(joined.of_expert, all.of_expert);
  EXPECT_TRUE(all.consistent(2));
  EXPECT_FALSE(all.consistent(1));
  std::swap(all.of_expert[1][0], all.of_expert[1][1]);
  EXPECT_FALSE(all.consistent(2));
}

TEST(ExpertContexts, EveryExpertLayerAndPassDrawsPlacesOfItsOwn) {
  std::set<std::uint64_t> hashes;
  for (std::int64_t layer = 0; layer < 10; ++layer) {
    for (std::int64_t pass = 0; pass < 3; ++pass) {
      for (std::int64_t expert = 0; expert < 64; ++expert) {
        hashes.insert(choice_hash(place_hash(5, 9), layer, pass, expert));
      }
    }
  }
  EXPECT_EQ(hashes.size(), 10U * 3 * 64);
}

CorpusTotals totals_of_one_row() {
  CorpusTotals totals;
  totals.experts = 3;
  totals.layer_index = totals.pass_index = {0};
  totals.rows.resize(1);
  totals.rows[0].choices.add(small_row());
  totals.rows[0].resampled_assigned.resize(3 * kResamples);
  return totals;
}

// Numbers of a file: merged and summed they must not overflow.
TEST(CorpusTotals, RefusesCountsThatNoCorpusHas) {
  const CorpusTotals totals = totals_of_one_row();
  EXPECT_TRUE(totals.consistent());
  for (const std::int64_t count :
       {std::int64_t{-1}, INT64_MAX, std::int64_t{6945113579653693441}}) {
    CorpusTotals other = totals;
    other.rows[0].resampled_assigned[5] = count;
    EXPECT_FALSE(other.consistent()) << count;
    other = totals;
    other.rows[0].calls = count;
    EXPECT_FALSE(other.consistent()) << count;
    other = totals;
    other.rows[0].tokens.pairs = {{7, count}};
    EXPECT_FALSE(other.consistent()) << count;
  }
}

// They are merged and looked up by their order.
TEST(CorpusTotals, RefusesTokensOutOfOrder) {
  CorpusTotals totals = totals_of_one_row();
  totals.rows[0].tokens.pairs = {{7, 1}, {8, 1}};
  EXPECT_TRUE(totals.consistent());
  std::swap(totals.rows[0].tokens.pairs[0], totals.rows[0].tokens.pairs[1]);
  EXPECT_FALSE(totals.consistent());
}

// Readers take a rule by its name and with the size that it says.
TEST(CorpusTotals, RefusesWhatItsNamesDoNotSay) {
  CorpusTotals totals = totals_of_one_row();
  totals.gates = 2;
  const auto refuses = [&](const std::string& name, std::size_t size) {
    CorpusTotals other = totals;
    other.rules[name].assign(size, 1.0f);
    return !other.consistent();
  };
  EXPECT_FALSE(refuses("kappa_factor", 3));
  EXPECT_TRUE(refuses("kappa_factor", 1));
  EXPECT_TRUE(refuses("kappa_factor", 6));
  for (const std::size_t size : {1U, 3U, 6U}) {
    EXPECT_FALSE(refuses("kappa_bias_in_force", size));
  }
  EXPECT_TRUE(refuses("kappa_scale_in_force", 2));
  EXPECT_TRUE(refuses("kappa_hist", 3));
  EXPECT_TRUE(refuses("layer_budget", 1)) << "without threshold and cap";
  totals.rules["layer_budget"] = totals.rules["layer_threshold"] = {1};
  EXPECT_FALSE(totals.consistent());
  totals.layer_cap = {0};
  EXPECT_TRUE(totals.consistent());
  totals.pass_index = {-1};
  EXPECT_FALSE(totals.consistent());
}

// A level that never fills up so would take as long as the square of the file's size.
TEST(ScoreSketch, RefusesLevelsThatAreTooFull) {
  ScoreSketch sketch;
  std::vector<float> values(std::size_t(ScoreSketch::kExact) + 1, 1.0f);
  ByteWriter writer;
  const auto write = [&](std::vector<float> of) {
    std::vector<std::vector<float>> levels{std::move(of)};
    std::vector<std::uint8_t> odd{0};
    auto count = std::int64_t(levels[0].size()), error = std::int64_t{0};
    writer = ByteWriter();
    writer(levels), writer(odd), writer(count), writer(error);
    ByteReader reader(writer.bytes, "sketch");
    reader(sketch);
    return sketch.consistent();
  };
  EXPECT_FALSE(write(values));
  values.pop_back();
  EXPECT_TRUE(write(values));
}

// Every prefix of the bytes, by itself, so that a byte too many is seen; and lengths that lie.
TEST(ByteReader, RefusesBytesThatEndTooSoon) {
  CorpusTotals totals = totals_of_one_row();
  totals.domains = {"web"};
  totals.rows[0].contexts.add(2, context_of(1, 7, 2));
  ByteWriter writer;
  writer(totals);
  int cut = 0;
  for (std::size_t size = 0; size < writer.bytes.size(); size += 3) {
    const std::vector<std::byte> part(writer.bytes.begin(), writer.bytes.begin() + long(size));
    CorpusTotals read;
    ByteReader reader(part, "file");
    const std::string line = testing::error_of([&] { reader(read); });
    EXPECT_TRUE(line.starts_with("3 file: offset ")) << line;
    unsigned long at = 0, found = 0;
    const char* const form = "3 file: offset %lu: truncated; expected %*u bytes, found %lu";
    const int numbers = std::sscanf(line.c_str(), form, &at, &found);
    EXPECT_TRUE(numbers < 2 || at + found == size) << line;
    cut += numbers == 2;
  }
  EXPECT_GT(cut, 10);  // the others are lists that are too long
  CorpusTotals whole = read_back(totals);
  EXPECT_TRUE(whole.consistent());
  EXPECT_EQ(whole.rows[0].contexts.of_expert, totals.rows[0].contexts.of_expert);
  EXPECT_EQ(whole.shown_tokens(), std::vector<std::int32_t>{7});
  CorpusTotals other = whole;
  other.rows[0].resampled_assigned.clear();
  EXPECT_FALSE(other.consistent());
  whole.rows[0].choices.kept.pop_back();
  EXPECT_FALSE(whole.consistent());
  const std::vector<std::byte> huge(16, std::byte{0x7f});
  std::vector<double> values;
  ByteReader reader(huge, "file");
  EXPECT_THROW(reader(values), Error);
}

}  // namespace
}  // namespace kappascope
