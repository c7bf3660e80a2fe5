#include "app/cli/score_run.h"

#include <algorithm>
#include <utility>

#include "app/cli/interrupts.h"
#include "app/run_text.h"

namespace kappascope {
namespace {

constexpr std::int64_t kCallTokens = 4096;  // of several examples

// Losses of every token of a call, and whether each was the likeliest.
class CallLosses final : public Probe {
 public:
  explicit CallLosses(std::span<const std::int32_t> ids)
      : ids_(ids), nll_(ids.size(), kNaN), likeliest_(ids.size(), 0) {}

  ProbeWants wants() const noexcept override { return {.next_token = true}; }
  bool next_token(const NextTokenTap& tap) noexcept override {
    const std::int64_t last = std::min(tap.tokens, std::ssize(ids_) - tap.first_token - 1);
    for (std::int64_t r = 0; r < last; ++r) {
      const std::int64_t of = tap.first_token + r + 1;
      nll_[of] = tap.nll[r];
      likeliest_[of] = tap.top_id[r * kTopTokens] == ids_[of] ? 1 : 0;
    }
    return true;
  }

  OptionLoss of(std::int64_t begin, std::int64_t end) const {
    OptionLoss loss{0, end - begin, true};
    for (std::int64_t t = begin; t < end; ++t) {
      loss.sum += double(nll_[t]);
      loss.likeliest = loss.likeliest && likeliest_[t] != 0;
    }
    return loss;
  }

 private:
  std::span<const std::int32_t> ids_;
  std::vector<float> nll_;
  std::vector<std::uint8_t> likeliest_;
};

}  // namespace

// Prompts of one example or of several, one after another.
struct TaskRunner::Call {
  struct Option {
    std::size_t example;
    std::int64_t begin, end;  // of the answer, in ids
  };
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> sequences;
  std::vector<Option> options;
};

TaskRunner::TaskRunner(const Model& model, const RunPlan& plan, const Tokenizer& tokenizer)
    : model_(model), plan_(plan), tokenizer_(tokenizer) {
  for (const LayerPlan& layer : plan.layers) {
    padded_ = padded_ || layer.capacity.has_value();
    alone_ = alone_ || padded_ || layer.has(ExpertMode::mean);
  }
}

std::vector<Prompt> TaskRunner::prompts(const ScoreTask& task, std::size_t example) const {
  std::vector<Prompt> prompts =
      make_prompts(task, example, tokenizer_, model_.architecture.context);
  for (const Prompt& prompt : prompts) {
    for (std::size_t t = 0; t < prompt.ids.size(); ++t) {
      check_id(prompt.ids[t], t, model_, task.place(example));
    }
  }
  return prompts;
}

// Tokens of a call that they take.
std::int64_t TaskRunner::length(const std::vector<Prompt>& prompts) const {
  std::int64_t longest = 0, sum = 0;
  for (const Prompt& prompt : prompts) {
    longest = std::max<std::int64_t>(longest, std::ssize(prompt.ids));
    sum += std::ssize(prompt.ids);
  }
  return padded_ ? longest * std::ssize(prompts) : sum;
}

bool TaskRunner::takes_more(const Call& call, std::int64_t tokens) const {
  return call.ids.empty() || (!alone_ && std::ssize(call.ids) + tokens <= kCallTokens);
}

void TaskRunner::add(const std::vector<Prompt>& prompts, std::size_t example, Call& call) const {
  const std::int64_t longest = length(prompts) / std::ssize(prompts);
  for (const Prompt& prompt : prompts) {
    const std::int64_t first = std::ssize(call.ids);
    call.sequences.push_back(first);
    call.ids.insert(call.ids.end(), prompt.ids.begin(), prompt.ids.end());
    if (padded_ && std::ssize(prompt.ids) < longest) {
      call.ids.resize(std::size_t(first + longest), tokenizer_.bos());
    }
    call.options.push_back({example, first + prompt.begin, first + prompt.end});
  }
}

TaskSize TaskRunner::measure(const ScoreTask& task, Progress& progress) const {
  TaskSize size;
  std::int64_t call = 0;
  for (std::size_t i = 0; i < task.examples.size(); ++i) {
    go_on(progress, Stage::read, i, task.examples.size());
    const std::vector<Prompt> made = prompts(task, i);
    const std::int64_t tokens = length(made);
    call = alone_ || call + tokens > kCallTokens ? tokens : call + tokens;
    size.longest_call = std::max(size.longest_call, call);
    size.tokens += std::uint64_t(tokens);
    size.cropped += std::any_of(made.begin(), made.end(),
                                [](const Prompt& prompt) { return prompt.cropped > 0; });
  }
  return size;
}

std::vector<ExampleScore> TaskRunner::run(const ScoreTask& task, std::uint64_t tokens,
                                          EngineModel& loaded, Progress& progress) const {
  std::vector<ExampleScore> scores;
  TokenProgress done(progress, tokens);
  Call call;
  const auto finish = [&] {
    CallLosses losses(call.ids);
    done.begin_call(call.ids.size());
    ForwardCall forward{.ids = call.ids};
    forward.first_recorded = call.options.front().begin - 1;
    forward.sequences = call.sequences;
    const Failure failure = loaded.forward(forward, plan_, losses, done);
    if (failure) { throw Error(failure); }
    for (std::size_t i = 0; i < call.options.size();) {
      const std::size_t example = call.options[i].example;
      std::vector<OptionLoss> options;
      for (; i < call.options.size() && call.options[i].example == example; ++i) {
        options.push_back(losses.of(call.options[i].begin, call.options[i].end));
      }
      const bool continues = task.type == TaskType::language_modeling;
      scores.push_back(score_example(std::move(options), task.examples[example].gold,
                                     continues ? Answer::likeliest : Answer::lowest_loss));
    }
    call = {};
  };
  for (std::size_t i = 0; i < task.examples.size(); ++i) {
    const std::vector<Prompt> made = prompts(task, i);
    if (!takes_more(call, length(made))) { finish(); }
    add(made, i, call);
  }
  finish();
  return scores;
}

}  // namespace kappascope
