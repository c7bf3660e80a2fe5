#include "app/generation.h"

#include <algorithm>
#include <utility>

#include "core/engine/cache_plan.h"
#include "core/model/end_tokens.h"
#include "core/nan.h"
#include "core/utf8.h"
#include "kernels/kernels.h"

namespace kappascope {
namespace {

constexpr std::string_view kNanochatEnds[] = {"<|assistant_end|>", "<|bos|>"};

// The longest text of a prompt and what is generated after it.
std::int64_t longest(const Model& model, std::int64_t prompt, std::int64_t generated) {
  return std::min(model.architecture.context, prompt + generated);
}

// Places that an expert has in a call of so many tokens, the fewest over the layers; nothing: there
// is no limit.
std::optional<std::int64_t> fewest_places(const RunPlan& plan, std::int64_t tokens) {
  std::optional<std::int64_t> fewest;
  for (const LayerPlan& layer : plan.layers) {
    if (!layer.spec->moe() || !layer.capacity) { continue; }
    const std::int64_t places = layer.capacity_of_call(tokens);
    fewest = std::min(fewest.value_or(places), places);
  }
  return fewest;
}

Json capacity_of_step(const RunPlan& plan) {
  const auto places = fewest_places(plan, 1);
  return places ? Json(*places) : Json();
}

// The tokens that end a text: those that the model's folder names (core/model/end_tokens.h); where
// it names none, nanochat's, as far as the tokenizer has them.
std::vector<std::int32_t> end_tokens_of(const Model& model, const Tokenizer* tokenizer) {
  std::vector<std::int32_t> ends = end_tokens(model);
  if (!ends.empty() || !tokenizer || model.architecture.family != "kappa-swiglu") { return ends; }
  for (const std::string_view name : kNanochatEnds) {
    if (const auto id = tokenizer->special(name)) { ends.push_back(*id); }
  }
  return ends;
}

}  // namespace

std::string_view name(Ended ended) {
  switch (ended) {
    case Ended::not_yet:
      return "not yet";
    case Ended::tokens:
      return "token limit";
    case Ended::end_token:
      return "end token";
    case Ended::stop_text:
      return "stop text";
    case Ended::context:
      return "longest text";
    case Ended::stopped:
      return "interrupted";
  }
  fail(ExitCode::internal, {}, "an end of no kind");
}

void check_generation(const RunPlan& plan) {
  for (const LayerPlan& layer : plan.layers) {
    require(layer.routes_row.empty() && layer.patches.empty(), ExitCode::unsupported, {},
            "routes and patch: they are of a whole text, and here it is not known beforehand");
    require(!layer.has(ExpertMode::mean), ExitCode::unsupported, {},
            "ablate with mean: a call of one token has no mean; expected zero or reroute");
  }
}

void check_prompt(const Model& model, std::int64_t tokens, const std::string& source) {
  require(tokens <= model.architecture.context, ExitCode::unsupported, {.file = source},
          "prompt too long; expected at most ", model.architecture.context,
          " tokens (sequence_len), found ", tokens);
}

void check_sampling(const GenerationRules& rules) {
  const SamplingRule& sampling = rules.sampling;
  require(rules.tokens >= 1 && rules.tokens <= kMostGenerated, ExitCode::usage, {},
          "--tokens: expected 1 to ", kMostGenerated, ", found ", rules.tokens);
  // NaN is in no range.
  require(sampling.temperature >= 0 && sampling.temperature <= kMostTemperature, ExitCode::usage,
          {}, "--temperature: expected a number from 0 to ", kMostTemperature, ", found ",
          sampling.temperature);
  require(sampling.mass >= kLeastMass && sampling.mass <= 1, ExitCode::usage, {},
          "--top-p: expected a number from ", kLeastMass, " to 1, found ", sampling.mass);
  for (const std::string& stop : rules.stops) {
    require(is_utf8(stop), ExitCode::usage, {}, "--stop: not valid UTF-8, found ", printable(stop));
  }
  require(sampling.temperature > 0 || (sampling.most == 0 && sampling.mass == 1), ExitCode::usage,
          {}, "--top-k-tokens and --top-p are for drawing: give --temperature, too");
}

std::string capacity_words(const RunPlan& plan, std::int64_t prompt, std::string_view off) {
  const auto of_prompt = fewest_places(plan, prompt);
  if (!of_prompt) { return ""; }
  if (*fewest_places(plan, 1) < 1) {
    return join_words(
        "capacity: experts have no place in a call of one token, so that generated tokens lose all "
        "of theirs; ",
        off, " keeps them");
  }
  if (*of_prompt >= prompt) { return ""; }  // a token takes one place of an expert
  return join_words("capacity: the prompt's call of ", prompt, " tokens may drop experts (",
                    *of_prompt, " places each), calls of one token do not; ", off,
                    " makes both alike");
}

std::uint64_t cache_bytes_of(const Model& model, const RunPlan& plan, std::int64_t prompt,
                             std::int64_t generated) {
  return plan_cache(model.architecture, plan.passes, longest(model, prompt, generated)).bytes();
}

std::uint64_t kept_bytes_of(const Model& model, const RunPlan& plan,
                            const std::vector<std::int64_t>& layers, std::int64_t prompt,
                            std::int64_t generated) {
  return kept_bytes(plan, layers, longest(model, prompt, generated));
}

Generation::Generation(const Model& model, const RunPlan& plan, EngineModel& loaded,
                       const Tokenizer* tokenizer, TokenizedText prompt, GenerationRules rules,
                       const std::vector<std::int64_t>& layers)
    : model_(model),
      plan_(plan),
      loaded_(loaded),
      tokenizer_(tokenizer),
      rules_(std::move(rules)),
      ends_(rules_.go_on_at_end ? std::vector<std::int32_t>() : end_tokens_of(model, tokenizer)),
      text_(std::move(prompt)),
      prompt_tokens_(std::ssize(text_.tokens)),
      layers_(layers),
      taps_(layers),
      sampler_(rules_.sampling),
      said_(rules_.stops) {
  make_room();
  text_.chunks.clear();
}

void Generation::make_room() {
  const std::int64_t tokens = longest(model_, prompt_tokens_, rules_.tokens);
  cache_bytes_ = plan_cache(model_.architecture, plan_.passes, tokens).bytes();
  const Failure failure = loaded_.make_cache(plan_.passes, tokens, cache_);
  if (failure) { throw Error(failure); }
}

// Runs the tokens from `first` on; what an interrupted call gave is left out.
Failure Generation::run(std::int64_t first, Progress& progress) {
  const std::int64_t tokens = std::ssize(text_.tokens);
  std::int64_t begin = first;
  if (first > 0 && !positions_go_on(model_.architecture, first, tokens)) {
    cache_->clear();
    begin = 0;
    begun_again_.push_back(first);
  }
  std::vector<std::int32_t> ids;
  for (std::int64_t t = begin; t < tokens; ++t) { ids.push_back(text_.tokens[t].id); }
  ForwardCall call{.ids = ids};
  call.text_offset = begin;
  // Without layers the last row's logits are all there is to know.
  call.first_recorded = layers_.empty() ? tokens - 1 - begin : first - begin;
  call.text_tokens = longest(model_, prompt_tokens_, rules_.tokens);
  call.cache = cache_.get();
  KeptTaps taps(layers_);
  Failure failure = loaded_.forward(call, plan_, taps, progress);
  // One that could not keep what it was given has ended the call.
  if (taps.failure()) { failure = taps.failure(); }
  if (failure) { return failure; }
  logits_ = taps.last_logits();
  taps.give(taps_);
  text_.chunks.push_back({begin, first, tokens});
  return taps_.failure();
}

void Generation::run_prompt(Progress& progress) {
  plan_.check_text(ids_of(text_));
  const Failure failure = run(0, progress);
  if (failure) { throw Error(failure); }
}

std::int32_t Generation::choose() {
  const std::int32_t next = sampler_.next(logits_);
  require(next >= 0, ExitCode::unsupported, {}, "token ", text_.tokens.size(),
          ": the model gives no likeliest token, since its logits are not numbers");
  float nll = 0, top_logprob[kTopTokens];
  std::int32_t rank = 0, top_id[kTopTokens];
  next_token_ref({1, std::ssize(logits_), logits_.data(), &next, &nll, &rank, top_id, top_logprob});
  taps_.set_next(nll, rank);
  return next;
}

bool Generation::step(Progress& progress, std::string& said) {
  if (ended_ != Ended::not_yet) { return false; }
  const std::int64_t at = std::ssize(text_.tokens);
  if (generated_tokens() >= rules_.tokens || at >= model_.architecture.context) {
    ended_ = generated_tokens() >= rules_.tokens ? Ended::tokens : Ended::context;
    said += said_.finish();
    return false;
  }
  const std::int32_t next = choose();
  const std::string bytes(tokenizer_ ? tokenizer_->bytes(next) : std::string_view());
  text_.tokens.push_back({.id = next});
  text_.bytes.push_back(bytes);
  const bool ends = std::find(ends_.begin(), ends_.end(), next) != ends_.end();
  const bool last =
      ends || generated_tokens() >= rules_.tokens || at + 1 >= model_.architecture.context;
  if (!last || !layers_.empty()) {
    const Failure failure = run(at, progress);
    if (failure) {
      text_.tokens.pop_back();
      text_.bytes.pop_back();
      taps_.set_next(kNaN, -1);
      if (failure.code != ExitCode::interrupted) { throw Error(failure); }
      ended_ = Ended::stopped;
      said += said_.finish();
      return false;
    }
  }
  if (ends) {
    ended_ = Ended::end_token;
    said += said_.finish();
    return false;
  }
  said += said_.add(bytes);
  if (said_.stopped()) { ended_ = Ended::stop_text; }
  return ended_ == Ended::not_yet;
}

void Generation::stop() {
  if (ended_ == Ended::not_yet) { ended_ = Ended::stopped; }
}

void Generation::go_on(std::int64_t tokens) {
  rules_.tokens = generated_tokens() + tokens;
  make_room();
  if (said_.stopped()) { said_ = SaidText(rules_.stops); }
  ended_ = Ended::not_yet;
}

// Places of the generated tokens in the text, after the prompt's.
void Generation::place_generated(TokenizedText& text) const {
  std::int32_t place = 0;
  for (std::int64_t t = 0; t < prompt_tokens_; ++t) {
    place = std::max(place, text.tokens[t].char_end);
  }
  std::int32_t said = 0;  // code points that began in the tokens before
  for (std::int64_t t = prompt_tokens_; tokenizer_ && t < std::ssize(text.tokens); ++t) {
    Token& token = text.tokens[t];
    if (tokenizer_->is_special(token.id) || text.bytes[t].empty()) { continue; }
    // A token that begins within a character spans it.
    const bool within = !starts_utf8(text.bytes[t].front());
    token.char_start = place + std::max(0, said - (within ? 1 : 0));
    said += std::int32_t(count_code_points(text.bytes[t]));
    token.char_end = place + said;
  }
}

Json Generation::document() const {
  const SamplingRule& rule = rules_.sampling;
  Json meta{{"prompt_tokens", prompt_tokens_},
            {"generated_tokens", generated_tokens()},
            {"ended_by", name(ended_)},
            {"temperature", rule.temperature},
            {"top_p", rule.mass},
            {"top_k_tokens", rule.most},
            {"seed", rule.seed},
            {"stop", Json::array()},
            {"end_token_ids", ends_},
            {"capacity_of_step", capacity_of_step(plan_)},
            {"begun_again_at", begun_again_}};
  for (const std::string& stop : rules_.stops) { meta["stop"].push_back(display_text(stop)); }
  return meta;
}

TokenizedText Generation::text() const {
  TokenizedText text = text_;
  place_generated(text);
  text.phase.resize(text.tokens.size());
  std::fill(text.phase.begin() + prompt_tokens_, text.phase.end(), std::int8_t{1});
  // What a model answers in a chat is the assistant's.
  if (!text.assistant.empty()) { text.assistant.resize(text.tokens.size(), 1); }
  text.generation = document();
  return text;
}

void Generation::write_trace(const std::filesystem::path& path,
                             const TraceSettings& settings) const {
  const TokenizedText whole = text();
  TraceRecorder recorder(path, model_, plan_, whole, settings);
  taps_.give(recorder);
  if (recorder.failure()) { throw Error(recorder.failure()); }
  recorder.finish();
}

}  // namespace kappascope
