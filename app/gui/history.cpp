#include "app/gui/history.h"

#include <utility>

#include "core/figure/parts.h"
#include "core/stats/layer.h"

namespace kappascope::gui {

namespace {

constexpr std::size_t kMost = 200;

}  // namespace

// Leaves of the selection what the trace has; a row is always selected where there is one.
void History::settle() {
  Subject& selection = view_.selection;
  const Trace* trace = trace_of_(view_.trace);
  if (!trace) {
    selection = {};
    return;
  }
  if (selection.row < 0 || selection.row >= trace->layers) {
    selection.row = trace->layers > 0 ? std::int32_t(middle_row(*trace)) : -1;
  }
  if (selection.token >= trace->tokens) { selection.token = -1; }
  if (selection.slot < 0 || selection.slot >= trace->slots) { selection.slot = 0; }
  const bool no_expert = selection.row < 0 || selection.expert < 0 ||  // of a file that changed
                         selection.expert >= TraceLayer(*trace, selection.row).experts;
  if (no_expert) { selection.expert = -1; }
}

void History::set(ViewState view, Move move) {
  if (view == view_) { return; }
  view_ = std::move(view);
  settle();
  const bool goes_on = move == Move::step && stepping_;  // in place of the step before
  past_.resize(at_ + (goes_on ? 0 : 1));
  if (past_.back().trace < 0) { past_.pop_back(); }  // nothing was open: no way leads back there
  const bool returned = !past_.empty() && past_.back() == view_;
  stepping_ = move == Move::step && !returned;
  if (!returned) { past_.push_back(view_); }
  if (past_.size() > kMost) { past_.erase(past_.begin()); }
  at_ = past_.size() - 1;
}

void History::pick(const Subject& named, Move move) {
  const Trace* trace = trace_of_(view_.trace);
  if (!trace) { return; }
  ViewState view = view_;
  Subject& selection = view.selection;
  if (named.row >= 0) { selection.row = named.row; }
  if (named.token >= 0) { selection.token = named.token; }
  if (named.slot >= 0) { selection.slot = named.slot; }
  const bool inside = selection.row >= 0 && selection.row < trace->layers && selection.token >= 0 &&
                      selection.token < trace->tokens && selection.slot >= 0 &&
                      selection.slot < trace->slots;
  if (named.expert >= 0) {
    selection.expert = named.expert;
  } else if (inside) {
    selection.expert = TraceLayer(*trace, selection.row, LayerTokens::all)
                           .expert(selection.token * trace->slots + selection.slot);
  }
  set(std::move(view), move);
}

void History::go_back() {
  if (!can_go_back()) { return; }
  stepping_ = false;
  view_ = past_[--at_];
  settle();
}

void History::go_forward() {
  if (!can_go_forward()) { return; }
  stepping_ = false;
  view_ = past_[++at_];
  settle();
}

void History::forget(DocumentId trace, DocumentId instead) {
  stepping_ = false;
  if (view_.trace == trace) {
    view_.trace = instead;
    settle();
    past_[at_] = view_;
  }
  std::vector<ViewState> kept;
  std::size_t at = 0;
  for (std::size_t i = 0; i < past_.size(); ++i) {
    const bool again = !kept.empty() && kept.back() == past_[i];
    if (past_[i].trace != trace && !again) { kept.push_back(past_[i]); }
    if (i == at_) { at = kept.size() - 1; }
  }
  past_ = std::move(kept);
  at_ = at;
}

void History::refit() {
  settle();
  past_[at_] = view_;
}

}  // namespace kappascope::gui
