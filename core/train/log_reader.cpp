#include "core/train/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/checkpoint/json.h"
#include "core/train/train_log.h"

namespace kappascope {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kChunk = 1 << 20, kLongestLine = 1 << 20;
constexpr std::int64_t kMostAtOnce = 64 << 20;
constexpr std::size_t kTail = 256;            // bytes by which a rewritten file is noticed
constexpr std::size_t kMostValues = 1 << 16;  // of a line
constexpr std::size_t kMostLoggedSteps = std::size_t{1} << 22, kMostNumbers = std::size_t{1} << 26;
constexpr std::size_t kMostLoggedLayers = 1024, kMostFolders = 2000;

// Closes it.
class Descriptor {
 public:
  explicit Descriptor(const fs::path& file)
      : number_(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {}
  ~Descriptor() {
    if (number_ >= 0) { ::close(number_); }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

// At most `size` bytes from `offset`.
std::string read_at(int descriptor, std::size_t size, std::int64_t offset, const fs::path& file) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count =
        ::pread(descriptor, bytes.data() + done, size - done, offset + std::int64_t(done));
    if (count < 0 && errno == EINTR) { continue; }
    require(count >= 0, ExitCode::io, {.file = file.native()},
            "cannot be read: ", std::strerror(errno));
    if (count == 0) { break; }
    done += std::size_t(count);
  }
  bytes.resize(done);
  return bytes;
}

bool any_finite(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double value) { return !std::isnan(value); });
}

template <typename Has>
bool any_layer(const LoggedRun& run, const Has& has) {
  return std::any_of(run.layers.begin(), run.layers.end(), has);
}

}  // namespace

// One line of a log, and the words of what is wrong with it.
class LogLine {
 public:
  LogLine(std::string_view text, const fs::path& file, std::int64_t number)
      : place_(join_words(file.native(), ":", number)),
        document_(parse_json(text, place_, NotFinite::refused, kMostValues)) {
    require(document_.is_object(), ExitCode::damaged, {.file = place_},
            "expected an object, found ", found_text(document_));
  }

  const std::string& place() const { return place_; }
  const Json& document() const { return document_; }

  // NaN where it is absent or null.
  double number(const Json& of, const char* name) const {
    const auto found = of.find(name);
    if (found == of.end() || found->is_null()) { return kNaN; }
    require(found->is_number(), ExitCode::damaged, {.file = place_}, "\"", name,
            "\": expected a number, found ", found_text(*found));
    return found->get<double>();
  }

  // From 0 to `most`; absent: −1.
  std::int64_t whole(const Json& of, const char* name, std::int64_t most) const {
    const auto found = of.find(name);
    if (found == of.end()) { return -1; }
    require(found->is_number_integer() && *found >= 0 && *found <= most, ExitCode::damaged,
            {.file = place_}, "\"", name, "\": expected a whole number from 0 to ", most,
            ", found ", found_text(*found));
    return found->get<std::int64_t>();
  }

  // An array or absent: null.
  const Json* list(const Json& of, const char* name) const {
    const auto found = of.find(name);
    if (found == of.end()) { return nullptr; }
    require(found->is_array(), ExitCode::damaged, {.file = place_}, "\"", name,
            "\": expected an array, found ", found_text(*found));
    return &*found;
  }

 private:
  std::string place_;
  Json document_;
};

namespace {

constexpr std::int64_t kMostStep = std::int64_t{1} << 53;

// Steps that the settings make; 0: they do not say.
std::int64_t steps_of(const LogLine& line, const Json& settings) {
  const std::int64_t tokens = line.whole(settings, "tokens", kMostStep);
  const std::int64_t batch = line.whole(settings, "batch", 1 << 24);
  const std::int64_t context = line.whole(settings, "context", 1 << 24);
  if (tokens <= 0 || batch <= 0 || context <= 0) { return 0; }
  const std::int64_t a_step = batch * context;
  return (tokens - 1) / a_step + 1;
}

// What a line says of a layer.
struct Described {
  std::int64_t layer = 0;
  std::vector<float> load;
  double kappa_mean = kNaN, kappa_spread = kNaN, budget = kNaN, experts_run = kNaN;
};

Described described(const Json& entry, const LogLine& line) {
  require(entry.is_object(), ExitCode::damaged, {.file = line.place()},
          "\"layers\": expected objects, found ", found_text(entry));
  Described found;
  found.layer = line.whole(entry, "layer", 1 << 20);
  require(found.layer >= 0, ExitCode::damaged, {.file = line.place()},
          "\"layers\": expected a \"layer\" in each, found none");
  if (const Json* list = line.list(entry, "load")) {
    for (const Json& share : *list) {
      require(share.is_number() || share.is_null(), ExitCode::damaged, {.file = line.place()},
              "\"load\": expected numbers, found ", found_text(share));
      found.load.push_back(share.is_null() ? kNaN : share.get<float>());
    }
  }
  found.kappa_mean = line.number(entry, "kappa_mean");
  found.kappa_spread = line.number(entry, "kappa_sd");
  found.budget = line.number(entry, "budget");
  found.experts_run = line.number(entry, "experts_run");
  return found;
}

std::vector<LoggedLayer>::iterator place_of(LoggedRun& run, std::int64_t layer) {
  return std::lower_bound(
      run.layers.begin(), run.layers.end(), layer,
      [](const LoggedLayer& one, std::int64_t wanted) { return one.layer < wanted; });
}

// All layers of a line, each once and with as many experts as before.
std::vector<Described> layers_of(LoggedRun& run, const LogLine& line) {
  std::vector<Described> found;
  const Json* list = line.list(line.document(), "layers");
  if (!list) { return found; }
  require(list->size() <= kMostLoggedLayers, ExitCode::unsupported, {.file = line.place()},
          "more than ", kMostLoggedLayers, " layers");
  for (const Json& entry : *list) { found.push_back(described(entry, line)); }
  std::sort(found.begin(), found.end(),
            [](const Described& a, const Described& b) { return a.layer < b.layer; });
  std::size_t fresh = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::int64_t number = found[i].layer;
    require(i == 0 || found[i - 1].layer < number, ExitCode::damaged, {.file = line.place()},
            "layer ", number, ": a second time");
    const auto place = place_of(run, number);
    const bool known = place != run.layers.end() && place->layer == number;
    fresh += known ? 0 : 1;
    const auto experts = std::int64_t(found[i].load.size());
    require(!known || place->experts == experts, ExitCode::damaged, {.file = line.place()},
            "layer ", number, ": expected a load of ", known ? place->experts : 0,
            " experts, found ", experts);
  }
  require(run.layers.size() + fresh <= kMostLoggedLayers, ExitCode::unsupported,
          {.file = line.place()}, "more than ", kMostLoggedLayers, " layers");
  return found;
}

void add_layer(LoggedRun& run, std::int64_t step, const Described& found) {
  auto place = place_of(run, found.layer);
  if (place == run.layers.end() || place->layer != found.layer) {
    place = run.layers.insert(place, LoggedLayer());
    place->layer = found.layer;
    place->experts = std::int64_t(found.load.size());
  }
  place->step.push_back(step);
  place->load.insert(place->load.end(), found.load.begin(), found.load.end());
  place->kappa_mean.push_back(found.kappa_mean);
  place->kappa_spread.push_back(found.kappa_spread);
  place->budget.push_back(found.budget);
  place->experts_run.push_back(found.experts_run);
}

// That steps come in order: of what is after every step, and of evaluations.
void require_after(const std::vector<std::int64_t>& steps, std::int64_t step, const LogLine& line) {
  require(steps.empty() || steps.back() < step, ExitCode::damaged, {.file = line.place()}, "step ",
          step, " after step ", steps.empty() ? 0 : steps.back());
  require(steps.size() < kMostLoggedSteps, ExitCode::unsupported, {.file = line.place()},
          "more than ", kMostLoggedSteps, " steps");
}

}  // namespace

bool LoggedRun::has_kappa() const {
  return any_layer(*this, [](const LoggedLayer& layer) { return any_finite(layer.kappa_mean); });
}

bool LoggedRun::has_budget() const {
  return any_layer(*this, [](const LoggedLayer& layer) {
    return any_finite(layer.budget) || any_finite(layer.experts_run);
  });
}

LogReader::LogReader(fs::path file) : file_(std::move(file)) {
  begin_again();
}

void LogReader::begin_again() {
  std::error_code error;
  run_ = {};
  run_.folder = fs::absolute(file_, error).lexically_normal().parent_path();
  bound_ = kNaN;
  line_ = offset_ = 0;
  numbers_ = 0;
  tail_.clear();
}

bool LogReader::is_other(int descriptor, std::int64_t size, dev_t device, ino_t number) const {
  if (!any_ || device != device_ || number != number_ || size < offset_) { return true; }
  return read_at(descriptor, tail_.size(), offset_ - std::int64_t(tail_.size()), file_) != tail_;
}

bool LogReader::look() {
  more_ = false;
  const Descriptor opened(file_);
  require(opened.number() >= 0, ExitCode::io, {.file = file_.native()},
          "cannot open: ", std::strerror(errno));
  struct stat found{};
  require(::fstat(opened.number(), &found) == 0 && S_ISREG(found.st_mode), ExitCode::damaged,
          {.file = file_.native()}, "expected the log of a training run, found no regular file");
  const bool other = is_other(opened.number(), found.st_size, found.st_dev, found.st_ino);
  if (other) { begin_again(); }
  any_ = true;
  device_ = found.st_dev;
  number_ = found.st_ino;
  const std::int64_t before = line_,
                     end = std::min(std::int64_t(found.st_size), offset_ + kMostAtOnce);
  std::string pending;
  for (std::int64_t at = offset_; at < end;) {
    const auto size = std::size_t(std::min(std::int64_t(kChunk), end - at));
    const std::string bytes = read_at(opened.number(), size, at, file_);
    if (bytes.empty()) { break; }
    at += std::int64_t(bytes.size());
    pending += bytes;
    take(pending);
  }
  more_ = end < found.st_size && line_ > before;
  return other || line_ != before;
}

// The whole lines of it; what is left is the beginning of one.
void LogReader::take(std::string& pending) {
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = pending.find('\n', begin);
    const std::size_t length = (end == pending.npos ? pending.size() : end) - begin;
    require(length <= kLongestLine, ExitCode::damaged,
            {.file = join_words(file_.native(), ":", line_ + 1)}, "a line of more than ",
            kLongestLine, " bytes");
    if (end == pending.npos) { break; }
    take_line(std::string_view(pending).substr(begin, length));
    ++line_;
    offset_ += std::int64_t(length) + 1;
    tail_ += pending.substr(begin + length + 1 - std::min(length + 1, kTail),
                            std::min(length + 1, kTail));
    if (tail_.size() > kTail) { tail_.erase(0, tail_.size() - kTail); }
    begin = end + 1;
  }
  pending.erase(0, begin);
}

void LogReader::take_head(const LogLine& line) {
  const Json& document = line.document();
  const auto schema = document.find("schema");
  require(schema != document.end() && *schema == kTrainSchema, ExitCode::unsupported,
          {.file = line.place()}, "not the log of a training run; expected the schema \"",
          kTrainSchema, "\", found ", schema == document.end() ? "none" : found_text(*schema));
  const auto settings = document.find("settings");
  if (settings == document.end() || !settings->is_object()) { return; }
  run_.steps = steps_of(line, *settings);
  bound_ = line.number(*settings, "bound");
}

// All of a line is checked before any of it is kept: it is read again as long as it is wrong.
void LogReader::take_line(std::string_view text) {
  const LogLine line(text, file_, line_ + 1);
  if (line_ == 0) { return take_head(line); }
  const Json& document = line.document();
  const std::int64_t step = line.whole(document, "step", kMostStep);
  require(step >= 0, ExitCode::damaged, {.file = line.place()},
          "expected an object with a whole \"step\", found none");
  const bool trained = document.contains("loss"), evaluated = document.contains("held_out_loss");
  if (trained) { require_after(run_.step, step, line); }
  if (evaluated) { require_after(run_.evaluated, step, line); }
  const double loss = line.number(document, "loss"), rate = line.number(document, "kappa_rate");
  const double bound = line.number(document, "bound");
  const double held_out = line.number(document, "held_out_loss");
  const double bits = line.number(document, "held_out_bits_per_byte");
  const std::vector<Described> layers = trained ? layers_of(run_, line) : std::vector<Described>();
  std::size_t more = 0;
  for (const Described& layer : layers) { more += layer.load.size() + 5; }  // and its own numbers
  require(numbers_ + more <= kMostNumbers, ExitCode::unsupported, {.file = line.place()},
          "more than ", kMostNumbers, " numbers of layers");
  if (evaluated) {
    run_.evaluated.push_back(step);
    run_.held_out.push_back(held_out);
    run_.held_out_bits.push_back(bits);
  }
  if (!trained) { return; }
  numbers_ += more;
  for (const Described& layer : layers) { add_layer(run_, step, layer); }
  if (run_.kappa_learned < 0 && rate > 0) { run_.kappa_learned = step; }
  if (run_.bound_reached < 0 && bound_ > 1 && bound >= bound_) { run_.bound_reached = step; }
  run_.step.push_back(step);
  run_.loss.push_back(loss);
}

std::vector<fs::path> training_logs(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    return path.extension() == ".jsonl" ? std::vector{path} : std::vector<fs::path>();
  }
  if (fs::is_regular_file(path / kTrainLog, error)) { return {path / kTrainLog}; }
  std::vector<fs::path> logs;
  std::size_t seen = 0;
  for (fs::directory_iterator at(path, error), end; !error && at != end && ++seen < kMostFolders;
       at.increment(error)) {
    std::error_code unreadable;
    if (fs::is_regular_file(at->path() / kTrainLog, unreadable)) {
      logs.push_back(at->path() / kTrainLog);
    }
  }
  std::sort(logs.begin(), logs.end());
  return logs;
}

LoggedRun read_training_log(const fs::path& file) {
  LogReader reader(file);
  do { reader.look(); } while (reader.more());
  return reader.run();
}

}  // namespace kappascope
