#include "core/stats/corpus_pass.h"

#include <algorithm>
#include <cmath>

#include "core/stats/gates.h"
#include "core/stats/router.h"
#include "core/stats/soft_routing.h"
#include "core/trace/counted_sums.h"
#include "core/trace/in_force.h"
#include "core/trace/slots_in_use.h"

namespace kappascope {
namespace {

constexpr std::size_t kNone = std::size_t(-1);

// What acts in every call alike.
void set_rules(const Model& model, const RunPlan& plan, CorpusTotals& totals) {
  std::vector<std::int64_t> layers;
  bool soft = false;
  for (std::int64_t layer = 0; layer < model.architecture.depth(); ++layer) {
    if (model.architecture.layers[layer].moe() == nullptr) { continue; }
    layers.push_back(layer);
    soft = soft || plan.layers[layer].soft.has_value();
  }
  totals.rules = ParametersInForce(model, plan, layers).all();
  for (std::int64_t row = 0; row < std::ssize(totals.rows); ++row) {
    const KappaPlan& kappa = plan.kappa_of(totals.layer_index[row], totals.pass_index[row]);
    const KappaSpec* spec = model.architecture.first_kappa(true);
    const bool learned = !kappa.bias.empty() || !kappa.scale.empty();
    if (learned) { totals.u_multiplier = spec ? spec->multiplier : 1; }
  }
  if (!soft) { return; }
  SoftRules rules = soft_rules(plan, layers, totals.experts);
  totals.rules["layer_budget"] = std::move(rules.budget);
  totals.rules["layer_threshold"] = std::move(rules.threshold);
  totals.layer_cap = std::move(rules.cap);
}

CorpusTotals empty_totals(const Model& model, const RunPlan& plan, std::uint64_t seed) {
  CorpusTotals totals;
  totals.seed = seed;
  totals.experts = model.architecture.most_experts();
  for (std::int64_t pass = 0; pass < plan.passes; ++pass) {
    for (std::int64_t layer = 0; layer < model.architecture.depth(); ++layer) {
      const MoeSpec* moe = model.architecture.layers[layer].moe();
      if (moe == nullptr) { continue; }
      totals.layer_index.push_back(std::int32_t(layer));
      totals.pass_index.push_back(std::int32_t(pass));
      totals.gates = std::max(totals.gates, moe->gates);
    }
  }
  for (const std::int32_t layer : totals.layer_index) {
    RowTotals& row = totals.rows.emplace_back();
    const std::int64_t experts = model.architecture.layers[layer].moe()->router.experts;
    row.choices.add(RowTokens{.experts = experts, .slots = plan.layers[layer].slots});
    row.resampled_assigned.resize(std::size_t(kResamples * experts));
  }
  set_rules(model, plan, totals);
  return totals;
}

}  // namespace

CorpusPass::CorpusPass(const Model& model, const RunPlan& plan, std::uint64_t seed,
                       CorpusGates gates)
    : plan_(plan), gates_(gates), totals_(empty_totals(model, plan, seed)), added_(totals_) {}

void CorpusPass::begin(const CorpusCall& call) {
  call_ = &call;
  added_ = {.experts = totals_.experts,
            .gates = totals_.gates,
            .layer_index = totals_.layer_index,
            .pass_index = totals_.pass_index};
  added_.rows.resize(totals_.rows.size());
  added_.seed = totals_.seed;
  before_.clear();
  here_.clear();
  losses_.assign(call.texts.size(), {});
  weights_.clear();
  domain_of_.clear();
  for (const CallText& text : call.texts) {
    std::vector<std::uint8_t>& weights = weights_.emplace_back(std::size_t(kResamples));
    for (std::int64_t b = 0; b < kResamples; ++b) {
      weights[b] = std::uint8_t(resample_weight(totals_.seed, text.document, b));
    }
    domain_of_.push_back(text.domain.empty() ? kNone : added_.domain(text.domain));
    added_.documents += text.ends ? 1 : 0;
  }
  const bool whole = !gates_.overlap && !gates_.counted;
  for (std::size_t r = 0; r < added_.rows.size() && whole; ++r) {
    const LayerPlan& layer = plan_.layers[added_.layer_index[r]];
    added_.rows[r].capacity =
        std::max<std::int64_t>(0, layer.capacity_of_call(std::ssize(call.ids)));
  }
  for (std::int64_t t = call.first_counted; t < std::ssize(call.ids); ++t) {
    if (!call.counts(t)) { continue; }
    ++added_.tokens;
    added_.bytes += call.bytes[t];
  }
}

void CorpusPass::end() {
  if (failure_) { throw Error(failure_); }
  for (std::size_t i = 0; i < losses_.size(); ++i) {
    for (std::int64_t b = 0; b < kResamples && losses_[i].count > 0; ++b) {
      if (weights_[i][b] == 0) { continue; }
      added_.resampled_nll.add(b, weights_[i][b], losses_[i].nll, losses_[i].count);
    }
  }
  for (RowTotals& row : added_.rows) {
    const ExpertLoads loads = expert_loads(row.choices);
    if (!std::isfinite(loads.entropy) || !std::isfinite(loads.cv)) { continue; }
    row.call_load_entropy.add(loads.entropy);
    row.call_load_cv.add(loads.cv);
    row.calls = 1;
  }
  totals_.add(added_);
}

ProbeWants CorpusPass::wants() const noexcept {
  return {.routing = true,
          .gate_stats = true,
          .gates = gates_.counted || gates_.effect,
          .next_token = true};
}

template <typename Work>
bool CorpusPass::guarded(Work work) noexcept {
  if (failure_) { return false; }
  try {
    work();
  } catch (...) { failure_ = failure_in_flight(); }
  return !failure_;
}

bool CorpusPass::moe(const MoeTap& tap) noexcept {
  return guarded([&] { add_row(tap); });
}

bool CorpusPass::dense(const DenseTap& tap) noexcept {
  return guarded([&] {
    side_of(added_.dense, tap.layer, tap.pass).add(tap, [&](std::int64_t t) {
      return call_->counts(t);
    });
  });
}

bool CorpusPass::shared(const SharedTap& tap) noexcept {
  return guarded([&] {
    side_of(added_.shared, tap.layer, tap.pass).add(tap, [&](std::int64_t t) {
      return call_->counts(t);
    });
  });
}

bool CorpusPass::next_token(const NextTokenTap& tap) noexcept {
  return guarded([&] { add_losses(tap); });
}

std::size_t CorpusPass::row_of(const MoeTap& tap) const {
  std::size_t row = 0;
  while (row < totals_.rows.size() &&
         (totals_.layer_index[row] != tap.layer || totals_.pass_index[row] != tap.pass)) {
    ++row;
  }
  require(row < totals_.rows.size(), ExitCode::internal, {}, "a tap of layer ", tap.layer,
          ", which has no totals");
  return row;
}

// The texts of the call as spans of a tap's tokens, of which the first is `first` in the call.
std::vector<TokenSpan> CorpusPass::texts_of(std::int64_t first, std::int64_t tokens) const {
  std::vector<TokenSpan> spans;
  for (const CallText& text : call_->texts) {
    spans.push_back({std::clamp<std::int64_t>(text.begin - first, 0, tokens),
                     std::clamp<std::int64_t>(text.end - first, 0, tokens)});
  }
  return spans;
}

void CorpusPass::add_row(const MoeTap& tap) {
  const std::size_t place = row_of(tap);
  RowTotals& row = added_.rows[place];
  TapTokens taken(tap, plan_);
  if (gates_.counted) {
    const auto counted = std::span(call_->counted).subspan(tap.first_token, tap.routing.tokens);
    leave_out(taken.tokens(), counted);
    add_sums(CountedSums(tap, plan_, counted).in(tap), row);
  } else {
    add_sums(tap, row);
  }
  const RowTokens& tokens = taken.tokens();
  row.choices.add(tokens);
  row.kappa.add(tokens, plan_.kappa_of(tap.layer, tap.pass).view());
  add_capped(tap, tokens, place);
  if (gates_.effect) { add_effects(tap, tokens); }
  row.importance.add(tokens);
  before_ = place == 0 ? std::vector<std::int32_t>{} : std::move(here_);
  row.pairs.add(tokens, texts_of(tap.first_token, tokens.tokens), before_);
  here_ = first_choices(tokens);
  add_numbers(tokens, row);
  add_documents(tokens, tap.first_token, row);
  add_tokens(tokens, tap.first_token, row);
  add_contexts(tokens, tap.first_token, place);
}

void CorpusPass::add_numbers(const RowTokens& tokens, RowTotals& row) {
  for (std::size_t i = 0; i < kRowNumbers.size(); ++i) {
    if (!tokens.has(i)) { continue; }
    const bool of_slot = kRowNumbers[i].of_slot;
    const std::int64_t count = tokens.tokens * (of_slot ? tokens.slots : 1);
    for (std::int64_t entry = 0; entry < count; ++entry) {
      const bool taken = of_slot ? tokens.kept[entry] != 0 : !tokens.is_left_out(entry);
      if (taken) { row.numbers[i].add(tokens.numbers[i][entry]); }
    }
  }
}

void CorpusPass::add_sums(const MoeTap& tap, RowTotals& row) {
  const auto experts = std::size_t(tap.routing.experts);
  row.kappa_hist.assign(tap.kappa_hist, tap.kappa_hist + experts * kKappaBins);
  row.gate_pre_hist.assign(tap.gate_pre_hist, tap.gate_pre_hist + experts * kGatePreBins);
  row.kappa.add_effect(tap.effect, tap.routing.experts, plan_.kappa_of(tap.layer, tap.pass).view());
  row.effect.resize(experts);
  Sum sum;
  std::int64_t count = 0;
  for (std::size_t e = 0; e < experts; ++e) {
    row.effect[e].add(tap.effect[e]);
    sum.add(row.effect[e].sums[0]);
    count += row.effect[e].count;
  }
  // Effects are summed over a call: it is drawn as its first document is.
  for (std::int64_t b = 0; b < kResamples && !weights_.empty() && count > 0; ++b) {
    if (weights_[0][b] > 0) { row.resampled_effect.add(b, weights_[0][b], sum.value(), count); }
  }
}

void CorpusPass::add_effects(const MoeTap& tap, const RowTokens& tokens) {
  added_.effect.make();
  added_.effect_relative.make();
  for (std::int64_t entry = 0; entry < tokens.tokens * tokens.slots; ++entry) {
    if (tokens.kept[entry] == 0) { continue; }
    const float *z = tap.gate_pre + entry * tap.gates, *kappa = tap.kappa + entry * tap.gates;
    for (std::int64_t i = 0; i < tap.gates; ++i) {
      const GateEffect effect = gate_effect(z[i], kappa[i]);
      if (std::isfinite(effect.absolute)) { added_.effect.add(effect.absolute); }
      if (std::isfinite(effect.relative)) { added_.effect_relative.add(effect.relative); }
    }
  }
}

void CorpusPass::add_capped(const MoeTap& tap, const RowTokens& tokens, std::size_t place) {
  const LayerPlan& plan = plan_.layers[tap.layer];
  if (tap.routing.soft_weight == nullptr || !plan.soft || plan.soft_rule().most == 0) { return; }
  const auto threshold = float(soft_threshold(plan.soft_rule(), totals_.experts));
  for (std::int64_t t = 0; t < tokens.tokens; ++t) {
    if (tokens.is_left_out(t)) { continue; }
    const std::uint8_t* kept = tokens.kept.data() + t * tokens.slots;
    const std::int64_t run =
        std::count_if(kept, kept + tokens.slots, [](auto k) { return k != 0; });
    const float* weights = tap.routing.soft_weight + t * tokens.experts;
    added_.rows[place].tokens_at_cap +=
        left_out_by_cap({weights, std::size_t(tokens.experts)}, threshold, run) ? 1 : 0;
  }
}

void CorpusPass::add_documents(const RowTokens& tokens, std::int64_t first, RowTotals& row) {
  static const std::size_t kappa = row_number("kappa_mean");
  const std::vector<TokenSpan> texts = texts_of(first, tokens.tokens);
  row.resampled_assigned.resize(std::size_t(kResamples * tokens.experts));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    DocumentRow document;
    document.assigned.assign(std::size_t(tokens.experts), 0);
    for (std::int64_t entry = texts[i].begin * tokens.slots; entry < texts[i].end * tokens.slots;
         ++entry) {
      const std::int64_t e = tokens.expert[entry];
      if (e < 0 || !tokens.counted[entry / tokens.slots]) { continue; }
      ++document.assigned[e];
      const float value = tokens.kept[entry] ? tokens.numbers[kappa][entry] : kNaN;
      if (!std::isfinite(value)) { continue; }
      document.kappa += double(value);
      ++document.kappa_count;
    }
    if (domain_of_[i] != kNone) {
      row.domain_assigned.resize(std::max(row.domain_assigned.size(), domain_of_[i] + 1));
      add_counts(row.domain_assigned[domain_of_[i]], document.assigned);
    }
    resample(i, document, row);
  }
}

void CorpusPass::resample(std::size_t text, const DocumentRow& document, RowTotals& row) {
  const std::size_t experts = document.assigned.size();
  for (std::int64_t b = 0; b < kResamples; ++b) {
    const std::int64_t weight = weights_[text][b];
    if (weight == 0) { continue; }
    std::int64_t* to = row.resampled_assigned.data() + std::size_t(b) * experts;
    for (std::size_t e = 0; e < experts; ++e) { to[e] += weight * document.assigned[e]; }
    row.resampled_kappa.add(b, weight, document.kappa, document.kappa_count);
  }
}

void CorpusPass::add_tokens(const RowTokens& tokens, std::int64_t first, RowTotals& row) {
  std::vector<std::uint64_t> keys;
  for (std::int64_t entry = 0; entry < tokens.tokens * tokens.slots; ++entry) {
    const std::int64_t e = tokens.expert[entry], t = entry / tokens.slots;
    if (e < 0 || !tokens.counted[t]) { continue; }
    keys.push_back(TokenCounts::key(e, call_->ids[first + t]));
  }
  row.tokens.add(TokenCounts::of(std::move(keys)));
}

// Only what may be among the kept ones of the whole corpus is copied.
void CorpusPass::add_contexts(const RowTokens& tokens, std::int64_t first, std::size_t place) {
  const std::int64_t layer = totals_.layer_index[place], pass = totals_.pass_index[place];
  ExpertContexts& added = added_.rows[place].contexts;
  std::vector<std::uint64_t> limits;
  for (std::int64_t e = 0; e < tokens.experts; ++e) {
    limits.push_back(totals_.rows[place].contexts.limit(std::size_t(e)));
  }
  const std::vector<TokenSpan> texts = texts_of(first, tokens.tokens);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const CallText& text = call_->texts[i];
    for (std::int64_t t = texts[i].begin; t < texts[i].end; ++t) {
      if (!tokens.counted[t]) { continue; }
      const std::int64_t at = first + t;  // in the call
      const std::uint64_t here = place_hash(text.document, text.position + at - text.begin);
      for (std::int64_t entry = t * tokens.slots; entry < (t + 1) * tokens.slots; ++entry) {
        const std::int64_t e = tokens.expert[entry];
        if (e < 0) { continue; }
        const std::uint64_t hash = choice_hash(here, layer, pass, e);
        if (hash >= limits[e]) { continue; }
        added.add(std::size_t(e), context_at(text, at, hash));
        limits[e] = std::min(limits[e], added.limit(std::size_t(e)));
      }
    }
  }
}

TokenContext CorpusPass::context_at(const CallText& text, std::int64_t at,
                                    std::uint64_t hash) const {
  TokenContext context{hash, text.document, text.position + at - text.begin};
  for (std::int64_t i = 0; i < kContextTokens; ++i) {
    const std::int64_t from = at - kContextBefore + i;
    context.ids[i] = from >= text.begin && from < text.end ? call_->ids[from] : -1;
  }
  return context;
}

// Row r predicts the token after first_token + r, where its text goes on.
void CorpusPass::add_losses(const NextTokenTap& tap) {
  std::size_t text = 0;
  for (std::int64_t r = 0; r < tap.tokens; ++r) {
    const std::int64_t at = tap.first_token + r + 1;  // the token predicted
    while (text < call_->texts.size() && call_->texts[text].end < at) { ++text; }
    if (text == call_->texts.size() || !std::isfinite(tap.nll[r])) { continue; }
    const bool last = at == std::ssize(call_->ids);
    if (at == call_->texts[text].end && !(last && call_->next_id >= 0)) { continue; }
    if (!(last ? call_->next_counted : call_->counts(at))) { continue; }
    losses_[text].nll += double(tap.nll[r]);
    ++losses_[text].count;
    added_.nll.add(tap.nll[r]);
    ++added_.nll_count;
    const std::int32_t bytes = last ? call_->next_bytes : call_->bytes[at];
    if (bytes == 0) { continue; }
    added_.nll_of_bytes.add(tap.nll[r]);
    added_.bytes_counted += bytes;
  }
}

}  // namespace kappascope
