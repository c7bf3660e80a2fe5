// What the panel "Interventions" keeps from frame to frame.
#pragma once

#include <string>
#include <vector>

#include "core/engine/interventions.h"

namespace kappascope::gui {

struct InterventionsState {
  // An edit of the next run as it is typed.
  struct Row {
    std::string name, value, scope;  // "kappa-mul", "2", "3-5"
    std::string wrong;               // what it should be; "" where it is right
  };
  std::vector<Row> rows;
  std::vector<Intervention> taken;    // what `rows` stand for,
  std::string taken_wrong;            // and what is wrong with them
  bool live = false;                  // runs again as the interventions change
  std::vector<Intervention> noticed;  // those when they were last right
  double changed_at = -1;             // when they did, and a run is due; −1: none is
  int statistic = -1;  // place of the one whose change is in the layers' table; −1: kappa.mean
};

struct Gui;

// Once a frame, wherever the panel is: what was changed is run when it is live.
void run_when_due(Gui& gui);

}  // namespace kappascope::gui
