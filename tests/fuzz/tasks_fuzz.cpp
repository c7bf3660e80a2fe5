// A digit, then any bytes as a task file, a core.yaml or an eval_meta_data.csv: an Error, or what
// can be asked.
#include <cmath>
#include <cstdlib>

#include "core/tasks/bundle.h"
#include "core/tasks/task.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"

void kappascope::testing::fuzz_tasks(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  if (size == 0) { return; }
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  testing::only_file_errors([&] {
    if (data[0] == '0') {
      TaskLines lines = read_task_lines(text, "t.jsonl", {});
      const double share = chance(lines.type, lines.examples);
      if (!(share >= 0 && share <= 100)) { std::abort(); }
      for (const TaskExample& example : lines.examples) {
        if (example.gold < 0 || example.gold >= std::ssize(example.options)) { std::abort(); }
      }
      put_in_order(lines.examples, 3);
    } else if (data[0] == '1') {
      for (const BundleTask& task : parse_bundle(text, "core.yaml")) {
        if (task.label.empty() || task.data.empty() || task.shots < 0) { std::abort(); }
      }
    } else {
      for (const auto& [name, baseline] : parse_baselines(text, "m.csv")) {
        if (!(baseline >= 0 && baseline < 100)) { std::abort(); }
      }
    }
  });
}
