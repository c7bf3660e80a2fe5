#include "core/trace/stats_file.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/nan.h"
#include "core/trace/byte_archive.h"
#include "core/trace/described_arrays.h"
#include "core/trace/stats_parts.h"

namespace kappascope {
namespace {

// Rows whose arrays differ in size, each padded to `width`.
template <typename T, typename Of>
std::vector<T> padded(const CorpusTotals& totals, std::int64_t width, T padding, Of&& of) {
  std::vector<T> result;
  for (const RowTotals& row : totals.rows) {
    const std::vector<T> values = of(row);
    result.insert(result.end(), values.begin(), values.end());
    result.resize(result.size() + std::size_t(width) - values.size(), padding);
  }
  return result;
}

std::vector<double> values_of(const std::vector<Sum>& sums) {
  std::vector<double> values;
  for (const Sum& sum : sums) { values.push_back(sum.value()); }
  return values;
}

class StatsArrays {
 public:
  StatsArrays(const CorpusTotals& totals, DescribedArrays& to)
      : totals_(totals), to_(to), rows_(std::ssize(totals.rows)), experts_(totals.experts) {
    for (const RowTotals& row : totals.rows) {
      slots_ = std::max(slots_, std::ssize(row.choices.assigned_by_slot));
    }
  }

  void add_all() {
    add_corpus();
    add_sides(to_, totals_);
    if (rows_ == 0) { return; }
    add_kappa(to_, totals_);
    add_rules(to_, totals_);
    add_experts();
    add_pairs();
    add_numbers();
    add_histograms();
    add_effect();
    add_calls();
    add_domains();
    add_tokens();
    add_contexts();
    add_resamples();
  }

 private:
  using Counts = std::vector<std::int64_t>;

  void scalar(const char* name, std::int64_t value, const char* about) {
    to_.add(name, {}, Counts{value}, about, {});
  }
  // [R,E] counts of each row's experts.
  void counts(const char* name, Counts ChoiceTotals::* member, const char* about) {
    to_.add(name, {rows_, experts_},
            padded<std::int64_t>(totals_, experts_, -1,
                                 [&](const RowTotals& row) { return row.choices.*member; }),
            about, {"moe_layer", "expert"});
  }
  void by_slot(const char* name, Counts ChoiceTotals::* member, const char* about) {
    to_.add(name, {rows_, slots_},
            padded<std::int64_t>(totals_, slots_, -1,
                                 [&](const RowTotals& row) { return row.choices.*member; }),
            about, {"moe_layer", "slot"});
  }
  template <typename Of>
  void sums(const char* name, const char* about, Of&& of) {
    to_.add(name, {rows_, experts_},
            padded<double>(totals_, experts_, kNaN,
                           [&](const RowTotals& row) { return values_of(of(row)); }),
            about, {"moe_layer", "expert"}, "1");
  }

  void add_corpus() {
    scalar("documents", totals_.documents, "documents that were run to their end");
    scalar("failed_documents", totals_.failed_documents, "documents that could not be used");
    scalar("tokens", totals_.tokens, "tokens counted");
    scalar("bytes", totals_.bytes, "bytes of text of these tokens");
    to_.add("nll_sum", {}, std::vector<double>{totals_.nll.value()},
            "sum of the negative log-likelihood of the tokens that have one", {}, "nat");
    scalar("nll_count", totals_.nll_count, "tokens that have one");
    scalar("bytes_counted", totals_.bytes_counted, "bytes of these that are text");
    to_.add("nll_of_bytes_sum", {}, std::vector<double>{totals_.nll_of_bytes.value()},
            "sum over these, for bits per byte", {}, "nat");
    to_.add("layer_index", {rows_}, totals_.layer_index, "layer of the model, from 0",
            {"moe_layer"});
    to_.add("pass_index", {rows_}, totals_.pass_index, "pass over the stack of layers, from 0",
            {"moe_layer"});
  }

  void add_experts() {
    counts("assigned", &ChoiceTotals::assigned, "assignments, kept and dropped");
    counts("kept", &ChoiceTotals::kept, "assignments that ran");
    counts("first_choice", &ChoiceTotals::first_choice, "tokens that chose the expert first");
    by_slot("assigned_by_slot", &ChoiceTotals::assigned_by_slot, "assignments of each slot");
    by_slot("drops_by_slot", &ChoiceTotals::dropped_by_slot, "assignments dropped over capacity");
    to_.add("tokens_by_run", {rows_, slots_ + 1},
            padded<std::int64_t>(totals_, slots_ + 1, -1,
                                 [](const RowTotals& row) { return row.choices.tokens_by_run; }),
            "tokens for which so many experts ran, from 0", {"moe_layer", "experts_run"});
    sums("gate_mass_sum", "sum of the combine weights",
         [](const RowTotals& row) { return row.choices.gate_mass; });
    sums("saliency_sum", "sum of combine weight times norm of the expert's output",
         [](const RowTotals& row) { return row.importance.saliency; });
    sums("selected_logit_sum", "sum of the raw logit where the expert was chosen",
         [](const RowTotals& row) { return row.importance.selected_logit; });
  }

  void pairs(const char* name, Counts PairTotals::* member, const char* about) {
    // Rows of experts are padded, too.
    Counts all(std::size_t(rows_ * experts_ * experts_), -1);
    for (std::int64_t r = 0; r < rows_; ++r) {
      const RowTotals& row = totals_.rows[r];
      const Counts& own = row.pairs.*member;
      const auto width = std::ssize(row.choices.assigned);
      for (std::int64_t i = 0; i < std::ssize(own); ++i) {
        all[(r * experts_ + i / width) * experts_ + i % width] = own[i];
      }
      if (own.empty()) {
        std::fill_n(all.begin() + r * experts_ * experts_, experts_ * experts_, 0);
      }
    }
    to_.add(name, {rows_, experts_, experts_}, std::move(all), about,
            {"moe_layer", "expert", "other_expert"});
  }

  void add_pairs() {
    const auto per_row = [&](const char* name, auto of, const char* about) {
      using T = decltype(of(totals_.rows[0]));
      std::vector<T> values;
      for (const RowTotals& row : totals_.rows) { values.push_back(of(row)); }
      to_.add(name, {rows_}, std::move(values), about, {"moe_layer"});
    };
    per_row(
        "neighbour_share_sum",
        [](const RowTotals& row) { return row.pairs.neighbour_share.value(); },
        "sum of the share of a token's experts that the next token has");
    per_row(
        "neighbours", [](const RowTotals& row) { return row.pairs.neighbours; },
        "pairs of tokens next to each other");
    if (experts_ > kMostPairExperts) { return; }
    pairs("coactivation", &PairTotals::coactivation,
          "tokens that chose both, on the diagonal tokens that chose the expert");
    pairs("transition", &PairTotals::transition,
          "first choice in the row before by first choice in this one");
    pairs("transition_shuffled", &PairTotals::transition_shuffled,
          "the same with the row before of another token of the call");
  }

  void add_numbers() {
    for (std::size_t i = 0; i < kRowNumbers.size(); ++i) {
      std::vector<const NumberTotals*> layers;
      for (const RowTotals& row : totals_.rows) { layers.push_back(&row.numbers[i]); }
      add_number(to_, std::string(kRowNumbers[i].name), "moe_layer", layers);
    }
  }

  void add_histograms() {
    const auto add = [&](const char* name, Counts RowTotals::* member, std::int64_t bins,
                         const char* bin, const char* about) {
      to_.add(name, {rows_, experts_, bins},
              padded<std::int64_t>(totals_, experts_ * bins, 0,
                                   [&](const RowTotals& row) { return row.*member; }),
              about, {"moe_layer", "expert", bin});
    };
    add("kappa_hist", &RowTotals::kappa_hist, kKappaBins, "kappa_bin",
        "kept (token, gate) by ln kappa / ln U in 64 equal bins of [-1, 1]");
    add("gate_pre_hist", &RowTotals::gate_pre_hist, kGatePreBins, "z_bin",
        "kept (token, gate) by z: underflow, 64 equal bins of [-8, 8], overflow");
  }

  void add_effect() {
    const auto add = [&](const char* name, const char* about, auto of, double without = kNaN) {
      to_.add(name, {rows_, experts_},
              padded<double>(totals_, experts_, kNaN,
                             [&](const RowTotals& row) {
                               std::vector<double> values;
                               for (const EffectTotals& effect : row.effect) {
                                 const EffectSums sums = effect.value();
                                 const auto n = double(sums.count);
                                 values.push_back(sums.count > 0 ? of(sums, n) : without);
                               }
                               return values;
                             }),
              about, {"moe_layer", "expert"}, "1");
    };
    using Of = const EffectSums&;
    add("effect_mean", "mean of d = z sigma(kappa z) - z sigma(z)",
        [](Of s, double n) { return s.sum / n; });
    add("effect_abs", "mean |d|", [](Of s, double n) { return s.sum_abs / n; });
    add("effect_rms", "root mean square of d",
        [](Of s, double n) { return std::sqrt(s.sum_square / n); });
    add("effect_positive", "share of d > 0", [](Of s, double n) { return s.positive / n; });
    add("effect_rel_mean", "mean of d / silu(z)", [](Of s, double n) { return s.rel_sum / n; });
    add("effect_rel_abs", "mean |d / silu(z)|", [](Of s, double n) { return s.rel_sum_abs / n; });
    add("effect_rel_rms", "root mean square of d / silu(z)",
        [](Of s, double n) { return std::sqrt(s.rel_sum_square / n); });
    add("effect_rel_positive", "share of d / silu(z) > 0",
        [](Of s, double n) { return s.rel_positive / n; });
    add(
        "effect_count", "scalars (kept token, gate) behind the effect",
        [](Of, double n) { return n; }, 0);
    if (const double m = totals_.u_multiplier; m != 0) {
      add("kappa_u_square", "mean of u^2, u = alpha s + b, over kept (token, gate)",
          [m](Of s, double n) { return s.slope_square / (n * m * m); });
    }
  }

  void add_calls() {
    std::vector<double> entropy, cv;
    std::int64_t calls = 0;
    for (const RowTotals& row : totals_.rows) {
      entropy.push_back(row.call_load_entropy.value());
      cv.push_back(row.call_load_cv.value());
      calls = std::max(calls, row.calls);
    }
    scalar("calls", calls, "calls of the model");
    to_.add("call_load_entropy_sum", {rows_}, std::move(entropy),
            "sum over calls of the entropy of a call's load over ln E", {"moe_layer"}, "1");
    to_.add("call_load_cv_sum", {rows_}, std::move(cv),
            "sum over calls of the variation of a call's load", {"moe_layer"}, "1");
  }

  void add_domains() {
    const auto domains = std::ssize(totals_.domains);
    if (domains == 0) { return; }
    Counts all(std::size_t(rows_ * experts_ * domains), 0);
    for (std::int64_t r = 0; r < rows_; ++r) {
      const auto& of_row = totals_.rows[r].domain_assigned;
      for (std::int64_t d = 0; d < std::ssize(of_row); ++d) {
        for (std::int64_t e = 0; e < std::ssize(of_row[d]); ++e) {
          all[(r * experts_ + e) * domains + d] = of_row[d][e];
        }
      }
    }
    to_.add_texts("domain_names", {domains}, totals_.domains, "values of the domain field",
                  {"domain"});
    to_.add("domain_assigned", {rows_, experts_, domains}, std::move(all),
            "assignments of tokens of the domain", {"moe_layer", "expert", "domain"});
  }

  void add_tokens() {
    const auto most = std::int64_t(kTopExpertTokens);
    std::vector<std::int32_t> ids(std::size_t(rows_ * experts_ * most), -1);
    Counts count(ids.size(), 0);
    std::vector<std::string> texts(ids.size());
    for (std::int64_t r = 0; r < rows_; ++r) {
      for (std::int64_t e = 0; e < experts_; ++e) {
        std::int64_t at = (r * experts_ + e) * most;
        for (const TokenCounts::Top& top : totals_.top_tokens(r, e)) {
          texts[at] = totals_.token_text(top.token);
          ids[at] = top.token;
          count[at++] = top.count;
        }
      }
    }
    to_.add_texts("top_token_text", {rows_, experts_, most}, std::move(texts),
                  "these as shown to people", {"moe_layer", "expert", "top"});
    to_.add("top_token_id", {rows_, experts_, most}, std::move(ids),
            "most frequent tokens of the expert", {"moe_layer", "expert", "top"});
    to_.add("top_token_count", {rows_, experts_, most}, std::move(count), "assignments of these",
            {"moe_layer", "expert", "top"});
  }

  void add_contexts() {
    const auto most = std::int64_t(kContexts);
    Counts document(std::size_t(rows_ * experts_ * most), 0), position(document.size(), -1);
    std::vector<std::int32_t> ids(document.size() * std::size_t(kContextTokens), -1);
    for (std::int64_t r = 0; r < rows_; ++r) {
      const auto& of_expert = totals_.rows[r].contexts.of_expert;
      for (std::int64_t e = 0; e < std::ssize(of_expert); ++e) {
        std::int64_t at = (r * experts_ + e) * most;
        for (const TokenContext& context : of_expert[e]) {
          document[at] = std::int64_t(context.document);
          position[at] = context.position;
          std::copy(context.ids.begin(), context.ids.end(), ids.begin() + at++ * kContextTokens);
        }
      }
    }
    to_.add("context_token_id", {rows_, experts_, most, kContextTokens}, std::move(ids),
            "tokens around places where the expert was chosen, the chosen one at 8; -1: none",
            {"moe_layer", "expert", "place", "token"});
    to_.add("context_position", {rows_, experts_, most}, std::move(position),
            "place of the chosen token in its document, from 0; -1: none",
            {"moe_layer", "expert", "place"});
    to_.add("context_document", {rows_, experts_, most}, std::move(document),
            "64 bits of FNV-1a of where the document is from, FILE:LINE",
            {"moe_layer", "expert", "place"});
  }

  void add_resamples() {
    std::vector<double> nll, load, kappa, effect;
    for (std::int64_t b = 0; b < kResamples; ++b) {
      nll.push_back(totals_.resampled_nll.value(b));
      for (const RowTotals& row : totals_.rows) {
        kappa.push_back(row.resampled_kappa.value(b));
        effect.push_back(row.resampled_effect.value(b));
        const auto own = std::ssize(row.choices.assigned);
        const std::int64_t* counts = row.resampled_assigned.data() + b * own;
        std::int64_t all = 0;
        for (std::int64_t e = 0; e < own; ++e) { all += counts[e]; }
        for (std::int64_t e = 0; e < experts_; ++e) {
          load.push_back(e < own && all > 0 ? double(counts[e]) / double(all) : kNaN);
        }
      }
    }
    to_.add("bootstrap_nll", {kResamples}, std::move(nll),
            "mean loss of each resample of documents", {"resample"}, "nat");
    to_.add("bootstrap_load", {kResamples, rows_, experts_}, std::move(load),
            "load of each resample of documents", {"resample", "moe_layer", "expert"}, "1");
    to_.add("bootstrap_kappa_mean", {kResamples, rows_}, std::move(kappa),
            "mean of kappa_mean of each resample of documents", {"resample", "moe_layer"}, "1");
    to_.add("bootstrap_effect_mean", {kResamples, rows_}, std::move(effect),
            "mean of d of each resample of calls, drawn as their first documents are",
            {"resample", "moe_layer"}, "1");
  }

  const CorpusTotals& totals_;
  DescribedArrays& to_;
  std::int64_t rows_, experts_, slots_ = 0;
};

std::vector<std::int64_t> packed(const CorpusTotals& totals) {
  ByteWriter writer;
  writer(kTotalsVersion);
  writer(totals);
  std::vector<std::int64_t> words{std::int64_t(writer.bytes.size())};
  writer.bytes.resize((writer.bytes.size() + 7) / 8 * 8);
  words.resize(1 + writer.bytes.size() / 8);
  std::memcpy(words.data() + 1, writer.bytes.data(), writer.bytes.size());
  return words;
}

}  // namespace

void write_stats(const std::filesystem::path& path, const CorpusTotals& totals, Json meta) {
  DescribedArrays arrays;
  StatsArrays(totals, arrays).add_all();
  std::vector<std::int64_t> words = packed(totals);
  const auto size = std::ssize(words);
  arrays.add(kTotalsArray, {size}, std::move(words),
             "all of it for kappascope itself, with more digits: bytes, their number first",
             {"word"});
  meta["schema"] = kStatsSchema;
  meta["quantile_error"] = totals.quantile_error();
  meta["score_error"] = totals.score_error();
  meta["resamples"] = {{"count", kResamples}, {"seed", totals.seed}};
  arrays.write(path, std::move(meta));
}

}  // namespace kappascope
