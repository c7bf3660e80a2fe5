// What the panel "Training" keeps from frame to frame.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "app/gui/figure_view.h"

namespace kappascope::gui {

struct Gui;

struct TrainingPanelState {
  std::map<std::string, FigureViewState> views;  // by figure id
  std::uint64_t opened = 0;                      // runs that were opened before this one are known
  bool raise = true;  // a run that is opened brings the panel to the front
};

// Shows the panel when a training run was opened; once a frame.
void show_new_training(Gui& gui);

}  // namespace kappascope::gui
