#include "core/engine/progress.h"

#include <algorithm>
#include <cstdio>

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

std::string duration_text(double seconds) {
  const long whole = long(std::min(seconds, 3e8) + 0.5);
  char text[32];
  if (whole < 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return text;
}

void go_on(Progress& progress, Stage stage, std::uint64_t done, std::uint64_t total) {
  require(progress.update(stage, done, total), ExitCode::interrupted, {}, kInterrupted);
}

}  // namespace kappascope
