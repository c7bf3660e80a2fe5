// A figure of the catalogue as a panel: title, choices, the figure, its notes.
#pragma once

#include <array>
#include <string>

#include "app/gui/figure_view.h"
#include "core/figure/catalogue.h"

namespace kappascope::gui {

struct Gui;

struct FigurePanelState {
  FigureChoices chosen;  // here; what follows the selection is taken from there
  bool follow_layer = true, follow_expert = true, follow_slot = true;
  bool parted = false;                                 // zooms along tokens by itself
  FigureViewState view;                                // of the current trace, or of all
  std::array<FigureViewState, kMostLanes - 1> beside;  // of the traces beside it
  std::array<DocumentId, kMostLanes> traces = {};      // whose figures are shown
  std::size_t panes = 0;
  double waiting_since = -1;  // of newer figures
  bool focused = false;
};

// "Sharpness κ of each token": the one name of the figure called `id`, of traces or training runs,
// in the window.
std::string figure_title(const std::string& id);
std::string figure_help(const std::string& id);  // one line: what it shows

// What the figure called `id` shows now, with what follows the selection filled in.
FigureChoices figure_choices(const Gui& gui, const std::string& id);

// The tokens that the figure called `id` ("": any that zooms with the others) has in sight.
TokenRange tokens_in_sight(const Gui& gui, const std::string& id);

void draw_figure_panel(Gui& gui, const std::string& id);  // inside Begin/End

}  // namespace kappascope::gui
