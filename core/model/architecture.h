// What a model is, whatever repository wrote it: a transformer as the forward pass runs it. A
// family (families/) makes it of a configuration and of tensor names, once; everything after reads
// this.
//
// Symbols: L layers, E experts, K slots, H hidden width, I gate units, V vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kappascope {

enum class KappaInput : std::uint8_t {
  router_probs,  // s follows the combine weight
  top_logits,    // s follows the router logit
  constant,      // s is a constant: u = s·b, no α
  gate_proj      // κ follows the gate's own pre-activation: u = α·z + b
};
enum class Granularity : std::uint8_t { per_gate, per_expert, per_layer, global };
// Which formula the weights were trained with, named by the month of its code (SPEC-layouts §1.5f).
enum class KappaFormula : std::uint8_t { v2026_06, v2026_05_31, v2026_05, v2026_05_20 };
// Which set of a checkpoint that keeps one for base and one for chat training, and how the second
// is stored: as what is added to the first, or by itself.
enum class KappaSide : std::uint8_t { base, sft };
enum class SftKappa : std::uint8_t { residual, independent };

std::string_view name(KappaInput input);         // as in meta_*.json
std::string_view name(Granularity granularity);  // as in meta_*.json
std::string_view name(KappaFormula formula);     // "2026-05"
std::string_view name(KappaSide side);           // "base", "sft"
std::string_view name(SftKappa reading);         // "residual", "independent"

// s of a κ layer (SPEC §1.5); recorded also where κ is 1 or off.
struct KappaScore {
  KappaInput input = KappaInput::router_probs;
  double constant = 1;         // s where the input is constant
  double norm_exponent = 0.5;  // p of top_logits; 0: the logit is not divided by norms
  double factor = 2;           // s = factor·weight, factor·logit or factor·logit / norm
  bool router = false;         // s = r_e·x (+ c_e) instead: a linear score of its own
};

// κ = U^tanh(u) of the gate units of a layer (paper: κ-SwiGLU; SPEC §1.5).
//   experts: u = multiplier·(α·s + b); constant input: multiplier·s·b; from_gate: α·z + b + s
//   dense:   u = multiplier·s·b, s constant
struct KappaSpec {
  double multiplier = 1;  // 1, 2 or −2, by the formula
  double bound = 3;       // U > 0: κ is within 1/U … U
  Granularity granularity = Granularity::per_gate;
  bool bias = true;        // false: b = 0
  bool scale = true;       // false: no α (constant input; κ router: α = 1)
  bool router = false;     // s is the κ router's
  bool from_gate = false;  // u follows the gate's own pre-activation z
};

enum class Activation : std::uint8_t {
  silu,         // a = z·σ(κz), hidden = a ∘ up
  identity,     // a = z, hidden = a ∘ up
  relu_squared  // no gate: hidden = relu(up)²
};

// x / √(mean x² + ε)·w over the last axis; centred: x less its mean in place of x, and a bias
// added.
struct NormSpec {
  double epsilon = 1.1920928955078125e-7;  // ε > 0; that of float32 unless a family says otherwise
  bool weight = false;                     // false: w = 1
  bool plus_one = false;                   // w is what is stored, and 1
  bool centred = false;                    // has a bias; with weight
};

enum class RotaryScaling : std::uint8_t {
  none,
  linear,   // frequency / factor
  dynamic,  // the base grows with the tokens of a call beyond `context`
  llama3,   // long wavelengths / factor, with a ramp between low_frequency and high_frequency
  yarn,     // ramp over the pairs between beta_fast and beta_slow; cos and sin × `amplitude`
  longrope  // frequency_i / a factor of its own; others in a call of more tokens than `context`
};
// Positions of q and k: pair i of a head, (x[i], x[i + n/2]), is turned by token·frequency_i.
struct RotarySpec {
  std::int64_t width = 0;  // n ≤ D, even: the first n of a head are turned, the rest passes
  double base = 10000;     // frequency_i = base^(−2i/n)
  // (x1 cos + x2 sin, x2 cos − x1 sin), the angles in float32, cos and sin rounded to bfloat16.
  bool nanochat = false;
  bool pairs = false;  // pair i is (x[2i], x[2i + 1])
  RotaryScaling scaling = RotaryScaling::none;
  double factor = 1;
  double context = 0;                            // tokens that the model was first trained on
  double low_frequency = 1, high_frequency = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;          // yarn, turns over `context`
  bool truncate = true;                          // yarn: the ramp begins and ends at whole pairs
  double amplitude = 1;
  // longrope, [n/2] each, > 0: of calls of up to `context` tokens, and of longer ones, whose cos
  // and sin are × `long_amplitude`.
  std::vector<double> short_factor = {}, long_factor = {};
  double long_amplitude = 1;

  bool operator==(const RotarySpec&) const = default;
};
// Frequencies [n/2] of a call of `tokens`, in radians a token.
std::vector<double> rotary_frequencies(const RotarySpec& spec, std::int64_t tokens);
// What cos and sin are multiplied by in a call of `tokens`.
double rotary_amplitude(const RotarySpec& spec, std::int64_t tokens);

enum class QueryKeyNorm : std::uint8_t {
  none,
  after_rotary,  // of each head, after its rotation, without weights
  per_head,      // of each head, before its rotation, weights [D]
  whole          // of the whole projection, before heads are split, weights [heads·D], [kv_heads·D]
};

// Keys and values from a narrow latent vector, with a rotated key that all heads share
// (DeepSeek-V2). A head of q and k is [D − turned | turned]: only its last part has a position.
struct LatentSpec {
  std::int64_t query_rank = 0;   // of the latent vector of q; 0: q is projected from x
  std::int64_t rank = 0;         // of that of k and v
  std::int64_t turned = 0;       // even; rotary.width
  std::int64_t value_width = 0;  // of a head's value
  NormSpec norm;                 // of both latent vectors
  bool bias = false;             // added to both, and to the shared key
};

struct AttentionSpec {
  std::int64_t heads = 0, kv_heads = 0;  // kv_heads divides heads
  std::int64_t head_width = 0;           // D, even
  std::int64_t window = 0;               // W: key j is seen by query i iff 0 ≤ i−j ≤ W
  bool value_embedding = false;          // v += 2σ(gate·x[0:kValueGateInputs])·embedding(id)
  double scale = 0;                      // of q·k before the softmax, > 0
  RotarySpec rotary;
  QueryKeyNorm norm = QueryKeyNorm::after_rotary;
  NormSpec norm_spec;
  std::optional<double> clip;  // q, k, v are within −clip … clip, after the norm
  bool input_bias = false;     // added to q, k and v
  bool output_bias = false;    //
  bool sinks = false;          // a logit per head that takes part in the softmax
  bool gated = false;          // q is [query | gate] in each head; the heads' output × σ(gate)
  std::optional<LatentSpec> latent = {};  // kv_heads = heads

  std::int64_t value_width() const { return latent ? latent->value_width : head_width; }
};

// In place of attention: [B | C | z] = in·x, u = B∘z, y_t = Σ_k w[k]∘u_{t − taps + 1 + k} in each
// channel, out·(C∘y) (LFM2).
struct ConvolutionSpec {
  std::int64_t taps = 0;
  bool bias = false;  // of in, w and out
};

// In place of attention: the gated delta rule, a state [key_width,value_width] in each value head
// (Qwen3-Next, SPEC-families §10).
//   [q | k | v] → causal convolution of `taps` in each channel → silu; q, k of each head / their
//   length, q / √key_width; a key head serves value_heads / key_heads value heads in a row
//   S ← exp(−exp(A)·softplus(a + b))·S;  S ← S + k ⊗ β(v − Sᵀk);  o = Sᵀq;  β = σ(its projection)
//   out·(norm(o)∘silu(z))
struct DeltaSpec {
  std::int64_t key_heads = 0, value_heads = 0;  // key_heads divides value_heads
  std::int64_t key_width = 0, value_width = 0;
  std::int64_t taps = 0;
  // Whether one matrix has [q | k | v | z] and another [β | a] of each key head in turn, else each
  // of qkv, z, β and a has a matrix.
  bool by_key_head = false;
  NormSpec norm;  // of each head's o

  std::int64_t keys() const { return key_heads * key_width; }
  std::int64_t values() const { return value_heads * value_width; }
  std::int64_t channels() const { return 2 * keys() + values(); }  // of the convolution
};

inline constexpr std::int64_t kValueGateInputs = 32;
inline constexpr std::int64_t kNoWindow = std::int64_t{1} << 40;  // every earlier key is seen

// C = floor(((K·factor)·T)/E), + 1 if odd, at least `minimum` (SPEC §1.5).
struct CapacityRule {
  double factor = 3;
  std::int64_t minimum = 4;
};
// `tokens`: of the call; K `slots` of E `experts`.
std::int64_t capacity_of(const CapacityRule& rule, std::int64_t slots, std::int64_t tokens,
                         std::int64_t experts);

// The score q of an expert, from the router's logits. The router's probability is q / Σ q.
enum class RouterScore : std::uint8_t {
  softmax,  // over all experts
  sigmoid   // of its own logit
};
// What a chosen expert's output is multiplied by.
enum class CombineWeight : std::uint8_t {
  softmax_of_chosen,  // softmax over the logits of the chosen
  score,              // its score
  normalised_score,   // its score over the sum of those of the chosen
  // Of a logit m: softmax at it, over the experts that are in no earlier slot and have a logit r
  // with (m − r)/max(|r|, m) ≤ 2·jitter (SPEC-families §8).
  sparse_mixer
};

// Experts in equal runs, of which only some are chosen from.
struct RouterGroups {
  std::int64_t groups = 1, kept = 1;  // kept < groups ≤ kMostGroups; groups divides E
  bool two_best = false;              // a group's score: Σ of its two best; false: its best
};
inline constexpr std::int64_t kMostGroups = 32;

// Soft routing (SoftMoE, arXiv 2606.17952; SPEC §3, SPEC-layouts §3a): expert i weighs
// pᵢ = F(rᵢ/T − x*), F the Laplace distribution function, x* such that Σ p = k, and runs where pᵢ
// passes a threshold.
struct SoftSpec {
  double budget = 1;                // k, 0 < k < E
  double temperature = 1;           // T > 0
  double threshold = 0;             // τ ≥ 0: p > τ runs
  std::optional<double> relative;   // t ≥ 0: p ≥ t·k/E runs instead, and always the best one
  std::optional<double> expansion;  // α > 0: at most ⌈k·α⌉ of a token; absent: no cap
};

// The K best by logit (+ bias for selection) or by score (+ that bias), or by soft routing.
struct RouterSpec {
  std::int64_t experts = 0, slots = 0;   // E ≥ 1, 1 ≤ K ≤ E; soft: K = E
  bool selection_bias = false;           // a bias for selection alone
  std::optional<CapacityRule> capacity;  // absent: nothing is dropped
  bool logit_bias = false;               // a bias that is part of the logit
  CombineWeight weight = CombineWeight::softmax_of_chosen;
  std::optional<SoftSpec> soft = {};  // the weights are its p, and nothing is dropped
  RouterScore score = RouterScore::softmax;
  bool by_score = false;  // the K best by score; false: by logit
  double scale = 1;       // of the weights score and normalised_score; > 0
  // normalised_score: what is added to the sum, and the least it counts as; both ≥ 0.
  double sum_added = 0, least_sum = 0;
  double jitter = 0;  // sparse_mixer; ≥ 0
  std::optional<RouterGroups> groups = {};
  // Whether experts are chosen by something else than the logit (and a bias).
  bool has_own_scores() const { return by_score || groups.has_value(); }
};

// z = gate·x, up = up·x: what is done to both before hidden = a(z) ∘ up.
struct GateSpec {
  Activation activation = Activation::silu;
  double kappa = 1;             // of a layer without learned κ; > 0
  std::optional<double> limit;  // z ≤ limit, −limit ≤ up ≤ limit; > 0
  double up_offset = 0;         // added to up, after the limit
  bool bias = false;            // added to z, to up and to the expert's output
};

// An expert that every token runs, added to the layer's output.
struct SharedSpec {
  std::int64_t gates = 0;  // I of its own
  bool weighted = false;   // × σ(w·x); false: × 1
  bool bias = false;       // added to z, to up and to its output
};

struct DenseSpec {
  std::int64_t gates = 0;  // I
  Activation activation = Activation::silu;
  std::optional<KappaSpec> kappa;  // absent: κ = 1
  double kappa_score = 1;          // s of that κ, the same for every token
  bool bias = false;               // added to z, to up and to the output
  bool gated() const { return activation != Activation::relu_squared; }
};
struct MoeSpec {
  RouterSpec router;
  std::int64_t gates = 0;  // I of one expert
  GateSpec gate;
  std::optional<KappaScore> score;  // absent: the family has none
  std::optional<KappaSpec> kappa;   // absent: κ is gate.kappa
  std::optional<SharedSpec> shared;
};

struct LayerSpec {
  AttentionSpec attention;  // of a layer with neither of these in its place
  std::optional<ConvolutionSpec> convolution = {};
  std::optional<DeltaSpec> delta = {};
  std::variant<DenseSpec, MoeSpec> feed_forward = {};
  // Of what each part reads, or, where `norms_after`, of what it gives before that is added.
  NormSpec attention_norm = {}, feed_forward_norm = {};
  bool norms_after = false;

  bool attends() const { return !convolution && !delta; }

  const MoeSpec* moe() const { return std::get_if<MoeSpec>(&feed_forward); }
  const DenseSpec* dense() const { return std::get_if<DenseSpec>(&feed_forward); }
  const KappaSpec* kappa() const;  // nullptr: κ = 1
  std::int64_t gates() const;      // I; also of a layer without a gate
  bool gated() const;              // z exists
};

// How often the stack runs, and what passes on (SPEC §1.4, SPEC-layouts §1.4a).
struct RecurrenceSpec {
  std::int64_t passes = 1;
  // False: a pass goes on from the normed stream of the one before. True: every pass begins at the
  // embedding, and layer `destination` adds λ[pass]·(output of layer `source` in the pass before).
  bool anchored = false;
  std::int64_t source = 0, destination = 0;
};

// Several sets of κ parameters in one checkpoint (SPEC-layouts §1.5b).
struct KappaSlots {
  std::int64_t count = 0;  // S, length of the slot axis; 0: no such axis
  // With a side: one set for base and one for chat training. Without: pass t has slot
  // min(t, count − 1).
  std::optional<KappaSide> side;
  SftKappa sft = SftKappa::residual;
};

// x0 = embedding(id)·multiplier, normed where `norm`.
struct EmbeddingSpec {
  double multiplier = 1;
  std::optional<NormSpec> norm;
};
// x + multiplier·f(norm x) for attention and feed forward.
struct ResidualSpec {
  double multiplier = 1;
  bool lambdas = false;  // before each layer x ← λ·x + λ0·x0 (SPEC §1.4)
};
// logits = cap·tanh((head·norm(x) + bias) / divisor / cap).
struct OutputSpec {
  NormSpec norm;
  double divisor = 1;
  std::optional<double> cap;  // absent: no tanh
  bool bias = false;          // added to the head's product
};

struct Architecture {
  std::string family;
  std::int64_t width = 0;         // H
  std::int64_t vocab = 0;         // V
  std::int64_t padded_vocab = 0;  // rows of the embedding and the head, ≥ V
  std::int64_t context = 0;       // longest call in tokens, and the rotary range
  EmbeddingSpec embedding;
  ResidualSpec residual;
  OutputSpec output;
  std::vector<LayerSpec> layers;  // [L]
  RecurrenceSpec recurrence;
  KappaSlots kappa_slots;
  KappaFormula kappa_formula = KappaFormula::v2026_06;
  double gate_threshold = 0.1;  // |a| above it counts as active (SPEC §5)
  std::int64_t gate_top = 16;   // gates whose share of Σ|a| is recorded

  std::int64_t depth() const { return std::int64_t(layers.size()); }  // L
  bool has_kappa() const;                                             // in any layer
  const LayerSpec* first_moe() const;            // nullptr: the model has no experts
  const KappaSpec* first_kappa(bool moe) const;  // of the MoE or of the dense layers; nullptr: none
  std::int64_t kappa_start() const;              // first layer with κ; −1: none
  std::int64_t most_experts() const;             // over the layers; 0 without MoE layers
  std::int64_t most_slots() const;
  std::int64_t most_gates(bool moe) const;  // of experts, or of dense layers with a gate
  std::int64_t most_shared_gates() const;   // 0: no layer has a shared expert
};

}  // namespace kappascope
