// What a training run is: the model, the data, rates and losses. Written into every checkpoint, so
// that the run can go on from it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/checkpoint/json.h"
#include "core/engine/training.h"

namespace kappascope {

struct TrainSettings {
  // The model
  std::int64_t layers = 8;
  std::int64_t width = 96;    // H; an expert and a dense layer have 4H gate units
  std::int64_t heads = 0;     // 0: one for 32 of the width
  std::int64_t kv_heads = 0;  // 0: as many as heads
  std::int64_t experts = 8, top_k = 2;
  std::int64_t context = 256;
  std::int64_t vocab = 0;  // of the tokenizer
  std::string window = "L";
  std::string kappa = "top_logits";  // also router_probs, constant, gate_proj, off
  std::string granularity = "per-gate";
  double bound = 4;  // U, at the end of its warm-up
  bool kappa_router = false;
  std::string router = "topk";   // or softmoe, with these:
  double budget = 0;             // mean of k over the MoE layers; 0: top_k
  double threshold = -1;         // τ: p > τ runs; below 0: by threshold_scale
  double threshold_scale = 1.8;  // t: p ≥ t·k/E runs, and always the best one
  double expansion = 2;          // α: at most ⌈k·α⌉ of a token run; 0: no cap
  double temperature = 1;        // T at the end
  double temperature_start = 5;  // T at the start, down to `temperature` by half a cosine

  // The data
  std::vector<std::string> texts;  // absolute paths
  std::string text_field = "text";
  std::int64_t tokens = 2 << 20;  // to train on
  std::int64_t batch = 8;         // sequences a step
  // Sequences of a call, of all ranks together, in which the capacity of experts and load balancing
  // count: a divisor of batch; 0: the whole batch.
  std::int64_t micro_batch = 0;
  std::int64_t seed = 26;
  std::string stream_sha256;  // of the token ids, when the run began

  // The course. A rate of 0: by the rule of training_step.
  double rate = 0;
  double decay = 0.05;
  double kappa_l2 = 0.01;
  std::int64_t kappa_delay = -1;     // steps; −1: the larger of 200 and 5 %
  std::int64_t kappa_warmup = 1000;  // steps
  std::int64_t save_every = 500, evaluate_every = 100, describe_every = 20;
  std::string save_dtype = "float32";  // or bfloat16: of the weights of the last step
  std::int64_t evaluate_rows = 64;     // sequences held out that an evaluation runs, at most

  bool has_kappa() const { return kappa != "off"; }
  bool is_soft() const { return router == "softmoe"; }
  double mean_budget() const { return budget > 0 ? budget : double(top_k); }
  std::int64_t head_count() const { return heads > 0 ? heads : width / 32; }
  std::int64_t kv_head_count() const { return kv_heads > 0 ? kv_heads : head_count(); }
  std::int64_t steps() const;  // that see `tokens`
  bool saves_bfloat16(std::int64_t step) const {
    return save_dtype == "bfloat16" && step >= steps();
  }
  std::int64_t call() const { return micro_batch > 0 ? micro_batch : batch; }
  std::int64_t first_moe_layer() const { return std::min<std::int64_t>(2, layers / 2); }
  std::int64_t moe_layers() const { return layers - first_moe_layer(); }
  double total_budget() const { return is_soft() ? mean_budget() * double(moe_layers()) : 0; }
};

// Every member, for checkpoints and the log; and back: damaged where one is missing, of another
// type or a value that no run can have, naming `file`.
Json settings_json(const TrainSettings& settings);
TrainSettings read_settings(const Json& document, const std::string& file);

// The meta_*.json of a checkpoint, as the reference implementation writes it: U is that of the end,
// whatever is in force at the step; the temperature of soft routing is that of the step.
Json meta_json(const TrainSettings& settings, std::int64_t step);

// Steps before κ is learned and its bound rises: as set, or by the reference's rule.
std::int64_t kappa_delay(const TrainSettings& settings);

// What no run can be, all at once, in words of the options; "": nothing.
std::string settings_faults(const TrainSettings& settings);
// Refuses them (usage).
void check_settings(const TrainSettings& settings);

// Step `step` of the run, from 0: rates and warm-ups of the reference implementation, with AdamW
// for every tensor (docs/training.md).
TrainingStep training_step(const TrainSettings& settings, std::int64_t step);

}  // namespace kappascope
