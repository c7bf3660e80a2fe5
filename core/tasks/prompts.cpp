#include "core/tasks/prompts.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/tasks/python_random.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

constexpr std::uint32_t kShotsSeed = 1234;  // of the reference implementation, plus the example

using Ids = std::vector<std::int32_t>;

// What Python's str.strip() takes off.
bool is_blank(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
         code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

std::string_view stripped(std::string_view text) {
  std::size_t first = 0, last = 0;
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const std::size_t next = at + std::max<std::size_t>(1, point.length);
    if (point.length == 0 || !is_blank(point.value)) {
      if (!any) { first = at; }
      any = true;
      last = next;
    }
    at = next;
  }
  return text.substr(first, last - first);
}

// An example with one of its options.
std::string shown(const ScoreTask& task, const TaskExample& example, std::size_t option) {
  const std::string& of = example.options[option];
  switch (task.type) {
    case TaskType::multiple_choice:
      return join_words(example.text, task.delimiter, of);
    case TaskType::schema:
      return join_words(of, task.delimiter, example.text);
    case TaskType::language_modeling:
      return join_words(stripped(example.text), task.delimiter, of);
  }
  fail(ExitCode::internal, {}, "a task of no type");
}

// The other examples that are shown before one.
std::string shots_before(const ScoreTask& task, std::size_t example) {
  std::string text;
  if (task.shots == 0) { return text; }
  PythonRandom random(kShotsSeed + static_cast<std::uint32_t>(example));
  for (std::int64_t i : random.sample(std::ssize(task.examples) - 1, task.shots)) {
    if (i >= static_cast<std::int64_t>(example)) { ++i; }
    const TaskExample& shot = task.examples[i];
    text += shown(task, shot, static_cast<std::size_t>(shot.gold)) + "\n\n";
  }
  return text;
}

std::optional<std::int32_t> first_token(const Tokenizer& tokenizer) {
  try {
    return tokenizer.bos();
  } catch (const Error& error) {
    if (error.code() != ExitCode::unsupported) { throw; }
    return {};
  }
}

Ids encoded(std::string_view text, const Tokenizer& tokenizer, const std::string& place) {
  Ids ids;
  if (const auto bos = first_token(tokenizer)) { ids.push_back(*bos); }
  for (const Token& token : tokenizer.encode_ordinary(text, place)) { ids.push_back(token.id); }
  return ids;
}

// Tokens that all prompts have in common, at the beginning or at the end.
template <typename Begin>
std::int64_t in_common(const std::vector<Prompt>& prompts, Begin begin) {
  std::int64_t length = std::ssize(prompts.front().ids);
  for (const Prompt& prompt : prompts) {
    length = std::min(length, static_cast<std::int64_t>(std::ssize(prompt.ids)));
  }
  for (std::int64_t i = 0; i < length; ++i) {
    for (const Prompt& prompt : prompts) {
      if (*(begin(prompt.ids) + i) != *(begin(prompts.front().ids) + i)) { return i; }
    }
  }
  return length;
}

void mark_continuation(const ScoreTask& task, const TaskExample& example, const std::string& shots,
                       const Tokenizer& tokenizer, const std::string& place, Prompt& prompt) {
  const std::string before = join_words(shots, stripped(example.text), task.delimiter);
  const Ids ids = encoded(stripped(before), tokenizer, place);
  prompt.begin = std::ssize(ids);
  const bool whole =
      ids.size() <= prompt.ids.size() && std::equal(ids.begin(), ids.end(), prompt.ids.begin());
  require(whole, ExitCode::unsupported, {.file = place},
          "context and continuation share a token, so that the continuation has no loss of its "
          "own; expected another delimiter or tokenizer");
}

void mark_options(const ScoreTask& task, std::vector<Prompt>& prompts) {
  if (task.type == TaskType::multiple_choice) {
    const std::int64_t common = in_common(prompts, [](const Ids& ids) { return ids.begin(); });
    for (Prompt& prompt : prompts) { prompt.begin = common; }
  } else {
    const std::int64_t common = in_common(prompts, [](const Ids& ids) { return ids.rbegin(); });
    for (Prompt& prompt : prompts) { prompt.begin = prompt.end - common; }
  }
}

// Leaves the last `context` tokens.
void crop(Prompt& prompt, std::int64_t context) {
  prompt.cropped = std::max<std::int64_t>(0, std::ssize(prompt.ids) - context);
  prompt.ids.erase(prompt.ids.begin(), prompt.ids.begin() + prompt.cropped);
  prompt.begin -= prompt.cropped;
  prompt.end -= prompt.cropped;
}

}  // namespace

std::vector<Prompt> make_prompts(const ScoreTask& task, std::size_t example,
                                 const Tokenizer& tokenizer, std::int64_t context) {
  const TaskExample& of = task.examples[example];
  const std::string place = task.place(example), shots = shots_before(task, example);
  std::vector<Prompt> prompts(of.options.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompts[i].ids = encoded(shots + shown(task, of, i), tokenizer, place);
    prompts[i].end = std::ssize(prompts[i].ids);
  }
  if (task.type == TaskType::language_modeling) {
    mark_continuation(task, of, shots, tokenizer, place, prompts.front());
  } else {
    mark_options(task, prompts);
  }
  const bool any = std::any_of(prompts.begin(), prompts.end(),
                               [](const Prompt& prompt) { return prompt.begin < prompt.end; });
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    Prompt& prompt = prompts[i];
    require(prompt.begin < prompt.end || (any && !of.options[i].empty()), ExitCode::unsupported,
            {.file = place}, "option ", i,
            " has no token of its own; expected options that are not empty and differ");
    require(prompt.begin > 0, ExitCode::unsupported, {.file = place}, "option ", i,
            " has no token before its answer, and the model predicts no first one; expected "
            "options that differ, and a text before them");
    crop(prompt, context);
    require(prompt.begin > 0, ExitCode::unsupported, {.file = place}, "option ", i, " has ",
            prompt.end - prompt.begin, " tokens and one before them; expected at most ", context,
            " in all (sequence_len)");
  }
  return prompts;
}

}  // namespace kappascope
