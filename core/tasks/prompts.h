// What a model is fed to answer one example of a task, and which of these tokens are the answer.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tasks/task.h"
#include "core/tokenizer/tokenizer.h"

namespace kappascope {

// One option of an example behind the examples that are shown before it.
struct Prompt {
  std::vector<std::int32_t> ids;
  std::int64_t begin = 0, end = 0;  // tokens whose loss counts, in ids; 1 ≤ begin ≤ end
  std::int64_t cropped = 0;         // tokens left out in front, so that `context` were enough
};

// The prompts of an example's options, as the reference implementation makes them: BOS where the
// tokenizer has one, `shots` other examples of the task drawn with a seed of the example's place
// in it, with their right options, a blank line after each; then the example itself. What counts:
// multiple choice, what follows the tokens that all options have in common; schema, the tokens that
// all have in common at the end; language modelling, what follows the tokens of the context. An
// option that all others begin with, "book" beside "book store", has no token that counts.
// Errors, naming file and line: unsupported, when no option has one, or an empty one has none, when
// context and continuation share a token, or when the answer and a token before it are longer than
// `context`.
std::vector<Prompt> make_prompts(const ScoreTask& task, std::size_t example,
                                 const Tokenizer& tokenizer, std::int64_t context);

}  // namespace kappascope
