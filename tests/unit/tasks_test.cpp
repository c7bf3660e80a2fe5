// Task files, the files of a bundle, and the random numbers of Python's random.Random.
#include "core/tasks/task.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/tasks/bundle.h"
#include "core/tasks/python_random.h"
#include "tests/unit/expect_error.h"

namespace kappascope {
namespace {

using testing::error_of;

// As CPython 3.11 and 3.12 give them.
TEST(PythonRandom, DrawsWhatPythonDraws) {
  PythonRandom numbers(0);
  std::vector<std::uint64_t> found;
  for (const std::uint64_t n : {1U, 2U, 3U, 1000U, 1U << 31, 4294967295U}) {
    found.push_back(numbers.below(n));
  }
  EXPECT_EQ(found, (std::vector<std::uint64_t>{0, 1, 0, 265, 2087043557, 1739178872}));
  std::vector<int> order(12);
  std::iota(order.begin(), order.end(), 0);
  PythonRandom(1337).shuffle(order);
  EXPECT_EQ(order, (std::vector<int>{6, 0, 1, 4, 10, 7, 3, 11, 2, 5, 8, 9}));
  using List = std::vector<std::int64_t>;
  EXPECT_EQ(PythonRandom(1234).sample(11, 10), (List{7, 1, 0, 9, 6, 4, 8, 5, 3, 10}));
  EXPECT_EQ(PythonRandom(1237).sample(500, 10),
            (List{76, 454, 202, 158, 122, 486, 116, 179, 256, 319}));
  EXPECT_EQ(PythonRandom(1240).sample(30, 3), (List{20, 14, 11}));
}

TEST(TaskLines, AreOfThreeKinds) {
  const TaskLines choice = read_task_lines(
      "{\"query\":\"q\",\"choices\":[\"a\",\"b\"],\"gold\":1}\r\n\n"
      "{\"query\":\"r\",\"choices\":[\"c\"],\"gold\":0,\"more\":2}",
      "t.jsonl", {});
  EXPECT_EQ(choice.type, TaskType::multiple_choice);
  ASSERT_EQ(choice.examples.size(), 2U);
  EXPECT_EQ(choice.examples[0].options, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(choice.examples[0].gold, 1);
  EXPECT_EQ(choice.examples[1].line, 3);
  EXPECT_EQ(chance(choice.type, choice.examples), 75);
  const TaskLines schema = read_task_lines(
      "{\"context_options\":[\"a\",\"b\"],\"continuation\":\"c\",\"gold\":0}", "t.jsonl", {});
  EXPECT_EQ(schema.type, TaskType::schema);
  EXPECT_EQ(schema.examples[0].text, "c");
  const TaskLines continues =
      read_task_lines("{\"context\":\"a\",\"continuation\":\"b\"}", "t.jsonl", {});
  EXPECT_EQ(continues.type, TaskType::language_modeling);
  EXPECT_EQ(chance(continues.type, continues.examples), 0);
}

TEST(TaskLines, RefusesByLine) {
  const auto line = [](std::string_view text, std::optional<TaskType> type = {}) {
    return error_of([&] { read_task_lines(text, "t.jsonl", type); });
  };
  EXPECT_EQ(line(""), "3 t.jsonl: expected a JSON object a line, found no line");
  EXPECT_EQ(line("\n[1]"), "3 t.jsonl:2: expected a JSON object, found [1]");
  EXPECT_NE(line("{\"query\"").find("3 t.jsonl:1: offset"), std::string::npos);
  EXPECT_EQ(line("{\"a\":1}").substr(0, 26), "4 t.jsonl:1: the keys are ");
  EXPECT_EQ(line("{\"query\":\"q\",\"choices\":[]}"),
            "3 t.jsonl:1: \"choices\": expected a list of texts, found an empty one");
  EXPECT_EQ(line("{\"query\":\"q\",\"choices\":[\"a\"]}"),
            "3 t.jsonl:1: expected a key \"gold\", found none");
  for (const char* gold : {"1", "-1", "0.0", "\"0\"", "18446744073709551615", "true", "null"}) {
    const std::string text =
        join_words("{\"query\":\"q\",\"choices\":[\"a\"],\"gold\":", gold, "}");
    EXPECT_EQ(line(text), join_words("3 t.jsonl:1: \"gold\": expected 0 to 0, found ", gold));
  }
  EXPECT_EQ(line("{\"query\":7,\"choices\":[\"a\"],\"gold\":0}"),
            "3 t.jsonl:1: \"query\": expected a text, found 7");
  EXPECT_EQ(line("{\"query\":\"q\",\"choices\":[\"a\"],\"gold\":0}", TaskType::schema),
            "3 t.jsonl:1: expected a key \"continuation\", found none");
}

TEST(Bundle, ReadsBothWaysOfWritingALists) {
  const std::vector<BundleTask> tasks = parse_bundle(
      "# tasks\n---\nicl_tasks:\n-\n  label: one  # of two\n  dataset_uri: a/b.jsonl\n"
      "  num_fewshot: [0, 5]\n  icl_task_type: schema\n  question_prelude: 'a: b'\n"
      "  keys:\n    - x\n    - y\n-\r\n  label: 'two'\r\n  dataset_uri: \"c #1.jsonl\"\n"
      "  num_fewshot:\n  - 10\n  icl_task_type: language_modeling\n"
      "  continuation_delimiter: \"\\nAnswer: \"\neval_gauntlet:\n- label: none\n",
      "core.yaml");
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_EQ(tasks[0].label, "one");
  EXPECT_EQ(tasks[0].data, "a/b.jsonl");
  EXPECT_EQ(tasks[0].shots, 0);
  EXPECT_EQ(tasks[0].type, "schema");
  EXPECT_EQ(tasks[0].delimiter, " ");
  EXPECT_EQ(tasks[1].label, "two");
  EXPECT_EQ(tasks[1].data, "c #1.jsonl");
  EXPECT_EQ(tasks[1].shots, 10);
  EXPECT_EQ(tasks[1].delimiter, "\nAnswer: ");
}

TEST(Bundle, RefusesByLine) {
  const auto line = [](const std::string& text) {
    return error_of([&] { parse_bundle(text, "core.yaml"); });
  };
  const std::string task =
      "icl_tasks:\n- label: a\n  dataset_uri: b\n  num_fewshot: [1]\n  icl_task_type: schema\n";
  EXPECT_EQ(line(task), "no error");
  EXPECT_EQ(line("other:\n- a\n"),
            "3 core.yaml: expected tasks in a list \"icl_tasks\", found none");
  EXPECT_EQ(line("icl_tasks:\n- label: a\n"), "3 core.yaml:2: a task without dataset_uri");
  EXPECT_EQ(line(task + "  continuation_delimiter: |\n"),
            "3 core.yaml:6: expected a plain or quoted value, found '|'");
  EXPECT_EQ(line(task + "  continuation_delimiter: \"a\n"),
            "3 core.yaml:6: expected a closing quote, found the end of the line");
  EXPECT_EQ(line(task + "  num_fewshot: [-1]\n"),
            "3 core.yaml:6: num_fewshot: expected 0 to 1000, found '-1'");
  EXPECT_EQ(line(task + "  dataset_uri: ../b\n"),
            "3 core.yaml:2: dataset_uri: expected a path below eval_data, found '../b'");
  EXPECT_EQ(line(task + "\tb: c\n"),
            "3 core.yaml:6: expected blanks in front of a line, found a tab");
  EXPECT_EQ(line(task + "  words\n"), "3 core.yaml:6: expected 'key: value', found 'words'");
}

TEST(Bundle, BaselinesByTheNamesOfColumns) {
  const auto found = parse_baselines(
      "Eval Task,Notes,Random baseline,Description\r\na,\"x, \"\"y\"\"\nz\",25,d\nb,,0.5\n\n",
      "m.csv");
  EXPECT_EQ(found, (std::map<std::string, double>{{"a", 25}, {"b", 0.5}}));
  EXPECT_EQ(error_of([] { parse_baselines("Eval Task\na\n", "m.csv"); }),
            "3 m.csv: expected a column \"Random baseline\", found none");
  for (const char* value : {"100", "-1", "x", "nan", ""}) {
    const std::string text = join_words("Eval Task,Random baseline\na,", value, "\n");
    EXPECT_NE(error_of([&] {
                parse_baselines(text, "m.csv");
              }).find("random baseline of 'a': expected a number from 0 to below 100"),
              std::string::npos)
        << value;
  }
}

}  // namespace
}  // namespace kappascope
