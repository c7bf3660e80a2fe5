// Any bytes as a train.jsonl, read at once and in two looks: an Error, or a run that every figure
// can be made of.
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "core/figure/training_figures.h"
#include "core/train/log_reader.h"
#include "tests/fuzz/only_file_errors.h"
#include "tests/fuzz/targets.h"

void kappascope::testing::fuzz_train_log(const std::uint8_t* data, std::size_t size) {
  using namespace kappascope;
  static const std::string file = (std::filesystem::temp_directory_path() /
                                   ("train_log_fuzz_" + std::to_string(::getpid()) + ".jsonl"))
                                      .string();
  const auto* bytes = reinterpret_cast<const char*>(data);
  LogReader reader(file);
  std::ofstream(file, std::ios::binary).write(bytes, std::streamsize(size / 2));
  testing::only_file_errors([&] { reader.look(); });
  std::ofstream(file, std::ios::binary | std::ios::app)
      .write(bytes + size / 2, std::streamsize(size - size / 2));
  testing::only_file_errors([&] { reader.look(); });
  testing::only_file_errors([&] {
    const LoggedRun whole = read_training_log(file);
    const LoggedRun* const runs[] = {&whole};
    if (whole.step != reader.run().step || whole.evaluated != reader.run().evaluated) {
      std::abort();
    }
    for (const TrainingFigure& figure : training_figures()) { figure.make(runs); }
  });
  std::filesystem::remove(file);
}
