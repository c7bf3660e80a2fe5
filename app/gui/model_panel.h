// What the panel "Model" keeps from frame to frame.
#pragma once

#include <string>

namespace kappascope::gui {

struct ModelPanelState {
  std::string filter;  // of the configuration's fields
};

}  // namespace kappascope::gui
