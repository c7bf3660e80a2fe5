#include "app/gui/figure_hands.h"

#include <algorithm>
#include <cmath>

namespace kappascope::gui {
namespace {

constexpr double kDeepestZoom = 1e5;  // of the whole axis
constexpr double kKeyZoom = 1.5;      // a press of + or −

// Position of subject `number` on the axis; −1: it is not there.
std::int64_t position_of(const FigureAxis& axis, AxisSubject subject, std::int64_t number) {
  if (axis.subject != subject || number < 0) { return -1; }
  if (axis.subjects.empty()) { return number; }
  const auto found = std::find(axis.subjects.begin(), axis.subjects.end(), number);
  return found == axis.subjects.end() ? -1 : found - axis.subjects.begin();
}

}  // namespace

double AxisHand::place(double value) const {
  return log ? std::log(value) : value;
}

// Of the same size where that is possible.
void AxisHand::set(double low, double high) {
  const double floor = place(whole.low), ceiling = place(whole.high);
  const double size = std::clamp(high - low, std::min(least, ceiling - floor), ceiling - floor);
  if (size >= ceiling - floor) { return reset(); }
  low = std::clamp((low + high - size) / 2, floor, ceiling - size);
  const auto value = [&](double at) { return log ? std::exp(at) : at; };
  span = {value(low), value(low + size)};
}

void AxisHand::zoom(double factor, double share) {
  const double low = place(span.low), high = place(span.high), fixed = low + share * (high - low);
  set(fixed - (fixed - low) * factor, fixed + (high - fixed) * factor);
}

void AxisHand::pan(double share) {
  const double low = place(span.low), high = place(span.high);
  set(low + share * (high - low), high + share * (high - low));
}

std::int64_t selected_position(const Figure& figure, const FigureAxis& axis,
                               const Subject& selection) {
  switch (axis.subject) {
    case AxisSubject::token:
      return position_of(axis, axis.subject, selection.token);
    case AxisSubject::recorded_layer:
      return position_of(axis, axis.subject, selection.row);
    case AxisSubject::expert:
      if (figure.row >= 0 && figure.row != selection.row) { return -1; }
      return position_of(axis, axis.subject, selection.expert);
    default:
      return -1;
  }
}

FigureHands::FigureHands(const PreparedFigure& figure, FigureViewState& state)
    : figure_(figure), state_(state) {
  if (!state_.tokens) { return; }
  for (const Place& at : places(AxisSubject::token)) {
    const AxisHand one = hand(*at.group, at.panel, at.horizontal);
    one.span = shared_part(one);
  }
}

// Of the shared zoom what there is on this axis; all of it where that is nothing.
AxisSpan FigureHands::shared_part(const AxisHand& hand) const {
  const std::optional<AxisSpan>& shared = *state_.tokens;
  if (!shared || shared->low >= hand.whole.high || shared->high <= hand.whole.low) {
    return hand.whole;
  }
  return {std::max(hand.whole.low, shared->low), std::min(hand.whole.high, shared->high)};
}

const FigureAxis& FigureHands::axis(const Place& at) const {
  const Panel& panel = *at.group->panels[at.panel];
  return at.horizontal ? panel.x : panel.y;
}

AxisHand FigureHands::hand(const PanelGroupPlan& group, std::size_t i, bool horizontal) {
  const Panel* begin = figure_.figure.panels.data();
  const auto first = static_cast<std::size_t>(group.panels[0] - begin);
  const bool shared = horizontal ? group.panels[i]->below : group.panels[i]->beside;
  const AxisPlan& plan = horizontal ? group.x[i] : group.y[i];
  const FigureAxis& axis = horizontal ? group.panels[i]->x : group.panels[i]->y;
  const bool log = axis.scale == Scale::log && !state_.linear;
  const double size = log ? std::log(plan.high / plan.low) : plan.high - plan.low;
  const double least = axis.scale == Scale::category ? std::min(2.0, size) : size / kDeepestZoom;
  AxisSpan& span = (horizontal ? state_.x : state_.y)[shared ? first : first + i];
  return {span, {plan.low, plan.high}, log, least};
}

std::vector<FigureHands::Place> FigureHands::places(AxisSubject subject) const {
  std::vector<Place> found;
  for (const PanelGroupPlan& group : figure_.groups) {
    for (std::size_t i = 0; i < group.panels.size(); ++i) {
      for (const bool horizontal : {true, false}) {
        const Panel& panel = *group.panels[i];
        if (horizontal ? panel.below : panel.beside) {
          continue;  // the first panel's
        }
        const Place at{&group, i, horizontal};
        if (subject == AxisSubject::none || axis(at).subject == subject) { found.push_back(at); }
      }
    }
  }
  return found;
}

void FigureHands::show(AxisSubject subject, std::int64_t position) {
  for (const Place& at : places(subject)) {
    AxisHand one = hand(*at.group, at.panel, at.horizontal);
    if (one.log) { continue; }
    const double low = static_cast<double>(position) - 0.5, size = one.span.high - one.span.low;
    if (low < one.span.low) { one.pan((low - one.span.low) / size); }
    if (low + 1 > one.span.high) { one.pan((low + 1 - one.span.high) / size); }
  }
}

std::optional<Subject> FigureHands::step(int right, int up, const Subject& selection) {
  for (const Panel& panel : figure_.figure.panels) {
    Subject to;
    bool moved = false;
    for (const bool horizontal : {true, false}) {
      const FigureAxis& axis = horizontal ? panel.x : panel.y;
      const int by = horizontal ? right : up;
      const auto count = static_cast<std::int64_t>(axis.names.size());
      if (axis.subject == AxisSubject::none || count == 0) { continue; }
      const std::int64_t from = selected_position(figure_.figure, axis, selection);
      if (from < 0 && by == 0) { continue; }
      const std::int64_t at = from < 0 ? 0 : std::clamp<std::int64_t>(from + by, 0, count - 1);
      moved |= by != 0;
      part_of(to, axis.subject) = std::int32_t(axis.subjects.empty() ? at : axis.subjects[at]);
      if (by != 0) { show(axis.subject, at); }
    }
    if (!moved) { continue; }
    if (to.row < 0 && to.expert >= 0) { to.row = std::int32_t(figure_.figure.row); }
    return to;
  }
  return {};
}

std::optional<Subject> FigureHands::follow(const FigureKeys& keys, const Subject& selection) {
  if (keys.zoom != 0 || keys.all) {
    for (const Place& at : places(AxisSubject::none)) {
      AxisHand one = hand(*at.group, at.panel, at.horizontal);
      if (keys.all) {
        one.reset();
        continue;
      }
      const std::int64_t chosen = selected_position(figure_.figure, axis(at), selection);
      const double share = (double(chosen) - one.span.low) / (one.span.high - one.span.low);
      const bool seen = chosen >= 0 && !one.log && share > 0 && share < 1;
      one.zoom(std::pow(kKeyZoom, -keys.zoom), seen ? share : 0.5);
    }
  }
  if (keys.right == 0 && keys.up == 0) { return {}; }
  return step(keys.right, keys.up, selection);
}

void FigureHands::share() {
  if (!state_.tokens) { return; }
  for (const Place& at : places(AxisSubject::token)) {
    const AxisHand one = hand(*at.group, at.panel, at.horizontal);
    const AxisSpan taken = shared_part(one);
    if (one.span.low == taken.low && one.span.high == taken.high) { continue; }
    const bool all = one.span.low <= one.whole.low && one.span.high >= one.whole.high;
    *state_.tokens = all ? std::nullopt : std::optional<AxisSpan>(one.span);
    return;
  }
}

namespace {

// The same panels with the same ends: what was zoomed into stays in sight.
bool same_axes(const PreparedFigure& a, const PreparedFigure& b) {
  if (a.groups.size() != b.groups.size() || a.figure.id != b.figure.id) { return false; }
  const auto same = [](const std::vector<AxisPlan>& p, const std::vector<AxisPlan>& q) {
    return std::equal(p.begin(), p.end(), q.begin(), q.end(),
                      [](const AxisPlan& one, const AxisPlan& other) {
                        return one.low == other.low && one.high == other.high;
                      });
  };
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    if (!same(a.groups[g].x, b.groups[g].x) || !same(a.groups[g].y, b.groups[g].y)) {
      return false;
    }
  }
  return true;
}

// The ends of the axes of all panels.
void whole_axes(const PreparedFigure& figure, std::vector<AxisSpan>& x, std::vector<AxisSpan>& y) {
  for (const PanelGroupPlan& group : figure.groups) {
    for (std::size_t i = 0; i < group.panels.size(); ++i) {
      x.push_back({group.x[i].low, group.x[i].high});
      y.push_back({group.y[i].low, group.y[i].high});
    }
  }
}

// Of an axis that showed all of the former figure, all of the next one.
void grow(std::vector<AxisSpan>& in_sight, const std::vector<AxisSpan>& former,
          const std::vector<AxisSpan>& next) {
  for (std::size_t i = 0; i < in_sight.size(); ++i) {
    if (in_sight[i] == former[i]) { in_sight[i] = next[i]; }
  }
}

}  // namespace

void take_figure(FigureViewState& state, const std::shared_ptr<const PreparedFigure>& figure) {
  std::vector<AxisSpan> former_x, former_y, x, y;
  if (state.shown && state.grows) { whole_axes(*state.shown, former_x, former_y); }
  whole_axes(*figure, x, y);
  const bool grown = state.shown && state.grows && former_x.size() == x.size() &&
                     state.x.size() == x.size() && state.y.size() == y.size();
  if (grown) {
    grow(state.x, former_x, x);
    grow(state.y, former_y, y);
  }
  state.fit = state.fit || !state.shown || !(grown || same_axes(*state.shown, *figure));
  state.shown = figure;
  state.laid_out = {};
  state.tiles.clear();
  for (const auto& cells : figure->cells) {
    state.tiles.push_back(cells ? std::make_unique<CellTiles>(cells) : nullptr);
  }
}

void fit_figure(FigureViewState& state) {
  state.x.clear();
  state.y.clear();
  whole_axes(*state.shown, state.x, state.y);
  state.fit = false;
}

std::optional<AxisSpan> span_of_tokens(const FigureViewState& state) {
  std::size_t at = 0;
  for (const PanelGroupPlan& group : state.shown->groups) {
    for (std::size_t i = 0; i < group.panels.size(); ++i, ++at) {
      if (group.panels[i]->x.subject != AxisSubject::token || at >= state.x.size()) { continue; }
      const AxisSpan& span = state.x[at];
      if (span.low <= group.x[i].low && span.high >= group.x[i].high) { return {}; }
      return span;
    }
  }
  return {};
}

}  // namespace kappascope::gui
