// `kappascope [PATH…]`: the window.
#pragma once

#include "app/cli/verbs.h"

namespace kappascope {

// Opens the window on models, traces or nothing and returns when it is closed; with --screenshot
// writes a picture of it and returns. Throws Error (gpu) without a display or OpenGL 3.3.
int open_window(const Arguments& arguments);

}  // namespace kappascope
