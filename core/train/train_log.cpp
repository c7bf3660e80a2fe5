#include "core/train/train_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <string>

#include "core/trace/output_file.h"

namespace kappascope {
namespace {

namespace fs = std::filesystem;

// Gives `take` the whole lines of a log up to `step`, the first with the schema; none where there
// is no log.
template <typename Take>
void read_lines(const fs::path& path, std::int64_t step, Take&& take) {
  std::error_code absent;
  if (!fs::exists(path, absent) && !absent) { return; }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  require(in.is_open(), ExitCode::io, {.file = path.native()},
          "cannot open: ", std::strerror(errno));
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line) && !in.eof(); ++number) {
    const Json document = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool head = number == 1;
    const char* const member = head ? "schema" : "step";
    const bool found = document.is_object() && document.contains(member);
    require(
        found && (head ? document[member] == kTrainSchema : document[member].is_number_integer()),
        ExitCode::damaged, {.file = join_words(path.native(), ":", number)}, "expected ",
        head ? join_words("an object with the schema \"", kTrainSchema, "\"")
             : "an object with a whole \"step\"",
        ", found none; mend the line, or move the file away: the run goes on with a new one");
    if (head || document[member] <= step) { take(line, document); }
  }
  require(!in.bad(), ExitCode::io, {.file = path.native()}, "cannot be read");
}

Json layer_json(const LayerReport& layer) {
  Json load = Json::array();
  for (const double share : layer.load) { load.push_back(share); }
  Json document = {{"layer", layer.layer}, {"load", std::move(load)}};
  if (!std::isnan(layer.kappa_mean)) {
    document["kappa_mean"] = layer.kappa_mean;
    document["kappa_sd"] = layer.kappa_spread;
  }
  if (!std::isnan(layer.budget)) {
    document["budget"] = layer.budget;
    document["experts_run"] = layer.experts_run;
  }
  return document;
}

}  // namespace

std::int64_t last_evaluation(const fs::path& folder, std::int64_t step) {
  std::int64_t last = 0;
  if (step == 0) { return last; }  // what is there is of another run
  read_lines(folder / kTrainLog, step, [&](const std::string&, const Json& document) {
    if (document.contains("held_out_loss")) { last = document["step"].get<std::int64_t>(); }
  });
  return last;
}

TrainLog::TrainLog(const fs::path& folder, const fs::path& unfinished,
                   const TrainSettings& settings, std::int64_t step)
    : path_((folder / kTrainLog).string()) {
  std::string kept;
  if (step > 0) {
    read_lines(path_, step, [&](const std::string& line, const Json&) { kept += line + "\n"; });
  }
  if (kept.empty()) {
    kept = Json({{"schema", kTrainSchema}, {"settings", settings_json(settings)}}).dump() + "\n";
  }
  write_file(unfinished, kept, /*sync=*/true);
  std::error_code error;
  fs::rename(unfinished, path_, error);
  require(!error, ExitCode::io, {.file = path_}, "cannot be put in its place: ", error.message());
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  require(descriptor_ >= 0, ExitCode::io, {.file = path_}, "cannot open: ", std::strerror(errno));
}

TrainLog::~TrainLog() {
  if (descriptor_ >= 0) { ::close(descriptor_); }
}

void TrainLog::add(const Json& document) {
  const std::string line = document.dump() + "\n";
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t written = ::write(descriptor_, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) { continue; }
    require(written > 0, ExitCode::io, {.file = path_}, "cannot write: ", std::strerror(errno));
    done += std::size_t(written);
  }
}

void TrainLog::add_step(std::int64_t step, const TrainSettings& settings, const TrainingStep& with,
                        const StepReport& report) {
  Json document = {{"step", step},
                   {"tokens", step * settings.batch * settings.context},
                   {"loss", report.loss},
                   {"balance", report.balance},
                   {"router_z", report.router_z},
                   {"kappa_l2", report.kappa_l2},
                   {"gradient", report.gradient},
                   {"rate", with.rates.matrices},
                   {"kappa_rate", with.rates.kappa},
                   {"bound", with.bound}};
  if (settings.is_soft()) { document["temperature"] = with.temperature; }
  if (!report.layers.empty()) {
    Json layers = Json::array();
    for (const LayerReport& layer : report.layers) { layers.push_back(layer_json(layer)); }
    document["layers"] = std::move(layers);
  }
  add(document);
}

void TrainLog::add_evaluation(std::int64_t step, double loss, double bits_per_byte) {
  add({{"step", step}, {"held_out_loss", loss}, {"held_out_bits_per_byte", bits_per_byte}});
}

}  // namespace kappascope
