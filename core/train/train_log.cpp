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

// A number, or null where there is none: JSON has no NaN.
Json number_json(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

// The whole lines of a log up to `step`; "" where there is none.
std::string lines_up_to(const fs::path& path, std::int64_t step) {
  std::error_code absent;
  if (!fs::exists(path, absent) && !absent) { return ""; }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  require(in.is_open(), ExitCode::io, {.file = path.native()},
          "cannot open: ", std::strerror(errno));
  std::string kept, line;
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
    if (head || document[member] <= step) { kept += line + "\n"; }
  }
  require(!in.bad(), ExitCode::io, {.file = path.native()}, "cannot be read");
  return kept;
}

Json layer_json(const LayerReport& layer) {
  Json load = Json::array();
  for (const double share : layer.load) { load.push_back(number_json(share)); }
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

TrainLog::TrainLog(const fs::path& folder, const fs::path& unfinished,
                   const TrainSettings& settings, std::int64_t step)
    : path_((folder / kTrainLog).string()) {
  std::string kept = step > 0 ? lines_up_to(path_, step) : "";
  if (kept.empty()) {
    kept = Json({{"schema", kTrainSchema}, {"settings", settings_json(settings)}}).dump() + "\n";
  }
  OutputFile file(unfinished);
  file.write_at(0, std::as_bytes(std::span(kept)));
  file.sync();
  file.finish();
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
                   {"loss", number_json(report.loss)},
                   {"balance", number_json(report.balance)},
                   {"router_z", number_json(report.router_z)},
                   {"kappa_l2", number_json(report.kappa_l2)},
                   {"gradient", number_json(report.gradient)},
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
  add({{"step", step},
       {"held_out_loss", number_json(loss)},
       {"held_out_bits_per_byte", number_json(bits_per_byte)}});
}

}  // namespace kappascope
