// Work on every recorded layer of a trace: several at a time, with progress and cancel.
#pragma once

#include <cstdint>
#include <mutex>

#include "core/engine/progress.h"
#include "core/parallel.h"

namespace kappascope {

// Calls item(0) … item(layers − 1), each once, as for_each_parallel does. `progress`, which may be
// null, is asked before each, by one thread at a time; when it says stop, those under way are
// finished and this throws (interrupted). At most `most` are worked on at once.
template <typename Item>
void for_each_layer(std::int64_t layers, Progress* progress, const Item& item,
                    std::int64_t most = INT64_MAX) {
  std::mutex mutex;
  std::uint64_t done = 0;
  for_each_parallel(
      layers,
      [&](std::int64_t row) {
        if (progress != nullptr) {
          const std::lock_guard lock(mutex);
          go_on(*progress, Stage::figures, done, static_cast<std::uint64_t>(layers));
        }
        item(row);
        const std::lock_guard lock(mutex);
        ++done;
      },
      most);
}

}  // namespace kappascope
