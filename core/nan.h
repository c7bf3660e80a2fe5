// The one "no value" of floating-point numbers. For whole numbers it is −1.
#pragma once

#include <limits>

namespace kappascope {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

}  // namespace kappascope
