// What the user does to the axes of a figure: zoom and pan, by mouse and by keys, and the zoom
// along tokens that all figures of a trace share.
#pragma once

#include <optional>

#include "app/gui/figure_view.h"

namespace kappascope::gui {

// One axis of a panel in the hand of the user: what is in sight never leaves `whole`.
struct AxisHand {
  AxisSpan& span;
  AxisSpan whole;
  bool log;
  double least;  // smallest size in sight; logarithmic: of ln

  AxisSpan sight() const { return {span.low, span.high, log}; }
  void zoom(double factor, double share);  // about the place `share` of the way
  void pan(double share);                  // of what is in sight
  void reset() { span = whole; }

 private:
  double place(double value) const;
  void set(double low, double high);
};

// Position on the axis of what is selected; −1: none.
std::int64_t selected_position(const Figure& figure, const FigureAxis& axis,
                               const Subject& selection);

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
