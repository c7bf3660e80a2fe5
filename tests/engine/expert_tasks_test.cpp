// How the columns of an expert's matrices are shared out among threads.
#include "core/forward/expert_tasks.h"

#include <gtest/gtest.h>

namespace kappascope {
namespace {

TEST(ExpertTasks, EveryColumnIsInOnePart) {
  for (const std::int64_t all : {1, 255, 256, 257, 700, 768, 4096}) {
    for (const std::int64_t wanted : {0, 1, 2, 3, 7, 100}) {
      const Columns columns(all, wanted);
      std::int64_t next = 0;
      for (std::int64_t part = 0; part < columns.parts; ++part) {
        EXPECT_EQ(columns.first(part), next) << all << " " << wanted;
        next += columns.count(part);
        EXPECT_LE(columns.count(part), columns.each);
      }
      EXPECT_EQ(next, all) << wanted;
    }
  }
}

}  // namespace
}  // namespace kappascope
