// What the tests of panels open: files of this repository.
#pragma once

#include "tests/gui/null_window.h"

namespace kappascope::gui {

inline const std::filesystem::path kSource = KAPPASCOPE_SOURCE_DIR;
inline const std::filesystem::path kDemo = kSource / "tests" / "figures" / "demo" / "trace.npz";

// The demo trace as often as said, all of it loaded.
inline void open_demo(NullWindow& window, int times = 1) {
  for (int i = 0; i < times; ++i) { window.workspace().open(kDemo); }
  window.settle();
}

}  // namespace kappascope::gui
