// A text that a model goes on writing: a call for the prompt, then one for each token.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/run_text.h"
#include "app/said_text.h"
#include "core/engine/sampler.h"
#include "core/trace/kept_taps.h"

namespace kappascope {

// What rules can ask for at most.
inline constexpr std::int64_t kMostGenerated = std::int64_t{1} << 31;  // tokens
inline constexpr double kMostTemperature = 1e6, kLeastMass = 1e-9;

struct GenerationRules {
  std::int64_t tokens = 128;  // at most so many, and no more than the model's longest text
  SamplingRule sampling;
  std::vector<std::string> stops;  // texts that end it (SaidText)
  bool go_on_at_end = false;       // the tokens that end a text do not end it
  bool operator==(const GenerationRules&) const = default;
};

// Refuses (usage) what cannot be drawn by, naming its option of `kappascope generate`.
void check_sampling(const GenerationRules& rules);

enum class Ended : std::uint8_t { not_yet, tokens, end_token, stop_text, context, stopped };
std::string_view name(Ended ended);  // "token limit", as in the meta

// Refuses what acts on a whole text alone (unsupported): given routes, means of experts.
void check_generation(const RunPlan& plan);
// Refuses (unsupported) one longer than the model's longest text.
void check_prompt(const Model& model, std::int64_t tokens, const std::string& source);

// What the capacity of experts does to a prompt of so many tokens and to the calls of one token
// after it; `off`: the words that switch it off. "": nothing.
std::string capacity_words(const RunPlan& plan, std::int64_t prompt, std::string_view off);

class Generation {
 public:
  // All must outlive it. `prompt`: at most the model's longest text. `layers`: of the model that
  // are recorded, ascending; empty: nothing is, and the last token is not run.
  Generation(const Model& model, const RunPlan& plan, EngineModel& loaded,
             const Tokenizer* tokenizer, TokenizedText prompt, GenerationRules rules,
             const std::vector<std::int64_t>& layers);

  // Runs the prompt. Throws what stopped it.
  void run_prompt(Progress& progress);
  // One token more; what can be shown of it is added to `said`. False: it ended. Throws what
  // stopped it, but for an interruption, which ends it before that token, for good.
  bool step(Progress& progress, std::string& said);
  // Ends it after the last token, if it has not ended.
  void stop();
  // After it ended, but for an interruption: up to `tokens` more. The calls go on: it is as if the
  // end had not come. Throws what stopped it.
  void go_on(std::int64_t tokens);

  Ended ended() const { return ended_; }
  const GenerationRules& rules() const { return rules_; }
  std::int64_t prompt_tokens() const { return prompt_tokens_; }
  std::int64_t generated_tokens() const { return std::ssize(text_.tokens) - prompt_tokens_; }
  const std::string& said() const { return said_.text(); }
  std::uint64_t cache_bytes() const { return cache_bytes_; }

  // Prompt and generated tokens, with phase, calls and the document of the meta.
  TokenizedText text() const;
  // Writes the trace of what was run so far. Throws what stopped it.
  void write_trace(const std::filesystem::path& path, const TraceSettings& settings) const;

 private:
  void make_room();
  Failure run(std::int64_t first, Progress& progress);
  std::int32_t choose();
  Json document() const;
  void place_generated(TokenizedText& text) const;

  const Model& model_;
  const RunPlan& plan_;
  EngineModel& loaded_;
  const Tokenizer* tokenizer_;
  GenerationRules rules_;
  // The tokens that end it; they are part of it, not of what is said.
  const std::vector<std::int32_t> ends_;
  TokenizedText text_;  // its chunks are the calls
  const std::int64_t prompt_tokens_;
  const std::vector<std::int64_t> layers_;
  KeptTaps taps_;
  std::unique_ptr<TokenCache> cache_;
  std::uint64_t cache_bytes_ = 0;
  Sampler sampler_;
  SaidText said_;
  std::vector<float> logits_;              // [V] after the last token that was run
  std::vector<std::int64_t> begun_again_;  // tokens at which the cache was of no use any more
  Ended ended_ = Ended::not_yet;
};

// Of a cache for a prompt of so many tokens and what is generated after it.
std::uint64_t cache_bytes_of(const Model& model, const RunPlan& plan, std::int64_t prompt,
                             std::int64_t generated);
// Of the numbers that such a text's calls give, with these layers recorded.
std::uint64_t kept_bytes_of(const Model& model, const RunPlan& plan,
                            const std::vector<std::int64_t>& layers, std::int64_t prompt,
                            std::int64_t generated);

}  // namespace kappascope
