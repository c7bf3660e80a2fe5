#include "core/engine/progress.h"

#include "core/error.h"

namespace kappascope {

const char* stage_title(Stage stage) {
  switch (stage) {
    case Stage::open:
      return "opening";
    case Stage::read:
      return "reading";
    case Stage::load:
      return "loading weights";
    case Stage::prefill:
      return "running";
    case Stage::generate:
      return "generating";
    case Stage::write:
      return "writing";
    case Stage::copy:
      return "copying";
    case Stage::figures:
      return "drawing figures";
    case Stage::fonts:
      return "looking for fonts";
  }
  return "working";  // no such stage; called where nothing may be thrown
}

void go_on(Progress& progress, Stage stage, std::uint64_t done, std::uint64_t total) {
  require(progress.update(stage, done, total), ExitCode::interrupted, {}, kInterrupted);
}

}  // namespace kappascope
