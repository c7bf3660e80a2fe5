// Typed taps of the forward pass. The engine fills them, a recorder or a test reads them; nothing a
// probe does changes a number, and what it does not want is not computed. Standard library only.
//
// Pointers are valid during the call. T here counts the *recorded* tokens of the call: with
// `--window` a chunk begins with context that was recorded before, which the taps leave out.
// first_token is the index of row 0 in the whole text.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace kappascope {

struct ProbeWants {
  bool routing = false;  // MoeTap without gate statistics
  // MoeTap::{gate,kappa}_stats, histograms, effect, output_norm, gate_clamped; SharedTap;
  // DenseTap::gate_stats
  bool gate_stats = false;
  bool gates = false;       // MoeTap::{kappa,gate_pre,gate_act}
  bool hidden = false;      // RowsTap, MoeTap::{router_input,output}
  bool next_token = false;  // NextTokenTap
  bool logits = false;      // NextTokenTap::logits
  bool lens = false;        // LensTap
  bool outputs = false;     // RowsTap
  // NextTokenTap begins at this token of the text: what comes before is not predicted.
  std::int64_t next_token_from = 0;
};

struct MoeTap {
  std::int64_t layer, pass;
  std::int64_t first_token, gates, width;        // I, H
  RoutingView routing;                           // T, E, K; of the recorded tokens, read only
  const GateStats* gate_stats;                   // [T,K] NaN where dropped
  const std::int64_t* kappa_hist;                // [E,kKappaBins]
  const std::int64_t* gate_pre_hist;             // [E,kGatePreBins]
  const EffectSums* effect;                      // [E]
  const float *kappa, *gate_pre, *gate_act;      // [T,K,I] NaN where dropped
  const float *router_input, *output;            // [T,H]
  const KappaStatistics* kappa_stats = nullptr;  // [T,K] NaN where dropped; nullptr: not computed
  // [T,E] by which experts were chosen; nullptr: by the raw router logit.
  const float* selection_score = nullptr;
  const float* output_norm = nullptr;  // [T,K] of an expert's output, before its weight; likewise
  // [T,K] share of gate units at the limit, NaN where dropped; nullptr: the layer has no limit.
  const float* gate_clamped = nullptr;
};

struct SharedTap {  // the shared expert of an MoE layer
  std::int64_t layer, pass;
  std::int64_t first_token, tokens, gates;  // T, I
  const float* weight;                      // [T] of its output in the layer's
  const float* output_norm;                 // [T] before that weight
  const GateStats* gate_stats;              // [T]
};

struct DenseTap {  // a dense layer with a gate (not relu²)
  std::int64_t layer, pass;
  std::int64_t first_token, tokens, gates;  // T, I
  const float* kappa;                       // [I] the same for every token; 1 without κ
  const GateStats* gate_stats;              // [T]
};

// Of `hidden` the residual stream after a layer, before the final norm; of `output` what an MoE
// layer gives, shared experts included, as it acted.
struct RowsTap {
  std::int64_t layer, pass, first_token, tokens, width;
  const float* rows;  // [T,H]
};

// What is predicted where final norm and head are applied to the residual stream after a layer: a
// block of rows, as NextTokenTap has them of the whole stack.
struct LensTap {
  std::int64_t layer, pass, first_token, tokens;
  const std::int32_t* top_id;       // [rows] the likeliest token
  const float* top_logprob;         // [rows] its log-probability, nats
  const std::int32_t* target_rank;  // [rows] of the token that follows, −1 at the text's end
};

struct NextTokenTap {  // a block of rows; row r predicts token first_token + r + 1
  std::int64_t first_token, tokens, vocab;
  const float* nll;                 // [rows] of the token that follows, NaN at the text's end
  const std::int32_t* target_rank;  // [rows] −1 at the text's end
  const std::int32_t* top_id;       // [rows,kTopTokens]
  const float* top_logprob;         // [rows,kTopTokens]
  const float* logits;              // [rows,V] when wanted
};

// A tap returns false to stop the run (it then keeps the reason itself); it never throws, because
// the call comes through the engine library.
class Probe {
 public:
  virtual ~Probe() = default;
  virtual ProbeWants wants() const noexcept = 0;
  virtual bool wants_layer(std::int64_t /*layer*/) const noexcept { return true; }
  virtual bool moe(const MoeTap&) noexcept { return true; }
  virtual bool dense(const DenseTap&) noexcept { return true; }
  virtual bool shared(const SharedTap&) noexcept { return true; }
  virtual bool hidden(const RowsTap&) noexcept { return true; }
  virtual bool lens(const LensTap&) noexcept { return true; }
  virtual bool output(const RowsTap&) noexcept { return true; }
  virtual bool next_token(const NextTokenTap&) noexcept { return true; }
};

}  // namespace kappascope
