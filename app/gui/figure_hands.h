// What the user does to the axes of a figure: zoom and pan, by mouse and by keys, and the zoom
// along tokens that all figures of a trace share.
#pragma once

#include <optional>

#include "app/gui/figure_view.h"

namespace kappascope::gui {

class FigureHands {
 public:
  // Takes the shared zoom along tokens into the view.
  FigureHands(const PreparedFigure& figure, FigureViewState& state);

  AxisHand hand(const PanelGroupPlan& group, std::size_t panel, bool horizontal);

  // Moves the selected cell, or zooms about it, as keys ask; what is selected then, if that
  // changed.
  std::optional<Subject> follow(const FigureKeys& keys, const Subject& selection);

  void share();  // what this frame did to the zoom along tokens

 private:
  struct Place {  // an axis of a panel
    const PanelGroupPlan* group;
    std::size_t panel;
    bool horizontal;
  };
  AxisSpan shared_part(const AxisHand& hand) const;
  const FigureAxis& axis(const Place& at) const;
  std::vector<Place> places(AxisSubject subject) const;  // none: all
  std::optional<Subject> step(int right, int up, const Subject& selection);
  void show(AxisSubject subject, std::int64_t position);

  const PreparedFigure& figure_;
  FigureViewState& state_;
};

}  // namespace kappascope::gui
