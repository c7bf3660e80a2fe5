// What the panel "Expert" keeps from frame to frame.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/gui/figure_view.h"
#include "core/stats/expert_card.h"

namespace kappascope::gui {

struct ExpertPanelState {
  // The served tokens of `card` in `order`.
  std::shared_ptr<const ExpertCard> card;
  ServedOrder order = ServedOrder::token;
  std::vector<ServedEntry> served;

  std::map<std::string, FigureViewState> figures;  // those inside the panel, by id
};

}  // namespace kappascope::gui
