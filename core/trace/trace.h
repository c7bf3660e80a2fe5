// A recorded run, opened from trace.npz: all that statistics and figures need (SPEC §4). Opened
// without the model and without Torch; arrays are views of the mapped file.
//
// M recorded MoE layers × passes, T tokens, E experts, K slots, I gate units, L layers, V
// vocabulary. An array that the run did not record is an empty span.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/model/architecture.h"
#include "core/trace/npz.h"
#include "kernels/kernels.h"

namespace kappascope {

class KappaInForce;
struct CorpusTotals;

// A token whose margin is smaller is a near tie: its routing may flip with precision (SPEC §5). In
// logits, and in scores, which change at most a quarter as fast as their logits (SPEC-families §1).
inline constexpr double kNearTieMargin = 1e-3;
inline constexpr double kNearTieScore = kNearTieMargin / 4;
// In the unit of that router's margin.
inline double near_tie_margin(const RouterSpec& router) {
  return router.by_score ? kNearTieScore : kNearTieMargin;
}

inline constexpr const char* kTraceSchema = "kappascope.trace/1";
inline constexpr const char* kModelSchema = "kappascope.model/1";
// The files of a run, beside each other or model.npz in the folder above.
inline constexpr const char* kTraceFile = "trace.npz";
inline constexpr const char* kModelFile = "model.npz";
inline constexpr const char* kAgainstFolder = "against";  // of the run it is compared with
// "only" in the meta of a trace whose statistics are of the assistant's tokens.
inline constexpr const char* kOnlyAssistant = "assistant";

// Learned α or b of κ as model.npz stores it: values[slot·slot_stride + layer·layer_stride +
// expert·expert_stride + gate·gate_stride]; a stride of 0: one value for all.
struct KappaArray {
  std::span<const float> values;  // empty: not there
  std::int64_t slots = 1;         // S sets: one for each pass, or the base's and the SFT's
  std::int64_t slot_stride = 0, layer_stride = 0, expert_stride = 0, gate_stride = 0;
  std::int64_t layer_size = 0;  // values of one layer
};

// What model.npz holds: learned parameters, free of any text. Which of them acted in a run, its
// trace says (Trace::kappa_view).
struct ModelParameters {
  std::shared_ptr<NpzReader> file;
  Json meta;
  // Per layer of the model [L]
  std::vector<std::string> layer_kind;                                    // "moe" or "dense"
  std::span<const std::int32_t> layer_experts, layer_slots, layer_gates;  // E, K, I; −1: none
  std::int32_t kappa_start_layer = -1;      // first one with κ; −1: none
  std::span<const float> kappa_u;           // [L] U; NaN where the layer has no κ
  std::span<const float> alignment_mean;    // [L,E] NaN in dense layers
  std::span<const float> alignment_energy;  // [L,E]
  std::int64_t experts = 0, gates = 0;      // E, I

  KappaArray bias, scale;  // b and α of MoE layers; NaN in those without κ
};

std::shared_ptr<const ModelParameters> open_model_parameters(const std::filesystem::path& path);

struct Trace {
  std::shared_ptr<NpzReader> file;
  std::filesystem::path path;
  Json meta;  // kappascope_meta
  // model.npz beside the trace or in the folder above, when its hashes are the trace's; else null.
  std::shared_ptr<const ModelParameters> model;
  std::string model_problem;  // why a model.npz that is there was not taken; else empty
  // Of a corpus: there are no single tokens then, only what they add up to (tokens is 0, arrays
  // over tokens are empty). Null in the trace of a text.
  std::shared_ptr<const CorpusTotals> corpus;

  std::int64_t tokens = 0, layers = 0, experts = 0, slots = 0, gates = 0;  // T, M, E, K, I
  std::int64_t dense_layers = 0, dense_gates = 0;                          // Md, Id
  std::int64_t lens_layers = 0, width = 0;                                 // Ml, H of moe_output
  std::int64_t model_layers = 0;                                           // n_layer
  double near_tie = kNearTieMargin;                                        // as the run had it
  // A choice that may flip with precision; below 0 the experts were given to the token.
  bool is_near_tie(double margin) const { return margin >= 0 && margin < near_tie; }
  // Statistics are of the assistant's tokens: those that token_mask has, or in a corpus those that
  // were added up.
  bool only_assistant = false;
  // What the router's probability is of: p = q / Σ q, q as this says.
  // Nothing: not known (null in the meta).
  std::optional<RouterScore> router_score = RouterScore::softmax;
  bool kappa = false;         // κ in force: the model has it and --kappa off was not given
  double kappa_constant = 1;  // κ in a model that has none learned
  std::string model_name, family;
  std::int64_t step = -1;

  std::span<const std::int32_t> token_id, char_start, char_end;  // [T]
  std::vector<std::string> token_text, token_bytes_hex;          // [T]
  std::span<const float> nll;                                    // [T]
  std::span<const std::int32_t> target_rank;                     // [T]
  std::span<const std::uint8_t> token_mask;    // [T] of a chat: 1: the assistant's; else empty
  std::span<const std::int8_t> phase;          // [T] 0: the prompt's, 1: generated; else empty
  std::span<const std::int32_t> top_token_id;  // [T,5]
  std::span<const float> top_token_logprob;    // [T,5]

  std::span<const std::int32_t> layer_index, pass_index;                          // [M]
  std::span<const float> router_logits;                                           // [M,T,E]
  std::span<const std::int16_t> expert_index;                                     // [M,T,K]
  std::span<const float> expert_weight;                                           // [M,T,K]
  std::span<const std::uint8_t> expert_kept;                                      // [M,T,K]
  std::span<const float> kappa_input;                                             // [M,T,K]
  std::span<const float> kappa_mean, kappa_min, kappa_max, kappa_p05, kappa_p95;  // [M,T,K]
  std::span<const float> gate_mean_abs, gate_active_fraction, gate_top16_share, gate_entropy,
      gate_kz_rms, gate_linear_fraction, gate_saturated_fraction;  // [M,T,K]
  std::span<const float> router_top1_prob, router_selected_mass, router_margin, router_top_gap,
      router_entropy;  // [M,T]

  std::span<const std::int32_t> dense_layer_index, dense_pass_index;  // [Md]
  std::span<const float> dense_kappa;                                 // [Md,Id]
  std::span<const float> dense_gate_mean_abs, dense_gate_active_fraction, dense_gate_top16_share,
      dense_gate_entropy, dense_gate_kz_rms, dense_gate_linear_fraction,
      dense_gate_saturated_fraction;  // [Md,T]

  std::span<const std::int64_t> kappa_hist;     // [M,E,64]
  std::span<const std::int64_t> gate_pre_hist;  // [M,E,66]
  std::span<const double> effect_mean, effect_abs, effect_rms, effect_positive, effect_rel_mean,
      effect_rel_abs, effect_rel_rms, effect_rel_positive, effect_count;  // [M,E]

  // Not in every trace.
  std::span<const float> expert_output_norm;  // [M,T,K] ‖E_e(x)‖₂ before the combine weight
  std::span<const float> selection_score;     // [M,T,E] where it is not the router logit
  // Of soft routing: p before the threshold; k, the threshold, the cap (0: none) of each row.
  std::span<const float> soft_weight;                    // [M,T,E]
  std::span<const float> layer_budget, layer_threshold;  // [M]
  std::span<const std::int32_t> layer_cap;               // [M]
  std::span<const double> kappa_u_square;                // [M,E] mean of u², u = α·s + b
  std::span<const float> gate_clamped_fraction;  // [M,T,K] share of gate units at the limit of z
  // Shared experts: the factor on their output and its norm before that.
  std::span<const std::int32_t> shared_layer_index;          // [Ms]
  std::span<const float> shared_weight, shared_output_norm;  // [Ms,T]
  // α, b and the factor on κ as they acted, where an intervention changed them.
  std::span<const float> kappa_bias_in_force, kappa_scale_in_force;  // [M,E,I], [M,E] or [M]
  std::span<const float> kappa_factor;                               // [M,E]

  std::span<const float> kappa_values, gate_pre, gate_act;  // [M,T,K,I], with --record gates
  std::span<const float> logits;                            // [T,V], with --logits
  std::span<const float> moe_output;  // [M,T,H] of MoE layers, with --record outputs
  // With --lens: what final norm and head make of the residual stream after each layer.
  std::span<const std::int32_t> lens_layer_index, lens_pass_index;  // [Ml]
  std::span<const std::int32_t> lens_token_id;                      // [Ml,T] the likeliest
  std::vector<std::string> lens_token_text;  // [Ml,T] as shown to people, long ones cut; or ""
  std::span<const float> lens_logprob;       // [Ml,T] of that token, nats
  std::span<const std::int32_t> lens_target_rank;  // [Ml,T] of the next token; −1: none
  // Of a run compared with another of the same text: KL(p of that one ‖ p) after each token, nats.
  std::span<const float> kl_against;  // [T]
  // Of `ablate`: what the mean NLL of the text gains, in nats, where the expert has no output, is
  // not chosen, or gives its mean; NaN where it was not tried.
  std::span<const double> ablation_nll;  // [M,E]
  // Of `patch`: what the log-probability of one token gains, in nats, where the layer's output at
  // this token is another text's.
  std::span<const double> patch_logprob;  // [M,T]

  // κ of expert `expert` of a row, as it acted: what an intervention changed, else model.npz. The
  // only place from which statistics and figures take α, b and U.
  KappaView kappa_view(std::int64_t row, std::int64_t expert) const;
  std::shared_ptr<const KappaInForce> kappa_in_force;  // [M] made by open_trace
};

// Opens and checks a trace: schema, every array's type and shape against the others (all misses
// together). Not a trace of ours: damaged; another schema version: unsupported.
Trace open_trace(const std::filesystem::path& path);

// Looks for model.npz again: it was written since the trace was opened.
void find_parameters(Trace& trace);

// To be asked before what was computed from a trace is believed: throws (damaged, "changed while it
// was read") when its large arrays, which are views of the file, may no longer be what was
// recorded.
void require_unchanged(const Trace& trace);

}  // namespace kappascope
