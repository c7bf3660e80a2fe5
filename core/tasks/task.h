// Tasks in the form of the CORE bundle (arXiv 2406.11794): examples of one kind, a JSON object a
// line, and how they are put to a model. Their texts are untrusted.
//
//   multiple choice    {"query": …, "choices": […, …], "gold": 0}
//   schema             {"context_options": […, …], "continuation": …, "gold": 0}
//   language modelling {"context": …, "continuation": …}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kappascope {

enum class TaskType : std::uint8_t { multiple_choice, schema, language_modeling };
std::string_view name(TaskType type);  // "multiple_choice"
std::optional<TaskType> task_type_of(std::string_view name);

struct TaskExample {
  std::int64_t line = 0;             // of the file, from 1
  std::string text;                  // the query; the continuation (schema); the context
  std::vector<std::string> options;  // the choices; the contexts; the one continuation
  std::int64_t gold = 0;             // which of them is right
};

struct ScoreTask {
  std::string name;
  std::string file;    // as an error names it
  std::string sha256;  // of the file
  TaskType type = TaskType::multiple_choice;
  std::int64_t shots = 0;             // examples shown before the one in question
  std::string delimiter = " ";        // between the two parts of an example
  double baseline = 0;                // right by chance, per cent, below 100
  std::vector<TaskExample> examples;  // in the order in which they are run

  std::string place(std::size_t example) const;  // "FILE:LINE"
};

// The examples of a file in its order; `type` absent: by the keys of the first line. Blank lines
// are none. Errors, naming the line: damaged, when one is no JSON object, lacks a key, has no
// option or a gold that is none of them; unsupported, when the keys are of no kind of task.
struct TaskLines {
  TaskType type;
  std::vector<TaskExample> examples;
};
TaskLines read_task_lines(std::string_view bytes, const std::string& file,
                          std::optional<TaskType> type);

// The share of examples that a blind guess gets right, per cent; 0 of a language modelling task.
double chance(TaskType type, const std::vector<TaskExample>& examples);

// The order in which the reference implementation runs the examples: shuffled with a fixed seed, of
// which the first `most` are taken; 0: all.
void put_in_order(std::vector<TaskExample>& examples, std::int64_t most);

}  // namespace kappascope
