#include "core/tasks/task.h"

#include <algorithm>
#include <array>

#include "core/checkpoint/json.h"
#include "core/error.h"
#include "core/tasks/python_random.h"

namespace kappascope {
namespace {

constexpr std::size_t kMostOptions = 1000;  // each is a column of score.csv
constexpr std::uint32_t kOrderSeed = 1337;  // of the reference implementation

struct TypeKeys {
  TaskType type;
  std::string_view name;
  const char* text;     // the key of TaskExample::text
  const char* options;  // of its options
};
constexpr std::array<TypeKeys, 3> kTypes{
    {{TaskType::multiple_choice, "multiple_choice", "query", "choices"},
     {TaskType::schema, "schema", "continuation", "context_options"},
     {TaskType::language_modeling, "language_modeling", "context", "continuation"}}};

const TypeKeys& keys_of(TaskType type) {
  return kTypes[static_cast<std::size_t>(type)];
}

TaskType type_by_keys(const Json& document, const std::string& place) {
  for (const TypeKeys& keys : kTypes) {
    if (document.contains(keys.text) && document.contains(keys.options)) { return keys.type; }
  }
  fail(ExitCode::unsupported, {.file = place},
       "the keys are of no task; expected \"query\" and \"choices\", \"context_options\" and "
       "\"continuation\", or \"context\" and \"continuation\"");
}

const Json& member_of(const Json& document, const char* key, const std::string& place) {
  const auto found = document.find(key);
  require(found != document.end(), ExitCode::damaged, {.file = place}, "expected a key \"", key,
          "\", found none");
  return *found;
}

std::string text_of(const Json& value, const char* key, const std::string& place) {
  require(value.is_string(), ExitCode::damaged, {.file = place}, "\"", key,
          "\": expected a text, found ", found_text(value));
  return value.get<std::string>();
}

std::vector<std::string> options_of(const Json& list, const char* key, const std::string& place) {
  require(list.is_array() && !list.empty(), ExitCode::damaged, {.file = place}, "\"", key,
          "\": expected a list of texts, found ",
          list.is_array() ? "an empty one" : found_text(list));
  require(list.size() <= kMostOptions, ExitCode::unsupported, {.file = place}, "\"", key,
          "\": expected at most ", kMostOptions, " texts, found ", list.size());
  std::vector<std::string> options;
  for (const Json& option : list) { options.push_back(text_of(option, key, place)); }
  return options;
}

std::int64_t gold_of(const Json& value, std::size_t options, const std::string& place) {
  const auto most = static_cast<std::uint64_t>(options);
  const bool known = value.is_number_integer() &&
                     (value.is_number_unsigned() || value.get<std::int64_t>() >= 0) &&
                     value.get<std::uint64_t>() < most;
  require(known, ExitCode::damaged, {.file = place}, "\"gold\": expected 0 to ", options - 1,
          ", found ", found_text(value));
  return value.get<std::int64_t>();
}

TaskExample example_of(const Json& document, TaskType type, const std::string& place) {
  const TypeKeys& keys = keys_of(type);
  TaskExample example;
  example.text = text_of(member_of(document, keys.text, place), keys.text, place);
  const Json& options = member_of(document, keys.options, place);
  if (type == TaskType::language_modeling) {
    example.options = {text_of(options, keys.options, place)};
    return example;
  }
  example.options = options_of(options, keys.options, place);
  example.gold = gold_of(member_of(document, "gold", place), example.options.size(), place);
  return example;
}

}  // namespace

std::string_view name(TaskType type) {
  return keys_of(type).name;
}

std::optional<TaskType> task_type_of(std::string_view name) {
  for (const TypeKeys& keys : kTypes) {
    if (keys.name == name) { return keys.type; }
  }
  return {};
}

std::string ScoreTask::place(std::size_t example) const {
  return join_words(file, ":", examples[example].line);
}

TaskLines read_task_lines(std::string_view bytes, const std::string& file,
                          std::optional<TaskType> type) {
  std::vector<TaskExample> examples;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', begin), bytes.size());
    const std::string_view line = bytes.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) { continue; }
    const std::string place = join_words(file, ":", number);
    const Json document = parse_json(line, place);
    require(document.is_object(), ExitCode::damaged, {.file = place},
            "expected a JSON object, found ", found_text(document));
    if (!type) { type = type_by_keys(document, place); }
    examples.push_back(example_of(document, *type, place));
    examples.back().line = number;
  }
  require(!examples.empty(), ExitCode::damaged, {.file = file},
          "expected a JSON object a line, found no line");
  return {*type, std::move(examples)};
}

double chance(TaskType type, const std::vector<TaskExample>& examples) {
  if (type == TaskType::language_modeling) { return 0; }
  double sum = 0;
  for (const TaskExample& example : examples) {
    sum += 1 / static_cast<double>(example.options.size());
  }
  return 100 * sum / static_cast<double>(examples.size());
}

void put_in_order(std::vector<TaskExample>& examples, std::int64_t most) {
  PythonRandom(kOrderSeed).shuffle(examples);
  if (most > 0 && most < std::ssize(examples)) { examples.resize(static_cast<std::size_t>(most)); }
}

}  // namespace kappascope
