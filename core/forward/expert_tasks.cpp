#include "core/forward/expert_tasks.h"

#include <algorithm>

namespace kappascope {

Sorted::Sorted(const RoutingView& routing)
    : position(std::size_t(routing.first_cell(routing.tokens)), -1) {
  const Assignments& given = routing.cells;
  std::vector<std::int64_t> begin(std::size_t(routing.experts) + 1);
  const std::size_t cells = position.size();
  for (std::size_t c = 0; c < cells; ++c) { begin[given.expert[c] + 1] += given.kept[c]; }
  for (std::int64_t e = 0; e < routing.experts; ++e) {
    std::int64_t first = begin[e];
    const std::int64_t last = begin[e + 1] += first;
    for (; first < last; first += kTaskRows) {
      tasks.push_back({e, first, std::min(kTaskRows, last - first)});
    }
  }
  const auto kept = std::size_t(begin.back());
  cell.resize(kept);
  token.resize(kept);
  score.resize(kept);
  for (std::size_t c = 0; c < cells; ++c) {
    if (!given.kept[c]) { continue; }
    const auto at = std::size_t(begin[given.expert[c]]++);
    position[c] = std::int64_t(at);
    cell[at] = std::int64_t(c);
    token[at] = std::int64_t(c) / routing.slots;
    score[at] = given.score[c];
  }
}

}  // namespace kappascope
