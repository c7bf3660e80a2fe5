// What the verbs that may run as several ranks have in common.
#pragma once

#include <memory>
#include <optional>

#include "core/engine/ranks.h"

namespace kappascope {

// parse(): false when help was printed. The exit code with which the process ends at once; nothing:
// it goes on. Rank 0 has the same words as the others, and alone says what is wrong with them.
template <typename Parse>
std::optional<int> parse_on_ranks(const std::optional<RankPlace>& place, Parse&& parse) {
  try {
    if (!parse()) { return int(ExitCode::ok); }
  } catch (const Error& error) {
    if (!place || place->rank == 0) { throw; }
    return int(error.code());
  }
  return {};
}

// Meets the other ranks, if there are any, and does work(), which gives the exit code. Its failure
// ends them all, and one of them says so: there it is thrown, elsewhere its code is given.
template <typename Work>
int work_on_ranks(const std::optional<RankPlace>& place, std::unique_ptr<Ranks>& ranks,
                  Progress& progress, Work&& work) {
  if (place) { ranks = join_ranks(*place, progress); }
  try {
    return work();
  } catch (...) {
    const Failure failure = failure_in_flight();
    if (!ranks || ranks->leave(failure)) { throw; }
    return int(failure.code);
  }
}

}  // namespace kappascope
