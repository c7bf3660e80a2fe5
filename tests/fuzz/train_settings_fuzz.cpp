// Any bytes as the settings that a training run has left: an Error, or settings that are the same
// when written and read again, and that give a plan for every step.
#include <cstdlib>

#include "core/train/settings.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"

void kappascope::testing::fuzz_train_settings(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  testing::only_file_errors([&] {
    const TrainSettings settings = read_settings(parse_json(text, "meta.json"), "meta.json");
    const Json written = settings_json(settings);
    if (settings_json(read_settings(written, "again")) != written) { std::abort(); }
    for (const std::int64_t step : {std::int64_t{0}, settings.steps() - 1}) {
      training_step(settings, step);
      meta_json(settings, step).dump();
    }
  });
}
