// `kappascope_meta` of a trace: all that the arrays do not say. Keys:
//
//   schema, tool_version, torch_version, command, dtype, device, threads
//   engine: the GPU, and by what the products of the experts were computed; absent on the CPU
//   document {source: "prompt", "standard input" or the path as given, index: place of the text in
//     its batch from 0, sha256: of the text's bytes before any cut (ids: of the decimal ids joined
//     by one space)}; absent where no text was named
//   model {name, family, step, path}, model_config (as found), n_layer
//   config_sha256, tensor_directory_sha256: of the checkpoint; model.npz carries the same
//   dimensions {token, moe_layer, expert, slot, gate, dense_layer, dense_gate, vocabulary}
//   thresholds {gate_active, gate_top, gate_linear, gate_saturated, near_tie}
//   kappa {model: has it, in_force: κ differs from 1 somewhere, start_layer, input, input_constant,
//     input_logit_norm_exponent, granularity, bound_moe, bound_dense, multiplier: m of
//     u = m·(α·s + b), router: s is a κ router's, bias: there is a b, slots: length of the slot
//     axis, warm_up_end: first step at which U is the configured one; absent where the files do not
//     say}; settings absent without κ, bound_dense without dense layers that have it
//   kappa_formula, kappa_slot, sft_kappa: how a checkpoint that can be read in several ways was
//     read; null where there is nothing to choose
//   interventions: [words of SPEC §9, in order of application]
//   against: [words of the run that kl_against compares this one with]; absent without it
//   chat {format: "nanochat" or the file of the template}; absent unless the text is a chat
//   only: "assistant" where statistics count the assistant's tokens alone; absent otherwise
//   router_score, router_margin_unit, near_tie
//   capacity {in_force, factor, minimum}; factor and minimum null where it never held
//   window {sequence_len, chunks: [{begin, first_recorded, end}]}
//   recorded {layers, gates, logits}
//   arrays {NAME: {_ARRAY_DIMENSIONS, unit, long_name}}
#pragma once

#include <span>

#include "core/engine/run_plan.h"
#include "core/model/model.h"
#include "core/trace/recorder.h"
#include "core/trace/schema.h"

namespace kappascope {

// An array of the table and how many of its axes it has.
struct RecordedArray {
  const ArraySchema* schema;
  std::size_t rank;
};

Json trace_meta(const Model& model, const RunPlan& plan, const TokenizedText& text,
                const TraceSettings& settings, const Extents& extents,
                std::span<const RecordedArray> arrays);

// The same of a corpus, which has no single text: without document, window and arrays.
Json corpus_meta(const Model& model, const RunPlan& plan, const TraceSettings& settings);

// The part that says which checkpoint and which κ, the same in both files: model, model_config,
// n_layer, the hashes, kappa without in_force.
Json checkpoint_meta(const Model& model);

}  // namespace kappascope
