#include "core/engine/progress.h"

#include <gtest/gtest.h>

#include <limits>

namespace kappascope {
namespace {

TEST(DurationText, HasHoursFromAnHourOn) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(42.4), "0:42");
  EXPECT_EQ(duration_text(3599.4), "59:59");
  EXPECT_EQ(duration_text(3599.6), "1:00:00");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(360000), "100:00:00");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::infinity()), "83333:20:00");
}

}  // namespace
}  // namespace kappascope
