#include "tests/tools/synthetic_trace.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/nan.h"
#include "core/trace/recorder.h"
#include "kernels/kappa_math.h"
#include "kernels/kernels.h"
#include "tests/tools/synthetic.h"

namespace kappascope::synthetic {
namespace {

// A stream of numbers of mean 0 and variance 1, or uniform in [0,1).
class Stream {
 public:
  Stream(const std::string& name, std::uint64_t seed)
      : values_({.tensor = {.name = name}, .deviation = 1}, seed) {}
  float normal() { return values_[next_++]; }
  // The ends of a near-normal number are rare: folded into the unit interval.
  float unit() { return std::min(0.999f, std::abs(normal()) / 3.5f); }

 private:
  DrawnValues values_;
  std::uint64_t next_ = 0;
};

TokenizedText make_text(std::int64_t tokens, std::int64_t vocab) {
  TokenizedText text;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const auto place = static_cast<std::int32_t>(5 * t);
    text.tokens.push_back({static_cast<std::int32_t>(t % vocab), place, place + 5});
    text.bytes.push_back(" " + std::to_string(t % 9000 + 1000));
  }
  text.tokens[0].char_start = text.tokens[0].char_end = -1;
  text.bytes[0] = "<|bos|>";
  text.chunks = {{0, 0, tokens}};
  return text;
}

// `total` counts over bins in the shape of a hill.
void fill_hill(std::int64_t total, std::int64_t* bins, int count) {
  const int middle = count / 2;
  std::int64_t left = total;
  for (int bin = 0; bin < count; ++bin) {
    const std::int64_t weight = middle - std::abs(bin - middle);
    bins[bin] = total / (std::int64_t{middle} * middle) * weight / 2;
    left -= bins[bin];
  }
  bins[middle] += left;
}

// One MoE layer of one pass: what a MoeTap points to.
class MoeRows {
 public:
  MoeRows(const Model& model, const RunPlan& plan, std::int64_t layer, std::int64_t pass,
          const TraceSpec& spec)
      : stream_(join_words("layer ", layer, " pass ", pass), spec.seed) {
    const LayerPlan& planned = plan.layers[layer];
    const MoeSpec& moe = *planned.spec->moe();
    tap = {};
    tap.layer = layer, tap.pass = pass;
    tap.gates = moe.gates, tap.width = model.architecture.width;
    rows_ = static_cast<std::size_t>(spec.tokens);
    slots_ = rows_ * static_cast<std::size_t>(planned.slots);
    experts_ = static_cast<std::size_t>(moe.router.experts);
    route(planned, spec.tokens);
    draw_statistics();
    if (spec.gates) { draw_gates(); }
  }
  MoeRows(const MoeRows&) = delete;
  MoeRows& operator=(const MoeRows&) = delete;

  MoeTap tap{};

 private:
  void route(const LayerPlan& planned, std::int64_t tokens) {
    logits_.resize(rows_ * experts_);
    for (float& logit : logits_) { logit = stream_.normal(); }
    expert_.resize(slots_);
    weight_.resize(slots_);
    kept_.resize(slots_);
    score_.resize(slots_);
    columns_.resize(5 * rows_);
    RouteArgs args;
    float* const numbers = columns_.data();
    args.routing = {
        tokens,
        planned.spec->moe()->router.experts,
        planned.slots,
        logits_.data(),
        {nullptr, expert_.data(), weight_.data(), kept_.data(), score_.data()},
        {numbers, numbers + rows_, numbers + 2 * rows_, numbers + 3 * rows_, numbers + 4 * rows_}};
    args.capacity = planned.capacity_of_call(tokens);
    args.score = RouteScore::router_probs;
    args.score_factor = 2;
    route_ref(args);
    tap.routing = args.routing;
  }

  void draw_statistics() {
    stats_.assign(slots_, {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN, kNaN});
    std::vector<std::int64_t> scalars(experts_);  // kept tokens × gates
    for (std::size_t i = 0; i < slots_; ++i) {
      if (kept_[i] == 0) { continue; }
      scalars[expert_[i]] += tap.gates;
      const float linear = stream_.unit();
      stats_[i] = {stream_.unit() / 4,           stream_.unit(),     stream_.unit(),
                   4 + stream_.unit(),           1 + stream_.unit(), linear,
                   (1 - linear) * stream_.unit()};
    }
    kappa_hist_.resize(experts_ * kKappaBins);
    gate_pre_hist_.resize(experts_ * kGatePreBins);
    effect_.resize(experts_);
    for (std::size_t e = 0; e < experts_; ++e) {
      fill_hill(scalars[e], &kappa_hist_[e * kKappaBins], kKappaBins);
      fill_hill(scalars[e], &gate_pre_hist_[e * kGatePreBins], kGatePreBins);
      const auto count = static_cast<double>(scalars[e]);
      const double size = 0.01 * stream_.unit(), share = stream_.unit();
      effect_[e] = {size * count / 2,
                    size * count,
                    2 * size * size * count,
                    share * count,
                    5 * size * count,
                    10 * size * count,
                    200 * size * size * count,
                    share * count,
                    count / 4,
                    count / 3,
                    scalars[e]};
    }
    norm_.assign(slots_, kNaN);
    for (std::size_t i = 0; i < slots_; ++i) {
      if (kept_[i] != 0) { norm_[i] = 0.5f + weight_[i]; }
    }
    tap.output_norm = norm_.data();
    tap.gate_stats = stats_.data(), tap.kappa_hist = kappa_hist_.data();
    tap.gate_pre_hist = gate_pre_hist_.data(), tap.effect = effect_.data();
  }

  void draw_gates() {
    const std::size_t count = slots_ * static_cast<std::size_t>(tap.gates);
    kappa_.assign(count, kNaN);
    pre_.assign(count, kNaN);
    act_.assign(count, kNaN);
    for (std::size_t i = 0; i < count; ++i) {
      if (kept_[i / tap.gates] == 0) { continue; }
      kappa_[i] = 0.5f + stream_.unit();
      pre_[i] = stream_.normal();
      act_[i] = std::max(pre_[i], -0.2f);
    }
    tap.kappa = kappa_.data(), tap.gate_pre = pre_.data(), tap.gate_act = act_.data();
  }

  Stream stream_;
  std::size_t rows_ = 0, slots_ = 0, experts_ = 0;
  std::vector<float> logits_, weight_, score_, columns_, kappa_, pre_, act_, norm_;
  std::vector<std::int32_t> expert_;
  std::vector<std::uint8_t> kept_;
  std::vector<GateStats> stats_;
  std::vector<std::int64_t> kappa_hist_, gate_pre_hist_;
  std::vector<EffectSums> effect_;
};

bool feed_dense(Probe& probe, const RunPlan& plan, std::int64_t layer, std::int64_t pass,
                const TraceSpec& spec) {
  const DenseSpec& dense = *plan.layers[layer].spec->dense();
  if (!dense.gated()) {
    return true;  // no gate, no tap
  }
  Stream stream(join_words("dense ", layer, " pass ", pass), spec.seed);
  const KappaView view = plan.kappa_of(layer, pass).view();
  const auto constant = static_cast<float>(dense.kappa_score);
  std::vector<float> kappa(static_cast<std::size_t>(dense.gates), 1.0f);
  for (std::size_t i = 0; i < kappa.size() && view.bias != nullptr; ++i) {
    const float b = view.bias[static_cast<std::int64_t>(i) * view.gate_stride];
    kappa[i] = kappa_value(view.log_bound, b * constant);
  }
  std::vector<GateStats> stats;
  for (std::int64_t t = 0; t < spec.tokens; ++t) {
    const float linear = stream.unit();
    stats.push_back({stream.unit() / 4, stream.unit(), stream.unit(), 4 + stream.unit(),
                     1 + stream.unit(), linear, (1 - linear) * stream.unit()});
  }
  return probe.dense({layer, pass, 0, spec.tokens, dense.gates, kappa.data(), stats.data()});
}

bool feed_predictions(Probe& probe, std::int64_t vocab, const TraceSpec& spec) {
  Stream stream("predictions", spec.seed);
  const auto rows = static_cast<std::size_t>(spec.tokens);
  std::vector<float> nll(rows), logprob(rows * kTopTokens), logits;
  std::vector<std::int32_t> rank(rows), top(rows * kTopTokens);
  for (std::size_t t = 0; t < rows; ++t) {
    const bool last = t + 1 == rows;
    nll[t] = last ? kNaN : 8 * stream.unit();
    rank[t] = last ? -1 : static_cast<std::int32_t>(stream.unit() * static_cast<float>(vocab));
    for (std::size_t place = 0; place < kTopTokens; ++place) {
      const bool exists = static_cast<std::int64_t>(place) < vocab;
      const std::size_t i = t * kTopTokens + place;
      const auto step = static_cast<std::int64_t>(t + place);
      top[i] = exists ? static_cast<std::int32_t>(step % vocab) : -1;
      logprob[i] = exists ? -1.5f - static_cast<float>(place) : kNaN;
    }
  }
  if (spec.logits) { logits.resize(rows * static_cast<std::size_t>(vocab)); }
  for (float& logit : logits) { logit = stream.normal(); }
  return probe.next_token({0, spec.tokens, vocab, nll.data(), rank.data(), top.data(),
                           logprob.data(), spec.logits ? logits.data() : nullptr});
}

}  // namespace

void write_trace(const std::filesystem::path& folder, const Model& model, const TraceSpec& spec) {
  std::filesystem::create_directories(folder);
  TraceSettings settings;
  settings.record_gates = spec.gates;
  settings.record_logits = spec.logits;
  settings.command = "kappascope_make_model";
  settings.tool_version = "synthetic";
  settings.torch_version = "none";
  const TokenizedText text = make_text(spec.tokens, model.architecture.vocab);
  const RunPlan plan = resolve(model, {});
  TraceRecorder recorder(folder / "trace.npz", model, plan, text, settings);
  bool going = true;
  for (std::int64_t pass = 0; pass < plan.passes; ++pass) {
    for (std::int64_t layer = 0; layer < model.architecture.depth() && going; ++layer) {
      going = plan.layers[layer].spec->moe()
                  ? recorder.moe(MoeRows(model, plan, layer, pass, spec).tap)
                  : feed_dense(recorder, plan, layer, pass, spec);
    }
  }
  if (going) { feed_predictions(recorder, model.architecture.vocab, spec); }
  recorder.finish();
  write_model_parameters(folder / "model.npz", model);
}

}  // namespace kappascope::synthetic
