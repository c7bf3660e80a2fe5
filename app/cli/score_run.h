// A model answers the examples of tasks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/stats/task_scores.h"
#include "core/tasks/prompts.h"

namespace kappascope {

// How many tokens a task takes, found out before the weights are loaded.
struct TaskSize {
  std::uint64_t tokens = 0;       // of all calls, padding included
  std::int64_t longest_call = 0;  // tokens
  std::int64_t cropped = 0;       // examples of which a prompt was longer than sequence_len
};

// What one run answers with: a model, what the run changes in it, and its tokenizer. With a
// capacity of experts, or with experts that give their mean, the tokens of a call have to do with
// each other: a call then is one example, as in the reference implementation, with its options
// side by side; where a capacity counts tokens they are padded with BOS to one length, too. Without
// either, a call is several examples.
class TaskRunner {
 public:
  TaskRunner(const Model& model, const RunPlan& plan, const Tokenizer& tokenizer);

  // Makes every prompt and forgets it. Errors: those of make_prompts, and an id that the model does
  // not have; interrupted.
  TaskSize measure(const ScoreTask& task, Progress& progress) const;

  // In the order of the examples. Steps of the progress "prefill" are tokens of measure().
  std::vector<ExampleScore> run(const ScoreTask& task, std::uint64_t tokens, EngineModel& loaded,
                                Progress& progress) const;

 private:
  struct Call;
  std::vector<Prompt> prompts(const ScoreTask& task, std::size_t example) const;
  std::int64_t length(const std::vector<Prompt>& prompts) const;
  void add(const std::vector<Prompt>& prompts, std::size_t example, Call& call) const;
  bool takes_more(const Call& call, std::int64_t tokens) const;

  const Model& model_;
  const RunPlan& plan_;
  const Tokenizer& tokenizer_;
  bool padded_ = false, alone_ = false;  // the options of an example; an example in a call
};

}  // namespace kappascope
