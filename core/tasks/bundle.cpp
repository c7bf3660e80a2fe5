#include "core/tasks/bundle.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "core/checkpoint/json.h"
#include "core/csv_text.h"
#include "core/error.h"

namespace kappascope {
namespace {

constexpr const char* kSection = "icl_tasks";
constexpr std::int64_t kMostShots = 1000;

// The value at the front of `rest`, plain or in quotes, which it is taken off; a plain one ends
// before a comment and, in a list, before a comma or a bracket.
std::string take_scalar(std::string_view& rest, bool in_list, const std::string& place) {
  const char first = rest.empty() ? '\0' : rest.front();
  if (first == '"' || first == '\'') {
    std::size_t end = 1;
    while (end < rest.size() && rest[end] != first) {
      end += first == '"' && rest[end] == '\\' ? 2 : 1;
    }
    require(end < rest.size(), ExitCode::damaged, {.file = place},
            "expected a closing quote, found the end of the line");
    const std::string_view quoted = rest.substr(0, end + 1);
    rest.remove_prefix(end + 1);
    if (first == '\'') { return std::string(quoted.substr(1, quoted.size() - 2)); }
    return parse_json(quoted, place).get<std::string>();
  }
  require(std::string_view("&*!|>{%@`").find(first) == std::string_view::npos || first == '\0',
          ExitCode::damaged, {.file = place}, "expected a plain or quoted value, found '",
          rest.substr(0, 40), "'");
  std::size_t end = std::min(rest.find(" #"), rest.size());
  if (in_list) { end = std::min(end, rest.find_first_of(",]")); }
  std::string_view value = rest.substr(0, end);
  rest.remove_prefix(end);
  const std::size_t last = value.find_last_not_of(' ');
  return std::string(value.substr(0, last == std::string_view::npos ? 0 : last + 1));
}

void skip_blanks(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
}

// "[0, 10]" or one value; of a list the first.
std::string first_value(std::string_view rest, const std::string& place) {
  skip_blanks(rest);
  const bool list = rest.starts_with('[');
  if (list) {
    rest.remove_prefix(1);
    skip_blanks(rest);
    require(rest.find(']') != std::string_view::npos, ExitCode::damaged, {.file = place},
            "expected a list that ends on its line, found none");
  }
  const std::string value = take_scalar(rest, list, place);
  skip_blanks(rest);
  require(list || rest.empty() || rest.starts_with('#'), ExitCode::damaged, {.file = place},
          "expected one value, found '", rest.substr(0, 40), "' behind it");
  return value;
}

std::int64_t shots_of(const std::string& value, const std::string& place) {
  std::int64_t shots = -1;
  const char* last = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), last, shots);
  require(error == std::errc() && stop == last && shots >= 0 && shots <= kMostShots,
          ExitCode::damaged, {.file = place}, "num_fewshot: expected 0 to ", kMostShots,
          ", found '", value.substr(0, 40), "'");
  return shots;
}

class BundleReader {
 public:
  BundleReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::vector<BundleTask> read() {
    std::int64_t number = 0;
    for (std::size_t begin = 0; begin < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', begin), text_.size());
      std::string_view line = text_.substr(begin, end - begin);
      begin = end + 1;
      place_ = join_words(file_, ":", ++number);
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) {
        line.remove_suffix(1);
      }
      const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
      if (indent == line.size() || line[indent] == '#' || line == "---") { continue; }
      require(line[indent] != '\t', ExitCode::damaged, {.file = place_},
              "expected blanks in front of a line, found a tab");
      take_line(line.substr(indent), static_cast<std::int64_t>(indent), number);
    }
    finish();
    require(!tasks_.empty(), ExitCode::damaged, {.file = file_}, "expected tasks in a list \"",
            kSection, "\", found none");
    return std::move(tasks_);
  }

 private:
  void take_line(std::string_view line, std::int64_t indent, std::int64_t number) {
    const bool dash = line == "-" || line.starts_with("- ");
    if (indent == 0 && !dash) {
      inside_ = line == join_words(kSection, ":");
      return;
    }
    if (!inside_) { return; }
    if (dash && item_indent_ < 0) { item_indent_ = indent; }
    if (dash && indent <= item_indent_) {
      finish();
      task_.emplace();
      task_->line = number;
    } else if (dash) {  // a list below a key
      if (!open_key_.empty()) { set(open_key_, line.substr(1)); }
      open_key_.clear();
      return;
    }
    require(task_.has_value(), ExitCode::damaged, {.file = place_},
            "expected a task that begins with '-', found '", line.substr(0, 40), "'");
    if (dash) { line.remove_prefix(1); }
    skip_blanks(line);
    if (!line.empty() && line.front() != '#') { take_pair(line); }
  }

  void take_pair(std::string_view line) {
    const std::size_t colon = line.find(':');
    const bool pair =
        colon != std::string_view::npos && (colon + 1 == line.size() || line[colon + 1] == ' ');
    require(pair, ExitCode::damaged, {.file = place_}, "expected 'key: value', found '",
            line.substr(0, 40), "'");
    const std::string key(line.substr(0, colon));
    std::string_view value = line.substr(colon + 1);
    skip_blanks(value);
    if (value.starts_with('#')) { value = {}; }
    open_key_ = value.empty() ? key : "";
    if (!value.empty()) { set(key, value); }
  }

  void set(const std::string& key, std::string_view value) {
    if (key == "label") {
      task_->label = first_value(value, place_);
    } else if (key == "dataset_uri") {
      task_->data = first_value(value, place_);
    } else if (key == "num_fewshot") {
      task_->shots = shots_of(first_value(value, place_), place_);
      any_shots_ = true;
    } else if (key == "continuation_delimiter") {
      task_->delimiter = first_value(value, place_);
    } else if (key == "icl_task_type") {
      task_->type = first_value(value, place_);
    }
  }

  // The task that was begun, if any, is complete.
  void finish() {
    if (!task_) { return; }
    const std::string place = join_words(file_, ":", task_->line);
    const char* missing = task_->label.empty()  ? "label"
                          : task_->data.empty() ? "dataset_uri"
                          : task_->type.empty() ? "icl_task_type"
                          : !any_shots_         ? "num_fewshot"
                                                : nullptr;
    require(missing == nullptr, ExitCode::damaged, {.file = place}, "a task without ",
            missing ? missing : "");
    const std::filesystem::path data = task_->data;
    const bool below =
        data.is_relative() &&
        std::none_of(data.begin(), data.end(), [](const auto& part) { return part == ".."; });
    require(below, ExitCode::damaged, {.file = place},
            "dataset_uri: expected a path below eval_data, found '", task_->data.substr(0, 40),
            "'");
    tasks_.push_back(std::move(*task_));
    task_.reset();
    any_shots_ = false;
    open_key_.clear();
  }

  std::string_view text_;
  std::string file_, place_;
  std::vector<BundleTask> tasks_;
  std::optional<BundleTask> task_;  // the one that is being read
  std::string open_key_;            // whose value is on lines of its own
  std::int64_t item_indent_ = -1;   // of the dashes of tasks; −1: not known yet
  bool inside_ = false, any_shots_ = false;
};

std::size_t column_of(const std::vector<std::string>& header, const char* name,
                      const std::string& file) {
  const auto found = std::find(header.begin(), header.end(), name);
  require(found != header.end(), ExitCode::damaged, {.file = file}, "expected a column \"", name,
          "\", found none");
  return static_cast<std::size_t>(found - header.begin());
}

}  // namespace

std::vector<BundleTask> parse_bundle(std::string_view text, const std::string& file) {
  return BundleReader(text, file).read();
}

std::map<std::string, double> parse_baselines(std::string_view text, const std::string& file) {
  std::map<std::string, double> baselines;
  const std::vector<std::vector<std::string>> rows = csv_rows(text);
  require(!rows.empty(), ExitCode::damaged, {.file = file}, "expected a header, found nothing");
  const std::size_t label = column_of(rows[0], "Eval Task", file);
  const std::size_t baseline = column_of(rows[0], "Random baseline", file);
  for (std::size_t r = 1; r < rows.size(); ++r) {
    if (rows[r].size() <= std::max(label, baseline)) { continue; }  // a blank line
    const std::string& value = rows[r][baseline];
    double number = -1;
    const char* last = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), last, number);
    require(error == std::errc() && stop == last && number >= 0 && number < 100, ExitCode::damaged,
            {.file = file}, "random baseline of '", rows[r][label].substr(0, 40),
            "': expected a number from 0 to below 100, found '", value.substr(0, 40), "'");
    baselines[rows[r][label]] = number;
  }
  return baselines;
}

}  // namespace kappascope
