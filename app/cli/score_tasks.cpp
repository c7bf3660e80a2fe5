#include "app/cli/score_tasks.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "app/cli/text_files.h"
#include "core/checkpoint/tensor.h"
#include "core/error.h"
#include "core/stats/paired.h"
#include "core/tasks/bundle.h"
#include "core/utf8.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBundleFile = "core.yaml";
constexpr const char* kBaselineFile = "eval_meta_data.csv";
constexpr const char* kDataFolder = "eval_data";

std::string read_text(const fs::path& path) {
  std::string text = read_input(path.native());
  std::string_view rest = text;
  take_byte_order_mark(rest);
  const std::size_t valid = utf8_error(rest);
  require(valid == rest.size(), ExitCode::damaged,
          {.file = path.native(), .offset = static_cast<std::int64_t>(valid)}, "expected UTF-8");
  return std::string(rest);
}

struct Bundle {
  fs::path file, folder;
  std::vector<BundleTask> tasks;
  std::optional<std::map<std::string, double>> baselines;  // absent: the bundle has no such file
};

Bundle open_bundle(const fs::path& file) {
  Bundle bundle{file, file.parent_path(), parse_bundle(read_text(file), file.native()), {}};
  const fs::path baselines = bundle.folder / kBaselineFile;
  std::error_code ignored;
  if (fs::exists(baselines, ignored)) {
    bundle.baselines = parse_baselines(read_text(baselines), baselines.native());
  }
  return bundle;
}

// The core.yaml of the bundle whose eval_data a file is below; "" without one.
fs::path bundle_of(const fs::path& file) {
  fs::path below = fs::absolute(file).lexically_normal();
  while (below.has_relative_path()) {
    below = below.parent_path();
    if (below.filename() != kDataFolder) { continue; }
    const fs::path found = below.parent_path() / kBundleFile;
    std::error_code ignored;
    if (fs::exists(found, ignored)) { return found; }
  }
  return {};
}

// "\n", "\t" and "\\" as they are typed on a command line.
std::string unescaped(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t found = text[i] == '\\' && i + 1 < text.size()
                                  ? std::string_view("nt\\").find(text[i + 1])
                                  : std::string_view::npos;
    result += found == std::string_view::npos ? text[i] : "\n\t\\"[found];
    i += found == std::string_view::npos ? 0 : 1;
  }
  return result;
}

class TaskReader {
 public:
  explicit TaskReader(const TaskOptions& options) : options_(options) {}

  std::vector<ScoreTask> read() {
    for (const std::string& path : options_.paths) { take(path); }
    std::set<std::string> names;
    for (const ScoreTask& task : tasks_) {
      require(names.insert(task.name).second, ExitCode::usage, {.file = task.file},
              "a second task of the name '", task.name, "'; give each once");
    }
    return std::move(tasks_);
  }

 private:
  void take(const std::string& path) {
    std::error_code ignored;
    const bool folder = fs::is_directory(path, ignored);
    if (folder || fs::path(path).extension() == ".yaml") {
      const Bundle bundle = open_bundle(folder ? fs::path(path) / kBundleFile : fs::path(path));
      for (const BundleTask& task : bundle.tasks) {
        add(task, bundle, (bundle.folder / kDataFolder / task.data).native());
      }
      return;
    }
    const std::size_t before = tasks_.size();
    if (const fs::path found = bundle_of(path); !found.empty()) { take_of(path, found); }
    if (tasks_.size() == before) { add_file(path); }
  }

  // Those tasks of a bundle whose data is `path`.
  void take_of(const std::string& path, const fs::path& file) {
    const Bundle bundle = open_bundle(file);
    const fs::path data = fs::absolute(path).lexically_normal();
    for (const BundleTask& task : bundle.tasks) {
      const fs::path of = (bundle.folder / kDataFolder / task.data).lexically_normal();
      if (of == data) { add(task, bundle, path); }
    }
  }

  void add(const BundleTask& of, const Bundle& bundle, const std::string& file) {
    const std::optional<TaskType> type = task_type_of(of.type);
    require(type.has_value(), ExitCode::unsupported,
            {.file = join_words(bundle.file.native(), ":", of.line)},
            "icl_task_type: expected multiple_choice, schema or language_modeling, found '",
            of.type.substr(0, 40), "'");
    ScoreTask task = lines(file, type);
    task.name = of.label;
    task.shots = options_.shots.value_or(of.shots);
    task.delimiter = options_.delimiter ? unescaped(*options_.delimiter) : of.delimiter;
    if (bundle.baselines && !options_.baseline) {
      const auto found = bundle.baselines->find(of.label);
      require(found != bundle.baselines->end(), ExitCode::damaged,
              {.file = (bundle.folder / kBaselineFile).native()}, "no random baseline of task '",
              of.label, "'; give one with --baseline");
      task.baseline = found->second;
    }
    finish(std::move(task));
  }

  void add_file(const std::string& file) {
    ScoreTask task = lines(file, {});
    task.name = is_standard_input(file) ? "stdin" : fs::path(file).stem().native();
    task.shots = options_.shots.value_or(0);
    if (options_.delimiter) { task.delimiter = unescaped(*options_.delimiter); }
    finish(std::move(task));
  }

  ScoreTask lines(const std::string& file, std::optional<TaskType> type) const {
    const std::string bytes = read_input(file);
    std::string_view text = bytes;
    take_byte_order_mark(text);
    ScoreTask task;
    task.file = source_name(file);
    task.sha256 = sha256_hex(bytes);
    TaskLines read = read_task_lines(text, task.file, type);
    task.type = read.type;
    task.examples = std::move(read.examples);
    put_in_order(task.examples, options_.most);
    task.baseline = options_.baseline.value_or(chance(task.type, task.examples));
    return task;
  }

  void finish(ScoreTask task) {
    const std::int64_t examples = std::ssize(task.examples);
    require(task.shots < examples, ExitCode::unsupported, {.file = task.file}, task.shots,
            " shots are other examples of the task; expected at least ", task.shots + 1,
            " examples, found ", examples);
    require(task.baseline < 100, ExitCode::unsupported, {.file = task.file},
            "every example has one option alone: nothing can be wrong");
    require(examples <= kMostResampled, ExitCode::unsupported, {.file = task.file}, examples,
            " examples; expected at most ", kMostResampled, ", --max-examples takes some of them");
    tasks_.push_back(std::move(task));
  }

  const TaskOptions& options_;
  std::vector<ScoreTask> tasks_;
};

}  // namespace

void TaskOptions::add_to(CLI::App& app) {
  app.add_option("--tasks", paths,
                 "task files (JSON Lines), or the folder or core.yaml of a CORE bundle; a file in "
                 "a bundle has the settings of its core.yaml")
      ->required();
  app.add_option("--shots", shots, "examples shown before each; of a bundle's task its own, else 0")
      ->check(CLI::Range(std::int64_t(0), std::int64_t(1000)));
  app.add_option("--delimiter", delimiter,
                 "between question and answer, \\n for a line break; of a bundle's task its own, "
                 "else a blank");
  app.add_option("--baseline", baseline,
                 "per cent right by chance; of a bundle's task its own, else by the numbers of "
                 "options")
      ->type_name("PERCENT");
  app.add_option("--max-examples", most, "of each task, the first of its shuffled order")
      ->check(CLI::Range(std::int64_t(1), std::int64_t(1) << 31));
}

void TaskOptions::check() const {
  require(!baseline || (*baseline >= 0 && *baseline < 100), ExitCode::usage, {},
          "--baseline: expected 0 to below 100");
  require(std::count_if(paths.begin(), paths.end(), is_standard_input) <= 1, ExitCode::usage, {},
          "--tasks -: standard input can be read once");
}

std::vector<ScoreTask> TaskOptions::read() const {
  return TaskReader(*this).read();
}

}  // namespace kappascope
